//! A distribution of times in fixed memory: log-linear buckets, recorded without a lock.
//!
//! Each power of two is split into `STEPS` equal buckets, so a value read back from a bucket's
//! middle is at most 1/16 (6.25 %) off, whatever its size; below 8 ns buckets are exact. Two
//! histograms always have the same buckets, so they merge by adding; percentiles never do.

use std::sync::atomic::{AtomicU64, Ordering};

use stdx::units::Nanos;

/// Buckets per power of two.
const STEPS: u64 = 1 << STEPS_LOG2;
/// Three bits: 304 buckets, 2.4 KiB, for an error that no decision depends on (guess).
const STEPS_LOG2: u32 = 3;
/// The last power of two: 2^40 ns is 18 minutes; what takes longer is counted as that long.
const POWER_MAX: u32 = 40;
/// The linear buckets below [`STEPS`], and [`STEPS`] for each power of two from there.
const BUCKETS: usize = ((POWER_MAX - STEPS_LOG2 + 1) as u64 * STEPS) as usize;

/// A distribution that many threads may record into.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[AtomicU64]>,
    sum_ns: AtomicU64,
    max_ns: AtomicU64,
}

/// What a histogram held at one moment: plain numbers that can be added up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    buckets: Box<[u64]>,
    sum_ns: u64,
    max_ns: u64,
}

impl Histogram {
    /// Returns an empty histogram; allocates 2.4 KiB once.
    pub fn new() -> Self {
        let buckets = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Self { buckets, sum_ns: AtomicU64::new(0), max_ns: AtomicU64::new(0) }
    }

    /// Records one span: two atomic additions, a third write only for a new maximum.
    #[inline]
    pub fn record(&self, span: Nanos) {
        self.record_many(span, 1);
    }

    /// Records the same span `times` times at the cost of one, as for a pipeline that is answered
    /// at once.
    #[inline]
    pub fn record_many(&self, span: Nanos, times: u64) {
        self.buckets[bucket(span.0)].fetch_add(times, Ordering::Relaxed);
        self.sum_ns.fetch_add(span.0.wrapping_mul(times), Ordering::Relaxed);
        if span.0 > self.max_ns.load(Ordering::Relaxed) {
            self.max_ns.fetch_max(span.0, Ordering::Relaxed);
        }
    }

    /// Returns what is recorded now. Records that arrive meanwhile may be in it or not.
    pub fn snapshot(&self) -> Snapshot {
        let load = |atomic: &AtomicU64| atomic.load(Ordering::Relaxed);
        Snapshot {
            buckets: self.buckets.iter().map(load).collect(),
            sum_ns: load(&self.sum_ns),
            max_ns: load(&self.max_ns),
        }
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Snapshot {
    /// Returns how many spans there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Returns the sum of all spans, exactly.
    pub fn sum(&self) -> Nanos {
        Nanos(self.sum_ns)
    }

    /// Returns the longest span, exactly, or 0 without any.
    pub fn max(&self) -> Nanos {
        Nanos(self.max_ns)
    }

    /// Returns the span that `share` of all spans do not exceed, at most 6.25 % off, or nothing
    /// without any; a share of 0.5 is the median, of 1.0 the maximum.
    pub fn quantile(&self, share: f64) -> Option<Nanos> {
        let rank = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.buckets.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        let (low, high) = bounds(found);
        Some(Nanos(u64::midpoint(low, high).min(self.max_ns)))
    }

    /// Returns the upper bound of each bucket that is not empty, and how many spans it holds.
    pub fn buckets(&self) -> impl Iterator<Item = (Nanos, u64)> {
        let held = self.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        held.map(|(index, count)| (Nanos(bounds(index).1), *count))
    }

    /// Returns how many spans are at most `2^power` nanoseconds, exactly.
    pub fn count_up_to_power(&self, power: u32) -> u64 {
        let end = if power > POWER_MAX { BUCKETS } else { bucket(1 << power) + 1 };
        self.buckets.iter().take(end).sum()
    }

    /// Adds what `other` holds.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.sum_ns = self.sum_ns.wrapping_add(other.sum_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }
}

/// Returns the bucket of a span. Its upper bound belongs to it, as Prometheus has it (`le`).
#[inline]
fn bucket(span_ns: u64) -> usize {
    let above = span_ns.saturating_sub(1);
    if above < STEPS {
        return above as usize;
    }
    let power = above.ilog2();
    if power >= POWER_MAX {
        return BUCKETS - 1;
    }
    let step = (above >> (power - STEPS_LOG2)) - STEPS;
    (u64::from(power - STEPS_LOG2 + 1) * STEPS + step) as usize
}

/// Returns the least and the most nanoseconds of a bucket.
fn bounds(bucket: usize) -> (u64, u64) {
    let (power, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    if power == 0 {
        return (step + 1, step + 1);
    }
    let width = 1 << (power - 1);
    ((STEPS + step) * width + 1, (STEPS + step + 1) * width)
}

#[cfg(test)]
mod tests {
    use stdx::prng::Prng;
    use stdx::units::Nanos;

    use super::{BUCKETS, Histogram, POWER_MAX, bounds, bucket};

    fn recorded(spans: &[u64]) -> Histogram {
        let histogram = Histogram::new();
        for span in spans {
            histogram.record(Nanos(*span));
        }
        histogram
    }

    #[test]
    fn buckets_touch_and_hold_their_own_bounds() {
        let mut next = 1;
        for index in 0..BUCKETS {
            let (low, high) = bounds(index);
            assert_eq!(low, next, "bucket {index}");
            assert_eq!((bucket(low), bucket(high)), (index, index));
            next = high + 1;
        }
        assert_eq!(next - 1, 1 << POWER_MAX);
        assert_eq!((bucket(0), bucket(u64::MAX)), (0, BUCKETS - 1));
    }

    #[test]
    fn quantiles_are_within_a_sixteenth_of_the_truth() {
        let mut prng = Prng::new(1);
        let mut spans: Vec<u64> = (0..10_000)
            .map(|_| {
                let power = prng.below(38);
                1 + prng.below(1 << power)
            })
            .collect();
        let snapshot = recorded(&spans).snapshot();
        spans.sort_unstable();
        for share in [0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let truth = spans[((10_000.0 * share) as usize).max(1) - 1] as f64;
            let shown = snapshot.quantile(share).expect("spans").0 as f64;
            assert!((shown - truth).abs() <= truth / 16.0 + 1.0, "{share}: {shown} for {truth}");
        }
        assert_eq!(snapshot.count(), 10_000);
        assert_eq!(snapshot.sum().0, spans.iter().sum::<u64>());
        assert_eq!(snapshot.max().0, spans[9_999]);
    }

    #[test]
    fn counts_up_to_a_power_of_two_are_exact() {
        let snapshot = recorded(&[0, 1, 1024, 1025, 2048, 1 << 39, u64::MAX >> 2]).snapshot();
        let counts = [0, 9, 10, 11, 39, 40, 63].map(|power| snapshot.count_up_to_power(power));
        assert_eq!(counts, [2, 2, 3, 5, 6, 7, 7]);
    }

    #[test]
    fn merging_is_recording_into_one() {
        let mut merged = recorded(&[5, 70_000]).snapshot();
        merged.merge(&recorded(&[9, 1 << 30]).snapshot());
        assert_eq!(merged, recorded(&[5, 70_000, 9, 1 << 30]).snapshot());
    }

    #[test]
    fn many_at_once_are_as_many_one_by_one() {
        let many = Histogram::new();
        many.record_many(Nanos(500), 3);
        assert_eq!(many.snapshot(), recorded(&[500, 500, 500]).snapshot());
    }

    #[test]
    fn nothing_recorded_has_no_quantile() {
        let snapshot = Histogram::new().snapshot();
        assert_eq!((snapshot.quantile(0.5), snapshot.max()), (None, Nanos(0)));
    }
}
