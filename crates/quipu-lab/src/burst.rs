//! What a burst did: how far it pushed the target back, and how soon it was as before.

use serde::{Deserialize, Serialize};

/// One window of the series that is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// When it begins, in nanoseconds from the start of the run.
    pub start_ns: u64,
    /// When it ends.
    pub end_ns: u64,
    /// The 99th percentile of response times, or nothing if nothing was answered.
    pub p99_ns: Option<u64>,
    /// The most slots that were due and not sent.
    pub backlog_max: u64,
}

/// Which times are compared, in nanoseconds from the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spans {
    /// The calm before: from, until.
    pub baseline: (u64, u64),
    /// The burst: from, until. Recovery is looked for from its end.
    pub burst: (u64, u64),
    /// Until when recovery is looked for.
    pub end_ns: u64,
}

/// What a burst did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Burst {
    /// The p99 of the windows before it, in the middle.
    pub baseline_p99_ns: u64,
    /// The worst p99 of a window from its start on.
    pub peak_p99_ns: u64,
    /// From its end until p99 was back near the baseline and stayed; nothing if it never did.
    pub time_to_recover_ns: Option<u64>,
    /// The most slots that were due and not sent, from its start on.
    pub backlog_peak: u64,
    /// Slots per second by which the backlog shrank from its peak until it was gone, or until the
    /// end; nothing if there was none.
    pub drain_per_s: Option<f64>,
    /// How far and for how long p99 was above the limit: nanoseconds times seconds.
    pub area_over_limit_ns_s: f64,
}

/// How near p99 must be to the baseline to be back: within 10 % of it.
const NEAR_RATIO: f64 = 1.1;

/// What is near in any case: below it, differences are of the machine and not of a queue (guess).
const NEAR_NS: u64 = 1_000_000;

/// For how long p99 must stay near: a queue that comes back has not gone. Spec: 5 s.
pub(crate) const STAY_NS: u64 = 5_000_000_000;

impl Burst {
    /// Looks at a series of windows in order of time. `limit_ns` is the latency that is promised.
    /// Nothing can be said without a baseline.
    pub fn of(windows: &[Window], spans: &Spans, limit_ns: Option<u64>) -> Option<Self> {
        let within = |(from, until): (u64, u64)| {
            windows.iter().filter(move |window| window.start_ns >= from && window.end_ns <= until)
        };
        let calm: Vec<Window> = within(spans.baseline).copied().collect();
        let baseline_p99_ns = middle(calm.iter().filter_map(|window| window.p99_ns))?;
        let near_ns = (worst(&calm)? as f64 * NEAR_RATIO) as u64;
        let near_ns = near_ns.max(baseline_p99_ns + NEAR_NS);
        let since: Vec<Window> = within((spans.burst.0, spans.end_ns)).copied().collect();
        let after: Vec<Window> = within((spans.burst.1, spans.end_ns)).copied().collect();
        Some(Self {
            baseline_p99_ns,
            peak_p99_ns: since.iter().filter_map(|window| window.p99_ns).max().unwrap_or(0),
            time_to_recover_ns: recovery(&after, near_ns).map(|ns| ns - spans.burst.1),
            backlog_peak: since.iter().map(|window| window.backlog_max).max().unwrap_or(0),
            drain_per_s: drain(&since),
            area_over_limit_ns_s: limit_ns.map_or(0.0, |limit_ns| area(&since, limit_ns)),
        })
    }
}

/// The worst p99 that there commonly is in as long a time as a recovery must last. A machine on which
/// others work has a bad window in most such times, and the target is back when it is as it was.
fn worst(calm: &[Window]) -> Option<u64> {
    let worst_from = |first: usize| {
        let rest = calm.get(first..)?;
        let end_ns = rest.first()?.start_ns + STAY_NS;
        let is_whole = first == 0 || rest.last()?.end_ns >= end_ns;
        let row = rest.iter().take_while(|window| window.start_ns < end_ns);
        row.filter_map(|window| window.p99_ns).max().filter(|_| is_whole)
    };
    middle((0..calm.len()).filter_map(worst_from))
}

/// The middle value: of an even number the lower one, so that it is one that was measured.
fn middle(values: impl Iterator<Item = u64>) -> Option<u64> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) / 2).copied()
}

/// The start of the first row of windows that are all near for long enough, or until the end.
fn recovery(windows: &[Window], near_ns: u64) -> Option<u64> {
    let mut since: Option<u64> = None;
    for window in windows {
        // Without an answer nothing is back.
        let is_near = window.p99_ns.is_some_and(|ns| ns <= near_ns);
        since = is_near.then(|| since.unwrap_or(window.start_ns));
        if since.is_some_and(|since| window.end_ns - since >= STAY_NS) {
            return since;
        }
    }
    None
}

fn drain(windows: &[Window]) -> Option<f64> {
    let peak = windows.iter().max_by_key(|window| window.backlog_max)?;
    let mut after = windows.iter().filter(|window| window.start_ns >= peak.end_ns);
    let gone = after.clone().find(|window| window.backlog_max == 0);
    let last = gone.or_else(|| after.next_back())?;
    let seconds = (last.end_ns - peak.end_ns) as f64 / 1e9;
    (peak.backlog_max > 0).then(|| (peak.backlog_max - last.backlog_max) as f64 / seconds)
}

fn area(windows: &[Window], limit_ns: u64) -> f64 {
    let over = windows.iter().filter_map(|window| {
        let over_ns = window.p99_ns?.saturating_sub(limit_ns) as f64;
        Some(over_ns * (window.end_ns - window.start_ns) as f64 / 1e9)
    });
    over.sum()
}

#[cfg(test)]
mod tests {
    use super::{Burst, Spans, Window};

    const MS: u64 = 1_000_000;
    const SECOND: u64 = 1_000 * MS;

    /// Windows of a second; of each the p99 in milliseconds and the backlog.
    fn series(windows: &[(u64, u64)]) -> Vec<Window> {
        let one = |(second, (p99_ms, backlog_max)): (u64, &(u64, u64))| Window {
            start_ns: second * SECOND,
            end_ns: (second + 1) * SECOND,
            p99_ns: (*p99_ms > 0).then_some(p99_ms * MS),
            backlog_max: *backlog_max,
        };
        (0..).zip(windows).map(one).collect()
    }

    /// The p99 of calm seconds, of which the first was disturbed.
    const CALM_MS: [u64; 12] = [90, 20, 22, 20, 22, 20, 22, 20, 22, 20, 22, 22];

    /// Twelve calm seconds, a burst of two, and what follows.
    fn burst_after(calm_ms: [u64; 12], after: &[(u64, u64)]) -> Burst {
        let mut windows: Vec<_> = calm_ms.into_iter().map(|p99_ms| (p99_ms, 0)).collect();
        windows.extend([(300, 500), (400, 900)]);
        windows.extend(after);
        let end_ns = windows.len() as u64 * SECOND;
        let spans = Spans { baseline: (0, 12 * SECOND), burst: (12 * SECOND, 14 * SECOND), end_ns };
        Burst::of(&series(&windows), &spans, Some(100 * MS)).expect("there is a baseline")
    }

    fn burst(after: &[(u64, u64)]) -> Burst {
        burst_after(CALM_MS, after)
    }

    #[test]
    fn a_target_has_recovered_once_it_stays_near_its_baseline() {
        let check = |after: &[u64], expected_s: Option<u64>| {
            let after: Vec<(u64, u64)> = after.iter().map(|p99_ms| (*p99_ms, 0)).collect();
            let seconds = burst(&after).time_to_recover_ns.map(|ns| ns / SECOND);
            assert_eq!(seconds, expected_s, "{after:?}");
        };
        check(&[24, 20, 20, 20, 20], Some(0));
        check(&[200, 50, 24, 20, 20, 20, 20, 20], Some(2));
        // Back only for a while.
        check(&[20, 20, 20, 80, 20, 20, 20, 20, 20, 20], Some(4));
        check(&[20, 20, 20, 20], None);
        check(&[20, 20, 20, 0, 20, 20, 20, 20], None);
        check(&[25, 25, 25, 25, 25, 25, 25, 25], None);
    }

    #[test]
    fn a_target_is_back_when_it_is_as_disturbed_as_it_was() {
        let disturbed = [10, 50, 10, 10, 50, 10, 10, 50, 10, 10, 50, 10];
        let check = |after: &[u64], expected_s: Option<u64>| {
            let after: Vec<(u64, u64)> = after.iter().map(|p99_ms| (*p99_ms, 0)).collect();
            let seconds = burst_after(disturbed, &after).time_to_recover_ns.map(|ns| ns / SECOND);
            assert_eq!(seconds, expected_s, "{after:?}");
        };
        check(&[10, 55, 10, 10, 55, 10], Some(0));
        check(&[10, 56, 10, 10, 55, 10], None);
    }

    #[test]
    fn the_baseline_is_the_middle_one_and_the_peak_the_worst() {
        let found = burst(&[(20, 0)]);
        assert_eq!((found.baseline_p99_ns, found.peak_p99_ns), (22 * MS, 400 * MS));
    }

    #[test]
    fn a_backlog_has_a_peak_and_drains() {
        let found = burst(&[(350, 600), (200, 300), (100, 0), (20, 0)]);
        assert_eq!((found.backlog_peak, found.drain_per_s), (900, Some(300.0)));
        let stuck = burst(&[(350, 800), (200, 700)]);
        assert_eq!(stuck.drain_per_s, Some(100.0));
    }

    #[test]
    fn the_area_is_height_over_the_limit_times_time() {
        let found = burst(&[(150, 0), (100, 0), (20, 0)]);
        assert!((found.area_over_limit_ns_s - (550 * MS) as f64).abs() < 1.0);
    }

    #[test]
    fn nothing_is_said_without_a_baseline() {
        let spans = Spans { baseline: (0, 0), burst: (0, SECOND), end_ns: 2 * SECOND };
        assert_eq!(Burst::of(&series(&[(10, 0), (10, 0)]), &spans, None), None);
    }
}
