//! Where a value stands on an axis, and which values are written beside it.

use stdx::units::Nanos;

/// How values are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Linear,
    Log,
}

/// An axis from its least to its greatest value.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    /// The values that are written, with their text.
    pub(super) ticks: Vec<(f64, String)>,
    /// How a value is said.
    pub(super) say: fn(f64) -> String,
}

/// About how many values are written beside a linear axis.
const TICKS: f64 = 5.0;

/// Steps between moments of a run that people count in, in seconds.
const MOMENT_STEPS_S: [f64; 17] = [
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0,
    21_600.0, 86_400.0,
];

impl Axis {
    /// An axis of moments of a run, in seconds.
    pub(super) fn moments(from_s: f64, until_s: f64) -> Self {
        let until_s = until_s.max(from_s + 0.1);
        let steps = MOMENT_STEPS_S.iter().copied();
        let enough = |step: &f64| (until_s - from_s) / step <= TICKS + 1.0;
        let step = steps.into_iter().find(enough).unwrap_or(7.0 * 86_400.0);
        let ticks = multiples(step, from_s, until_s).map(|at| (at, span(at * 1e9))).collect();
        Self { scale: Scale::Linear, low: from_s, high: until_s, ticks, say: |at| span(at * 1e9) }
    }

    /// An axis of counts or rates from zero.
    pub(super) fn counts(most: f64) -> Self {
        let raw = most.max(1.0) / TICKS;
        let power = 10_f64.powf(raw.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
        let step = steps.into_iter().find(|step| *step >= raw).unwrap_or(10.0 * power);
        let high = (most.max(1.0) / step).ceil() * step;
        let ticks = multiples(step, 0.0, high).map(|at| (at, count(at))).collect();
        Self { scale: Scale::Linear, low: 0.0, high, ticks, say: count }
    }

    /// A logarithmic axis of spans, in nanoseconds, wide enough for all `values`.
    pub(super) fn spans(values: impl Iterator<Item = f64>) -> Self {
        let positive = values.filter(|value| *value > 0.0);
        let (low, high) = positive
            .fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        // Nothing to show still needs an axis.
        let (low, high) = if low > high { (1e3, 1e6) } else { (low, high) };
        let low = ladder_down(low);
        let high = ladder_up(high.max(low * 2.0));
        let is_long = high / low > 1_000.0;
        let decades = (low.log10().floor() as i32)..=(high.log10().ceil() as i32);
        let factors: &[f64] = if is_long { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let ticks = decades
            .flat_map(|decade| factors.iter().map(move |factor| factor * 10_f64.powi(decade)))
            .filter(|at| *at >= low * 0.999 && *at <= high * 1.001)
            .map(|at| (at, span(at)));
        Self { scale: Scale::Log, low, high, ticks: ticks.collect(), say: span }
    }

    /// A logarithmic axis of percentiles, by how many values there are to one beyond.
    pub(super) fn percentiles(most: f64) -> Self {
        let high = most.max(100.0);
        let nines = 0..=(high.log10().floor() as i32);
        let ticks = nines.map(|power| 10_f64.powi(power)).map(|at| (at, percentile(at)));
        Self { scale: Scale::Log, low: 1.0, high, ticks: ticks.collect(), say: percentile }
    }

    /// Where a value stands, from 0.0 to 1.0.
    pub(super) fn place(&self, value: f64) -> f64 {
        let (low, high, value) = match self.scale {
            Scale::Linear => (self.low, self.high, value),
            Scale::Log => (self.low.ln(), self.high.ln(), value.max(self.low).ln()),
        };
        ((value - low) / (high - low)).clamp(0.0, 1.0)
    }
}

fn multiples(step: f64, from: f64, until: f64) -> impl Iterator<Item = f64> {
    let first = (from / step).ceil() as i64;
    let last = (until / step + 1e-9).floor() as i64;
    (first..=last).map(move |n| n as f64 * step)
}

/// The greatest of 1, 2, 5, 10, 20 ... that is not above `value`.
fn ladder_down(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    [5.0, 2.0].map(|factor| factor * power).into_iter().find(|at| *at <= value).unwrap_or(power)
}

/// The least of 1, 2, 5, 10, 20 ... that is not below `value`.
fn ladder_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|factor| factor * power);
    steps.into_iter().find(|at| *at >= value * 0.999).unwrap_or(10.0 * power)
}

/// Returns a span as it stands beside an axis and in a table.
pub(super) fn span(ns: f64) -> String {
    Nanos(ns.round() as u64).approximate()
}

/// Returns a percentile by how many values there are to one beyond.
fn percentile(one_of: f64) -> String {
    let percent = (1.0 - 1.0 / one_of) * 100.0;
    let nines = (one_of.log10() - 2.0).ceil().max(0.0) as usize;
    format!("p{percent:.nines$}")
}

/// Returns a count with a suffix.
pub(super) fn count(value: f64) -> String {
    let (value, suffix) = match value.abs() {
        v if v >= 1e6 => (value / 1e6, "M"),
        v if v >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    if suffix.is_empty() && value >= 100.0 {
        return format!("{value:.0}");
    }
    let text = format!("{value:.2}");
    format!("{}{suffix}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::{Axis, count};

    fn shown(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn what_is_written_beside_an_axis_is_round() {
        assert_eq!(shown(&Axis::moments(0.0, 33.0)), ["0", "10s", "20s", "30s"]);
        assert_eq!(shown(&Axis::counts(20_400.0)), ["0", "5000", "10k", "15k", "20k", "25k"]);
        assert_eq!(shown(&Axis::spans([190e3, 3.1e6].into_iter())).first(), Some(&"100us"));
        assert_eq!(shown(&Axis::spans([1e3, 9e9].into_iter())).last(), Some(&"10s"));
        let nines = ["p0", "p90", "p99", "p99.9", "p99.99"];
        assert_eq!(shown(&Axis::percentiles(24_000.0)), nines);
        assert_eq!([0.0, 0.5, 801.4, 1_234_567.0].map(count), ["0", "0.5", "801", "1.23M"]);
    }

    #[test]
    fn a_value_stands_between_the_ends() {
        let axis = Axis::spans([1e3, 1e9].into_iter());
        let places =
            [0.0, 1e3, 1e6, 1e9, 1e12].map(|value| (axis.place(value) * 100.0).round() as u32);
        assert_eq!(places, [0, 0, 50, 100, 100]);
        assert!(shown(&Axis::spans(std::iter::empty())).len() > 1, "nothing still has an axis");
    }
}
