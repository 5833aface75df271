//! The middle of some numbers and how far they lie apart.

use crate::quantile;

/// How numbers lie, in their own unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The middle value, or the mean of the two middle ones.
    pub median: f64,
    /// Median of the distances from the median; times 1.4826 it estimates the standard deviation
    /// of normal values, and half of the values may be wild before it is.
    pub mad: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub most: f64,
}

/// Returns how the numbers lie, or nothing of no numbers or of one that is not finite.
///
/// Cost: two sorted copies.
pub fn spread(numbers: &[f64]) -> Option<Spread> {
    let sorted = sorted(numbers)?;
    let median = quantile::of_sorted(&sorted, 0.5)?;
    let distances: Vec<f64> = sorted.iter().map(|number| (number - median).abs()).collect();
    let (least, most) = (*sorted.first()?, *sorted.last()?);
    Some(Spread { median, mad: self::median(&distances)?, least, most })
}

/// Returns the median, or nothing of no numbers or of one that is not finite.
pub fn median(numbers: &[f64]) -> Option<f64> {
    quantile::of_sorted(&sorted(numbers)?, 0.5)
}

/// Returns the mean; NaN of no numbers.
pub fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// Returns the standard deviation of the population that the numbers are a sample of (divisor
/// n - 1), or nothing of fewer than two.
pub fn standard_deviation(numbers: &[f64]) -> Option<f64> {
    (numbers.len() >= 2).then(|| (squares(numbers) / (numbers.len() - 1) as f64).sqrt())
}

/// The sum of squared distances from the mean.
pub(crate) fn squares(numbers: &[f64]) -> f64 {
    let mean = mean(numbers);
    numbers.iter().map(|number| (number - mean).powi(2)).sum()
}

/// A sorted copy, or nothing if a number is not finite.
pub(crate) fn sorted(numbers: &[f64]) -> Option<Vec<f64>> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.iter().all(|number| number.is_finite()).then_some(sorted)
}

#[cfg(test)]
mod tests {
    use super::{Spread, spread, standard_deviation};

    #[test]
    fn one_wild_value_moves_neither_median_nor_mad() {
        let found = spread(&[3.0, 1.0, 2.0, 1e9, 4.0]);
        assert_eq!(found, Some(Spread { median: 3.0, mad: 1.0, least: 1.0, most: 1e9 }));
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[f64::NAN]), None);
    }

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        assert_eq!(standard_deviation(&[1.0, 3.0]), Some(2.0_f64.sqrt()));
        assert_eq!(standard_deviation(&[1.0]), None);
    }
}
