//! Pairs of runs: what changed between two neighbours in time, with a drift of the machine
//! cancelled because both have seen it.

use stdx::prng::Prng;

use crate::bootstrap::{self, Resampling};
use crate::interval::Interval;
use crate::{normal, quantile, rank, spread};

/// Differences up to which the interval follows from the exact distribution of the signed ranks;
/// the same bound as that of the test.
const EXACT_MAX: usize = 50;

/// One of the two sides of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What is compared with: A.
    Baseline,
    /// What is judged: B.
    Candidate,
}

/// How far the candidate lies from the baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// The estimate.
    pub estimate: f64,
    /// Its interval; nothing where so few pairs cannot reach the confidence (5 pairs never reach
    /// 95 %).
    pub interval: Option<Interval>,
}

/// Returns ln(candidate / baseline) of each pair; nothing if the lengths differ or a value is not
/// finite and above zero.
///
/// Ratios of neighbours are what drift leaves alone, and logarithms make doubling and halving
/// equally far from no change.
pub fn log_ratios(baseline: &[f64], candidate: &[f64]) -> Option<Vec<f64>> {
    let is_positive = |value: &f64| value.is_finite() && *value > 0.0;
    let are_positive = baseline.iter().chain(candidate).all(is_positive);
    let ratio = |(before, after): (&f64, &f64)| (after / before).ln();
    (are_positive && baseline.len() == candidate.len())
        .then(|| baseline.iter().zip(candidate).map(ratio).collect())
}

/// Returns the Hodges-Lehmann estimate: the median of the means of all pairs of differences
/// (Walsh averages), with the interval that the signed-rank test does not reject.
///
/// Source: Hollander and Wolfe, Nonparametric Statistical Methods, 3.2 and 3.3. Without ties the
/// interval is exact. Nothing of no differences. Cost: memory and time follow the square of the
/// number of differences (100 pairs: 5,050 averages).
pub fn hodges_lehmann(differences: &[f64], confidence: f64) -> Option<Shift> {
    let averages = spread::sorted(&walsh_averages(differences))?;
    let estimate = quantile::of_sorted(&averages, 0.5)?;
    let cut = left_out(differences.len(), (1.0 - confidence) / 2.0);
    let interval = cut.and_then(|cut| {
        let high = averages.len().checked_sub(1 + cut)?;
        Some(Interval { low: *averages.get(cut)?, high: *averages.get(high)? })
    });
    Some(Shift { estimate, interval })
}

/// Returns the median with its BCa bootstrap interval over pairs: the alternative for differences
/// that are not symmetric.
pub fn bootstrap_median(differences: &[f64], resampling: &Resampling) -> Option<Shift> {
    let median = |sample: &[f64]| spread::median(sample).unwrap_or(f64::NAN);
    let estimate = spread::median(differences)?;
    Some(Shift { estimate, interval: bootstrap::bca(differences, median, resampling) })
}

/// Returns which side goes first and which second, pair by pair, in blocks A B B A or B A A B.
///
/// A block cancels drift that is linear in time; half of the blocks are of each kind, in an order
/// that follows from the seed, so no period of the machine can side with one of them.
pub fn order(pairs: usize, seed: u64) -> Vec<[Side; 2]> {
    use Side::{Baseline, Candidate};
    let abba = [[Baseline, Candidate], [Candidate, Baseline]];
    let baab = [[Candidate, Baseline], [Baseline, Candidate]];
    let blocks = pairs.div_ceil(2);
    let mut prng = Prng::new(seed);
    // An odd number of blocks leaves one over: a coin says which kind.
    let extra = blocks % 2 * usize::from(prng.chance(1, 2));
    let mut order = vec![abba; blocks / 2 + extra];
    order.resize(blocks, baab);
    prng.shuffle(&mut order);
    order.into_iter().flatten().take(pairs).collect()
}

fn walsh_averages(differences: &[f64]) -> Vec<f64> {
    let from = |(index, first): (usize, &f64)| {
        let rest = differences.iter().skip(index);
        rest.map(|second| f64::midpoint(*first, *second)).collect::<Vec<f64>>()
    };
    differences.iter().enumerate().flat_map(from).collect()
}

/// How many averages to leave out at either end, so that each end is missed with at most `tail`.
fn left_out(pairs: usize, tail: f64) -> Option<usize> {
    if pairs > EXACT_MAX {
        let pairs = pairs as f64;
        let mean = pairs * (pairs + 1.0) / 4.0;
        let deviation = (mean * (2.0 * pairs + 1.0) / 6.0).sqrt();
        return Some((mean + normal::quantile(tail) * deviation - 0.5).floor() as usize);
    }
    let ranks: Vec<f64> = (1..=pairs).map(|rank| rank as f64).collect();
    // Sums are doubled: without ties every other one is impossible.
    let chances = rank::sums_of_signs(&ranks).into_iter().step_by(2);
    let mut below = 0.0;
    let reached = chances.take_while(|chance| {
        below += chance;
        below <= tail
    });
    // A shift that all but k averages lie below gives the statistic k, so the last one rejected
    // is the first end.
    reached.count().checked_sub(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_interval_is_that_of_r() {
        // R's wilcox.test(x, y, paired = TRUE, conf.int = TRUE) on Hollander and Wolfe's
        // depression scale: estimate 0.46, 96.1 % interval 0.010 to 0.786.
        let first = [1_830, 500, 1_620, 2_480, 1_680, 1_880, 1_550, 3_060, 1_300];
        let second = [878, 647, 598, 2_050, 1_060, 1_290, 1_060, 3_140, 1_290];
        let difference = |(a, b): (i32, i32)| f64::from(a - b) / 1_000.0;
        let differences: Vec<f64> = first.into_iter().zip(second).map(difference).collect();
        let Shift { estimate, interval } = hodges_lehmann(&differences, 0.95).unwrap();
        let interval = interval.unwrap();
        assert!((estimate - 0.46).abs() < 1e-9, "{estimate}");
        assert!((interval.low - 0.010).abs() < 1e-9, "{interval:?}");
        assert!((interval.high - 0.786).abs() < 1e-9, "{interval:?}");
    }

    #[test]
    fn five_pairs_have_no_interval_at_95_percent_and_six_have() {
        let of = |pairs: usize| {
            let differences: Vec<f64> = (0..pairs).map(|index| index as f64).collect();
            hodges_lehmann(&differences, 0.95).unwrap().interval
        };
        assert_eq!(of(5), None);
        assert_eq!(of(6), Some(Interval { low: 0.0, high: 5.0 }));
        assert_eq!(hodges_lehmann(&[], 0.95), None);
    }

    #[test]
    fn ratios_need_pairs_above_zero() {
        assert_eq!(log_ratios(&[1.0, 2.0], &[1.0, 2.0]), Some(vec![0.0, 0.0]));
        assert_eq!(log_ratios(&[1.0], &[1.0, 2.0]), None);
        assert_eq!(log_ratios(&[0.0], &[1.0]), None);
    }

    #[test]
    fn every_block_has_both_sides_in_both_orders() {
        for pairs in [1, 2, 10, 20, 21] {
            let order = order(pairs, 7);
            assert_eq!(order.len(), pairs);
            for block in order.chunks_exact(2) {
                assert_ne!(block[0][0], block[1][0]);
                assert_eq!(block[0][1], block[1][0]);
            }
        }
        let first =
            |seed| order(20, seed).iter().step_by(2).map(|pair| pair[0]).collect::<Vec<_>>();
        assert_eq!(first(1).iter().filter(|side| **side == Side::Baseline).count(), 5);
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
    }

    #[test]
    fn the_bootstrap_agrees_with_the_walsh_averages() {
        let differences: Vec<f64> = (0..20).map(|i| f64::from(i * 7 % 20) / 100.0).collect();
        let resampling = Resampling { resamples: 1_000, confidence: 0.95, seed: 3 };
        let (exact, drawn) = (
            hodges_lehmann(&differences, 0.95).unwrap(),
            bootstrap_median(&differences, &resampling).unwrap(),
        );
        assert!((exact.estimate - drawn.estimate).abs() < 0.01);
        assert!(drawn.interval.unwrap().contains(exact.estimate));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn the_interval_is_what_the_test_does_not_reject(
            differences in prop::collection::vec(-1.0..1.0_f64, 6..40),
            shift in -1.0..1.0_f64,
        ) {
            let interval = hodges_lehmann(&differences, 0.95).unwrap().interval.unwrap();
            let moved: Vec<f64> = differences.iter().map(|value| value - shift).collect();
            let p = rank::signed_rank(&moved).unwrap().p_value();
            prop_assert_eq!(interval.contains(shift), p > 0.05);
        }

        #[test]
        fn the_estimate_moves_with_the_differences(
            differences in prop::collection::vec(-1.0..1.0_f64, 1..40),
        ) {
            let moved: Vec<f64> = differences.iter().map(|value| value + 8.0).collect();
            let of = |values: &[f64]| hodges_lehmann(values, 0.9).unwrap().estimate;
            prop_assert!((of(&moved) - of(&differences) - 8.0).abs() < 1e-9);
        }
    }
}
