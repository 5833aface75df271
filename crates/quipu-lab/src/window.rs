//! A run over time: windows of a second, merged in pairs when they would become too many.
//!
//! Each window keeps its histogram of response times, compressed, so that merging two windows is exact
//! and the series can be written as an interval log. Percentiles are never averaged.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

use crate::recording::{Counts, Latencies, Recording, latencies, merge};

/// How long a window is at first.
pub const WINDOW_NS: u64 = 1_000_000_000;
/// The most windows that are kept: more than an hour of seconds, and enough for any chart. A
/// compressed window takes some hundred bytes to some kilobytes.
pub const WINDOWS_MAX: usize = 4_096;

/// Percentiles of one histogram, in nanoseconds; all zero if it is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Percentiles {
    /// Half of all are at most this.
    pub p50_ns: u64,
    /// 90 % of all are at most this.
    pub p90_ns: u64,
    /// 95 % of all are at most this.
    pub p95_ns: u64,
    /// 99 % of all are at most this.
    pub p99_ns: u64,
    /// 99.9 % of all are at most this.
    pub p999_ns: u64,
    /// 99.99 % of all are at most this.
    pub p9999_ns: u64,
    /// The greatest.
    pub max_ns: u64,
}

impl Percentiles {
    /// Reads them from a histogram.
    pub fn of(latencies: &Latencies) -> Self {
        if latencies.is_empty() {
            return Self::default();
        }
        let at = |quantile| latencies.value_at_quantile(quantile);
        Self {
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            p95_ns: at(0.95),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            p9999_ns: at(0.9999),
            max_ns: latencies.max(),
        }
    }
}

/// What happened between two moments. Requests belong to the window in which they ended, and to the
/// phase of their slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Window {
    /// The phase in which it began.
    pub phase: u16,
    /// When it began, in nanoseconds from the start of the run.
    pub start_ns: u64,
    /// How long it was, in nanoseconds.
    pub len_ns: u64,
    /// Slots per second that the plan asked for, on average; 0 in a closed loop.
    #[serde(default)]
    pub planned_per_s: f64,
    /// How many requests came to which end.
    pub counts: Counts,
    /// Response times.
    pub response: Percentiles,
    /// 99 % of all service times are at most this, in nanoseconds.
    pub service_p99_ns: u64,
    /// 99 % of all lags are at most this, in nanoseconds.
    pub lag_p99_ns: u64,
    /// Requests under way, on average.
    pub in_flight_mean: f64,
    /// The most slots that were due and not sent.
    pub backlog_max: u64,
    /// The histogram of response times, in V2 deflate and base64.
    pub response_hdr: String,
}

/// What the parts of a window are: noted by each thread and added up.
#[derive(Debug, Clone, Default)]
pub struct WindowSum {
    /// The phase in which it began.
    pub phase: u16,
    /// When it began, in nanoseconds from the start of the run.
    pub start_ns: u64,
    /// How long it was, in nanoseconds.
    pub len_ns: u64,
    /// The integral of the requests under way, in nanoseconds.
    pub in_flight_ns: u128,
    /// The most slots that were due and not sent.
    pub backlog_max: u64,
}

impl Window {
    /// Makes the window of what was noted.
    pub fn new(sum: &WindowSum, recording: &Recording) -> Self {
        Self {
            phase: sum.phase,
            start_ns: sum.start_ns,
            len_ns: sum.len_ns,
            planned_per_s: 0.0,
            counts: recording.counts,
            response: Percentiles::of(&recording.response),
            service_p99_ns: Percentiles::of(&recording.service).p99_ns,
            lag_p99_ns: Percentiles::of(&recording.lag).p99_ns,
            in_flight_mean: sum.in_flight_ns as f64 / sum.len_ns.max(1) as f64,
            backlog_max: sum.backlog_max,
            response_hdr: encode(&recording.response),
        }
    }

    /// Returns this window and the next as one.
    fn and(&self, next: &Self) -> Self {
        self.and_all(std::slice::from_ref(next))
    }

    /// Returns this window and those that follow it as one. Response times are exact; of the service
    /// time and the lag the worst percentile stays.
    pub(crate) fn and_all(&self, rest: &[Self]) -> Self {
        let mut response = latencies();
        let mut whole = Self { len_ns: 0, counts: Counts::default(), ..self.clone() };
        (whole.in_flight_mean, whole.planned_per_s) = (0.0, 0.0);
        for window in std::iter::once(self).chain(rest) {
            merge(&mut response, &decode(&window.response_hdr).unwrap_or_else(latencies));
            whole.len_ns += window.len_ns;
            whole.counts.add(&window.counts);
            whole.service_p99_ns = whole.service_p99_ns.max(window.service_p99_ns);
            whole.lag_p99_ns = whole.lag_p99_ns.max(window.lag_p99_ns);
            whole.in_flight_mean += window.in_flight_mean * window.len_ns as f64;
            whole.planned_per_s += window.planned_per_s * window.len_ns as f64;
            whole.backlog_max = whole.backlog_max.max(window.backlog_max);
        }
        whole.in_flight_mean /= whole.len_ns.max(1) as f64;
        whole.planned_per_s /= whole.len_ns.max(1) as f64;
        whole.response = Percentiles::of(&response);
        whole.response_hdr = encode(&response);
        whole
    }
}

/// The windows of a run, never more than [`WINDOWS_MAX`].
#[derive(Debug, Clone)]
pub struct Series {
    windows_max: usize,
    windows: Vec<Window>,
    /// How often windows were merged in pairs.
    doublings: u32,
    /// Windows that together are not yet as long as those of the series.
    pending: Option<Window>,
}

impl Default for Series {
    fn default() -> Self {
        Self { windows_max: WINDOWS_MAX, windows: Vec::new(), doublings: 0, pending: None }
    }
}

impl Series {
    /// Adds the next window. Windows of one phase are kept as one until that is `least_ns` long, or
    /// a multiple of it in a long run.
    pub fn push(&mut self, window: Window, least_ns: u64) {
        let window = match self.pending.take() {
            Some(pending) if pending.phase == window.phase => pending.and(&window),
            Some(pending) => {
                self.keep(pending);
                window
            }
            None => window,
        };
        let least_ns = least_ns.max(1).saturating_mul(1 << self.doublings.min(40));
        if window.len_ns < least_ns {
            self.pending = Some(window);
        } else {
            self.keep(window);
        }
    }

    fn keep(&mut self, window: Window) {
        self.windows.push(window);
        if self.windows.len() >= self.windows_max {
            self.halve();
        }
    }

    /// Merges neighbours of one phase.
    fn halve(&mut self) {
        let mut rest = std::mem::take(&mut self.windows).into_iter().peekable();
        while let Some(first) = rest.next() {
            let pair = rest.next_if(|next| next.phase == first.phase).map(|next| first.and(&next));
            self.windows.push(pair.unwrap_or(first));
        }
        self.doublings += 1;
    }

    /// Returns all windows in their order.
    pub fn finish(mut self) -> Vec<Window> {
        self.windows.extend(self.pending);
        self.windows
    }
}

/// Returns a histogram in V2 deflate and base64, as in an interval log.
pub fn encode(latencies: &Latencies) -> String {
    let mut bytes = Vec::new();
    match V2DeflateSerializer::new().serialize(latencies, &mut bytes) {
        Ok(_) => STANDARD.encode(bytes),
        // Only counts beyond 2^63 have no form.
        Err(_) => String::new(),
    }
}

/// Reads a histogram of latencies from its form in base64, or nothing if it is none.
pub fn decode(text: &str) -> Option<Latencies> {
    let bytes = STANDARD.decode(text).ok()?;
    let read: Latencies = Deserializer::new().deserialize(&mut bytes.as_slice()).ok()?;
    let mut whole = latencies();
    whole.add(&read).ok()?;
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::{Percentiles, Series, WINDOW_NS, Window, WindowSum, decode, encode};
    use crate::recording::{Recording, Sample};

    fn window(n: u64, phase: u16) -> Window {
        let mut recording = Recording::default();
        let response_ns = 1_000 * (n + 1);
        recording.ok(Sample { response_ns, service_ns: 10, lag_ns: 10 });
        recording.counts.planned = 1;
        let start_ns = n * WINDOW_NS;
        let sum = WindowSum { phase, start_ns, len_ns: WINDOW_NS, ..WindowSum::default() };
        Window::new(&sum, &recording)
    }

    #[test]
    fn a_histogram_survives_its_text() {
        let mut latencies = super::latencies();
        for n in 1..10_000_u64 {
            latencies.saturating_record(n * n * 37);
        }
        let read = decode(&encode(&latencies)).expect("our own text");
        assert_eq!(read, latencies);
        assert_eq!(Percentiles::of(&read), Percentiles::of(&latencies));
        assert!(decode("no histogram").is_none());
    }

    #[test]
    fn a_long_run_stays_within_its_windows_and_loses_no_request() {
        let seconds = 3 * 32 + 5;
        let mut series = Series { windows_max: 32, ..Series::default() };
        for n in 0..seconds {
            series.push(window(n, u16::from(n > 51)), WINDOW_NS);
        }
        let windows = series.finish();
        assert!(windows.len() <= 32, "{}", windows.len());
        assert_eq!(windows.iter().map(|window| window.counts.planned).sum::<u64>(), seconds);
        assert_eq!(windows.iter().map(|window| window.len_ns).sum::<u64>(), seconds * WINDOW_NS);
        for pair in windows.windows(2) {
            assert_eq!(pair[0].start_ns + pair[0].len_ns, pair[1].start_ns);
        }
        assert!(windows[0].len_ns >= 2 * WINDOW_NS);
    }

    #[test]
    fn windows_of_two_phases_are_never_one() {
        let mut series = Series { doublings: 3, ..Series::default() };
        for n in 0..5 {
            series.push(window(n, u16::from(n >= 2)), WINDOW_NS);
        }
        let lens: Vec<_> =
            series.finish().iter().map(|w| (w.phase, w.len_ns / WINDOW_NS)).collect();
        assert_eq!(lens, [(0, 2), (1, 3)]);
    }
}
