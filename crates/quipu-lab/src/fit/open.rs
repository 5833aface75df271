//! Open loops: the time of an answer by the rate, and the knee.

use std::collections::BTreeMap;

use quipu_stats::bootstrap::Resampling;
use quipu_stats::interval::Interval;
use quipu_stats::knee::{self, Point};
use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::recording::{Latencies, latencies, merge};
use crate::window::{Window, decode};

/// Windows whose rates differ by less are one point, whose histograms are merged: a second of a ramp has
/// too few requests for a mean of its own (guess).
const SAME_RATE_RATIO: f64 = 1.05;

/// The least share of the sent requests that must be answered in a window below the capacity.
const ANSWERED_MIN: f64 = 0.98;

/// How far beyond the greatest rate the capacity may lie, to be told. Source: the specification, which
/// refuses laws that reach further than twice the data.
const BEYOND_THE_DATA_MAX: f64 = 2.0;

/// Times the capacity beyond which the high end of its interval is written as "or more" (guess: an
/// interval over an order of magnitude says that the data show no end).
const HIGH_END_MAX: f64 = 10.0;

/// One rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RatePoint {
    /// Requests sent per second.
    pub rate_per_s: f64,
    /// The mean response time, in nanoseconds.
    pub mean_ns: f64,
    /// 99 % of the response times are at most this, in nanoseconds.
    pub p99_ns: u64,
}

/// R(rate) = s / (1 - rate / C).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KneeCurve {
    /// The rates, lowest first.
    pub points: Vec<RatePoint>,
    /// Windows that were left out because a backlog grew in them.
    pub overloaded_windows: usize,
    /// The mean time of an answer at rest, in nanoseconds, with its interval: s.
    pub at_rest_ns: Option<(f64, f64, f64)>,
    /// The rate at which answers would take for ever, with its interval: C. The interval may reach
    /// further than the data.
    pub capacity_per_s: Option<(f64, f64, f64)>,
    /// How far the points lie from the curve, as a ratio.
    pub residual_ratio: Option<f64>,
    /// Why there is no curve.
    pub no_curve: Option<String>,
}

impl KneeCurve {
    /// Where the curve ends, in words. A high end that is no number of any machine is not written.
    pub fn end(&self) -> Option<String> {
        let (end, least, most) = self.capacity_per_s?;
        let most =
            if most <= end * HIGH_END_MAX { format!("to {most:.0}") } else { "or more".into() };
        Some(format!("{end:.0}/s ({least:.0} {most})"))
    }
}

/// Windows of open loops by their rates, of as many runs as are added.
#[derive(Debug, Clone, Default)]
pub struct Rates {
    groups: BTreeMap<i64, Group>,
    overloaded_windows: usize,
}

impl Rates {
    /// Adds what a run recorded. Memory: a histogram for each rate that differs from the others.
    pub fn add(&mut self, finding: &Finding) {
        for window in recorded(finding) {
            if is_overloaded(window) {
                self.overloaded_windows += 1;
            } else {
                let rate = sent_per_s(window);
                let group = (rate.ln() / SAME_RATE_RATIO.ln()).round() as i64;
                self.groups.entry(group).or_default().add(window);
            }
        }
    }

    /// Returns the curve through all of them.
    pub fn curve(&self, resampling: &Resampling) -> KneeCurve {
        let points: Vec<RatePoint> = self.groups.values().filter_map(Group::point).collect();
        let data = points
            .iter()
            .map(|point| Point { rate_per_s: point.rate_per_s, response_s: point.mean_ns / 1e9 });
        let fit = knee::fit(&data.collect::<Vec<_>>(), resampling);
        let greatest_per_s = points.last().map_or(0.0, |point| point.rate_per_s);
        let is_seen =
            |fit: &knee::Fit| fit.knee.capacity_per_s <= greatest_per_s * BEYOND_THE_DATA_MAX;
        let no_curve = match &fit {
            None => Some(format!(
                "it takes four different rates below the capacity, and there are {}",
                points.len()
            )),
            Some(fit) if !is_seen(fit) => Some(format!(
                "up to {greatest_per_s:.0}/s answers slow down too little to show one"
            )),
            Some(_) => None,
        };
        let fit = fit.filter(is_seen);
        KneeCurve {
            at_rest_ns: fit.as_ref().map(|fit| {
                let Interval { low, high } = fit.service_s;
                (fit.knee.service_s * 1e9, low * 1e9, high * 1e9)
            }),
            capacity_per_s: fit.as_ref().map(|fit| {
                (fit.knee.capacity_per_s, fit.capacity_per_s.low, fit.capacity_per_s.high)
            }),
            residual_ratio: fit.as_ref().map(|fit| fit.residual_ratio),
            points,
            overloaded_windows: self.overloaded_windows,
            no_curve,
        }
    }
}

fn recorded(finding: &Finding) -> impl Iterator<Item = &Window> {
    finding.windows.iter().filter(|window| {
        let phase = finding.phases.get(usize::from(window.phase));
        phase.is_some_and(|phase| phase.is_recorded) && window.counts.sent > 0
    })
}

fn sent_per_s(window: &Window) -> f64 {
    window.counts.sent as f64 * 1e9 / window.len_ns.max(1) as f64
}

/// Above the capacity, times grow with the length of the run and not with the rate.
fn is_overloaded(window: &Window) -> bool {
    let counts = &window.counts;
    counts.missed > 0 || (counts.ok as f64) < ANSWERED_MIN * counts.sent as f64
}

/// Windows of one rate.
#[derive(Debug, Clone)]
struct Group {
    sent: u64,
    len_ns: u64,
    response: Latencies,
}

impl Default for Group {
    fn default() -> Self {
        Self { sent: 0, len_ns: 0, response: latencies() }
    }
}

impl Group {
    fn add(&mut self, window: &Window) {
        self.sent += window.counts.sent;
        self.len_ns += window.len_ns;
        if let Some(response) = decode(&window.response_hdr) {
            merge(&mut self.response, &response);
        }
    }

    fn point(&self) -> Option<RatePoint> {
        (!self.response.is_empty()).then(|| RatePoint {
            rate_per_s: self.sent as f64 * 1e9 / self.len_ns.max(1) as f64,
            mean_ns: self.response.mean(),
            p99_ns: self.response.value_at_quantile(0.99),
        })
    }
}
