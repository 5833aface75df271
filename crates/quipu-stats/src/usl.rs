//! The Universal Scalability Law: throughput by the number of requests in flight (or cores, nodes).
//!
//! X(N) = g N / (1 + a (N - 1) + b N (N - 1)) with g the throughput of one, a the share that waits for
//! others (contention) and b the cost of agreeing with each of them (coherency). Source: Gunther,
//! Guerrilla Capacity Planning, 2007. With b > 0 there is a peak at N* = sqrt((1 - a) / b); whether the
//! data show one is answered before where it is.

use stdx::prng::Prng;
use thiserror::Error;

use crate::bootstrap::{self, Resampling};
use crate::interval::Interval;
use crate::least_squares;

/// Different levels that a fit needs. Source: the specification of the laboratory; three
/// parameters go through any three points.
const LEVELS_MIN: usize = 6;

/// g, a and b.
const PARAMETERS: f64 = 3.0;

/// How far beyond the greatest level a peak is believed.
const REACH: f64 = 2.0;

/// One closed-loop measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Requests in flight, at least 1.
    pub concurrency: f64,
    /// Requests per second.
    pub throughput_per_s: f64,
}

/// The three parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usl {
    /// Throughput of one, per second: g.
    pub single_per_s: f64,
    /// Contention: a, from 0.
    pub contention: f64,
    /// Coherency: b, from 0.
    pub coherency: f64,
}

impl Usl {
    /// The throughput at a concurrency, per second.
    pub fn throughput_per_s(&self, concurrency: f64) -> f64 {
        let others = concurrency - 1.0;
        let slowdown = 1.0 + self.contention * others + self.coherency * concurrency * others;
        self.single_per_s * concurrency / slowdown
    }

    /// The concurrency of the greatest throughput: infinite without coherency, 1 where all waits.
    pub fn peak_concurrency(&self) -> f64 {
        if self.coherency <= 0.0 {
            return f64::INFINITY;
        }
        ((1.0 - self.contention).max(0.0) / self.coherency).sqrt().max(1.0)
    }
}

/// A law that was fitted to levels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// The parameters.
    pub law: Usl,
    /// Root of the mean squared residual over the mean throughput: 0.02 is 2 %.
    pub residual_ratio: f64,
    /// The interval of the contention.
    pub contention: Interval,
    /// The interval of the coherency; a low end of 0 means that there may be none.
    pub coherency: Interval,
    /// Whether the data show a peak.
    pub peak: Peak,
}

/// Where throughput stops to grow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Peak {
    /// The data show it.
    Seen {
        /// N*.
        concurrency: f64,
        /// The interval of N*.
        interval: Interval,
        /// The throughput there, per second.
        throughput_per_s: f64,
    },
    /// No peak seen.
    NotSeen(NoPeak),
}

/// Why no peak is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPeak {
    /// The interval of the coherency reaches 0.
    CoherencyMayBeZero,
    /// It would lie beyond twice the greatest level.
    BeyondTheData,
}

/// Why no law can be fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UslError {
    /// Too few different levels.
    #[error("the scalability law needs {LEVELS_MIN} levels of concurrency, and there are {levels}")]
    TooFewLevels {
        /// The different levels that there are.
        levels: usize,
    },
    /// A level below 1, a throughput that is not above 0, or a number that is not finite.
    #[error("level {index} needs a concurrency from 1 and a throughput above 0")]
    BadLevel {
        /// Its index.
        index: usize,
    },
}

/// Fits the law by non-linear least squares with a and b from 0.
///
/// Intervals come from a parametric bootstrap: the law under normal noise in proportion to the
/// throughput, as strong as the residuals say after the share that the fit took up, and widened
/// for how few they are. Six levels are too few to draw levels themselves: half of such samples would
/// not determine the law. Measured on 200 made-up systems each of 6 to 9 levels with 1 and 3 % of noise:
/// 95 % intervals hold b and the peak in 90 to 97 %, and 1 to 6.5 % of the systems without a
/// peak are given one (drawn residuals without the widening: 55 to 72 %, and 23 %).
/// Cost: one fit of some 100 evaluations of the levels for each resample.
///
/// # Errors
/// Fewer than six different levels, or a level that cannot be.
pub fn fit(levels: &[Level], resampling: &Resampling) -> Result<Fit, UslError> {
    check(levels)?;
    let law = best(levels);
    let drawn = redrawn(levels, &law, resampling);
    let interval = |of: fn(&Usl) -> f64| {
        let values: Vec<f64> = drawn.iter().map(of).collect();
        let found = of(&law);
        bootstrap::percentile(&values, resampling.confidence)
            .unwrap_or(Interval { low: found, high: found })
    };
    let coherency = interval(|law| law.coherency);
    Ok(Fit {
        law,
        residual_ratio: residual_ratio(levels, &law),
        contention: interval(|law| law.contention),
        coherency,
        peak: peak(levels, &law, coherency, interval(Usl::peak_concurrency)),
    })
}

fn peak(levels: &[Level], law: &Usl, coherency: Interval, interval: Interval) -> Peak {
    let greatest = levels.iter().map(|level| level.concurrency).fold(1.0, f64::max);
    let concurrency = law.peak_concurrency();
    if coherency.low <= 0.0 {
        return Peak::NotSeen(NoPeak::CoherencyMayBeZero);
    }
    if concurrency > REACH * greatest {
        return Peak::NotSeen(NoPeak::BeyondTheData);
    }
    Peak::Seen { concurrency, interval, throughput_per_s: law.throughput_per_s(concurrency) }
}

fn check(levels: &[Level]) -> Result<(), UslError> {
    let is_bad = |level: &Level| {
        let are_finite = level.concurrency.is_finite() && level.throughput_per_s.is_finite();
        !are_finite || level.concurrency < 1.0 || level.throughput_per_s <= 0.0
    };
    if let Some(index) = levels.iter().position(is_bad) {
        return Err(UslError::BadLevel { index });
    }
    let mut different: Vec<f64> = levels.iter().map(|level| level.concurrency).collect();
    different.sort_by(f64::total_cmp);
    different.dedup();
    let levels = different.len();
    if levels < LEVELS_MIN { Err(UslError::TooFewLevels { levels }) } else { Ok(()) }
}

/// The law with the least squares among those inside the bounds: where a free parameter would
/// be negative, the best is on the boundary.
fn best(levels: &[Level]) -> Usl {
    let start = start(levels);
    let Usl { single_per_s: g, contention: a, coherency: b } = start;
    let law = |g: f64, a: f64, b: f64| Usl { single_per_s: g, contention: a, coherency: b };
    let residuals = |law: &Usl| -> Vec<f64> { residuals(levels, law) };
    let [free_g, free_a, free_b] =
        least_squares::fit([g, a, b], |p| residuals(&law(p[0], p[1], p[2])));
    if free_a >= 0.0 && free_b >= 0.0 {
        return law(free_g, free_a, free_b);
    }
    let [one_g, one_a] = least_squares::fit([g, a], |p| residuals(&law(p[0], p[1], 0.0)));
    let [two_g, two_b] = least_squares::fit([g, b], |p| residuals(&law(p[0], 0.0, p[1])));
    let [none_g] = least_squares::fit([g], |p| residuals(&law(p[0], 0.0, 0.0)));
    let bounded = [law(one_g, one_a, 0.0), law(two_g, 0.0, two_b), law(none_g, 0.0, 0.0)];
    let squares = |law: &Usl| least_squares::sum_of_squares(&residuals(law));
    let allowed = bounded.into_iter().filter(|law| law.contention >= 0.0 && law.coherency >= 0.0);
    allowed.min_by(|left, right| squares(left).total_cmp(&squares(right))).unwrap_or(start)
}

/// N / X is linear in 1 / g, a / g and b / g: close to the answer, in one step.
fn start(levels: &[Level]) -> Usl {
    let row = |level: &Level| {
        let Level { concurrency: n, throughput_per_s: x } = *level;
        [1.0, n - 1.0, n * (n - 1.0)].map(|term| term * x / n)
    };
    let rows: Vec<[f64; 3]> = levels.iter().map(row).collect();
    let solved = least_squares::linear(&rows, &vec![1.0; rows.len()]);
    let each = |level: &Level| level.throughput_per_s / level.concurrency;
    let single = levels.iter().map(each).fold(0.0, f64::max);
    // Guess where the line fails: a little of both, at the scale of the data.
    let guess = [1.0 / single, 0.01 / single, 1e-4 / single];
    let [offset, linear, square] = solved.filter(|[offset, ..]| *offset > 0.0).unwrap_or(guess);
    let positive = |value: f64, least: f64| (value / offset).max(least);
    Usl {
        single_per_s: 1.0 / offset,
        contention: positive(linear, 1e-4),
        coherency: positive(square, 1e-7),
    }
}

fn residuals(levels: &[Level], law: &Usl) -> Vec<f64> {
    let residual = |level: &Level| law.throughput_per_s(level.concurrency) - level.throughput_per_s;
    levels.iter().map(residual).collect()
}

fn residual_ratio(levels: &[Level], law: &Usl) -> f64 {
    let count = levels.len() as f64;
    let squares = least_squares::sum_of_squares(&residuals(levels, law));
    let mean = levels.iter().map(|level| level.throughput_per_s).sum::<f64>() / count;
    (squares / count).sqrt() / mean
}

/// Laws fitted to the fitted law under drawn noise.
fn redrawn(levels: &[Level], law: &Usl, resampling: &Resampling) -> Vec<Usl> {
    let mut prng = Prng::new(resampling.seed);
    let freedom = levels.len() as f64 - PARAMETERS;
    let widening = bootstrap::small_sample(resampling.confidence, freedom);
    let noise = widening * noise_ratio(levels, law);
    let mut draw = |level: &Level| {
        let factor = 1.0 + noise * bootstrap::normal_draw(&mut prng);
        let throughput_per_s = law.throughput_per_s(level.concurrency) * factor;
        Level { throughput_per_s, ..*level }
    };
    (0..resampling.resamples)
        .map(|_| best(&levels.iter().map(&mut draw).collect::<Vec<Level>>()))
        .collect()
}

/// The standard deviation of the noise over the throughput. A residual is smaller than the noise
/// by the leverage h of its level, so the sum of squares is that of noise^2 X^2 (1 - h).
fn noise_ratio(levels: &[Level], law: &Usl) -> f64 {
    let of = |p: &[f64; 3]| {
        let law = Usl { single_per_s: p[0], contention: p[1], coherency: p[2] };
        residuals(levels, &law)
    };
    let at = [law.single_per_s, law.contention, law.coherency];
    let leverages = least_squares::leverages(&at, of).unwrap_or_default();
    let free = |(level, leverage): (&Level, f64)| {
        law.throughput_per_s(level.concurrency).powi(2) * (1.0 - leverage).max(0.0)
    };
    let free: f64 = levels.iter().zip(leverages).map(free).sum();
    let squares = least_squares::sum_of_squares(&residuals(levels, law));
    if free > 0.0 { (squares / free).sqrt() } else { residual_ratio(levels, law) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESAMPLING: Resampling = Resampling { resamples: 200, confidence: 0.95, seed: 1 };

    fn levels(of: &[(f64, f64)]) -> Vec<Level> {
        let level = |(concurrency, throughput_per_s): &(f64, f64)| Level {
            concurrency: *concurrency,
            throughput_per_s: *throughput_per_s,
        };
        of.iter().map(level).collect()
    }

    /// A law seen at powers of two up to `greatest` with noise of 1 %.
    fn seen(law: &Usl, greatest: u32) -> Vec<Level> {
        let wobble = [1.01, 0.99, 1.0, 0.993, 1.008, 0.995, 1.004, 1.0, 0.99, 1.01];
        let at = |power: u32| {
            let concurrency = f64::from(1_u32 << power);
            let throughput_per_s = law.throughput_per_s(concurrency) * wobble[power as usize];
            Level { concurrency, throughput_per_s }
        };
        (0..=greatest.ilog2()).map(at).collect()
    }

    #[test]
    fn the_benchmark_of_the_r_package_has_its_published_peak() {
        // specsdm91 of the R package usl; scipy 1.16.3: curve_fit with bounds.
        let measured = levels(&[
            (1.0, 64.9),
            (18.0, 995.9),
            (36.0, 1_652.4),
            (72.0, 1_853.2),
            (108.0, 1_828.9),
            (144.0, 1_775.0),
            (216.0, 1_702.2),
        ]);
        let found = fit(&measured, &RESAMPLING).unwrap();
        for (value, expected) in [
            (found.law.single_per_s, 89.9952),
            (found.law.contention, 0.027_728_5),
            (found.law.coherency, 1.043_66e-4),
        ] {
            assert!((value / expected - 1.0).abs() < 1e-4, "{found:?}");
        }
        let Peak::Seen { concurrency, interval, throughput_per_s } = found.peak else {
            panic!("{found:?}");
        };
        assert!((concurrency - 96.52).abs() < 0.05 && interval.contains(concurrency), "{found:?}");
        assert!((throughput_per_s - 1_885.0).abs() < 30.0, "{throughput_per_s}");
    }

    #[test]
    fn a_curve_that_only_flattens_has_no_peak() {
        // The ray tracer of the R package usl; scipy puts b on its bound, a = 0.05777.
        let measured = levels(&[
            (1.0, 20.0),
            (4.0, 78.0),
            (8.0, 130.0),
            (12.0, 170.0),
            (16.0, 190.0),
            (20.0, 200.0),
            (24.0, 210.0),
            (28.0, 230.0),
            (32.0, 260.0),
            (48.0, 280.0),
            (64.0, 310.0),
        ]);
        let found = fit(&measured, &RESAMPLING).unwrap();
        assert!((found.law.contention - 0.057_770_8).abs() < 1e-6, "{found:?}");
        assert!(found.law.coherency == 0.0);
        assert_eq!(found.peak, Peak::NotSeen(NoPeak::CoherencyMayBeZero));
    }

    #[test]
    fn a_peak_far_beyond_the_data_is_not_named() {
        // N* = 98.
        let law = Usl { single_per_s: 1e5, contention: 0.03, coherency: 1e-4 };
        let exact = |concurrency: f64| Level {
            concurrency,
            throughput_per_s: law.throughput_per_s(concurrency),
        };
        let below: Vec<Level> = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0].map(exact).to_vec();
        assert_eq!(fit(&below, &RESAMPLING).unwrap().peak, Peak::NotSeen(NoPeak::BeyondTheData));
        let Peak::Seen { concurrency, .. } = fit(&seen(&law, 256), &RESAMPLING).unwrap().peak
        else {
            panic!("it is in the data");
        };
        assert!((concurrency / 98.5 - 1.0).abs() < 0.1, "{concurrency}");
    }

    #[test]
    fn linear_scaling_is_recognised() {
        let law = Usl { single_per_s: 500.0, contention: 0.0, coherency: 0.0 };
        let found = fit(&seen(&law, 64), &RESAMPLING).unwrap();
        assert!((found.law.single_per_s / 500.0 - 1.0).abs() < 0.02, "{found:?}");
        assert_eq!(found.peak, Peak::NotSeen(NoPeak::CoherencyMayBeZero));
        assert!(found.law.peak_concurrency().is_infinite());
    }

    /// Up to 256 requests in flight with 3 % of normal noise.
    fn noisy(law: &Usl, seed: u64) -> Vec<Level> {
        let mut prng = Prng::new(seed);
        let mut at = |power: u32| {
            let concurrency = f64::from(1_u32 << power);
            let factor = 1.0 + 0.03 * bootstrap::normal_draw(&mut prng);
            Level { concurrency, throughput_per_s: law.throughput_per_s(concurrency) * factor }
        };
        (0..=8).map(&mut at).collect()
    }

    /// How many of 50 systems under noise show a peak, and how many of these intervals hold it.
    fn peaks(law: &Usl) -> (u32, u32) {
        let (mut seen, mut held) = (0, 0);
        for seed in 0..50 {
            let resampling = Resampling { resamples: 100, confidence: 0.95, seed };
            if let Peak::Seen { interval, .. } = fit(&noisy(law, seed), &resampling).unwrap().peak {
                seen += 1;
                held += u32::from(interval.contains(law.peak_concurrency()));
            }
        }
        (seen, held)
    }

    #[test]
    fn noise_neither_makes_a_peak_nor_moves_one_out_of_its_interval() {
        let law = Usl { single_per_s: 1e5, contention: 0.03, coherency: 1e-4 };
        let (seen, held) = peaks(&law);
        assert!(seen >= 48 && held >= 42, "{held} of {seen}");
        let (seen, _) = peaks(&Usl { coherency: 0.0, ..law });
        assert!(seen <= 5, "{seen}");
    }

    #[test]
    fn five_levels_or_impossible_ones_are_refused() {
        let five =
            levels(&[(1.0, 1.0), (2.0, 2.0), (4.0, 3.0), (8.0, 4.0), (16.0, 5.0), (16.0, 5.0)]);
        assert_eq!(fit(&five, &RESAMPLING), Err(UslError::TooFewLevels { levels: 5 }));
        for bad in [(0.0, 1.0), (2.0, 0.0), (2.0, f64::NAN)] {
            let bad = levels(&[(1.0, 1.0), bad]);
            assert_eq!(fit(&bad, &RESAMPLING), Err(UslError::BadLevel { index: 1 }));
        }
    }
}
