//! Medians, ranges and percentiles: pure functions over measured numbers.

use serde_json::{Value, json};

/// The middle and the ends of some numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Returns the spread, or None of no numbers.
    pub(crate) fn of(numbers: &[f64]) -> Option<Self> {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        Some(Self { median: median_of_sorted(&sorted)?, least, most })
    }

    /// The spread as JSON, with the names of its fields.
    pub(crate) fn to_json(self) -> Value {
        json!({ "median": self.median, "least": self.least, "most": self.most })
    }
}

fn median_of_sorted(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get(middle.checked_sub(1)?)?;
    Some(f64::midpoint(lower, upper))
}

/// Returns the ratio of each round to the same round of the other side.
///
/// Rounds are interleaved, so what disturbs one round disturbs both of its sides: the ratios of
/// pairs are steadier than the ratio of the medians. None if a side lacks a round or a value is not
/// above zero: what was not measured has no ratio.
pub(crate) fn paired_ratios(ours: &[f64], theirs: &[f64]) -> Option<Vec<f64>> {
    if ours.len() != theirs.len() || ours.is_empty() {
        return None;
    }
    let pairs = ours.iter().zip(theirs);
    let is_measured = |ours: f64, theirs: f64| ours > 0.0 && theirs > 0.0;
    pairs.map(|(ours, theirs)| is_measured(*ours, *theirs).then(|| ours / theirs)).collect()
}

/// Returns the value that `share` of the numbers do not exceed (nearest rank), or None of none.
pub(crate) fn percentile(numbers: &mut [u64], share: f64) -> Option<u64> {
    numbers.sort_unstable();
    let rank = (share * numbers.len() as f64).ceil().max(1.0) as usize;
    numbers.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_spread(numbers: &[f64], expected: Option<(f64, f64, f64)>) {
        let found = Spread::of(numbers).map(|spread| (spread.median, spread.least, spread.most));
        assert_eq!(found, expected, "of {numbers:?}");
    }

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middles() {
        check_spread(&[], None);
        check_spread(&[3.0], Some((3.0, 3.0, 3.0)));
        check_spread(&[5.0, 1.0, 3.0], Some((3.0, 1.0, 5.0)));
        check_spread(&[4.0, 1.0, 2.0, 8.0], Some((3.0, 1.0, 8.0)));
    }

    #[test]
    fn ratios_are_of_rounds_that_both_sides_have() {
        assert_eq!(paired_ratios(&[2.0, 9.0], &[1.0, 3.0]), Some(vec![2.0, 3.0]));
        assert_eq!(paired_ratios(&[2.0], &[1.0, 3.0]), None);
        assert_eq!(paired_ratios(&[2.0], &[0.0]), None);
        assert_eq!(paired_ratios(&[0.0], &[2.0]), None);
        assert_eq!(paired_ratios(&[], &[]), None);
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let mut numbers: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(percentile(&mut numbers, 0.99), Some(99));
        assert_eq!(percentile(&mut numbers, 0.5), Some(50));
        assert_eq!(percentile(&mut numbers, 1.0), Some(100));
        assert_eq!(percentile(&mut [7], 0.99), Some(7));
        assert_eq!(percentile(&mut [], 0.99), None);
    }
}
