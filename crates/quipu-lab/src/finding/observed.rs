//! What a run saw of itself, for the gates of its validity.

use crate::finding::{Finding, Thread};
use crate::scenario::Scenario;
use crate::validity::Observed;

/// Classes of failures in which the client's own connection went wrong.
const SOCKET_CLASSES: [&str; 10] = [
    "connect-refused",
    "connect-timeout",
    "connect-failed",
    "tls",
    "tls-certificate",
    "tls-protocol",
    "tls-timeout",
    "write",
    "closed",
    "goaway",
];

/// Reads it from the phases that belong to the result.
pub(super) fn observed(finding: &Finding, scenario: &Scenario) -> Observed {
    let total = &finding.total;
    let threads = &finding.generator.threads;
    let machine = &finding.generator.machine;
    let failures = total.failures.iter();
    let socket_errors = failures.filter(|(class, _)| SOCKET_CLASSES.contains(&class.as_str()));
    let ended = total.counts.ok + total.counts.failed;
    Observed {
        is_open: !finding.plan.is_closed,
        planned: total.counts.planned,
        sent: total.counts.sent,
        lag_p99_ns: finding.generator.own_lag.as_ref().map(|lag| lag.percentiles.p99_ns),
        held_back: threads.iter().map(|thread| thread.held_back).sum(),
        generator_cpu: threads.iter().map(|thread| thread.busy_ratio).collect(),
        steal: Some(machine.steal_ratio),
        run_queue_wait: run_queue_wait(threads, finding.lasted_ns),
        in_flight_mean: total.in_flight_mean,
        ended_per_s: ended as f64 * 1e9 / total.active_ns.max(1) as f64,
        service_mean_ns: total.ended_mean_ns,
        socket_errors: socket_errors.map(|(_, latency)| latency.count).sum(),
        lost_segments: Some(machine.lost_segments()),
        listen_overflows: Some(machine.listen_overflows),
        clock_source: Some(finding.environment.clock_source.clone()).filter(|s| !s.is_empty()),
        saturated: total.counts.saturated,
        failed: total.counts.failed,
        ended,
        latency_limit_ns: scenario.latency_limit_ns(),
    }
}

/// The greatest share of its time that a thread was ready and did not run.
fn run_queue_wait(threads: &[Thread], lasted_ns: u64) -> Option<f64> {
    let waits = threads.iter().map(|thread| thread.run_queue_wait_ns as f64);
    waits.reduce(f64::max).map(|wait_ns| wait_ns / lasted_ns.max(1) as f64)
}
