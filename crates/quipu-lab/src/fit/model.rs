//! The plain model of an update (memory, disk, network) beside measurements, the nodes that it foretells
//! for a target rate, and where it fails.

use std::collections::BTreeMap;
use std::str::FromStr;

use quipu_stats::interval::Interval;
use quipu_stats::performance_model::{self as pure, Known, Measurement};
use quipu_stats::{spread, student};
use serde::{Deserialize, Serialize};

use super::{CONFIDENCE, Level};
use crate::finding::Finding;
use crate::window::Window;

/// How far a figure may be off that comes without an interval (guess: run-to-run noise of a quiet
/// machine).
const NOISE_RATIO: f64 = 0.05;

/// The fewest windows of which an interval follows.
const WINDOWS_MIN: usize = 3;

/// What was run, in the words of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Workload {
    /// One update after the other: 1 / (memory + disk + network).
    Single,
    /// Updates over so many nodes: n / (memory + disk).
    Writes {
        /// How many.
        nodes: u32,
    },
    /// Reads that add up so many nodes: 1 / ((memory + network) n).
    Reads {
        /// How many.
        nodes: u32,
    },
}

/// A text is no workload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no workload: write single, writes:3 or reads:3, with the number of nodes")]
pub struct WorkloadError {
    text: String,
}

impl FromStr for Workload {
    type Err = WorkloadError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || WorkloadError { text: text.to_owned() };
        let (kind, nodes) = text.split_once(':').unwrap_or((text, "1"));
        let nodes = nodes.parse().ok().filter(|nodes| *nodes > 0).ok_or_else(error)?;
        match (kind, text.contains(':')) {
            ("single", false) => Ok(Self::Single),
            ("writes", _) => Ok(Self::Writes { nodes }),
            ("reads", _) => Ok(Self::Reads { nodes }),
            _ => Err(error()),
        }
    }
}

impl Workload {
    fn pure(self) -> pure::Workload {
        match self {
            Self::Single => pure::Workload::Traditional,
            Self::Writes { nodes } => pure::Workload::Writes { nodes },
            Self::Reads { nodes } => pure::Workload::Reads { nodes },
        }
    }
}

impl std::fmt::Display for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Single => f.write_str("single updates"),
            Self::Writes { nodes } => write!(f, "writes on {nodes} nodes"),
            Self::Reads { nodes } => write!(f, "reads over {nodes} nodes"),
        }
    }
}

/// A workload and what came out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What was run.
    pub workload: Workload,
    /// Operations per second.
    pub per_s: f64,
    /// Their interval, low and high.
    pub interval: (f64, f64),
}

impl Measured {
    /// Takes a figure without an interval.
    pub fn figure(workload: Workload, per_s: f64) -> Self {
        let interval = (per_s * (1.0 - NOISE_RATIO), per_s * (1.0 + NOISE_RATIO));
        Self { workload, per_s, interval }
    }

    /// Reads a run; its interval follows from its windows, if there are enough.
    pub fn of(workload: Workload, finding: &Finding) -> Self {
        let per_s = finding.total.ok_per_s();
        let is_recorded = |window: &&Window| {
            finding.phases.get(usize::from(window.phase)).is_some_and(|phase| phase.is_recorded)
        };
        let rate = |window: &Window| window.counts.ok as f64 * 1e9 / window.len_ns.max(1) as f64;
        let rates: Vec<f64> = finding.windows.iter().filter(is_recorded).map(rate).collect();
        let deviation = spread::standard_deviation(&rates).filter(|_| rates.len() >= WINDOWS_MIN);
        deviation.map_or_else(
            || Self::figure(workload, per_s),
            |deviation| {
                let freedom = rates.len() as f64 - 1.0;
                let half = student::half_width(CONFIDENCE, freedom) * deviation
                    / (rates.len() as f64).sqrt();
                Self { workload, per_s, interval: (per_s - half, per_s + half) }
            },
        )
    }

    fn pure(&self) -> Measurement {
        let (low, high) = self.interval;
        let (workload, per_s) = (self.workload.pure(), self.per_s);
        Measurement { workload, per_s, interval: Interval { low, high } }
    }
}

/// What is asked of the model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelAsk {
    /// Measurements beside those of the levels.
    pub measured: Vec<Measured>,
    /// The time in memory, in seconds, if it is known.
    pub memory_s: Option<f64>,
    /// The time on disk.
    pub disk_s: Option<f64>,
    /// The time on the network.
    pub network_s: Option<f64>,
    /// Updates per second that are wanted.
    pub target_per_s: Option<f64>,
}

impl ModelAsk {
    /// Whether anything is asked.
    pub(super) fn is_asked(&self) -> bool {
        let is_known = self.memory_s.or(self.disk_s).or(self.network_s).is_some();
        is_known || self.target_per_s.is_some() || !self.measured.is_empty()
    }
}

/// The model beside the measurements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// What was measured: what was asked, and of closed loops the fewest users as single updates and
    /// the best level as writes on one node.
    pub measured: Vec<Measured>,
    /// The times of memory, disk and network in seconds, if they follow.
    pub times_s: Option<(f64, f64, f64)>,
    /// Root of the mean squared relative residual.
    pub residual_ratio: Option<f64>,
    /// Why they do not follow.
    pub no_times: Option<String>,
    /// Where the model fails, one sentence each.
    pub failures: Vec<String>,
    /// Updates per second that are wanted.
    pub target_per_s: Option<f64>,
    /// Nodes for them by the model: ceil(target (memory + disk)).
    pub nodes_by_model: Option<u64>,
    /// Nodes for them if each bears what the best measured one did.
    pub nodes_by_measurement: Option<u64>,
}

impl Model {
    pub(super) fn of(ask: &ModelAsk, levels: &[Level]) -> Self {
        let mut measured = ask.measured.clone();
        measured.extend(of_levels(levels));
        let points: Vec<Measurement> = measured.iter().map(Measured::pure).collect();
        let known = Known { memory_s: ask.memory_s, disk_s: ask.disk_s, network_s: ask.network_s };
        let (fit, no_times) = match pure::fit(&points, &known) {
            Ok(fit) => (Some(fit), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let target = ask.target_per_s;
        let best = measured.iter().filter_map(per_node).reduce(f64::max);
        Self {
            times_s: fit
                .as_ref()
                .map(|fit| (fit.times.memory_s, fit.times.disk_s, fit.times.network_s)),
            residual_ratio: fit.as_ref().map(|fit| fit.residual_ratio),
            no_times,
            failures: fit
                .iter()
                .flat_map(|fit| &fit.deviations)
                .map(pure::Deviation::statement)
                .collect(),
            target_per_s: target,
            nodes_by_model: target.zip(fit).map(|(target, fit)| fit.times.nodes_for(target)),
            nodes_by_measurement: target
                .zip(best)
                .map(|(target, best)| ((target / best).ceil() as u64).max(1)),
            measured,
        }
    }
}

/// Updates per second of one node.
fn per_node(measured: &Measured) -> Option<f64> {
    match measured.workload {
        Workload::Writes { nodes } => Some(measured.per_s / f64::from(nodes)),
        Workload::Single | Workload::Reads { .. } => None,
    }
}

/// One user is one update after the other; the most that one node was seen to do are its writes. Runs of
/// one number of users are averaged first, or the best would be the luckiest.
fn of_levels(levels: &[Level]) -> impl Iterator<Item = Measured> {
    let mut by_users: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for level in levels.iter().filter(|level| level.per_s > 0.0) {
        by_users.entry(level.users.round() as u64).or_default().push(level.per_s);
    }
    let single = by_users.remove(&1).map(|rates| spread::mean(&rates));
    let best = by_users.values().map(|rates| spread::mean(rates)).reduce(f64::max);
    let single = single.map(|per_s| Measured::figure(Workload::Single, per_s));
    let best = best.map(|per_s| Measured::figure(Workload::Writes { nodes: 1 }, per_s));
    single.into_iter().chain(best)
}
