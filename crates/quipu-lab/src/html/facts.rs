//! What a run rests on: its gates, its accuracy, its generator and the machine.

use stdx::units::Bytes;

use super::axis::span;
use super::section;
use super::table::{Cell, pairs, table};
use crate::finding::{Finding, Generator, Server, Thread};
use crate::markup::escaped;
use crate::validity::{Gate, Verdict};

/// Returns what the verdict rests on.
pub(super) fn gates(finding: &Finding) -> String {
    let row = |gate: &Gate| {
        let state = match gate.verdict {
            Some(Verdict::Valid) => Cell::State("good", "good".to_owned()),
            Some(Verdict::Suspect) => Cell::State("unsure", "suspect".to_owned()),
            Some(Verdict::Invalid) => Cell::State("bad", "invalid".to_owned()),
            None => Cell::text("not measured"),
        };
        let name = Cell::text(&gate.name);
        vec![state, name, Cell::Number(gate.measured.clone()), Cell::text(&gate.limit)]
    };
    let rows: Vec<_> = finding.validity.gates.iter().map(row).collect();
    section("What the verdict rests on", &table(&["", "gate", "measured", "limit"], &rows))
}

/// Returns what the generator says of its own accuracy.
pub(super) fn accuracy(finding: &Finding) -> String {
    let said = finding.accuracy.as_deref().map_or_else(
        || "Not measured on this machine: <code>quipu load selftest</code> does.".to_owned(),
        escaped,
    );
    section("Accuracy of the generator", &format!("<p id=accuracy>{said}</p>\n"))
}

/// Returns what was asked, by what, where.
pub(super) fn about(finding: &Finding) -> String {
    let mut about = plan(finding);
    about.extend(generator(&finding.generator));
    about.extend(finding.server.iter().flat_map(server));
    about.extend(environment(finding));
    section("What was asked, by what, and where", &pairs(&about))
}

fn plan(finding: &Finding) -> Vec<(&'static str, String)> {
    let plan = &finding.plan;
    vec![
        ("arrivals", plan.arrival.clone()),
        ("connections", format!("{}, pipeline {}", plan.connections, plan.pipeline)),
        ("in flight at most", plan.in_flight_max.to_string()),
        ("timeout", span(plan.timeout_ns as f64)),
        ("seed", plan.seed.to_string()),
    ]
}

fn generator(generator: &Generator) -> Vec<(&'static str, String)> {
    let busy = generator.threads.iter().map(|thread| format!("{:.1} %", thread.busy_ratio * 100.0));
    let busy: Vec<_> = busy.collect();
    let machine = &generator.machine;
    let share =
        |ratio: Option<f64>| ratio.map_or(String::new(), |ratio| format!("{:.1} %", ratio * 100.0));
    let held_back: u64 = generator.threads.iter().map(|thread| thread.held_back).sum();
    let longest = |of: fn(&Thread) -> u64| {
        let ns = generator.threads.iter().map(of).max().unwrap_or(0);
        if ns == 0 { String::new() } else { span(ns as f64) }
    };
    vec![
        ("generator threads, busy", busy.join(", ")),
        ("generator CPU per request", span(generator.cpu_ns_per_request)),
        ("generator memory", Bytes(generator.rss_bytes).approximate()),
        ("slots held back by the limit in flight", held_back.to_string()),
        ("longest time without an answer", longest(|thread| thread.silence_ns)),
        ("generator woke at most this late", longest(|thread| thread.absence_ns)),
        ("CPU pressure of the machine", share(machine.cpu_pressure_ratio)),
        ("disk pressure of the machine", share(machine.io_pressure_ratio)),
        ("steal", format!("{:.2} %", machine.steal_ratio * 100.0)),
        ("TCP segments lost", machine.lost_segments().to_string()),
        ("TCP segments sent again needlessly", machine.tcp_needless_retransmits.to_string()),
        ("notes", generator.notes.join("; ")),
    ]
}

fn server(server: &Server) -> Vec<(&'static str, String)> {
    let rss_bytes = server.rss_bytes.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
    vec![
        ("server process", server.pid.to_string()),
        ("server CPU per request", span(server.cpu_ns_per_request)),
        ("server memory at most", Bytes(rss_bytes).approximate()),
    ]
}

fn environment(finding: &Finding) -> Vec<(&'static str, String)> {
    let it = &finding.environment;
    let target = it.target.iter().map(|(name, value)| format!("{name} {value}"));
    let target: Vec<_> = target.collect();
    vec![
        ("CPU", format!("{}, {} usable", it.cpu_model, it.cpus)),
        ("governor", it.governor.clone()),
        ("kernel", it.kernel.clone()),
        ("clock source", it.clock_source.clone()),
        ("TCP congestion control", it.tcp_congestion_control.clone()),
        ("cgroup cpu.max", it.cgroup_cpu_max.clone()),
        ("cgroup memory.max", it.cgroup_memory_max.clone()),
        ("quipu", it.quipu_version.clone()),
        ("the target says of itself", target.join(", ")),
    ]
}
