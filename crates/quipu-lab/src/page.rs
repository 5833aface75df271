//! A finding as a page of text.

use std::fmt::Write as _;

use stdx::units::{Bytes, Nanos};

use crate::finding::{Finding, Generator, Latency, PhaseFinding};
use crate::slo::Outcome;
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

/// A percentile is shown only if a few requests lie beyond it (reference: a tail count of 100 is good
/// to 20 %, one of 10 to a factor; below that it is the maximum by another name).
pub(crate) const TAIL_COUNT_MIN: f64 = 10.0;

fn latency(name: &str, latency: &Latency, text: &mut String) {
    let p = &latency.percentiles;
    let show = |ns: u64, share_beyond: f64| {
        if latency.count as f64 * share_beyond < TAIL_COUNT_MIN {
            return "n/a".to_owned();
        }
        Nanos(ns).approximate()
    };
    line(
        text,
        format_args!(
            "  {name:<18} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            show(latency.mean_ns as u64, 1.0),
            show(p.p50_ns, 0.5),
            show(p.p90_ns, 0.1),
            show(p.p99_ns, 0.01),
            show(p.p999_ns, 0.001),
            show(p.p9999_ns, 0.0001),
            Nanos(p.max_ns).approximate()
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
    let machine = &generator.machine;
    let pressure = match machine.cpu_pressure_ratio {
        Some(ratio) => format!("{:.1} %", ratio * 100.0),
        None => "unknown".to_owned(),
    };
    line(
        text,
        format_args!(
            "machine     steal {:.2} %, CPU pressure {pressure}, {} TCP retransmits, {} listen overflows",
            machine.steal_ratio * 100.0,
            machine.tcp_retransmits,
            machine.listen_overflows
        ),
    );
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
