//! How far a test is: what watchers are told after each window.

use std::sync::Arc;

use quipu_lab::recording::Counts;
use quipu_lab::schedule::Schedule;
use quipu_lab::window::Window;
use serde_json::{Value, json};

use crate::serve::result::TestResult;

/// The newest news of a test. Watchers that are slow see fewer of them, and always the last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    counts: Counts,
    window: Option<Window>,
    /// What it came to, once it has ended.
    pub(crate) end: Option<Arc<TestResult>>,
}

/// What was planned, for telling how far that is.
#[derive(Debug, Clone)]
pub(crate) struct Outline {
    planned: u64,
    planned_ns: u64,
    /// Names, by number.
    phases: Vec<String>,
}

impl Outline {
    /// Reads it from a schedule.
    pub(crate) fn of(schedule: &Schedule) -> Self {
        Self {
            planned: schedule.total(),
            planned_ns: schedule.duration_ns(),
            phases: schedule.phases().iter().map(|phase| phase.name.clone()).collect(),
        }
    }

    /// The plan as JSON.
    pub(crate) fn json(&self) -> Value {
        json!({
            "requests": self.planned,
            "durationSeconds": self.planned_ns as f64 / 1e9,
            "phases": self.phases,
        })
    }
}

impl Progress {
    /// Adds a window that is over.
    pub(crate) fn add(&mut self, window: &Window) {
        self.counts.add(&window.counts);
        self.window = Some(window.clone());
    }

    /// The news as JSON: sums since the start, and the last window.
    pub(crate) fn json(&self, outline: &Outline) -> Value {
        let Counts { planned, sent, ok, failed, missed, .. } = self.counts;
        let end_ns = self.window.as_ref().map_or(0, |window| window.start_ns + window.len_ns);
        let phase = self.window.as_ref().map_or(0, |window| usize::from(window.phase));
        json!({
            "elapsedSeconds": end_ns as f64 / 1e9,
            "plannedSeconds": outline.planned_ns as f64 / 1e9,
            "phase": outline.phases.get(phase),
            "dueRequests": planned,
            "plannedRequests": outline.planned,
            "sentRequests": sent,
            "successfulRequests": ok,
            "failedRequests": failed,
            "missedRequests": missed,
            "window": self.window.as_ref().map(window_json),
        })
    }
}

fn window_json(window: &Window) -> Value {
    let seconds = window.len_ns.max(1) as f64 / 1e9;
    let ms = |ns: u64| (window.counts.ok > 0).then_some(ns as f64 / 1e6);
    json!({
        "plannedRatePerSecond": window.counts.planned as f64 / seconds,
        "achievedRatePerSecond": window.counts.ok as f64 / seconds,
        "failedRequests": window.counts.failed,
        "missedRequests": window.counts.missed,
        "latencyMsP50": ms(window.response.p50_ns),
        "latencyMsP95": ms(window.response.p95_ns),
        "latencyMsP99": ms(window.response.p99_ns),
        "inFlightMean": window.in_flight_mean,
        "backlogMax": window.backlog_max,
    })
}
