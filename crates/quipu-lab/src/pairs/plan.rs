//! How many pairs a comparison takes, from the spread of its pilot.

use quipu_stats::{pair, plan as power, spread};
use serde::{Deserialize, Serialize};

use super::{PAIRS_MAX, PILOT_PAIRS, Settings};
use crate::metric::Declared;

/// How many pairs there will be, and what they can see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairsPlan {
    /// All pairs, those of the pilot too; whole blocks.
    pub pairs: u64,
    /// Why there are not as many as are needed.
    pub limit: Option<Limit>,
    /// How long those that are missing take, in nanoseconds.
    pub wall_ns: u64,
    /// What each metric needs.
    pub metrics: Vec<MetricPlan>,
}

/// What keeps a plan from having as many pairs as it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Someone asked for fewer.
    Asked,
    /// The time that there is.
    Time,
    /// More than are ever planned.
    Most,
}

/// What one metric needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricPlan {
    /// Which, with what is asked of it.
    #[serde(flatten)]
    pub declared: Declared,
    /// Standard deviation of the log ratios of the pilot.
    pub deviation: f64,
    /// Pairs that find the wanted difference four times out of five.
    pub pairs_needed: Option<u64>,
    /// The least change that the planned pairs tell from the margin four times out of five, as a ratio.
    pub detectable_ratio: f64,
}

/// Makes the plan. `took_ns` is how long the pilot took.
pub(super) fn plan(
    settings: &Settings,
    points: impl Fn(usize) -> (Vec<f64>, Vec<f64>),
    took_ns: u64,
) -> PairsPlan {
    let deviation = |metric: usize| {
        let (baseline, candidate) = points(metric);
        let ratios = pair::log_ratios(&baseline, &candidate);
        ratios.and_then(|ratios| spread::standard_deviation(&ratios)).unwrap_or(0.0)
    };
    let spreads: Vec<f64> = (0..settings.declared.len()).map(deviation).collect();
    let metrics = || settings.declared.iter().zip(&spreads);
    let needs = metrics().map(|(one, spread)| power::pairs_needed(*spread, one.delta()));
    let needed = needs.map(|pairs| pairs.unwrap_or(u64::MAX)).max().unwrap_or(PILOT_PAIRS);
    let pair_ns = (took_ns / PILOT_PAIRS).max(1);
    let (pairs, limit) = bounded(settings, needed, pair_ns);
    let of = |(one, deviation): (&Declared, &f64)| MetricPlan {
        declared: *one,
        deviation: *deviation,
        pairs_needed: power::pairs_needed(*deviation, one.delta()),
        detectable_ratio: (one.margin_ratio.ln_1p() + power::detectable_effect(*deviation, pairs))
            .exp_m1(),
    };
    let wall_ns = pairs.saturating_sub(PILOT_PAIRS).saturating_mul(pair_ns);
    PairsPlan { pairs, limit, wall_ns, metrics: metrics().map(of).collect() }
}

/// The pairs that there will be: what is needed or asked for, in whole blocks of two, within bounds.
fn bounded(settings: &Settings, needed: u64, pair_ns: u64) -> (u64, Option<Limit>) {
    let blocks = |pairs: u64| pairs.saturating_add(pairs % 2);
    let in_time = (settings.time_max_ns / pair_ns) & !1;
    let wanted = settings.pairs.unwrap_or(needed);
    let asked = (wanted < needed).then_some(Limit::Asked);
    let bounds =
        [(blocks(wanted), asked), (in_time, Some(Limit::Time)), (PAIRS_MAX, Some(Limit::Most))];
    // Of equal bounds the first: who asked for as many as there is time for, asked for them.
    let least =
        |best: (u64, Option<Limit>), next| if next_is_less(best, next) { next } else { best };
    let (pairs, limit) = bounds.into_iter().reduce(least).unwrap_or((PILOT_PAIRS, None));
    (pairs.max(PILOT_PAIRS), limit)
}

fn next_is_less(best: (u64, Option<Limit>), next: (u64, Option<Limit>)) -> bool {
    next.0 < best.0
}
