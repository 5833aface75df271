//! Puts what was measured into its final form, the finding.

use quipu_lab::finding::{
    Environment, Finding, Generator, Latency, PhaseFinding, Plan, Server, Span, TOTAL, VERSION,
};
use quipu_lab::recording::Recording;
use quipu_lab::scenario::{Arrival, Late, Model, Pacing, Process, Protocol, Target};
use quipu_lab::validity::{Validity, Verdict};
use stdx::time::utc_text;

use crate::probe;
use crate::run::{Measured, Setup};
use crate::statement;

/// Returns the finding of a run.
pub(crate) fn finding(setup: &Setup<'_>, environment: Environment, measured: Measured) -> Finding {
    let phases = phases(setup, &measured);
    let total = total(setup, &measured);
    let sent: u64 = phases.iter().map(|phase| phase.counts.sent).sum();
    let per_request = |ns: u64| ns as f64 / sent.max(1) as f64;
    let accuracy = statement::sentence(&environment);
    let cpu_ns = measured.threads.iter().map(|thread| thread.cpu_ns).sum();
    let mut windows = measured.gathered.windows;
    for window in &mut windows {
        let end_ns = window.start_ns + window.len_ns;
        window.planned_per_s = setup.schedule.rate_over(window.start_ns, end_ns);
    }
    Finding {
        version: VERSION,
        plan: plan(setup),
        environment,
        generator: Generator {
            cpu_ns_per_request: per_request(cpu_ns),
            threads: measured.threads,
            own_lag: measured.own_lag.as_ref().filter(|lag| !lag.is_empty()).map(Latency::of),
            machine: measured.machine,
            rss_bytes: probe::rss_bytes(std::process::id()),
            handshakes: measured.handshakes.as_ref().map(Latency::of),
            notes: measured.notes,
        },
        server: measured
            .server
            .map(|server| Server { cpu_ns_per_request: per_request(server.cpu_ns), ..server }),
        started: utc_text(measured.started_wall_ms),
        lasted_ns: measured.lasted_ns,
        stopped: setup.is_stopped(measured.lasted_ns),
        validity: Validity {
            verdict: Verdict::Valid,
            is_generator_bound: false,
            gates: Vec::new(),
        },
        promises: Vec::new(),
        conservation: measured.conservation,
        accuracy,
        phases,
        total,
        windows,
    }
    .judged(&setup.ask.scenario)
}

fn plan(setup: &Setup<'_>) -> Plan {
    let scenario = &setup.ask.scenario;
    let target = &scenario.target;
    Plan {
        name: scenario.name.clone(),
        seed: scenario.seed,
        target: url(target),
        is_closed: scenario.arrival.model != Model::Open,
        arrival: arrival(&scenario.arrival),
        connections: target.connections,
        pipeline: setup.pipeline,
        in_flight_max: setup.in_flight_max,
        timeout_ns: target.timeout.0,
    }
}

fn url(target: &Target) -> String {
    let scheme = match (target.protocol, &target.tls) {
        (Protocol::Resp, None) => "redis",
        (Protocol::Resp, Some(_)) => "rediss",
        (Protocol::Http(_), None) => "http",
        (Protocol::Http(_), Some(_)) => "https",
    };
    format!("{scheme}://{}:{}", target.host, target.port)
}

fn arrival(arrival: &Arrival) -> String {
    if let Model::Closed { users } = arrival.model {
        return format!("{users} users");
    }
    let process = match arrival.process {
        Process::Uniform => "evenly spaced",
        Process::Poisson => "Poisson arrivals",
    };
    let pacing = match arrival.pacing {
        Pacing::Precise => "precise",
        Pacing::Balanced => "balanced (within 200 us)",
        Pacing::Batch => "batch (within 1 ms)",
    };
    let late = match arrival.late {
        Late::Queue => "late slots wait".to_owned(),
        Late::Drop(most) => format!("late slots are dropped after {most}"),
        Late::NoCatchUp => "late slots are missed".to_owned(),
    };
    format!("{process}, pacing {pacing}, {late}")
}

fn phases(setup: &Setup<'_>, measured: &Measured) -> Vec<PhaseFinding> {
    let planned = setup.schedule.phases().iter().zip(&measured.gathered.phases);
    (0..)
        .zip(planned)
        .map(|(number, (phase, recording))| {
            let span = Span {
                name: phase.name.clone(),
                is_recorded: phase.record,
                start_ns: phase.start_ns,
                end_ns: phase.end_ns,
                active_ns: active_ns(setup, measured, number),
            };
            let mine = measured.gathered.windows.iter().filter(|window| window.phase == number);
            PhaseFinding::new(span, recording).over(mine)
        })
        .collect()
}

/// How long it was the phase: as planned, or until the run was stopped.
fn active_ns(setup: &Setup<'_>, measured: &Measured, number: u16) -> u64 {
    let mine = setup.schedule.segments().iter().filter(|segment| segment.phase == number);
    let until_ns = if setup.is_stopped(measured.lasted_ns) { measured.lasted_ns } else { u64::MAX };
    mine.map(|one| one.end_ns.min(until_ns).saturating_sub(one.start_ns)).sum()
}

/// Returns all recorded phases as one.
fn total(setup: &Setup<'_>, measured: &Measured) -> PhaseFinding {
    let mut recording = Recording::default();
    let mut span = Span { name: TOTAL.to_owned(), is_recorded: true, ..Span::default() };
    let phases = setup.schedule.phases();
    let recorded = (0..).zip(phases.iter().zip(&measured.gathered.phases));
    let recorded = recorded.filter(|(_, (phase, _))| phase.record);
    span.start_ns = phases.iter().filter(|p| p.record).map(|p| p.start_ns).min().unwrap_or(0);
    for (number, (phase, noted)) in recorded {
        recording.merge(noted);
        span.end_ns = span.end_ns.max(phase.end_ns);
        span.active_ns += active_ns(setup, measured, number);
    }
    let is_recorded = |number: u16| phases.get(usize::from(number)).is_some_and(|p| p.record);
    let windows = measured.gathered.windows.iter().filter(|window| is_recorded(window.phase));
    PhaseFinding::new(span, &recording).over(windows)
}
