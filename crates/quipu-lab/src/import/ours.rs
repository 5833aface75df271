//! Our own findings.

use super::{Origin, Row, Spread};
use crate::finding::{Finding, Latency, PhaseFinding};

/// Returns the recorded phases, and all of them together where there are several.
pub(super) fn rows(finding: &Finding) -> Vec<Row> {
    let recorded: Vec<_> = finding.phases.iter().filter(|phase| phase.is_recorded).collect();
    let total = (recorded.len() != 1).then_some(&finding.total);
    recorded.into_iter().chain(total).map(|phase| row(finding, phase)).collect()
}

fn row(finding: &Finding, phase: &PhaseFinding) -> Row {
    let is_closed = finding.plan.is_closed;
    Row {
        tool: "quipu",
        part: format!("{}/{}", finding.plan.name, phase.name),
        origin: if is_closed { Origin::ClosedLoop } else { Origin::Plan },
        count: Some(phase.counts.ok),
        per_s: Some(phase.ok_per_s()),
        latency: spread(if is_closed { &phase.service } else { &phase.response }),
    }
}

fn spread(latency: &Latency) -> Spread {
    if latency.count == 0 {
        return Spread::default();
    }
    let p = &latency.percentiles;
    let known = |ns: u64| Some(ns as f64);
    Spread {
        mean_ns: Some(latency.mean_ns),
        p50_ns: known(p.p50_ns),
        p95_ns: known(p.p95_ns),
        p99_ns: known(p.p99_ns),
        p999_ns: known(p.p999_ns),
        max_ns: known(p.max_ns),
    }
}
