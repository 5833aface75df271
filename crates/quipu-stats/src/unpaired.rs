//! Two sides whose runs are no pairs, such as saved results of last week and of today.
//!
//! The test is that of Mann and Whitney, on logarithms. It takes the runs of a side for independent: a
//! machine that was slower last week than today looks like a change, and on a machine that drifts by
//! 5 % nearly half of such comparisons of ten runs claim one. [`crate::pair`] is the cure.

use crate::interval::Interval;
use crate::rank::{self, RankTest};
use crate::verdict::{Claims, Goal, Verdict};
use crate::{quantile, spread};

/// The fewest runs of a side. Source: the specification of the laboratory; with five and five, p can
/// reach 0.008, and one odd run decides it.
pub const RUNS_MIN: usize = 6;

/// What was found of one metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Candidate over baseline: the Hodges-Lehmann estimate, the median of all ratios of a run of one
    /// side to one of the other.
    pub ratio: f64,
    /// The ratios that the test does not reject, of confidence 1 - alpha.
    pub interval: Interval,
    /// Two-sided p value of no difference at all, whatever the margin.
    pub p_no_difference: f64,
    /// P value of the claim that is nearest to being made.
    pub p_claim: f64,
    /// The answer; an inconclusive one never says how many more.
    pub verdict: Verdict,
}

/// Compares two sides of at least [`RUNS_MIN`] runs each.
///
/// Nothing with fewer, or if a value is not finite and above zero. Cost: some ten rank tests, and a
/// sort of all ratios.
pub fn compare(baseline: &[f64], candidate: &[f64], goal: &Goal) -> Option<Comparison> {
    let is_positive = |value: &f64| value.is_finite() && *value > 0.0;
    if baseline.len().min(candidate.len()) < RUNS_MIN
        || !baseline.iter().chain(candidate).all(is_positive)
    {
        return None;
    }
    let logs = |side: &[f64]| side.iter().map(|value| value.ln()).collect::<Vec<f64>>();
    let (baseline, candidate) = (logs(baseline), logs(candidate));
    let against = |shift: f64| {
        let moved: Vec<f64> = candidate.iter().map(|value| value - shift).collect();
        rank::rank_sum(&moved, &baseline)
    };
    let margin = goal.margin_ratio.max(0.0).ln_1p();
    let claims = Claims::between(&against(margin)?, &against(-margin)?, margin, goal.better);
    let (p_claim, claim) = claims.nearest();
    let differences = differences(&baseline, &candidate)?;
    let interval = interval(&differences, goal.alpha, against)?;
    Some(Comparison {
        ratio: quantile::of_sorted(&differences, 0.5)?.exp(),
        interval: interval.map(f64::exp),
        p_no_difference: against(0.0)?.p_value(),
        p_claim,
        verdict: if p_claim <= goal.alpha {
            claim
        } else {
            Verdict::Inconclusive { further_pairs: None }
        },
    })
}

/// All differences of a value of one side and one of the other, in rising order.
fn differences(baseline: &[f64], candidate: &[f64]) -> Option<Vec<f64>> {
    let from = |after: &f64| baseline.iter().map(|before| after - before).collect::<Vec<f64>>();
    spread::sorted(&candidate.iter().flat_map(from).collect::<Vec<f64>>())
}

/// The shifts that the test does not reject. Between two neighbouring differences the test is the same
/// for all shifts, and both of its p values are monotonic, so each end is found by halving.
fn interval(
    differences: &[f64],
    alpha: f64,
    against: impl Fn(f64) -> Option<RankTest>,
) -> Option<Interval> {
    let mut ends = differences.to_vec();
    // What rounding tells apart is one difference.
    ends.dedup_by(|next, kept| *next - *kept < 1e-9);
    let gaps: Vec<f64> =
        ends.iter().zip(ends.iter().skip(1)).map(|(a, b)| f64::midpoint(*a, *b)).collect();
    let is_too_low = |shift: &f64| against(*shift).is_some_and(|t| 2.0 * t.p_greater <= alpha);
    let is_not_too_high = |shift: &f64| against(*shift).is_some_and(|t| 2.0 * t.p_less > alpha);
    let low = *ends.get(gaps.partition_point(is_too_low))?;
    let high = *ends.get(gaps.partition_point(is_not_too_high))?;
    Some(Interval { low, high })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Comparison, compare};
    use crate::verdict::{Better, Goal, Verdict};

    const LATENCY: Goal = Goal { better: Better::Lower, margin_ratio: 0.05, alpha: 0.05 };

    /// Eight runs whose noise is 2 %.
    fn runs(level: f64) -> Vec<f64> {
        (0..8).map(|run| level * (1.0 + 0.02 * (f64::from(run * 5 % 8) - 3.5) / 3.5)).collect()
    }

    fn found(factor: f64) -> Comparison {
        compare(&runs(100.0), &runs(100.0 * factor), &LATENCY).unwrap()
    }

    #[test]
    fn a_change_beyond_the_margin_is_named_and_one_within_it_is_none() {
        for (factor, expected) in [
            (1.2, Verdict::Regressed),
            (0.8, Verdict::Improved),
            (1.01, Verdict::Equivalent),
            (1.05, Verdict::Inconclusive { further_pairs: None }),
        ] {
            let found = found(factor);
            assert_eq!(found.verdict, expected, "{factor}");
            assert!((found.ratio / factor - 1.0).abs() < 0.01, "{factor} {found:?}");
            assert!(found.interval.contains(factor), "{factor} {found:?}");
        }
    }

    #[test]
    fn test_estimate_and_interval_are_those_of_scipy_and_the_book() {
        let old = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
        let new = [1.15, 0.88, 0.90, 0.74, 1.21, 1.05, 1.22, 0.95];
        let goal = Goal { margin_ratio: 0.0, ..LATENCY };
        let found = compare(&old, &new, &goal).unwrap();
        // scipy 1.16.3: mannwhitneyu(log new, log old, method="exact").pvalue; the rest is the 40th and
        // 41st, the 18th and the 63rd of the 80 sorted ratios, as Hollander and Wolfe 4.2 and 4.3 say.
        assert!((found.p_no_difference - 0.236_985).abs() < 1e-6, "{found:?}");
        assert!((found.ratio - 0.774_154).abs() < 1e-6, "{found:?}");
        assert!((found.interval.low - 0.602_094).abs() < 1e-6, "{found:?}");
        assert!((found.interval.high - 1.163_462).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn five_runs_get_no_verdict() {
        assert_eq!(compare(&[1.0; 5], &[2.0; 8], &LATENCY), None);
        assert_eq!(compare(&[1.0; 6], &[0.0; 6], &LATENCY), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn exchanging_the_sides_turns_the_interval(
            old in prop::collection::vec(0.5..2.0_f64, 6..15),
            new in prop::collection::vec(0.5..2.0_f64, 6..15),
        ) {
            let one = compare(&old, &new, &LATENCY).unwrap();
            let other = compare(&new, &old, &LATENCY).unwrap();
            prop_assert!((one.ratio * other.ratio - 1.0).abs() < 1e-9);
            prop_assert!((one.interval.low * other.interval.high - 1.0).abs() < 1e-9);
            // At an end itself, rounding decides.
            let is_near = |end: f64| (end - 1.0).abs() < 1e-8;
            prop_assume!(!is_near(one.interval.low) && !is_near(one.interval.high));
            prop_assert_eq!(one.interval.contains(1.0), one.p_no_difference > 0.05);
        }
    }
}
