//! How right this generator is on a machine: what it reported of a target of which the truth is known.
//!
//! The truth of a stall is arithmetic ([`stall_quantile_ns`]), that of pacing is a grid in the clock of
//! the target ([`grid_lag`]). Nothing here measures: the self-test does, and fills these values in.

use serde::{Deserialize, Serialize};
use stdx::units::Nanos;

use crate::finding::{Environment, Machine};
use crate::recording::{Latencies, latencies};
use crate::window::Percentiles;

mod page;

/// By how much a reported p99 may differ from the true one. A histogram of three digits and the
/// requests that queue behind the stall take about one hundredth of it.
pub const ERROR_RATIO_MAX: f64 = 0.03;
/// The most of the time in which something may have waited for a CPU: beyond it the machine decides
/// what is measured. Guess: at a tenth, every tenth wake-up may be late.
pub const CPU_PRESSURE_RATIO_MAX: f64 = 0.1;
/// The most of the CPU time that the hypervisor may have given to others; as the gate of every run.
pub const STEAL_RATIO_MAX: f64 = 0.01;

/// Returns the latency that a share `quantile` of evenly spaced requests does not exceed, if the
/// target answers at once but for one stall: of requests over `run_ns`, a share of `stall_ns / run_ns`
/// waits, each for what is left of the stall, so waits are uniform between 0 and `stall_ns`.
pub fn stall_quantile_ns(stall_ns: u64, run_ns: u64, quantile: f64) -> f64 {
    let beyond_ns = (1.0 - quantile) * run_ns as f64;
    (stall_ns as f64 - beyond_ns).max(0.0)
}

/// Returns how late requests came, against a grid with `period_ns` between its moments. The moments
/// themselves are not known at the target, so the grid lies as late as it can with nothing early:
/// what is found is lag beyond the least one. The moments of arrival must be in order.
pub fn grid_lag(arrivals_ns: &[u64], period_ns: f64) -> Latencies {
    let on_grid = |(number, at_ns): (usize, &u64)| *at_ns as f64 - number as f64 * period_ns;
    let offsets = || arrivals_ns.iter().enumerate().map(on_grid);
    let origin_ns = offsets().fold(f64::INFINITY, f64::min);
    let mut lag = latencies();
    offsets().for_each(|offset_ns| lag.saturating_record((offset_ns - origin_ns) as u64));
    lag
}

/// What was reported of one stall, and what was true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stall {
    /// What was spoken.
    pub protocol: String,
    /// Requests per second.
    pub rate_per_s: u64,
    /// How long the run was, in nanoseconds.
    pub run_ns: u64,
    /// How long the target answered nothing, by its own clock, in nanoseconds.
    pub stall_ns: u64,
    /// The p99 of the response times that was reported.
    pub reported_p99_ns: u64,
    /// The p99 of the service times: what a generator reports that counts from the write.
    pub service_p99_ns: u64,
    /// Requests that had no good answer, or were never sent.
    pub lost: u64,
}

impl Stall {
    /// Returns the p99 that was to be reported.
    pub fn true_p99_ns(&self) -> u64 {
        stall_quantile_ns(self.stall_ns, self.run_ns, 0.99) as u64
    }

    /// Returns by how much what was reported is above the truth, as a share of it.
    pub fn error_ratio(&self) -> f64 {
        let truth = self.true_p99_ns() as f64;
        (self.reported_p99_ns as f64 - truth) / truth.max(1.0)
    }

    /// Whether what was reported is near enough to the truth.
    pub fn is_right(&self) -> bool {
        self.lost == 0 && self.error_ratio().abs() <= ERROR_RATIO_MAX
    }
}

/// How well moments were met at one rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// Requests per second, over one thread.
    pub rate_per_s: u64,
    /// The pacing mode.
    pub pacing: String,
    /// How late requests left, as the generator saw it.
    pub reported: Percentiles,
    /// How late requests came, as the target saw it: also what the way and the target add.
    pub seen: Percentiles,
    /// How much of a core the thread used.
    pub busy_ratio: f64,
    /// CPU time per request, in nanoseconds.
    pub cpu_ns_per_request: f64,
    /// What may be said of the run, in a word.
    pub verdict: String,
}

/// What a request costs when the answers decide that the next one leaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// What was spoken, and how many requests were under way on a connection.
    pub what: String,
    /// CPU time of the generator per request, in nanoseconds.
    pub cpu_ns_per_request: f64,
}

/// What may be said of a generator on a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    /// What it reported was true.
    Right,
    /// What it reported was not true, on a machine that was busy with other things: nothing may be
    /// said.
    NotMeasurable,
    /// What it reported was not true.
    Wrong,
}

/// How right this generator is on a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// When this was measured, in UTC.
    pub started: String,
    /// Where.
    pub environment: Environment,
    /// What else the machine did meanwhile.
    pub machine: Machine,
    /// Stalls, of which the true percentile is known.
    pub stalls: Vec<Stall>,
    /// Moments, of which the true distance is known.
    pub grids: Vec<Grid>,
    /// What a request costs.
    pub costs: Vec<Cost>,
}

impl Accuracy {
    /// Returns what may be said.
    pub fn statement(&self) -> Statement {
        if !self.stalls.is_empty() && self.stalls.iter().all(Stall::is_right) {
            Statement::Right
        } else if is_disturbed(&self.machine) {
            Statement::NotMeasurable
        } else {
            Statement::Wrong
        }
    }

    /// Whether this was measured where `environment` is, by the same program.
    pub fn is_of(&self, environment: &Environment) -> bool {
        let place = |of: &Environment| {
            (of.quipu_version.clone(), of.cpu_model.clone(), of.cpus, of.kernel.clone())
        };
        place(&self.environment) == place(environment)
    }

    /// Returns all of it as a page of text.
    pub fn page(&self) -> String {
        page::page(self)
    }

    /// Returns the sentence that later reports carry.
    pub fn sentence(&self) -> String {
        page::sentence(self)
    }

    /// Returns it as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain data with text keys has a form")
    }

    /// Reads it from JSON; nothing if it has another form, as that of another version may be.
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// Whether a machine was busy with so much else that late wake-ups are its own.
pub fn is_disturbed(machine: &Machine) -> bool {
    machine.steal_ratio > STEAL_RATIO_MAX
        || machine.cpu_pressure_ratio.is_some_and(|ratio| ratio > CPU_PRESSURE_RATIO_MAX)
}

/// Returns what else a machine did, in words.
pub fn disturbance(machine: &Machine) -> String {
    let pressure = machine.cpu_pressure_ratio.map_or_else(
        || "CPU pressure unknown".to_owned(),
        |ratio| format!("CPU pressure {:.1} %", ratio * 100.0),
    );
    format!("{pressure}, steal {:.2} %", machine.steal_ratio * 100.0)
}

fn shown(ns: u64) -> String {
    Nanos(ns).approximate()
}

#[cfg(test)]
mod tests;
