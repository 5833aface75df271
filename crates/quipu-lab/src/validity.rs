//! Whether a run may be believed: gates on the generator and its machine, before any result is read.
//!
//! A gate compares one figure with its limit. A run is INVALID when its numbers would not be those
//! of the target, SUSPECT when they may not be, else VALID. What could not be measured is said and
//! decides nothing.

use serde::{Deserialize, Serialize};
use stdx::units::Nanos;

use crate::slo::{Amount, Dimension};

/// What a run must keep to.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// The least share of the planned slots that are sent.
    pub sent_of_planned: f64,
    /// The most that 99 % of the slots are late, in an open loop. A tenth of the strictest promised
    /// latency also binds.
    pub lag_p99: Nanos,
    /// The most of the slots that a full limit of requests in flight may hold back, as a share.
    pub held_back: f64,
    /// The most of a core that one thread of the generator uses.
    pub generator_cpu: f64,
    /// The most of the processor time that the hypervisor gave to others.
    pub steal: f64,
    /// The most of the time that a thread of the generator waits for a core.
    pub run_queue_wait: f64,
    /// The most by which requests in flight may differ from rate times mean time, as a share.
    pub little: f64,
    /// The most of the requests that fail, as a share.
    pub errors: f64,
}

impl Default for Limits {
    /// Those of the literature where there are some: a generator that is busier than 80 % of a core
    /// queues by itself (M/D/1 at 0.8 waits two service times); the others are guesses that agree with
    /// what was seen on quiet machines. Slots that are held back are charged with their wait, so what
    /// is left of the doubt is that the target saw less at once than was planned: below a hundredth of
    /// them, that changes no percentile up to p99.
    fn default() -> Self {
        Self {
            sent_of_planned: 0.999,
            lag_p99: Nanos::from_millis(1),
            held_back: 0.01,
            generator_cpu: 0.8,
            steal: 0.01,
            run_queue_wait: 0.05,
            little: 0.02,
            errors: 0.5,
        }
    }
}

/// What was observed of the generator, over the recorded phases.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observed {
    /// Whether the schedule decided when requests left; else the answers did.
    pub is_open: bool,
    /// Slots that were due.
    pub planned: u64,
    /// Slots that were sent.
    pub sent: u64,
    /// 99 % of the slots that no full limit of requests in flight held back left at most this late.
    pub lag_p99_ns: Option<u64>,
    /// Slots that were due while as many requests were in flight as may be.
    pub held_back: u64,
    /// Of each thread, how much of a core it used.
    pub generator_cpu: Vec<f64>,
    /// The share of processor time that the hypervisor gave to others.
    pub steal: Option<f64>,
    /// The greatest share of the time that a thread was ready and had no core.
    pub run_queue_wait: Option<f64>,
    /// Requests in flight, on average over time: written and not ended.
    pub in_flight_mean: f64,
    /// Requests that ended, per second.
    pub ended_per_s: f64,
    /// From write to end, on average over all requests that ended, those that failed included.
    pub service_mean_ns: f64,
    /// Connections that could not be made or broke, and writes that failed.
    pub socket_errors: u64,
    /// TCP segments that the generator's machine sent again because they were lost.
    pub lost_segments: Option<u64>,
    /// Connections that a listen queue on this machine had no room for.
    pub listen_overflows: Option<u64>,
    /// The name of the kernel's clock source.
    pub clock_source: Option<String>,
    /// Latencies beyond what a histogram holds.
    pub saturated: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that came to an end.
    pub ended: u64,
    /// The strictest latency that the scenario promises: see
    /// [`crate::slo::Check::latency_limit_ns`].
    pub latency_limit_ns: Option<u64>,
}

/// What may be said of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Its numbers are those of the target.
    Valid,
    /// They may be others.
    Suspect,
    /// They are others.
    Invalid,
}

/// One comparison of a figure with its limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Gate {
    /// What is compared.
    pub name: String,
    /// What it leaves of the run; nothing if it could not be measured.
    pub verdict: Option<Verdict>,
    /// The figure.
    pub measured: String,
    /// The limit.
    pub limit: String,
    /// What it means when it is not passed, and what to do.
    pub advice: String,
}

/// The verdict on a run and the gates that it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Validity {
    /// The worst of the gates.
    pub verdict: Verdict,
    /// Whether the generator was the limit: rates that were reached are then "at least".
    pub is_generator_bound: bool,
    /// All gates.
    pub gates: Vec<Gate>,
}

impl Validity {
    /// Judges a run.
    pub fn judge(observed: &Observed, limits: &Limits) -> Self {
        let gates = gates(observed, limits);
        let verdict = gates.iter().filter_map(|gate| gate.verdict).max().unwrap_or(Verdict::Valid);
        let is_generator_bound = busiest(observed).is_some_and(|cpu| cpu > limits.generator_cpu);
        Self { verdict, is_generator_bound, gates }
    }

    /// Returns one sentence per gate that was not passed.
    pub fn reasons(&self) -> impl Iterator<Item = String> + '_ {
        let bad = self.gates.iter().filter(|gate| gate.verdict > Some(Verdict::Valid));
        bad.map(|gate| {
            let Gate { name, measured, limit, advice, .. } = gate;
            format!("{name} is {measured}, {limit}: {advice}")
        })
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Valid => "VALID",
            Self::Suspect => "SUSPECT",
            Self::Invalid => "INVALID",
        })
    }
}

fn busiest(observed: &Observed) -> Option<f64> {
    observed.generator_cpu.iter().copied().max_by(f64::total_cmp)
}

fn gates(observed: &Observed, limits: &Limits) -> Vec<Gate> {
    let mut gates = Vec::new();
    if observed.is_open {
        gates.extend(open_gates(observed, limits));
    }
    gates.extend(machine_gates(observed, limits));
    gates.extend(little_gate(observed, limits));
    gates.extend(socket_gates(observed));
    let errors = observed.failed as f64 / observed.ended.max(1) as f64;
    gates.push(Gate::most("failed requests", Some(errors), limits.errors, Dimension::Share).or(
        Verdict::Suspect,
        "most answers are failures, so latencies are those of the rest: look at the classes",
    ));
    gates
}

/// The generator kept to the schedule. Where a full limit of requests in flight held slots back, it
/// was the target that was slow: response times say so, and the run is not refused for it.
fn open_gates(observed: &Observed, limits: &Limits) -> Vec<Gate> {
    let is_held = observed.held_back > 0;
    let severity = if is_held { Verdict::Suspect } else { Verdict::Invalid };
    let sent = (observed.planned > 0).then(|| observed.sent as f64 / observed.planned as f64);
    let lag_ns = observed.lag_p99_ns.map(|ns| ns as f64);
    let tenth_ns = observed.latency_limit_ns.map_or(u64::MAX, |ns| ns / 10);
    let lag_limit_ns = limits.lag_p99.0.min(tenth_ns) as f64;
    vec![
        Gate::least("sent of planned", sent, limits.sent_of_planned, Dimension::Share)
            .or(severity, "the load was not the planned one: more threads, or a lower rate"),
        Gate::most("lag p99", lag_ns, lag_limit_ns, Dimension::Time).or(
            Verdict::Invalid,
            "requests left late: pacing precise, more threads, or a quieter machine",
        ),
        Gate::most(
            "slots held back by the limit in flight",
            Some(observed.held_back as f64 / observed.planned.max(1) as f64),
            limits.held_back,
            Dimension::Share,
        )
        .or(
            Verdict::Suspect,
            "the target was slower than the schedule; their wait is in the response time, but the \
             target saw less than the planned load: more connections or a higher max_in_flight",
        ),
    ]
}

fn machine_gates(observed: &Observed, limits: &Limits) -> Vec<Gate> {
    // In a closed loop, a busy generator only means that more was possible.
    let busy = if observed.is_open { Verdict::Invalid } else { Verdict::Suspect };
    vec![
        Gate::most("busiest thread", busiest(observed), limits.generator_cpu, Dimension::Share)
            .or(busy, "the generator was the limit, rates are at least what is said: more threads"),
        Gate::most("steal", observed.steal, limits.steal, Dimension::Share)
            .or(Verdict::Suspect, "another guest took the processor: repeat on a quieter machine"),
        Gate::most(
            "run-queue wait",
            observed.run_queue_wait,
            limits.run_queue_wait,
            Dimension::Share,
        )
        .or(Verdict::Suspect, "the generator waited for a core: leave it one of its own"),
        clock_gate(observed.clock_source.as_deref()),
    ]
}

/// Clock sources that are read without a system call and do not step.
const CLOCK_SOURCES: [&str; 4] =
    ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"];

fn clock_gate(source: Option<&str>) -> Gate {
    let verdict = source.map(|source| match source {
        _ if CLOCK_SOURCES.contains(&source) => Verdict::Valid,
        _ => Verdict::Suspect,
    });
    Gate {
        name: "clock source".to_owned(),
        verdict,
        measured: source.unwrap_or("not measured").to_owned(),
        limit: format!("good are {}", CLOCK_SOURCES.join(", ")),
        advice: "reading it takes microseconds: latencies are too long".to_owned(),
    }
}

/// Little's law: requests in flight = rate * mean time. It holds for any system, so where it does not
/// the bookkeeping of the generator is wrong.
fn little_gate(observed: &Observed, limits: &Limits) -> Option<Gate> {
    let expected = observed.ended_per_s * observed.service_mean_ns / 1e9;
    let apart = (observed.in_flight_mean - expected).abs();
    // Below a tenth of a request on average, clock readings per batch are as large (guess).
    let apart = if apart < 0.1 { 0.0 } else { apart / expected.max(observed.in_flight_mean) };
    (observed.ended > 0).then(|| {
        Gate::most("distance to Little's law", Some(apart), limits.little, Dimension::Share).or(
            Verdict::Suspect,
            "requests in flight are not rate times time: the run was too short, or not steady",
        )
    })
}

fn socket_gates(observed: &Observed) -> Vec<Gate> {
    vec![
        Gate::none("socket errors", Some(observed.socket_errors))
            .or(Verdict::Suspect, "connections broke or were refused: look at the classes"),
        Gate::none("listen overflows", observed.listen_overflows).or(
            Verdict::Suspect,
            "the target's accept queue was full: a longer one, or fewer opens",
        ),
        loss_gate(observed),
        Gate::none("latencies beyond the histogram", Some(observed.saturated))
            .or(Verdict::Invalid, "some took longer than an hour"),
    ]
}

/// Of a thousand requests, how many segments may be lost: each costs its request 200 ms (Linux's least
/// retransmission timeout), so more than one in a thousand is in the p99.9.
const LOST_PER_REQUEST: f64 = 0.001;

fn loss_gate(observed: &Observed) -> Gate {
    let share = observed.lost_segments.map(|count| count as f64 / observed.sent.max(1) as f64);
    Gate::most("lost segments per request", share, LOST_PER_REQUEST, Dimension::Share)
        .or(Verdict::Suspect, "the network loses packets: the tail is its own")
}

/// A comparison that waits to be told how bad it is to fail it.
struct Comparison {
    name: &'static str,
    measured: Option<f64>,
    limit: f64,
    dimension: Dimension,
    is_least: bool,
}

impl Gate {
    fn most(
        name: &'static str,
        measured: Option<f64>,
        limit: f64,
        dimension: Dimension,
    ) -> Comparison {
        Comparison { name, measured, limit, dimension, is_least: false }
    }

    fn least(
        name: &'static str,
        measured: Option<f64>,
        limit: f64,
        dimension: Dimension,
    ) -> Comparison {
        Comparison { name, measured, limit, dimension, is_least: true }
    }

    fn none(name: &'static str, count: Option<u64>) -> Comparison {
        Self::most(name, count.map(|count| count as f64), 0.0, Dimension::Count)
    }
}

impl Comparison {
    fn or(self, severity: Verdict, advice: &str) -> Gate {
        let is_kept =
            |value: f64| if self.is_least { value >= self.limit } else { value <= self.limit };
        let verdict =
            self.measured.map(|value| if is_kept(value) { Verdict::Valid } else { severity });
        let amount = |value| Amount { value, dimension: self.dimension };
        let limit = amount(self.limit);
        let (measured, limit) = match self.measured {
            Some(value) => Amount::apart(amount(value), limit),
            None => ("not measured".to_owned(), limit.to_string()),
        };
        let bound = if self.is_least { "at least" } else { "at most" };
        Gate {
            name: self.name.to_owned(),
            verdict,
            measured,
            limit: format!("{bound} {limit}"),
            advice: advice.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
