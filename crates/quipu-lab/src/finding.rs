//! All that a run found, as one value: what every report, comparison and service reads.
//!
//! It is written as JSON and read back; [`VERSION`] changes when a field changes its meaning. Histograms
//! are in it whole (V2 deflate, base64), so that runs can be merged and compared without loss.

mod facts;
#[cfg(test)]
pub(crate) mod made_up;
mod observed;
mod place;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod schema;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::conservation::Conservation;
use crate::recording::{Counts, Recording};
use crate::scenario::Scenario;
use crate::slo::{Judgement, Outcome};
use crate::validity::Validity;
use crate::window::{Percentiles, Window, encode};

/// The version of the form.
pub const VERSION: u32 = 1;

/// The name of all recorded phases together.
pub const TOTAL: &str = "total";

/// All that a run found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Finding {
    /// The version of the form.
    pub version: u32,
    /// What was asked for.
    pub plan: Plan,
    /// Where it ran, for comparing only what is comparable.
    pub environment: Environment,
    /// What the generator did and cost.
    pub generator: Generator,
    /// What the target cost, where it runs on this machine.
    pub server: Option<Server>,
    /// When it started, in UTC.
    pub started: String,
    /// From the start until the last request ended, in nanoseconds.
    pub lasted_ns: u64,
    /// Whether it was stopped before the plan ended.
    pub stopped: bool,
    /// What may be said of the run itself.
    pub validity: Validity,
    /// The promises and what became of them.
    pub promises: Vec<Promise>,
    /// Whether every increment was counted once, if the target's counters were read.
    pub conservation: Option<Conservation>,
    /// What this generator said of its own accuracy on this machine, if it was asked before.
    #[serde(default)]
    pub accuracy: Option<String>,
    /// The phases in their order.
    pub phases: Vec<PhaseFinding>,
    /// All phases that belong to the result, merged.
    pub total: PhaseFinding,
    /// The run over time.
    pub windows: Vec<Window>,
}

/// A promise about a phase, or about all that is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Promise {
    /// The phase, or nothing for all that is recorded.
    pub phase: Option<String>,
    /// What became of it.
    #[serde(flatten)]
    pub judgement: Judgement,
}

impl Promise {
    /// Returns what it is about: the phase, or all that is recorded.
    pub fn place(&self) -> &str {
        self.phase.as_deref().unwrap_or("all")
    }

    /// Returns it with what it is about, in one line.
    pub fn title(&self) -> String {
        format!("{}: {}", self.place(), self.judgement.check)
    }
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Plan {
    /// The name of the scenario.
    pub name: String,
    /// What everything drawn follows from.
    pub seed: u64,
    /// What was tested, as a URL.
    pub target: String,
    /// Whether the next request waits for an answer: then latency is service time, and the run is a
    /// test of throughput.
    pub is_closed: bool,
    /// How moments were spaced, met, and what became of late ones, in words.
    pub arrival: String,
    /// Connections over all threads.
    pub connections: u32,
    /// Requests that could be under way on one connection.
    pub pipeline: u32,
    /// Requests that could be under way over all threads.
    pub in_flight_max: u64,
    /// After how long a request had failed, in nanoseconds.
    pub timeout_ns: u64,
}

/// Where a run took place. Two runs are comparable if these are the same.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Environment {
    /// The version of this program.
    pub quipu_version: String,
    /// The model of the CPU.
    pub cpu_model: String,
    /// How many CPUs this process may use.
    pub cpus: u32,
    /// The frequency governor, or empty where there is none.
    pub governor: String,
    /// The kernel and its version.
    pub kernel: String,
    /// The clock that the kernel reads.
    pub clock_source: String,
    /// How the kernel of the generator decides how fast TCP sends.
    #[serde(default)]
    pub tcp_congestion_control: String,
    /// The limit of CPU of the control group, as the kernel writes it.
    pub cgroup_cpu_max: String,
    /// The limit of memory of the control group, as the kernel writes it.
    pub cgroup_memory_max: String,
    /// What the target says of itself.
    pub target: BTreeMap<String, String>,
}

/// What the generator did and cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Generator {
    /// Each thread.
    pub threads: Vec<Thread>,
    /// CPU time of its threads per request that was tried, in nanoseconds.
    pub cpu_ns_per_request: f64,
    /// How late slots of the result left that no full limit of requests in flight held back.
    #[serde(default)]
    pub own_lag: Option<Latency>,
    /// What the machine did meanwhile.
    pub machine: Machine,
    /// The memory of this process at the end, in bytes.
    pub rss_bytes: u64,
    /// How long the handshakes of encrypted connections took, beside all other times; those of
    /// connections for one request are part of its service time too.
    #[serde(default)]
    pub handshakes: Option<Latency>,
    /// What was asked for and not given, in words.
    pub notes: Vec<String>,
}

/// What one thread did and cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Thread {
    /// The CPU that it was pinned to, if it was.
    pub cpu: Option<u32>,
    /// CPU time, in nanoseconds.
    pub cpu_ns: u64,
    /// CPU time against the time that the plan took: 1.0 is a whole core.
    pub busy_ratio: f64,
    /// How long it was ready and did not run, in nanoseconds.
    pub run_queue_wait_ns: u64,
    /// Turns of its loop.
    pub turns: u64,
    /// Slots of the result that were due while as many requests were under way as may be.
    #[serde(default)]
    pub held_back: u64,
    /// The longest time for which requests were under way and none was answered, in nanoseconds.
    #[serde(default)]
    pub silence_ns: u64,
    /// When that time ended, in nanoseconds from the start.
    #[serde(default)]
    pub silence_end_ns: u64,
    /// The most by which it woke too late, in nanoseconds: it had no core.
    #[serde(default)]
    pub absence_ns: u64,
}

/// What the machine did during a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Machine {
    /// The share of CPU time that the hypervisor took.
    pub steal_ratio: f64,
    /// TCP segments that were sent again.
    pub tcp_retransmits: u64,
    /// Of those, how many the receiver had got before (it said so, by DSACK): they were delayed, not
    /// lost, or only their acknowledgement was.
    #[serde(default)]
    pub tcp_needless_retransmits: u64,
    /// Connections that a full accept queue refused.
    pub listen_overflows: u64,
    /// The share of time in which something waited for a CPU (PSI, some), if the kernel tells.
    pub cpu_pressure_ratio: Option<f64>,
    /// The share of time in which something waited for a disk (PSI, some), if the kernel tells.
    #[serde(default)]
    pub io_pressure_ratio: Option<f64>,
}

/// What the target cost, where it runs on this machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Server {
    /// Its process.
    pub pid: u32,
    /// CPU time during the run, in nanoseconds.
    pub cpu_ns: u64,
    /// CPU time per request that was tried, in nanoseconds.
    pub cpu_ns_per_request: f64,
    /// Its memory over time: nanoseconds from the start, and bytes.
    pub rss_bytes: Vec<(u64, u64)>,
}

/// What was found of one phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PhaseFinding {
    /// Its name.
    pub name: String,
    /// Whether it belongs to the result.
    pub is_recorded: bool,
    /// When it began, in nanoseconds from the start of the run.
    pub start_ns: u64,
    /// When it was planned to end for the last time.
    pub end_ns: u64,
    /// How long it was the phase.
    pub active_ns: u64,
    /// How many requests came to which end.
    pub counts: Counts,
    /// From the moment of the plan to the answer.
    pub response: Latency,
    /// From the write to the answer.
    pub service: Latency,
    /// From the moment of the plan to the write.
    pub lag: Latency,
    /// Failures by class.
    pub failures: BTreeMap<String, Latency>,
    /// From the write to the end of all that came to one, failures too, on average, in nanoseconds.
    pub ended_mean_ns: f64,
    /// Requests under way, on average over the time in which it was the phase.
    pub in_flight_mean: f64,
    /// The most slots that were due and not sent.
    pub backlog_max: u64,
}

/// One histogram.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Latency {
    /// How many it holds.
    pub count: u64,
    /// Their mean, in nanoseconds.
    pub mean_ns: f64,
    /// The least, in nanoseconds.
    pub min_ns: u64,
    /// Percentiles.
    #[serde(flatten)]
    pub percentiles: Percentiles,
    /// All of it, in V2 deflate and base64.
    pub hdr: String,
}

impl Machine {
    /// Returns the TCP segments that were sent again because they were lost.
    pub fn lost_segments(&self) -> u64 {
        self.tcp_retransmits.saturating_sub(self.tcp_needless_retransmits)
    }
}

impl Latency {
    /// Reads a histogram.
    pub fn of(latencies: &crate::recording::Latencies) -> Self {
        if latencies.is_empty() {
            return Self::default();
        }
        Self {
            count: latencies.len(),
            mean_ns: latencies.mean(),
            min_ns: latencies.min(),
            percentiles: Percentiles::of(latencies),
            hdr: encode(latencies),
        }
    }
}

/// When a phase was, and what it is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    /// Its name.
    pub name: String,
    /// Whether it belongs to the result.
    pub is_recorded: bool,
    /// When it began, in nanoseconds from the start of the run.
    pub start_ns: u64,
    /// When it was planned to end for the last time.
    pub end_ns: u64,
    /// How long it was the phase.
    pub active_ns: u64,
}

impl PhaseFinding {
    /// Makes the finding of what was recorded in a span. What windows know is filled in by
    /// [`PhaseFinding::over`].
    pub fn new(span: Span, recording: &Recording) -> Self {
        let failures = recording.failures.iter();
        Self {
            name: span.name,
            is_recorded: span.is_recorded,
            start_ns: span.start_ns,
            end_ns: span.end_ns,
            active_ns: span.active_ns,
            counts: recording.counts,
            response: Latency::of(&recording.response),
            service: Latency::of(&recording.service),
            lag: Latency::of(&recording.lag),
            failures: failures.map(|(class, all)| (class.to_string(), Latency::of(all))).collect(),
            ended_mean_ns: recording.ended_mean_ns(),
            in_flight_mean: 0.0,
            backlog_max: 0,
        }
    }

    /// Fills in what its windows know.
    #[must_use]
    pub fn over<'w>(mut self, windows: impl Iterator<Item = &'w Window>) -> Self {
        let mut in_flight_ns = 0.0;
        for window in windows {
            in_flight_ns += window.in_flight_mean * window.len_ns as f64;
            self.backlog_max = self.backlog_max.max(window.backlog_max);
        }
        // What is answered after the end of the plan was asked in its time.
        self.in_flight_mean = in_flight_ns / self.active_ns.max(1) as f64;
        self
    }

    /// Returns the planned slots per second of its time.
    pub fn planned_per_s(&self) -> f64 {
        per_s(self.counts.planned, self.active_ns)
    }

    /// Returns the requests that were answered as expected per second of its time: the goodput.
    pub fn ok_per_s(&self) -> f64 {
        per_s(self.counts.ok, self.active_ns)
    }

    /// Returns the share of the tried requests that failed.
    pub fn error_ratio(&self) -> f64 {
        self.counts.failed as f64 / self.counts.sent.max(1) as f64
    }
}

fn per_s(count: u64, ns: u64) -> f64 {
    count as f64 * 1e9 / ns.max(1) as f64
}

impl Finding {
    /// Judges the run and its promises by what was measured.
    #[must_use]
    pub fn judged(mut self, scenario: &Scenario) -> Self {
        let observed = observed::observed(&self, scenario);
        self.validity = Validity::judge(&observed, &scenario.validity);
        self.promises = facts::promises(&self, &scenario.slos);
        self
    }

    /// Returns whether no promise was broken. One that what was measured does not tell is not kept.
    pub fn keeps_promises(&self) -> bool {
        self.promises.iter().all(|promise| promise.judgement.outcome == Outcome::Pass)
    }

    /// Returns whether a promise was surely broken.
    pub fn breaks_promises(&self) -> bool {
        self.promises.iter().any(|promise| promise.judgement.outcome == Outcome::Fail)
    }

    /// Returns the phase of this name.
    pub fn phase(&self, name: &str) -> Option<&PhaseFinding> {
        self.phases.iter().find(|phase| phase.name == name)
    }

    /// Returns the name of the phase of this number; windows know their phase by it.
    pub fn phase_name(&self, number: u16) -> &str {
        self.phases.get(usize::from(number)).map_or("", |phase| &phase.name)
    }

    /// Returns the finding as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain data with text keys has a form")
    }

    /// Reads a finding.
    ///
    /// # Errors
    /// It is no finding, or of another version.
    pub fn from_json(text: &str) -> Result<Self, FindingError> {
        let finding: Self = serde_json::from_str(text)?;
        if finding.version != VERSION {
            return Err(FindingError::Version { found: finding.version });
        }
        Ok(finding)
    }
}

/// Why a text is no finding.
#[derive(Debug, thiserror::Error)]
pub enum FindingError {
    /// It has another form.
    #[error("this is no result of a load test")]
    Form(#[from] serde_json::Error),
    /// It is of another version.
    #[error("the result has version {found}, and this program reads version {VERSION}")]
    Version {
        /// The version that it has.
        found: u32,
    },
}
