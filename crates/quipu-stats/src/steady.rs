//! From where on a series is steady, so that its warm-up can be left out.

use crate::{slope, spread};

/// Points in one batch of MSER-5.
const BATCH: usize = 5;

/// Batches without which a series is too short to say anything. Guess.
const BATCHES_MIN: usize = 10;

/// Fewer points are not judged.
pub const POINTS_MIN: usize = BATCH * BATCHES_MIN;

/// Confidence with which the rest must be seen to drift.
const CONFIDENCE: f64 = 0.95;

/// Whether a series becomes steady.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Steadiness {
    /// It is, from this index on.
    From(usize),
    /// It is not.
    Never(Unsteady),
}

/// Why a series is not steady.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unsteady {
    /// Fewer than [`POINTS_MIN`] points, or one that is not finite.
    TooShort,
    /// The best place to begin lies in the second half: the warm-up had not ended.
    SettlesLate,
    /// It goes on changing: by this ratio of its mean from where it should be steady to the end.
    Drifts(f64),
}

/// Returns from where on the series is steady.
///
/// The warm-up is cut by MSER-5: the place after which the standard error of the mean of the
/// batches of five is least (White, Simulation 69, 1997); one in the second half counts as none.
/// The rest must not have a slope that is surely not zero and that changes it by more than
/// `tolerance_ratio` of its mean in all. Cost: the series once, and one sort.
pub fn steady(series: &[f64], tolerance_ratio: f64) -> Steadiness {
    let batches: Vec<f64> = series.chunks_exact(BATCH).map(spread::mean).collect();
    if batches.len() < BATCHES_MIN || !series.iter().all(|value| value.is_finite()) {
        return Steadiness::Never(Unsteady::TooShort);
    }
    let first = cut(&batches);
    if first > batches.len() / 2 {
        return Steadiness::Never(Unsteady::SettlesLate);
    }
    let index = first * BATCH;
    match drift_ratio(series.get(index..).unwrap_or_default()) {
        Some(ratio) if ratio.abs() > tolerance_ratio => Steadiness::Never(Unsteady::Drifts(ratio)),
        _ => Steadiness::From(index),
    }
}

/// The number of batches to leave out.
fn cut(batches: &[f64]) -> usize {
    let (mut sum, mut squares) = (0.0, 0.0);
    // Around the mean, so that a small spread of great values is not lost to rounding.
    let mean = spread::mean(batches);
    let mut best = (f64::INFINITY, 0);
    // Backwards, so that every sum follows from the one before. The last few are not a series.
    for (index, batch) in batches.iter().enumerate().rev() {
        let value = batch - mean;
        sum += value;
        squares += value * value;
        let count = (batches.len() - index) as f64;
        let error = (squares - sum * sum / count).max(0.0) / (count * count);
        if batches.len() - index >= BATCH && error <= best.0 {
            best = (error, index);
        }
    }
    best.1
}

/// How much the rest changes from end to end, in units of its mean; nothing if it may be standing.
fn drift_ratio(rest: &[f64]) -> Option<f64> {
    let points: Vec<(f64, f64)> =
        rest.iter().enumerate().map(|(index, value)| (index as f64, *value)).collect();
    let found = slope::least_squares(&points, CONFIDENCE)?;
    let is_sure = found.interval.is_some_and(|interval| !interval.contains(0.0));
    is_sure.then(|| found.estimate * rest.len() as f64 / spread::mean(rest).abs())
}

#[cfg(test)]
mod tests {
    use stdx::prng::Prng;

    use super::{Steadiness, Unsteady, steady};

    /// A thousand a second with noise of up to 2 %, changed by a function of the index.
    fn series(points: usize, change: impl Fn(f64) -> f64) -> Vec<f64> {
        let mut prng = Prng::new(11);
        let mut noise = || prng.below(41) as f64 - 20.0;
        (0..points).map(|index| 1_000.0 + noise() + change(index as f64)).collect()
    }

    #[test]
    fn a_warm_up_is_cut_where_it_ends() {
        let warming = series(300, |index| if index < 60.0 { -500.0 } else { 0.0 });
        let Steadiness::From(index) = steady(&warming, 0.05) else { panic!("it settles") };
        assert!((60..80).contains(&index), "{index}");
        let decaying = series(400, |index| -800.0 * (-index / 20.0).exp());
        let Steadiness::From(index) = steady(&decaying, 0.05) else { panic!("it settles") };
        assert!((50..150).contains(&index), "{index}");
    }

    #[test]
    fn noise_alone_is_steady_from_early_on() {
        let Steadiness::From(index) = steady(&series(300, |_| 0.0), 0.05) else { panic!("steady") };
        assert!(index <= 100, "{index}");
        assert_eq!(steady(&[7.0; 60], 0.05), Steadiness::From(0));
    }

    #[test]
    fn a_series_that_never_settles_is_not_steady() {
        let late = series(300, |index| if index < 200.0 { -500.0 } else { 0.0 });
        assert_eq!(steady(&late, 0.05), Steadiness::Never(Unsteady::SettlesLate));
        let growing = series(300, |index| 3.0 * index);
        assert_eq!(steady(&growing, 0.05), Steadiness::Never(Unsteady::SettlesLate));
        let creeping = series(300, |index| 0.05 * index);
        let Steadiness::Never(Unsteady::Drifts(ratio)) = steady(&creeping, 0.005) else {
            panic!("{:?}", steady(&creeping, 0.005));
        };
        assert!((0.01..0.03).contains(&ratio), "{ratio}");
    }

    #[test]
    fn a_short_series_is_not_judged() {
        assert_eq!(steady(&[1.0; 49], 0.05), Steadiness::Never(Unsteady::TooShort));
        assert_eq!(steady(&[f64::NAN; 90], 0.05), Steadiness::Never(Unsteady::TooShort));
    }
}
