//! Closed loops: throughput by the number of users, and the Universal Scalability Law through it.

use quipu_stats::bootstrap::Resampling;
use quipu_stats::interval::Interval;
use quipu_stats::little::little;
use quipu_stats::usl::{self, NoPeak, Peak};
use serde::{Deserialize, Serialize};
use stdx::units::Nanos;

use super::Run;
use crate::scenario::{Load, Model, Phase, Scenario};

/// By how much Little's law may be missed. Source: the gate of a run.
const LITTLE_TOLERANCE: f64 = 0.02;

/// How long a level warms up, against how long it records (guess).
const WARM_UP: f64 = 0.2;

/// One number of users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Users, each with one request under way.
    pub users: f64,
    /// Requests answered as expected, per second.
    pub per_s: f64,
    /// The mean time of a request, in nanoseconds.
    pub mean_ns: f64,
    /// 99 % of the requests took at most this, in nanoseconds.
    pub p99_ns: u64,
    /// Requests under way over throughput times time: 1 where Little's law holds.
    pub little_ratio: Option<f64>,
    /// Whether the generator was the limit.
    pub is_generator_bound: bool,
}

impl Level {
    /// Reads a run.
    pub(super) fn of(run: &Run) -> Self {
        let total = &run.finding.total;
        let ended = total.counts.ok + total.counts.failed;
        let ended_per_s = ended as f64 * 1e9 / total.active_ns.max(1) as f64;
        let found = little(total.in_flight_mean, ended_per_s, total.ended_mean_ns / 1e9);
        let users = run.users.map_or_else(|| total.in_flight_mean.max(1.0), f64::from);
        Self {
            users,
            per_s: total.ok_per_s(),
            mean_ns: total.service.mean_ns,
            p99_ns: total.service.percentiles.p99_ns,
            little_ratio: found.map(|found| found.ratio),
            is_generator_bound: run.finding.validity.is_generator_bound,
        }
    }

    /// Whether throughput, time and requests under way agree.
    pub fn holds_little(&self) -> bool {
        self.little_ratio.is_some_and(|ratio| (ratio - 1.0).abs() <= LITTLE_TOLERANCE)
    }
}

/// Closed loops by the number of users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// The levels, fewest users first.
    pub levels: Vec<Level>,
    /// The law, if it can be fitted.
    pub law: Option<ScalingLaw>,
    /// Why it cannot.
    pub no_law: Option<String>,
}

/// X(N) = g N / (1 + a (N - 1) + b N (N - 1)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScalingLaw {
    /// Throughput of one user, per second: g.
    pub single_per_s: f64,
    /// The share that waits for others: a.
    pub contention: f64,
    /// Its interval, low and high.
    pub contention_interval: (f64, f64),
    /// The cost of agreeing with each of the others: b.
    pub coherency: f64,
    /// Its interval, low and high.
    pub coherency_interval: (f64, f64),
    /// Root of the mean squared residual over the mean throughput.
    pub residual_ratio: f64,
    /// Where throughput is greatest, if the data show it.
    pub peak: Option<SeenPeak>,
    /// Why no peak is named.
    pub no_peak: Option<String>,
}

/// A peak that the data show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeenPeak {
    /// Users at the peak.
    pub users: f64,
    /// Their interval, low and high.
    pub users_interval: (f64, f64),
    /// The throughput there, per second.
    pub per_s: f64,
}

impl Scaling {
    pub(super) fn of(mut levels: Vec<Level>, resampling: &Resampling) -> Self {
        levels.sort_by(|left, right| left.users.total_cmp(&right.users));
        // A level that answered nothing is shown and belongs to no law.
        let answered = levels.iter().filter(|level| level.per_s > 0.0);
        let data = answered
            .map(|level| usl::Level { concurrency: level.users, throughput_per_s: level.per_s });
        let (law, no_law) = match usl::fit(&data.collect::<Vec<_>>(), resampling) {
            Ok(fit) => (Some(ScalingLaw::of(&fit)), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self { levels, law, no_law }
    }
}

fn ends(interval: Interval) -> (f64, f64) {
    (interval.low, interval.high)
}

impl ScalingLaw {
    fn of(fit: &usl::Fit) -> Self {
        let (peak, no_peak) = match fit.peak {
            Peak::Seen { concurrency, interval, throughput_per_s } => {
                let users_interval = ends(interval);
                let peak = SeenPeak { users: concurrency, users_interval, per_s: throughput_per_s };
                (Some(peak), None)
            }
            Peak::NotSeen(NoPeak::CoherencyMayBeZero) => {
                (None, Some("throughput may grow on: the interval of b reaches 0"))
            }
            Peak::NotSeen(NoPeak::BeyondTheData) => {
                (None, Some("it would lie beyond twice the most users that were run"))
            }
        };
        Self {
            single_per_s: fit.law.single_per_s,
            contention: fit.law.contention,
            contention_interval: ends(fit.contention),
            coherency: fit.law.coherency,
            coherency_interval: ends(fit.coherency),
            residual_ratio: fit.residual_ratio,
            peak,
            no_peak: no_peak.map(str::to_owned),
        }
    }
}

/// Returns what one level runs: a warm-up that is not recorded, then so many users for so long, with
/// connections for all of them.
pub fn scenario(base: &Scenario, users: u32, lasts: Nanos) -> Scenario {
    let phase = |name: &str, lasts: Nanos, record| Phase {
        name: name.to_owned(),
        load: Load::Users(users),
        lasts,
        window: Nanos::from_secs(1).min(lasts),
        record,
        repeat: None,
        abort_if: None,
    };
    let warm_up = Nanos((lasts.0 as f64 * WARM_UP) as u64).max(Nanos::from_millis(100));
    let mut level = base.clone();
    level.phases = vec![phase("warmup", warm_up, false), phase("level", lasts, true)];
    level.arrival.model = Model::Closed { users };
    level.arrival.max_in_flight = level.arrival.max_in_flight.max(users);
    let connections = users.div_ceil(level.target.pipeline.max(1));
    level.target.connections = level.target.connections.max(connections);
    level.slos.clear();
    level.search = None;
    level
}
