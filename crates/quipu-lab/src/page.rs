//! A finding as a page of text.

use std::fmt::Write as _;

use stdx::units::{Bytes, Nanos};

use crate::finding::{Finding, Generator, Latency, Machine, PhaseFinding, Thread};
use crate::slo::Outcome;
use crate::tail;
use crate::window::Window;

/// Returns the page: the verdict, then the numbers.
pub fn page(finding: &Finding) -> String {
    let mut text = String::new();
    verdict(finding, &mut text);
    head(finding, &mut text);
    promises(finding, &mut text);
    for phase in &finding.phases {
        write_phase(phase, finding.plan.is_closed, &mut text);
    }
    if finding.phases.iter().filter(|phase| phase.is_recorded).count() > 1 {
        write_phase(&finding.total, finding.plan.is_closed, &mut text);
    }
    if let Some(conservation) = &finding.conservation {
        line(&mut text, format_args!("\n{}", conservation.sentence()));
    }
    generator(&finding.generator, &mut text);
    if let Some(server) = &finding.server {
        let rss = server.rss_bytes.last().map_or(0, |(_, bytes)| *bytes);
        line(
            &mut text,
            format_args!(
                "server      pid {}, {:.2} us CPU per request, {} memory",
                server.pid,
                server.cpu_ns_per_request / 1e3,
                Bytes(rss).approximate()
            ),
        );
    }
    if let Some(accuracy) = &finding.accuracy {
        line(&mut text, format_args!("\n{accuracy}"));
    }
    text
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("a string takes text");
}

/// Returns one line for a window that is over.
pub fn window(window: &Window) -> String {
    let counts = &window.counts;
    let seconds = window.len_ns.max(1) as f64 / 1e9;
    format!(
        "{:>8}  sent {:>8.0}/s  ok {:>8.0}/s  failed {:>6}  missed {:>6}  p50 {:>8}  p99 {:>8}  in \
         flight {:>7.1}  backlog {}",
        Nanos(window.start_ns + window.len_ns).approximate(),
        counts.sent as f64 / seconds,
        counts.ok as f64 / seconds,
        counts.failed,
        counts.missed,
        Nanos(window.response.p50_ns).approximate(),
        Nanos(window.response.p99_ns).approximate(),
        window.in_flight_mean,
        window.backlog_max
    )
}

fn verdict(finding: &Finding, text: &mut String) {
    line(text, format_args!("run: {}", finding.validity.verdict));
    for reason in finding.validity.reasons() {
        line(text, format_args!("  {reason}"));
    }
}

fn promises(finding: &Finding, text: &mut String) {
    for promise in &finding.promises {
        let judgement = &promise.judgement;
        let outcome = match judgement.outcome {
            Outcome::Pass => "kept",
            Outcome::Fail => "BROKEN",
            Outcome::Unknown => "UNKNOWN",
        };
        let reason = judgement.reason.as_deref().map_or(String::new(), |why| format!(": {why}"));
        line(
            text,
            format_args!(
                "  {outcome:<8} {:<12} {} (found {}{reason})",
                promise.phase.as_deref().unwrap_or("all"),
                judgement.check,
                judgement.left
            ),
        );
    }
}

fn head(finding: &Finding, text: &mut String) {
    let plan = &finding.plan;
    line(text, format_args!("{} -> {}", plan.name, plan.target));
    let kind = if plan.is_closed {
        "closed loop: a throughput test, latency = service time"
    } else {
        "open loop: latency counts from the planned moment"
    };
    line(text, format_args!("{kind}"));
    line(
        text,
        format_args!(
            "{}; {} connections, pipeline {}, at most {} in flight; seed {}",
            plan.arrival, plan.connections, plan.pipeline, plan.in_flight_max, plan.seed
        ),
    );
    if finding.stopped {
        line(text, format_args!("stopped before the end of the plan"));
    }
}

fn write_phase(phase: &PhaseFinding, is_closed: bool, text: &mut String) {
    let counts = &phase.counts;
    let unrecorded = if phase.is_recorded { "" } else { ", not part of the result" };
    let lasted = Nanos(phase.active_ns).approximate();
    line(text, format_args!("\n{} ({lasted}{unrecorded})", phase.name));
    line(
        text,
        format_args!(
            "  planned {}  sent {}  ok {}  failed {}  missed {}  ({:.1} ok/s)",
            counts.planned,
            counts.sent,
            counts.ok,
            counts.failed,
            counts.missed,
            phase.ok_per_s()
        ),
    );
    line(
        text,
        format_args!(
            "  {:<18} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"
        ),
    );
    if !is_closed {
        latency("response", &phase.response, text);
    }
    latency("service", &phase.service, text);
    if !is_closed {
        latency("lag", &phase.lag, text);
    }
    for (class, failures) in &phase.failures {
        latency(&format!("{class} x{}", failures.count), failures, text);
    }
}

fn latency(name: &str, latency: &Latency, text: &mut String) {
    let p = &latency.percentiles;
    let show = |ns: u64, share: f64| {
        if tail::is_told(latency.count, share) { Nanos(ns).approximate() } else { "n/a".to_owned() }
    };
    line(
        text,
        format_args!(
            "  {name:<18} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            show(latency.mean_ns as u64, 0.0),
            show(p.p50_ns, 0.5),
            show(p.p90_ns, 0.9),
            show(p.p99_ns, 0.99),
            show(p.p999_ns, 0.999),
            show(p.p9999_ns, 0.9999),
            Nanos(p.max_ns).approximate()
        ),
    );
}

/// The longest stalls: of the target, and of the generator, which makes a target look stalled.
fn stalls(threads: &[Thread], text: &mut String) {
    let longest = threads.iter().max_by_key(|thread| thread.silence_ns);
    let Some(longest) = longest.filter(|thread| thread.silence_ns > 0) else { return };
    let absence_ns = threads.iter().map(|thread| thread.absence_ns).max().unwrap_or(0);
    line(
        text,
        format_args!(
            "stalls      no answer came for {} until {}; the generator woke at most {} late",
            Nanos(longest.silence_ns).approximate(),
            Nanos(longest.silence_end_ns).approximate(),
            Nanos(absence_ns).approximate()
        ),
    );
}

fn machine(machine: &Machine, text: &mut String) {
    let share = |ratio: Option<f64>| {
        ratio.map_or("unknown".to_owned(), |ratio| format!("{:.1} %", ratio * 100.0))
    };
    line(
        text,
        format_args!(
            "machine     steal {:.2} %, CPU pressure {}, disk pressure {}, {} TCP segments lost, {} sent \
             again needlessly, {} listen overflows",
            machine.steal_ratio * 100.0,
            share(machine.cpu_pressure_ratio),
            share(machine.io_pressure_ratio),
            machine.lost_segments(),
            machine.tcp_needless_retransmits,
            machine.listen_overflows
        ),
    );
}

fn generator(generator: &Generator, text: &mut String) {
    let busiest = generator.threads.iter().map(|thread| thread.busy_ratio).fold(0.0, f64::max);
    line(
        text,
        format_args!(
            "\ngenerator   {} threads, the busiest {:.1} % of a core, {:.2} us CPU per request, {} memory",
            generator.threads.len(),
            busiest * 100.0,
            generator.cpu_ns_per_request / 1e3,
            Bytes(generator.rss_bytes).approximate()
        ),
    );
    stalls(&generator.threads, text);
    let held_back: u64 = generator.threads.iter().map(|thread| thread.held_back).sum();
    if held_back > 0 {
        line(text, format_args!("held back   {held_back} slots, by the limit in flight"));
    }
    machine(&generator.machine, text);
    if let Some(handshakes) = &generator.handshakes {
        line(
            text,
            format_args!(
                "handshakes  {} over TLS, p50 {}, p99 {}",
                handshakes.count,
                Nanos(handshakes.percentiles.p50_ns).approximate(),
                Nanos(handshakes.percentiles.p99_ns).approximate()
            ),
        );
    }
    for note in &generator.notes {
        line(text, format_args!("note        {note}"));
    }
}
