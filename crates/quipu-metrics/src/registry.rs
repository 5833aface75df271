//! The values of all metrics of one node: passed in where they are needed, never a static.
//!
//! One cell per series, found without a look-up; every write is one relaxed atomic operation, so a
//! registry may be shared by all threads. A reading is not a cut: series move while it is taken.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use stdx::units::Nanos;

use crate::histogram::{Histogram, Snapshot};
use crate::name::{Counter, Gauge, Spec, Timing};

/// Cells per metric: as many as the longest label has values, rounded up so that metrics lie on
/// cache lines of their own.
const COLUMNS: usize = 16;

/// The rows of both tables of cells.
const COUNTER_ROWS: usize = Counter::SPECS.len();
const GAUGE_ROWS: usize = Gauge::SPECS.len();

/// The values of all metrics of one node.
#[derive(Debug)]
pub struct Registry {
    version: String,
    counters: Box<[[AtomicU64; COLUMNS]; COUNTER_ROWS]>,
    gauges: Box<[[AtomicI64; COLUMNS]; GAUGE_ROWS]>,
    timings: Vec<Vec<Histogram>>,
}

impl Registry {
    /// Returns a registry of zeros for the program of this version; allocates all of its memory.
    pub fn new(version: impl Into<String>) -> Self {
        let histograms = |spec: &Spec| (0..columns(spec)).map(|_| Histogram::new()).collect();
        Self {
            version: version.into(),
            counters: Box::new([const { [const { AtomicU64::new(0) }; COLUMNS] }; COUNTER_ROWS]),
            gauges: Box::new([const { [const { AtomicI64::new(0) }; COLUMNS] }; GAUGE_ROWS]),
            timings: Timing::SPECS.iter().map(histograms).collect(),
        }
    }

    /// Returns the version of the program.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Lets a counter grow by `amount`, in the base unit of its name.
    #[inline]
    pub fn add(&self, counter: Counter, amount: u64) {
        let (row, column) = counter.place();
        self.counters[row][column].fetch_add(amount, Ordering::Relaxed);
    }

    /// Returns how far a counter has grown.
    pub fn total(&self, counter: Counter) -> u64 {
        let (row, column) = counter.place();
        self.counters[row][column].load(Ordering::Relaxed)
    }

    /// Sets a gauge, in bytes or numbers; a gauge of time in nanoseconds.
    #[inline]
    pub fn set(&self, gauge: Gauge, value: i64) {
        let (row, column) = gauge.place();
        self.gauges[row][column].store(value, Ordering::Relaxed);
    }

    /// Moves a gauge up or down, in the unit of [`Registry::set`].
    #[inline]
    pub fn shift(&self, gauge: Gauge, by: i64) {
        let (row, column) = gauge.place();
        self.gauges[row][column].fetch_add(by, Ordering::Relaxed);
    }

    /// Returns the value of a gauge, in the unit of [`Registry::set`].
    pub fn value(&self, gauge: Gauge) -> i64 {
        let (row, column) = gauge.place();
        self.gauges[row][column].load(Ordering::Relaxed)
    }

    /// Records a span.
    #[inline]
    pub fn record(&self, timing: Timing, span: Nanos) {
        self.record_many(timing, span, 1);
    }

    /// Records the same span `times` times at the cost of one.
    #[inline]
    pub fn record_many(&self, timing: Timing, span: Nanos, times: u64) {
        let (row, column) = timing.place();
        self.timings[row][column].record_many(span, times);
    }

    /// Returns the distribution recorded so far.
    pub fn distribution(&self, timing: Timing) -> Snapshot {
        let (row, column) = timing.place();
        self.timings[row][column].snapshot()
    }

    /// Returns the value of every series of one metric, with the value of its label.
    pub(crate) fn counter_series(&self, row: usize) -> Vec<(Option<&'static str>, u64)> {
        let load = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        label_values(&Counter::SPECS[row]).zip(self.counters[row].iter().map(load)).collect()
    }

    /// As [`Registry::counter_series`], of a gauge.
    pub(crate) fn gauge_series(&self, row: usize) -> Vec<(Option<&'static str>, i64)> {
        let load = |cell: &AtomicI64| cell.load(Ordering::Relaxed);
        label_values(&Gauge::SPECS[row]).zip(self.gauges[row].iter().map(load)).collect()
    }

    /// As [`Registry::counter_series`], of a timing.
    pub(crate) fn timing_series(&self, row: usize) -> Vec<(Option<&'static str>, Snapshot)> {
        let spec = &Timing::SPECS[row];
        label_values(spec).zip(self.timings[row].iter().map(Histogram::snapshot)).collect()
    }
}

/// Returns how many series a metric has.
const fn columns(spec: &Spec) -> usize {
    match spec.label {
        Some(set) => set.values.len(),
        None => 1,
    }
}

/// Returns the label's value of every series: nothing once for a metric without a label.
fn label_values(spec: &Spec) -> impl Iterator<Item = Option<&'static str>> {
    let values: &[&str] = spec.label.map_or(&[], |set| set.values);
    let unlabelled = spec.label.is_none().then_some(None);
    unlabelled.into_iter().chain(values.iter().copied().map(Some))
}

/// Returns whether the series of every metric fit into its cells.
const fn all_fit(specs: &[Spec]) -> bool {
    let mut row = 0;
    while row < specs.len() {
        if columns(&specs[row]) > COLUMNS {
            return false;
        }
        row += 1;
    }
    true
}

const _: () = assert!(all_fit(Counter::SPECS) && all_fit(Gauge::SPECS));

#[cfg(test)]
mod tests {
    use stdx::units::Nanos;

    use super::Registry;
    use crate::label::{Refusal, Surface};
    use crate::name::{Counter, Gauge, Timing};

    #[test]
    fn series_of_one_metric_are_counted_apart() {
        let registry = Registry::new("1");
        registry.add(Counter::Refused(Refusal::Oom), 2);
        registry.add(Counter::Refused(Refusal::Held), 3);
        registry.add(Counter::Expired, 5);
        let totals = Refusal::ALL.iter().map(|reason| registry.total(Counter::Refused(*reason)));
        assert_eq!(totals.collect::<Vec<_>>(), [0, 2, 0, 3, 0, 0, 0, 0]);
        assert_eq!(registry.total(Counter::Expired), 5);
    }

    #[test]
    fn gauges_move_both_ways() {
        let registry = Registry::new("1");
        registry.shift(Gauge::ConnectionsOpen(Surface::Http), 3);
        registry.shift(Gauge::ConnectionsOpen(Surface::Http), -1);
        registry.set(Gauge::TimeDeviation, -7);
        assert_eq!(registry.value(Gauge::ConnectionsOpen(Surface::Http)), 2);
        assert_eq!(registry.value(Gauge::ConnectionsOpen(Surface::Resp)), 0);
        assert_eq!(registry.value(Gauge::TimeDeviation), -7);
    }

    #[test]
    fn times_are_recorded_where_they_belong() {
        let registry = Registry::new("1");
        registry.record(Timing::RequestDuration(Surface::Admin), Nanos::from_millis(2));
        let count = |surface| registry.distribution(Timing::RequestDuration(surface)).count();
        assert_eq!(Surface::ALL.iter().map(|s| count(*s)).collect::<Vec<_>>(), [0, 0, 1]);
        assert_eq!(registry.distribution(Timing::SyncDuration).count(), 0);
    }
}
