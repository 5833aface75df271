//! Saved results of two sides beside each other: what differs, and what may be said of it.
//!
//! Histograms of one side are merged and its counts added; percentiles are never averaged. With
//! enough runs per side each run is one point of an unpaired test; with fewer there is no verdict.

mod doubt;
mod page;

use quipu_stats::holm::holm;
use quipu_stats::unpaired::{self, RUNS_MIN};
use quipu_stats::verdict::Goal;
use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::metric::{Declared, Metric, latency};
use crate::pairs::{ALPHA, Claim};
use crate::recording::{Latencies, latencies, merge};
use crate::validity::Verdict;
use crate::window::decode;

/// The version of the form.
const VERSION: u32 = 1;

/// A result and where it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// Its file.
    pub name: String,
    /// What it says.
    pub finding: Finding,
}

/// What a comparison of saved results found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The version of the form.
    pub version: u32,
    /// What is claimed of the new side, if there are enough runs to claim anything.
    pub claim: Option<Claim>,
    /// What a reader should know before the numbers.
    pub doubts: Vec<String>,
    /// Results of the old side that count.
    pub old_runs: usize,
    /// Results of the new side that count.
    pub new_runs: usize,
    /// The fewest runs of a side for a verdict.
    pub runs_min: usize,
    /// Each metric.
    pub metrics: Vec<Compared>,
}

/// One metric of both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// Which, with what is asked of it.
    #[serde(flatten)]
    pub declared: Declared,
    /// Of all old runs merged; nothing if they have too few requests for it.
    pub old: Option<f64>,
    /// Of all new runs merged.
    pub new: Option<f64>,
    /// The value of each old run that has it.
    pub old_points: Vec<f64>,
    /// The value of each new run that has it.
    pub new_points: Vec<f64>,
    /// What the test says, with enough runs.
    pub test: Option<Tested>,
}

/// What the test of Mann and Whitney says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tested {
    /// The claim, after Holm's correction.
    pub claim: Claim,
    /// New over old: the Hodges-Lehmann estimate.
    pub ratio: f64,
    /// Its interval, low and high.
    pub interval: (f64, f64),
    /// P value of no difference.
    pub p_no_difference: f64,
    /// P value of the nearest claim.
    pub p_claim: f64,
    /// The same after Holm's correction over the declared metrics.
    pub p_adjusted: f64,
}

/// Compares the results of two sides. INVALID results count for nothing and are named.
pub fn compare(old: &[Named], new: &[Named], declared: &[Declared]) -> Comparison {
    let doubts = doubt::doubts(old, new);
    let usable = |side: &[Named]| -> Vec<Finding> {
        let usable = side.iter().filter(|one| one.finding.validity.verdict != Verdict::Invalid);
        usable.map(|one| one.finding.clone()).collect()
    };
    let (old, new) = (usable(old), usable(new));
    let mut metrics: Vec<Compared> =
        declared.iter().map(|one| Compared::of(*one, &old, &new)).collect();
    judge(&mut metrics);
    let claims: Option<Vec<Claim>> =
        metrics.iter().map(|metric| metric.test.map(|test| test.claim)).collect();
    Comparison {
        version: VERSION,
        claim: claims.filter(|claims| !claims.is_empty()).map(|c| Claim::overall(c.into_iter())),
        doubts,
        old_runs: old.len(),
        new_runs: new.len(),
        runs_min: RUNS_MIN,
        metrics,
    }
}

impl Compared {
    fn of(declared: Declared, old: &[Finding], new: &[Finding]) -> Self {
        let metric = declared.metric;
        let points = |side: &[Finding]| -> Vec<f64> {
            side.iter().filter_map(|finding| metric.of(finding).ok()).collect()
        };
        Self {
            declared,
            old: merged(metric, old),
            new: merged(metric, new),
            old_points: points(old),
            new_points: points(new),
            test: None,
        }
    }
}

/// Fills in the tests, of all metrics together.
fn judge(metrics: &mut [Compared]) {
    let test = |metric: &Compared| {
        let declared = &metric.declared;
        let goal = Goal {
            better: declared.metric.better(),
            margin_ratio: declared.margin_ratio,
            alpha: ALPHA,
        };
        unpaired::compare(&metric.old_points, &metric.new_points, &goal)
    };
    let found: Vec<Option<unpaired::Comparison>> = metrics.iter().map(test).collect();
    let p_claims: Vec<f64> =
        found.iter().map(|found| found.map_or(1.0, |found| found.p_claim)).collect();
    for ((metric, found), p_adjusted) in metrics.iter_mut().zip(found).zip(holm(&p_claims)) {
        metric.test = found.map(|found| Tested {
            claim: if p_adjusted <= ALPHA { Claim::of(found.verdict) } else { Claim::Inconclusive },
            ratio: found.ratio,
            interval: (found.interval.low, found.interval.high),
            p_no_difference: found.p_no_difference,
            p_claim: found.p_claim,
            p_adjusted,
        });
    }
}

/// The metric of several runs as if they were one.
fn merged(metric: Metric, side: &[Finding]) -> Option<f64> {
    let sum = |of: fn(&Finding) -> u64| side.iter().map(of).sum::<u64>() as f64;
    let value = match metric {
        Metric::Throughput => sum(|one| one.total.counts.ok) * 1e9 / sum(|one| one.total.active_ns),
        Metric::ServerCpu => {
            let servers: Option<u64> =
                side.iter().map(|one| one.server.as_ref().map(|server| server.cpu_ns)).sum();
            // The CPU time is that of all phases.
            servers? as f64 / sum(|one| one.phases.iter().map(|phase| phase.counts.sent).sum())
        }
        _ => metric.of_histogram(&histogram(side)?)?,
    };
    value.is_finite().then_some(value)
}

/// All response times of several runs; nothing where one of them cannot be read.
pub fn histogram<'f>(side: impl IntoIterator<Item = &'f Finding>) -> Option<Latencies> {
    let mut all = latencies();
    for finding in side {
        let one = latency(finding);
        if one.count > 0 {
            merge(&mut all, &decode(&one.hdr)?);
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests;
