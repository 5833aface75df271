//! Whether something grows over a run, and whether a phase has settled: what `slope(...)` and `steady`
//! read.

use quipu_stats::slope;
use quipu_stats::spread::median;
use quipu_stats::steady::{POINTS_MIN, Steadiness, Unsteady, steady as settles};

use stdx::units::Nanos;

use crate::slo::{Dimension, Reading};

/// How sure a growth must be before it counts.
const CONFIDENCE: f64 = 0.95;

/// Fewer windows say nothing of growth: their slope is that of single disturbances (guess).
pub(crate) const SLOPE_WINDOWS_MIN: usize = 10;

/// A growth by the hour is not told from less: what grows at first is tables, caches and allocators that
/// fill (guess).
pub(crate) const SLOPE_SPAN_NS: u64 = 600_000_000_000;

/// Fewer windows do not tell whether a series has settled.
pub(crate) const STEADY_WINDOWS_MIN: usize = POINTS_MIN;

/// By how much of its mean a settled series may drift in all: as near as p99 must be to its baseline
/// to have recovered.
const DRIFT_MAX: f64 = 0.1;

/// Returns how fast a series surely grows: the end of the interval of its slope that is nearer to
/// nothing, and nothing where the interval holds it. A short run is thus not failed for its noise,
/// and a long one not forgiven for it.
///
/// Points are a moment in nanoseconds and a value in its base unit. `dimension` is one of a growth:
/// of a share, the growth against the median of the series.
pub fn growth(points: &[(u64, f64)], dimension: Dimension) -> Reading {
    if points.len() < SLOPE_WINDOWS_MIN {
        let found = points.len();
        return Reading::Unknown(format!(
            "a slope needs {SLOPE_WINDOWS_MIN} windows, there are {found}"
        ));
    }
    let span_ns =
        points.last().map_or(0, |last| last.0) - points.first().map_or(0, |first| first.0);
    if span_ns < SLOPE_SPAN_NS * 9 / 10 {
        let [takes, span] = [SLOPE_SPAN_NS, span_ns].map(|ns| Nanos(ns).approximate());
        return Reading::Unknown(format!("a slope needs {takes}, its windows are {span} apart"));
    }
    let values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
    let points: Vec<(f64, f64)> =
        points.iter().map(|(ns, value)| (*ns as f64 / 1e9, *value)).collect();
    let interval = slope::theil_sen(&points, CONFIDENCE).and_then(|slope| slope.interval);
    let Some(interval) = interval else {
        return Reading::Unknown("its windows are too much alike to tell a slope".to_owned());
    };
    let sure = if interval.low > 0.0 { interval.low } else { interval.high.min(0.0) };
    match (dimension, median(&values)) {
        (Dimension::ShareGrowth, Some(middle)) if middle > 0.0 => Reading::Value(sure / middle),
        (Dimension::ShareGrowth, _) => Reading::Unknown("it is 0 in most windows".to_owned()),
        _ => Reading::Value(sure),
    }
}

/// Returns whether all of these series, with their names, have settled: one value per window of a
/// second, of the same phase.
pub fn steady(series: &[(&str, Vec<f64>)]) -> Reading {
    let mut is_steady = true;
    for (name, values) in series {
        match settles(values, DRIFT_MAX) {
            Steadiness::From(_) => {}
            Steadiness::Never(Unsteady::TooShort) => {
                let found = values.len();
                return Reading::Unknown(format!("{name} has {found} windows, too few to tell"));
            }
            Steadiness::Never(_) => is_steady = false,
        }
    }
    Reading::Value(f64::from(u8::from(is_steady)))
}

#[cfg(test)]
mod tests {
    use stdx::prng::Prng;

    use super::{growth, steady};
    use crate::slo::{Dimension, Reading};

    const HOUR_NS: u64 = 3_600_000_000_000;

    /// Windows of a minute, from `start`, growing by `hourly`, with noise of this size.
    fn series(windows: u64, start: f64, hourly: f64, noise: f64) -> Vec<(u64, f64)> {
        drawn(&mut Prng::new(4), windows, (start, hourly, noise))
    }

    fn drawn(
        prng: &mut Prng,
        windows: u64,
        (start, hourly, noise): (f64, f64, f64),
    ) -> Vec<(u64, f64)> {
        let point = |minute: u64| {
            let random = prng.below(2_001) as f64 / 1_000.0 - 1.0;
            (minute * HOUR_NS / 60, start + hourly * minute as f64 / 60.0 + random * noise)
        };
        (0..windows).map(point).collect()
    }

    fn hourly(points: &[(u64, f64)], dimension: Dimension) -> f64 {
        match growth(points, dimension) {
            Reading::Value(per_second) => per_second * 3_600.0,
            unsure => panic!("{unsure:?}"),
        }
    }

    #[test]
    fn a_leak_is_seen_through_noise_and_noise_alone_is_none() {
        let leak = hourly(&series(480, 50e6, 2e6, 1e6), Dimension::BytesGrowth);
        assert!((1.8e6..=2.0e6).contains(&leak), "{leak}");
        let noise = hourly(&series(480, 50e6, 0.0, 1e6), Dimension::BytesGrowth);
        assert!(noise.abs() < 1e-9, "{noise}");
        let shrinks = hourly(&series(480, 50e6, -2e6, 1e6), Dimension::BytesGrowth);
        assert!((-2.0e6..=-1.8e6).contains(&shrinks), "{shrinks}");
    }

    #[test]
    fn more_growth_than_there_is_is_seldom_sure() {
        let mut prng = Prng::new(1);
        let over = (0..200).filter(|_| {
            let points = drawn(&mut prng, 120, (50e6, 2e6, 1e6));
            hourly(&points, Dimension::BytesGrowth) > 2e6
        });
        // One side of a 95 % interval: 5 expected.
        let over = over.count();
        assert!(over <= 12, "{over}");
    }

    #[test]
    fn a_share_of_growth_is_against_the_middle_of_the_series() {
        let share = hourly(&series(480, 10e6, 1e6, 0.1e6), Dimension::ShareGrowth);
        // One of 14 in the middle of eight hours.
        assert!((0.069..0.0715).contains(&share), "{share}");
    }

    #[test]
    fn what_is_too_short_says_so() {
        let unknown = |points: &[(u64, f64)]| match growth(points, Dimension::ShareGrowth) {
            Reading::Unknown(reason) => reason,
            sure => panic!("{sure:?}"),
        };
        assert_eq!(unknown(&series(9, 1.0, 0.0, 0.1)), "a slope needs 10 windows, there are 9");
        assert_eq!(unknown(&series(60, 0.0, 0.0, 0.0)), "it is 0 in most windows");
        let seconds: Vec<(u64, f64)> =
            series(60, 1.0, 0.0, 0.1).into_iter().map(|(ns, value)| (ns / 60, value)).collect();
        assert_eq!(unknown(&seconds), "a slope needs 10m, its windows are 59s apart");
        let short = steady(&[("p99", vec![1.0; 20])]);
        assert_eq!(short, Reading::Unknown("p99 has 20 windows, too few to tell".to_owned()));
    }

    #[test]
    fn a_phase_has_settled_when_all_of_its_series_have() {
        let values = |hourly: f64| -> Vec<f64> {
            series(120, 100.0, hourly, 5.0).into_iter().map(|(_, value)| value).collect()
        };
        let check = |other: f64, expected: f64| {
            let found = steady(&[("rate", values(0.0)), ("p99", values(other))]);
            assert_eq!(found, Reading::Value(expected), "{other}");
        };
        check(0.0, 1.0);
        check(1.0, 1.0);
        check(40.0, 0.0);
        check(-30.0, 0.0);
    }
}
