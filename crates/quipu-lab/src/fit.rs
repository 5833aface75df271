//! What many runs say together: how throughput grows with users, how latency grows with the rate, and
//! whether the plain model of memory, disk and network foretells them.
//!
//! A forecast is an interval. A peak that the data do not show is refused, and a law that the generator
//! limited is said to be that of the generator.

mod closed;
mod model;
mod open;
mod page;

use quipu_stats::bootstrap::Resampling;
use serde::{Deserialize, Serialize};

pub use self::closed::{Level, Scaling, ScalingLaw, SeenPeak, scenario};
pub use self::model::{Measured, Model, ModelAsk, Workload, WorkloadError};
pub use self::open::{KneeCurve, RatePoint, Rates};

use crate::finding::Finding;
use crate::validity::Verdict;

/// The version of the form.
const VERSION: u32 = 1;

/// Draws of the bootstrap. A thousand leave the ends of an interval with about 5 % of its width.
const RESAMPLES: usize = 1_000;

/// The confidence of all intervals.
const CONFIDENCE: f64 = 0.95;

/// What many runs say together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// The version of the form.
    pub version: u32,
    /// What a reader should know before the numbers.
    pub doubts: Vec<String>,
    /// Closed loops, by the number of users.
    pub scaling: Option<Scaling>,
    /// Open loops, by rate.
    pub knee: Option<KneeCurve>,
    /// The plain model.
    pub model: Option<Model>,
}

/// A run to be fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Where it comes from, for doubts.
    pub name: String,
    /// How many users it had, if whoever ran it knows.
    pub users: Option<u32>,
    /// What it found.
    pub finding: Finding,
}

impl Run {
    /// Takes a saved result. A closed loop had as many users as its plan says, if as many requests, or
    /// half of them, were under way; with phases of other numbers, as many as were under way.
    pub fn saved(name: String, finding: Finding) -> Self {
        let planned = finding.plan.arrival.strip_suffix(" users").and_then(|n| n.parse().ok());
        let in_flight = finding.total.in_flight_mean;
        let users = planned.filter(|users: &u32| {
            let share = in_flight / f64::from(*users);
            finding.plan.is_closed && (0.5..1.05).contains(&share)
        });
        Self { name, users, finding }
    }
}

/// Fits all that the runs allow. INVALID runs are left out and named.
pub fn fit(runs: &[Run], ask: &ModelAsk, seed: u64) -> Fit {
    let resampling = resampling(seed);
    let doubts = runs.iter().flat_map(doubts).collect();
    let usable = || runs.iter().filter(|run| run.finding.validity.verdict != Verdict::Invalid);
    let closed: Vec<Level> =
        usable().filter(|run| run.finding.plan.is_closed).map(Level::of).collect();
    let mut open =
        usable().map(|run| &run.finding).filter(|finding| !finding.plan.is_closed).peekable();
    let model = (ask.is_asked()).then(|| Model::of(ask, &closed));
    Fit {
        version: VERSION,
        doubts,
        scaling: (!closed.is_empty()).then(|| Scaling::of(closed, &resampling)),
        knee: open.peek().is_some().then(|| {
            let mut rates = Rates::default();
            open.for_each(|finding| rates.add(finding));
            rates.curve(&resampling)
        }),
        model,
    }
}

/// How intervals are drawn here; any seed does.
pub(crate) const fn resampling(seed: u64) -> Resampling {
    Resampling { resamples: RESAMPLES, confidence: CONFIDENCE, seed }
}

fn doubts(run: &Run) -> Vec<String> {
    let Run { name, finding, .. } = run;
    let reasons = || finding.validity.reasons().collect::<Vec<_>>().join("; ");
    let mut doubts = Vec::new();
    match finding.validity.verdict {
        Verdict::Invalid => doubts.push(format!("{name} is INVALID and left out: {}", reasons())),
        Verdict::Suspect => doubts.push(format!("{name} is SUSPECT: {}", reasons())),
        Verdict::Valid => {}
    }
    doubts
}

#[cfg(test)]
mod tests;
