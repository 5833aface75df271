//! What a comparison of pairs allows to be said: regressed, improved, equivalent, or not enough.
//!
//! The three claims exclude each other, and each has a p value: that of the signed-rank test with
//! the differences moved by the margin. A regression or an improvement is claimed at alpha on two
//! sides, so exactly where the interval lies beyond the margin; equivalence by two one-sided tests
//! (TOST, Schuirmann 1987), so where the interval of confidence 1 - 2 alpha lies inside it.

use crate::interval::Interval;
use crate::pair::{self, Shift};
use crate::rank::{self, RankTest};
use crate::{holm, plan, spread};

/// Further pairs beyond which no plan is offered: the difference lies too near to the margin.
/// Guess: at 30 s for a slice, a week of measuring.
const FURTHER_PAIRS_MAX: u64 = 10_000;

/// In which direction a metric is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Such as throughput.
    Higher,
    /// Such as latency.
    Lower,
}

/// What is asked of one metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    /// Which direction is better.
    pub better: Better,
    /// The change that does not matter, as a ratio: 0.03 is a factor of up to 1.03 either way.
    /// With 0 every difference matters, and nothing is ever equivalent.
    pub margin_ratio: f64,
    /// The chance of a false claim that is accepted, such as 0.05.
    pub alpha: f64,
}

/// What may be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Worse by more than the margin.
    Regressed,
    /// Better by more than the margin.
    Improved,
    /// The difference is smaller than the margin.
    Equivalent,
    /// None of the three can be claimed.
    Inconclusive {
        /// Pairs that would probably settle it, beside those that there are; nothing if the
        /// difference lies so near to the margin that no reasonable number does.
        further_pairs: Option<u64>,
    },
}

/// What was found of one metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// The number of pairs.
    pub pairs: usize,
    /// Candidate over baseline: the Hodges-Lehmann estimate.
    pub ratio: f64,
    /// Its interval of confidence 1 - alpha; nothing with too few pairs.
    pub interval: Option<Interval>,
    /// Two-sided p value of no difference at all, whatever the margin.
    pub p_no_difference: f64,
    /// P value of the claim that is nearest to being made.
    pub p_claim: f64,
    /// Standard deviation of the log ratios; 0 of one pair.
    pub deviation: f64,
    /// The difference that so many pairs find four times out of five, as a ratio: 0.04 is 4 %.
    pub detectable_ratio: f64,
    /// The answer.
    pub verdict: Verdict,
}

/// Compares the pairs of two sides; `baseline[i]` and `candidate[i]` ran next to each other.
///
/// Nothing if there are no pairs, the lengths differ, or a value is not finite and above zero.
/// Cost: that of [`pair::hodges_lehmann`].
pub fn compare(baseline: &[f64], candidate: &[f64], goal: &Goal) -> Option<Comparison> {
    let differences = pair::log_ratios(baseline, candidate)?;
    let Shift { estimate, interval } = pair::hodges_lehmann(&differences, 1.0 - goal.alpha)?;
    let margin = goal.margin_ratio.max(0.0).ln_1p();
    let claims = Claims::of(&differences, margin, goal.better)?;
    let deviation = spread::standard_deviation(&differences).unwrap_or(0.0);
    let pairs = differences.len();
    let (p_claim, claim) = claims.nearest();
    let further_pairs = further_pairs(pairs as u64, deviation, (estimate.abs() - margin).abs());
    let unsettled = Verdict::Inconclusive { further_pairs };
    Some(Comparison {
        pairs,
        ratio: estimate.exp(),
        interval: interval.map(|interval| interval.map(f64::exp)),
        p_no_difference: rank::signed_rank(&differences)?.p_value(),
        p_claim,
        deviation,
        detectable_ratio: plan::detectable_effect(deviation, pairs as u64).exp_m1(),
        verdict: if p_claim <= goal.alpha { claim } else { unsettled },
    })
}

/// Returns the verdicts of metrics that were declared together: claims that do not survive Holm's
/// correction at `alpha` are taken back. `alpha` is that of the goals.
///
/// Only the metrics that were declared before the run belong in here; of others, nothing is
/// claimed.
pub fn together(comparisons: &[Comparison], alpha: f64) -> Vec<Verdict> {
    let p_values: Vec<f64> = comparisons.iter().map(|found| found.p_claim).collect();
    let adjusted = holm::holm(&p_values);
    let judged = comparisons.iter().zip(adjusted);
    judged.map(|(found, p)| if p <= alpha { found.verdict } else { taken_back(found) }).collect()
}

/// As many pairs again make up for a correction over up to twenty metrics: two-sided 5 % / 20 with
/// 80 % power needs (3.02 + 0.84)^2 / 2.8^2 = 1.9 times the pairs.
fn taken_back(found: &Comparison) -> Verdict {
    match found.verdict {
        Verdict::Inconclusive { .. } => found.verdict,
        _ => Verdict::Inconclusive { further_pairs: Some(found.pairs as u64) },
    }
}

/// The p values of the three claims.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claims {
    regressed: f64,
    improved: f64,
    equivalent: f64,
}

impl Claims {
    fn of(differences: &[f64], margin: f64, better: Better) -> Option<Self> {
        let against = |bound: f64| -> Option<RankTest> {
            rank::signed_rank(&differences.iter().map(|value| value - bound).collect::<Vec<f64>>())
        };
        Some(Self::between(&against(margin)?, &against(-margin)?, margin, better))
    }

    /// Reads them from the tests against both ends of the margin, in which "greater" is that of the
    /// candidate.
    pub(crate) fn between(upper: &RankTest, lower: &RankTest, margin: f64, better: Better) -> Self {
        let two_sided = |p: f64| (2.0 * p).min(1.0);
        let (higher, smaller) = (two_sided(upper.p_greater), two_sided(lower.p_less));
        let (regressed, improved) = match better {
            Better::Higher => (smaller, higher),
            Better::Lower => (higher, smaller),
        };
        let is_possible = margin > 0.0;
        let equivalent = if is_possible { upper.p_less.max(lower.p_greater) } else { 1.0 };
        Self { regressed, improved, equivalent }
    }

    pub(crate) fn nearest(self) -> (f64, Verdict) {
        let all = [
            (self.regressed, Verdict::Regressed),
            (self.improved, Verdict::Improved),
            (self.equivalent, Verdict::Equivalent),
        ];
        let least = |best: (f64, Verdict), next| if next_is_less(best, next) { next } else { best };
        all.into_iter().fold((f64::INFINITY, Verdict::Regressed), least)
    }
}

fn next_is_less(best: (f64, Verdict), next: (f64, Verdict)) -> bool {
    next.0 < best.0
}

/// Pairs that are missing to tell a difference from the margin, `distance` away from it.
fn further_pairs(pairs: u64, deviation: f64, distance: f64) -> Option<u64> {
    let missing = plan::pairs_needed(deviation, distance)?.saturating_sub(pairs).max(1);
    (missing <= FURTHER_PAIRS_MAX).then_some(missing)
}

#[cfg(test)]
mod tests;
