//! The knee of an open loop: how the time of a reply grows as the rate nears the capacity.
//!
//! R(rate) = s / (1 - rate / C), the single queue with random arrivals (M/M/1: Jain, The Art of
//! Computer Systems Performance Analysis, 31.2), with s the time of a reply at rest and C the capacity.

use stdx::prng::Prng;

use crate::bootstrap::{self, Resampling};
use crate::interval::Interval;
use crate::least_squares;

/// Different rates that a fit of two parameters needs. Guess: with three, one is left to disagree.
const RATES_MIN: usize = 4;

/// One open-loop measurement below the capacity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Requests per second that were sent.
    pub rate_per_s: f64,
    /// Seconds from due to reply: the mean or any one quantile, the same for all points.
    pub response_s: f64,
}

/// The curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Knee {
    /// Seconds of a reply at rest: s.
    pub service_s: f64,
    /// Requests per second at which replies would take for ever: C.
    pub capacity_per_s: f64,
}

impl Knee {
    /// Seconds of a reply at a rate; infinite from the capacity on.
    pub fn response_s(&self, rate_per_s: f64) -> f64 {
        let free = 1.0 - rate_per_s / self.capacity_per_s;
        if free > 0.0 { self.service_s / free } else { f64::INFINITY }
    }

    /// The rate at which a reply takes so long; 0 if it takes longer at rest.
    pub fn rate_per_s(&self, response_s: f64) -> f64 {
        (self.capacity_per_s * (1.0 - self.service_s / response_s)).max(0.0)
    }
}

/// A curve that was fitted to points, with those of the bootstrap for forecasts.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// The curve.
    pub knee: Knee,
    /// The interval of the time at rest.
    pub service_s: Interval,
    /// The interval of the capacity.
    pub capacity_per_s: Interval,
    /// Root of the mean squared difference of logarithms: 0.1 is about 10 %.
    pub residual_ratio: f64,
    drawn: Vec<Knee>,
    confidence: f64,
}

impl Fit {
    /// The interval of the time of a reply at a rate: a forecast is never one number. Its high
    /// end is infinite where the capacity may lie below the rate.
    pub fn response_s(&self, rate_per_s: f64) -> Interval {
        self.interval(|knee| knee.response_s(rate_per_s))
    }

    /// The interval of the rate at which a reply takes so long.
    pub fn rate_per_s(&self, response_s: f64) -> Interval {
        self.interval(|knee| knee.rate_per_s(response_s))
    }

    fn interval(&self, of: impl Fn(&Knee) -> f64) -> Interval {
        interval(&self.drawn, &self.knee, self.confidence, of)
    }
}

/// Fits the curve by least squares of the logarithms of the times, whose noise is proportional.
///
/// Points above the capacity do not belong in here: there the time grows with the length of the
/// run and not with the rate. Nothing of fewer than four different rates or of a point without a
/// rate and time above zero. Cost: one fit of some 50 evaluations of the points per resample.
pub fn fit(points: &[Point], resampling: &Resampling) -> Option<Fit> {
    let is_known = |value: f64| value.is_finite() && value > 0.0;
    let are_known =
        points.iter().all(|point| is_known(point.rate_per_s) && is_known(point.response_s));
    if !are_known || different_rates(points) < RATES_MIN {
        return None;
    }
    let knee = best(points);
    let drawn = redrawn(points, &knee, resampling);
    let squares = least_squares::sum_of_squares(&residuals(points, &knee));
    let confidence = resampling.confidence;
    Some(Fit {
        knee,
        service_s: interval(&drawn, &knee, confidence, |knee| knee.service_s),
        capacity_per_s: interval(&drawn, &knee, confidence, |knee| knee.capacity_per_s),
        residual_ratio: (squares / points.len() as f64).sqrt(),
        drawn,
        confidence,
    })
}

fn interval(drawn: &[Knee], knee: &Knee, confidence: f64, of: impl Fn(&Knee) -> f64) -> Interval {
    let values: Vec<f64> = drawn.iter().map(&of).collect();
    let found = of(knee);
    bootstrap::percentile(&values, confidence).unwrap_or(Interval { low: found, high: found })
}

fn different_rates(points: &[Point]) -> usize {
    let mut rates: Vec<f64> = points.iter().map(|point| point.rate_per_s).collect();
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    rates.len()
}

/// The search goes over ln s and ln(C / greatest rate - 1), so that s > 0 and C lies beyond the data.
fn best(points: &[Point]) -> Knee {
    let greatest = points.iter().map(|point| point.rate_per_s).fold(0.0, f64::max);
    let least = points.iter().map(|point| point.response_s).fold(f64::INFINITY, f64::min);
    let knee = |parameters: &[f64; 2]| Knee {
        service_s: parameters[0].exp(),
        capacity_per_s: greatest * (1.0 + parameters[1].exp()),
    };
    let squares = |parameters: &[f64; 2]| {
        least_squares::sum_of_squares(&residuals(points, &knee(parameters)))
    };
    // Starts at a capacity of 1.01 to 8 times the greatest rate: one of them is in the right valley.
    let starts = [-4.6, -2.3, 0.0, 2.0].map(|beyond| [least.ln(), beyond]);
    let found = starts.map(|start| least_squares::fit(start, |p| residuals(points, &knee(p))));
    let mut best = found[0];
    for other in found {
        if squares(&other) < squares(&best) {
            best = other;
        }
    }
    knee(&best)
}

fn residuals(points: &[Point], knee: &Knee) -> Vec<f64> {
    let residual = |point: &Point| (knee.response_s(point.rate_per_s) / point.response_s).ln();
    points.iter().map(residual).collect()
}

fn redrawn(points: &[Point], knee: &Knee, resampling: &Resampling) -> Vec<Knee> {
    let mut prng = Prng::new(resampling.seed);
    let count = points.len() as f64;
    // Two parameters have taken their part of the noise, and the rest is known from few points.
    let small_sample = bootstrap::small_sample(resampling.confidence, count - 2.0);
    let widening = (count / (count - 2.0)).sqrt() * small_sample;
    let noise: Vec<f64> =
        residuals(points, knee).iter().map(|residual| -residual * widening).collect();
    let mut draw = |point: &Point| {
        let drawn = prng.pick(&noise).copied().unwrap_or(0.0);
        Point { response_s: knee.response_s(point.rate_per_s) * drawn.exp(), ..*point }
    };
    (0..resampling.resamples)
        .map(|_| best(&points.iter().map(&mut draw).collect::<Vec<Point>>()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESAMPLING: Resampling = Resampling { resamples: 200, confidence: 0.95, seed: 1 };
    const TRUE: Knee = Knee { service_s: 0.002, capacity_per_s: 10_000.0 };

    fn points(noise: f64) -> Vec<Point> {
        let wobble = [1.0, -0.6, 0.3, -1.0, 0.8, -0.2, 0.5];
        let rates = [1_000.0, 3_000.0, 5_000.0, 7_000.0, 8_000.0, 9_000.0, 9_500.0];
        let point = |(rate_per_s, wobble): (f64, f64)| Point {
            rate_per_s,
            response_s: TRUE.response_s(rate_per_s) * (noise * wobble).exp(),
        };
        rates.into_iter().zip(wobble).map(point).collect()
    }

    #[test]
    fn an_exact_curve_is_found_exactly() {
        let found = fit(&points(0.0), &RESAMPLING).unwrap();
        assert!((found.knee.service_s / TRUE.service_s - 1.0).abs() < 1e-6, "{:?}", found.knee);
        assert!((found.knee.capacity_per_s / TRUE.capacity_per_s - 1.0).abs() < 1e-6);
        assert!((TRUE.rate_per_s(0.004) - 5_000.0).abs() < 1e-9);
        assert!(TRUE.response_s(10_000.0).is_infinite());
        assert!(TRUE.rate_per_s(0.001) == 0.0);
    }

    #[test]
    fn forecasts_are_intervals_that_hold_the_truth() {
        let found = fit(&points(0.05), &RESAMPLING).unwrap();
        assert!(found.service_s.contains(TRUE.service_s), "{:?}", found.service_s);
        assert!(found.capacity_per_s.contains(TRUE.capacity_per_s), "{:?}", found.capacity_per_s);
        assert!(found.response_s(6_000.0).contains(TRUE.response_s(6_000.0)));
        assert!(found.rate_per_s(0.010).contains(8_000.0));
        assert!(found.response_s(10_500.0).high.is_infinite());
        assert!((0.01..0.06).contains(&found.residual_ratio));
    }

    #[test]
    fn three_rates_or_impossible_points_have_no_curve() {
        assert_eq!(fit(&points(0.0)[..3], &RESAMPLING), None);
        let mut bad = points(0.0);
        bad[2].response_s = 0.0;
        assert_eq!(fit(&bad, &RESAMPLING), None);
    }
}
