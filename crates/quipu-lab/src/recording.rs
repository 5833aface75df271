//! What was noted of some requests: of one phase in one window, or of a whole phase.
//!
//! Three histograms of the requests that were answered as expected: **response** from the moment of
//! the plan, **service** from the write, **lag** from the plan to the write. Failures have histograms
//! of their own. Recordings are merged, never averaged, and their memory does not depend on how much
//! they hold.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::failure::{Failure, Word};

/// The least latency that is told apart, in nanoseconds: below the cost of one system call.
const LATENCY_NS_MIN: u64 = 100;
/// The greatest latency that is told apart: an hour. Longer ones are recorded as an hour and counted
/// as saturated.
pub const LATENCY_NS_MAX: u64 = 3_600_000_000_000;
/// Significant digits: an error of at most 0.1 %.
const DIGITS: u8 = 3;
/// The most classes of failures that are told apart, so that a target that invents words cannot fill
/// our memory; more than any real target has.
const FAILURES_MAX: usize = 24;

/// A histogram of latencies in nanoseconds; about 200 KiB, whatever it holds.
pub type Latencies = Histogram<u64>;

/// Returns an empty histogram of latencies.
pub fn latencies() -> Latencies {
    Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, DIGITS)
        .expect("the bounds are constants in their range")
}

/// How many requests came to which end. `planned == sent + missed` and, once the run is over,
/// `sent == ok + failed`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Counts {
    /// Slots that were due.
    pub planned: u64,
    /// Slots that were tried: written, or meant for a connection that could not be made.
    pub sent: u64,
    /// Answered as expected.
    pub ok: u64,
    /// Tried and not answered as expected.
    pub failed: u64,
    /// Never tried: given up by the late policy, or left over at the end.
    pub missed: u64,
    /// Latencies beyond what a histogram holds.
    pub saturated: u64,
}

impl Counts {
    /// Adds those of `other`.
    pub fn add(&mut self, other: &Self) {
        self.planned += other.planned;
        self.sent += other.sent;
        self.ok += other.ok;
        self.failed += other.failed;
        self.missed += other.missed;
        self.saturated += other.saturated;
    }
}

/// One request that came to its end, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// From the moment of the plan to the end.
    pub response_ns: u64,
    /// From the write to the end.
    pub service_ns: u64,
    /// From the moment of the plan to the write.
    pub lag_ns: u64,
}

/// What was noted of some requests.
#[derive(Debug, Clone)]
pub struct Recording {
    /// How many.
    pub counts: Counts,
    /// From the moment of the plan to the answer.
    pub response: Latencies,
    /// From the write to the answer.
    pub service: Latencies,
    /// From the moment of the plan to the write.
    pub lag: Latencies,
    /// From the write to the end of all failures, in nanoseconds added up.
    pub failed_service_ns: u128,
    /// From the moment of the plan to the failure, by class.
    pub failures: BTreeMap<Failure, Latencies>,
}

impl Default for Recording {
    fn default() -> Self {
        Self {
            counts: Counts::default(),
            response: latencies(),
            service: latencies(),
            lag: latencies(),
            failed_service_ns: 0,
            failures: BTreeMap::new(),
        }
    }
}

impl Recording {
    /// Notes an answer as expected.
    pub fn ok(&mut self, sample: Sample) {
        self.counts.ok += 1;
        self.counts.saturated += u64::from(sample.response_ns > LATENCY_NS_MAX);
        self.response.saturating_record(sample.response_ns);
        self.service.saturating_record(sample.service_ns);
        self.lag.saturating_record(sample.lag_ns);
    }

    /// Notes a failure. Its lag counts: the generator was as late for it as for any other.
    pub fn failed(&mut self, failure: Failure, sample: Sample) {
        self.counts.failed += 1;
        self.counts.saturated += u64::from(sample.response_ns > LATENCY_NS_MAX);
        self.lag.saturating_record(sample.lag_ns);
        self.failed_service_ns += u128::from(sample.service_ns);
        let class = self.class(failure);
        self.failures.entry(class).or_insert_with(latencies).saturating_record(sample.response_ns);
    }

    /// Returns the class under which `failure` is kept: its own, or that of all words beyond the most.
    fn class(&self, failure: Failure) -> Failure {
        let is_full = self.failures.len() >= FAILURES_MAX;
        match failure {
            Failure::Resp(_) if is_full && !self.failures.contains_key(&failure) => {
                Failure::Resp(Word::first_of(b"other"))
            }
            _ => failure,
        }
    }

    /// Adds what `other` holds.
    pub fn merge(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        merge(&mut self.response, &other.response);
        merge(&mut self.service, &other.service);
        merge(&mut self.lag, &other.lag);
        self.failed_service_ns += other.failed_service_ns;
        for (failure, theirs) in &other.failures {
            let class = self.class(*failure);
            merge(self.failures.entry(class).or_insert_with(latencies), theirs);
        }
    }

    /// Forgets everything and keeps the memory.
    pub fn reset(&mut self) {
        self.counts = Counts::default();
        self.response.reset();
        self.service.reset();
        self.lag.reset();
        self.failed_service_ns = 0;
        self.failures.clear();
    }

    /// Returns the mean time from the write to the end of all that came to one, in nanoseconds.
    pub fn ended_mean_ns(&self) -> f64 {
        let ok_ns = self.service.mean() * self.counts.ok as f64;
        let ended = self.counts.ok + self.counts.failed;
        (ok_ns + self.failed_service_ns as f64) / ended.max(1) as f64
    }

    /// Returns the share of the tried requests that failed.
    pub fn error_ratio(&self) -> f64 {
        let ended = self.counts.ok + self.counts.failed;
        if ended == 0 { 0.0 } else { self.counts.failed as f64 / ended as f64 }
    }
}

/// Adds one histogram to another.
pub(crate) fn merge(into: &mut Latencies, from: &Latencies) {
    into.add(from).expect("all histograms of latencies have the same bounds");
}

#[cfg(test)]
mod tests {
    use super::{FAILURES_MAX, LATENCY_NS_MAX, Recording, Sample};
    use crate::failure::{Failure, Word};

    fn sample(response_ns: u64) -> Sample {
        Sample { response_ns, service_ns: response_ns / 2, lag_ns: response_ns / 4 }
    }

    #[test]
    fn failures_never_improve_a_latency() {
        let mut recording = Recording::default();
        recording.ok(sample(8_000_000));
        for _ in 0..1_000 {
            recording.failed(Failure::ConnectRefused, sample(1_000));
        }
        assert_eq!(recording.response.len(), 1);
        assert!(recording.response.value_at_quantile(0.5) >= 8_000_000);
        assert_eq!(recording.failures[&Failure::ConnectRefused].len(), 1_000);
        assert!(recording.error_ratio() > 0.99);
    }

    #[test]
    fn merging_is_the_same_as_recording_in_one() {
        let (mut all, mut even, mut odd) = <(Recording, Recording, Recording)>::default();
        for n in 1..2_000_u64 {
            let part = if n % 2 == 0 { &mut even } else { &mut odd };
            for recording in [&mut all, part] {
                recording.ok(sample(n * 977));
                recording.failed(Failure::Timeout, sample(n * 31));
            }
        }
        even.merge(&odd);
        assert_eq!(even.response, all.response);
        assert_eq!(even.failures, all.failures);
        assert_eq!(even.counts, all.counts);
    }

    #[test]
    fn what_no_histogram_holds_is_counted() {
        let mut recording = Recording::default();
        recording.ok(sample(LATENCY_NS_MAX + 1));
        recording.ok(sample(LATENCY_NS_MAX));
        assert_eq!((recording.counts.saturated, recording.response.len()), (1, 2));
    }

    #[test]
    fn a_target_that_invents_words_fills_no_memory() {
        let mut recording = Recording::default();
        for n in 0..1_000 {
            let word = Word::first_of(format!("W{n}").as_bytes());
            recording.failed(Failure::Resp(word), sample(1_000));
        }
        assert_eq!(recording.failures.len(), FAILURES_MAX + 1);
        assert_eq!(recording.failures.values().map(super::Latencies::len).sum::<u64>(), 1_000);
    }
}
