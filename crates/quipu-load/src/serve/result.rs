//! What a client reads of a test: its order, how it ended, success rates and latencies by phase.

use std::collections::BTreeMap;

use quipu_lab::conservation::Conservation;
use quipu_lab::finding::{Finding, Latency, PhaseFinding};
use quipu_lab::slo::Outcome;
use quipu_lab::validity::Verdict;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::serve::order::{Kind, Order};

/// How far a test is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// It is under way.
    Running,
    /// Its plan was carried out.
    Completed,
    /// It was stopped before that.
    Cancelled,
    /// It could not begin.
    Failed,
}

/// What is known of a test.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TestResult {
    /// Its name in paths; sorts by when it began.
    pub(crate) id: String,
    /// What the client calls it.
    pub(crate) test_name: String,
    /// Which test.
    pub(crate) kind: Kind,
    /// What was tested.
    pub(crate) target: String,
    /// How far it is.
    pub(crate) status: Status,
    /// When it began, in UTC.
    pub(crate) started_at: String,
    /// When it ended, in UTC.
    pub(crate) ended_at: Option<String>,
    /// Why it was cancelled or failed.
    pub(crate) reason: Option<String>,
    /// The order as it was understood.
    pub(crate) order: Value,
    /// What was found, if it began and has ended.
    pub(crate) summary: Option<Summary>,
}

/// What was found, in the units of people.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    /// What may be said of the run itself; figures of an INVALID one are not the target's.
    pub(crate) verdict: Verdict,
    /// Why it is not VALID.
    pub(crate) verdict_reasons: Vec<String>,
    /// Whether every promise was kept.
    pub(crate) keeps_promises: bool,
    /// From the start until the last request ended, in seconds.
    pub(crate) duration_seconds: f64,
    /// All recorded phases together.
    pub(crate) total: Figures,
    /// The phases in their order.
    pub(crate) phases: Vec<Figures>,
    /// The promises and what became of them.
    pub(crate) promises: Vec<Promise>,
    /// Whether every increment was counted once, if the target's counters were read.
    pub(crate) conservation: Option<Conservation>,
}

/// The figures of a phase.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figures {
    /// Its name.
    pub(crate) phase: String,
    /// Whether it belongs to the result.
    pub(crate) is_recorded: bool,
    /// Requests that were due.
    pub(crate) planned_requests: u64,
    /// Requests that were tried.
    pub(crate) sent_requests: u64,
    /// Answered as expected.
    pub(crate) successful_requests: u64,
    /// Tried and not answered as expected.
    pub(crate) failed_requests: u64,
    /// Never tried.
    pub(crate) missed_requests: u64,
    /// Successful ones of those that were due, in percent.
    pub(crate) success_rate_percent: f64,
    /// Requests that were due per second.
    pub(crate) planned_rate_per_second: f64,
    /// Requests answered as expected per second.
    pub(crate) achieved_rate_per_second: f64,
    /// From the moment of the plan to the answer.
    pub(crate) latency_ms: Times,
    /// From the write to the answer.
    pub(crate) service_ms: Times,
    /// Failures by class.
    pub(crate) failures: BTreeMap<String, u64>,
}

/// Percentiles in milliseconds; null where nothing was measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Times {
    mean: Option<f64>,
    p50: Option<f64>,
    p90: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
    p999: Option<f64>,
    max: Option<f64>,
}

/// A promise.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Promise {
    /// The phase, or nothing for all that is recorded.
    phase: Option<String>,
    /// The promise as it was written.
    check: String,
    /// What became of it.
    outcome: Outcome,
    /// What was found.
    found: String,
}

impl TestResult {
    /// A test that begins.
    pub(crate) fn begun(id: String, order: &Order, started_at: String) -> Self {
        Self {
            id,
            test_name: order.test_name.clone(),
            kind: order.kind,
            target: order.target.clone(),
            status: Status::Running,
            started_at,
            ended_at: None,
            reason: None,
            order: order.echo(),
            summary: None,
        }
    }

    /// The same in a line of a list.
    pub(crate) fn line(&self) -> Value {
        let summary = self.summary.as_ref();
        serde_json::json!({
            "id": self.id,
            "testName": self.test_name,
            "kind": self.kind,
            "target": self.target,
            "status": self.status,
            "startedAt": self.started_at,
            "endedAt": self.ended_at,
            "verdict": summary.map(|summary| summary.verdict),
            "keepsPromises": summary.map(|summary| summary.keeps_promises),
            "successRatePercent": summary.map(|summary| summary.total.success_rate_percent),
            "latencyMsP95": summary.and_then(|summary| summary.total.latency_ms.p95),
        })
    }
}

impl Summary {
    /// Reads it from a finding.
    pub(crate) fn of(finding: &Finding) -> Self {
        let promises = finding.promises.iter().map(|promise| Promise {
            phase: promise.phase.clone(),
            check: promise.judgement.check.clone(),
            outcome: promise.judgement.outcome,
            found: promise.judgement.left.clone(),
        });
        Self {
            verdict: finding.validity.verdict,
            verdict_reasons: finding.validity.reasons().collect(),
            keeps_promises: finding.keeps_promises(),
            duration_seconds: finding.lasted_ns as f64 / 1e9,
            total: Figures::of(&finding.total),
            phases: finding.phases.iter().map(Figures::of).collect(),
            promises: promises.collect(),
            conservation: finding.conservation.clone(),
        }
    }
}

impl Figures {
    fn of(phase: &PhaseFinding) -> Self {
        let counts = phase.counts;
        let failures = phase.failures.iter().map(|(class, all)| (class.clone(), all.count));
        Self {
            phase: phase.name.clone(),
            is_recorded: phase.is_recorded,
            planned_requests: counts.planned,
            sent_requests: counts.sent,
            successful_requests: counts.ok,
            failed_requests: counts.failed,
            missed_requests: counts.missed,
            success_rate_percent: counts.ok as f64 * 100.0 / counts.planned.max(1) as f64,
            planned_rate_per_second: phase.planned_per_s(),
            achieved_rate_per_second: phase.ok_per_s(),
            latency_ms: Times::of(&phase.response),
            service_ms: Times::of(&phase.service),
            failures: failures.collect(),
        }
    }
}

impl Times {
    fn of(latency: &Latency) -> Self {
        if latency.count == 0 {
            return Self::default();
        }
        let ms = |ns: u64| Some(ns as f64 / 1e6);
        let percentiles = latency.percentiles;
        Self {
            mean: Some(latency.mean_ns / 1e6),
            p50: ms(percentiles.p50_ns),
            p90: ms(percentiles.p90_ns),
            p95: ms(percentiles.p95_ns),
            p99: ms(percentiles.p99_ns),
            p999: ms(percentiles.p999_ns),
            max: ms(percentiles.max_ns),
        }
    }
}
