//! What has been seen of a run that is under way: sums, the last window, and the run over time.

use quipu_lab::recording::Counts;
use quipu_lab::scenario::{Model, Scenario};
use quipu_lab::schedule::Schedule;
use quipu_lab::validity::{Observed, Validity};
use quipu_lab::window::Window;

/// The most points over time; no terminal has so many columns.
const POINTS_MAX: usize = 1_024;

/// A moment of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    /// Seconds from the start to the end of its window.
    pub(super) at_s: f64,
    /// Requests answered as expected, per second.
    pub(super) ok_per_s: f64,
    /// Response times, in milliseconds.
    pub(super) p50_ms: f64,
    /// The same of the slowest hundredth.
    pub(super) p99_ms: f64,
}

/// What has been seen.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) scenario: Scenario,
    pub(super) schedule: Schedule,
    /// What is tested, in words.
    pub(super) target: String,
    pub(super) counts: Counts,
    pub(super) last: Option<Window>,
    pub(super) points: Vec<Point>,
    /// The worst p99 of the lag of a recorded window: that of the whole run is at most as much.
    lag_p99_ns: Option<u64>,
    recorded: Counts,
}

impl Seen {
    /// Returns what is seen before anything has happened.
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            schedule: Schedule::of(scenario),
            target: scenario.target.authority(),
            scenario: scenario.clone(),
            counts: Counts::default(),
            last: None,
            points: Vec::new(),
            lag_p99_ns: None,
            recorded: Counts::default(),
        }
    }

    /// Adds a window that is over.
    pub(super) fn add(&mut self, window: Window) {
        self.counts.add(&window.counts);
        let phase = self.scenario.phases.get(usize::from(window.phase));
        if phase.is_some_and(|phase| phase.record) {
            self.recorded.add(&window.counts);
            self.lag_p99_ns = self.lag_p99_ns.max(Some(window.lag_p99_ns));
        }
        self.points.push(Point {
            at_s: (window.start_ns + window.len_ns) as f64 / 1e9,
            ok_per_s: window.counts.ok as f64 * 1e9 / window.len_ns.max(1) as f64,
            p50_ms: window.response.p50_ns as f64 / 1e6,
            p99_ms: window.response.p99_ns as f64 / 1e6,
        });
        if self.points.len() >= POINTS_MAX {
            let mut keep = false;
            self.points.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.last = Some(window);
    }

    /// The verdict as far as windows tell: at worst this, of what they tell.
    pub(super) fn validity(&self) -> Validity {
        let Counts { planned, sent, ok, failed, saturated, .. } = self.recorded;
        let observed = Observed {
            is_open: self.scenario.arrival.model == Model::Open,
            planned,
            sent,
            lag_p99_ns: self.lag_p99_ns,
            saturated,
            failed,
            ended: ok + failed,
            latency_limit_ns: self.scenario.latency_limit_ns(),
            ..Observed::default()
        };
        Validity::judge(&observed, &self.scenario.validity)
    }
}
