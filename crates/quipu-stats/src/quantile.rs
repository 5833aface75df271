//! Quantiles: their value, the range that holds the true one, and when there are too few samples.

use crate::beta;
use crate::interval::Interval;
use crate::normal;
use crate::spread;

/// Relative error of the number of samples beyond a quantile that still lets it be printed.
/// Source: the specification of the laboratory (20 % at 95 % confidence).
const TAIL_ERROR: f64 = 0.2;

/// Confidence of that error.
const TAIL_CONFIDENCE: f64 = 0.95;

/// Returns the quantile of the numbers, by linear interpolation between order statistics (type 7
/// of Hyndman and Fan, 1996: the default of R and numpy).
///
/// `probability` is from 0 to 1. Nothing of no numbers, or of one that is not finite. Cost: a
/// sorted copy.
pub fn quantile(numbers: &[f64], probability: f64) -> Option<f64> {
    of_sorted(&spread::sorted(numbers)?, probability)
}

/// The same of numbers in rising order, without a copy.
pub fn of_sorted(sorted: &[f64], probability: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&probability) {
        return None;
    }
    let place = probability * sorted.len().checked_sub(1)? as f64;
    let below = *sorted.get(place.floor() as usize)?;
    let above = *sorted.get(place.ceil() as usize)?;
    Some(below + (above - below) * place.fract())
}

/// Returns how many independent samples a quantile needs, so that the count of those beyond it is
/// within 20 % of the true one with 95 % confidence: n = (1.96 / 0.2)^2 q / (1 - q), the normal
/// approximation of the binomial. 9,508 for p99; 95,940 for p99.9.
///
/// Requests of one run are not independent: multiply by their autocorrelation time.
pub fn samples_needed(probability: f64) -> u64 {
    let rarer = probability.min(1.0 - probability);
    let z = normal::quantile(f64::midpoint(1.0, TAIL_CONFIDENCE));
    ((z / TAIL_ERROR).powi(2) * (1.0 - rarer) / rarer).ceil() as u64
}

/// Returns the ranks (from 1, in rising order) of the two samples that enclose the true quantile
/// with at least this confidence, whatever the distribution; nothing where the samples do not
/// reach that far.
///
/// Source: the binomial distribution of the number of samples below the quantile (Conover,
/// Practical Nonparametric Statistics, 3.2). Cost: about 60 binomial probabilities.
pub fn enclosing_ranks(samples: u64, probability: f64, confidence: f64) -> Option<(u64, u64)> {
    if !(0.0..=1.0).contains(&probability) {
        return None;
    }
    let tail = (1.0 - confidence) / 2.0;
    let low = first_count(samples, |count| binomial(samples, probability, count) > tail);
    let high = first_count(samples, |count| binomial(samples, probability, count) >= 1.0 - tail);
    // X samples lie below the quantile. Rank `low` does unless X < low; rank `high + 1` lies at or
    // above it when X <= high.
    (low > 0 && high < samples).then_some((low, high + 1))
}

/// Returns the values that enclose the true quantile: those of `enclosing_ranks`.
pub fn interval(numbers: &[f64], probability: f64, confidence: f64) -> Option<Interval> {
    let sorted = spread::sorted(numbers)?;
    let (low, high) = enclosing_ranks(sorted.len() as u64, probability, confidence)?;
    let at = |rank: u64| sorted.get(usize::try_from(rank).ok()?.checked_sub(1)?).copied();
    Some(Interval { low: at(low)?, high: at(high)? })
}

/// P(X <= count) of a binomial X.
fn binomial(trials: u64, probability: f64, count: u64) -> f64 {
    if count >= trials {
        return 1.0;
    }
    beta::regularised(1.0 - probability, (trials - count) as f64, count as f64 + 1.0)
}

/// The least count up to `most` that satisfies a condition which, once true, stays so.
fn first_count(most: u64, is_reached: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low.midpoint(high);
        if is_reached(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_interpolate_as_numpy_does() {
        // numpy 2.2.0: quantile([1, 2, 4, 8], q)
        for (probability, expected) in
            [(0.0, 1.0), (0.25, 1.75), (0.5, 3.0), (0.9, 6.8), (1.0, 8.0)]
        {
            let found = quantile(&[8.0, 1.0, 4.0, 2.0], probability).unwrap();
            assert!((found - expected).abs() < 1e-12, "{probability}: {found}");
        }
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[1.0], 1.1), None);
    }

    #[test]
    fn a_rarer_tail_needs_ten_times_the_samples() {
        for (probability, about) in [(0.99, 9_500), (0.999, 96_000), (0.9999, 960_000)] {
            let needed = samples_needed(probability);
            assert!(needed.abs_diff(about) * 100 < about, "{probability}: {needed}");
        }
    }

    #[test]
    fn ranks_are_those_of_the_binomial() {
        // scipy 1.16.3: binom.ppf(0.025, n, q), binom.ppf(0.975, n, q) + 1
        let known = [
            (10, 0.5, Some((2, 9))),
            (100, 0.5, Some((40, 61))),
            (10_000, 0.99, Some((9_880, 9_920))),
            (1_000_000, 0.999, Some((998_938, 999_062))),
            (100, 0.99, None),
            (0, 0.5, None),
            (100, f64::NAN, None),
        ];
        for (samples, probability, expected) in known {
            assert_eq!(enclosing_ranks(samples, probability, 0.95), expected, "{samples}");
        }
    }

    #[test]
    fn a_thousand_million_samples_are_no_burden() {
        let (low, high) = enclosing_ranks(1_000_000_000, 0.99, 0.95).unwrap();
        // 1.96 sqrt(n q (1 - q)) = 6,167 on either side.
        assert!(990_000_000_u64.abs_diff(low).abs_diff(6_167) < 3, "{low}");
        assert!(high.abs_diff(990_000_000).abs_diff(6_167) < 3, "{high}");
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_quantile_of_the_sample(
            numbers in prop::collection::vec(-1e6..1e6_f64, 20..200),
        ) {
            let range = interval(&numbers, 0.5, 0.95).unwrap();
            prop_assert!(range.contains(quantile(&numbers, 0.5).unwrap()));
        }
    }
}
