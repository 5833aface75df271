//! What a comparison of pairs found, as one value: all points, and what may be claimed of them.

use quipu_stats::holm::holm;
use quipu_stats::pair::Side;
use quipu_stats::spread;
use quipu_stats::verdict::{self, Comparison, Goal, Verdict as Judged};
use serde::{Deserialize, Serialize};

use super::{ALPHA, Done, Ending, Pairs, PairsPlan, Turn};
use crate::finding::Environment;
use crate::metric::Declared;
use crate::validity::Verdict;

/// The version of the form.
const VERSION: u32 = 1;

/// What may be claimed of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// It is worse by more than the margin.
    Regressed,
    /// Nothing yet.
    Inconclusive,
    /// It is better by more than the margin.
    Improved,
    /// The difference is smaller than the margin.
    Equivalent,
}

impl Claim {
    /// Reads the claim of a verdict.
    pub fn of(verdict: Judged) -> Self {
        match verdict {
            Judged::Regressed => Self::Regressed,
            Judged::Improved => Self::Improved,
            Judged::Equivalent => Self::Equivalent,
            Judged::Inconclusive { .. } => Self::Inconclusive,
        }
    }

    /// Returns what is claimed of a candidate with these claims: one regression is a regression, and
    /// without it one open question leaves all open. Nothing claims nothing.
    pub fn overall(claims: impl Iterator<Item = Self>) -> Self {
        claims.min().unwrap_or(Self::Inconclusive)
    }
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Regressed => "regressed",
            Self::Inconclusive => "inconclusive",
            Self::Improved => "improved",
            Self::Equivalent => "equivalent",
        })
    }
}

/// What a comparison of pairs found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairsResult {
    /// The version of the form.
    pub version: u32,
    /// What is claimed of B against A, over all declared metrics.
    pub claim: Claim,
    /// Why there are no more slices.
    pub ending: Ending,
    /// The chance of a false claim over all metrics together.
    pub alpha: f64,
    /// What the order and everything drawn follows from.
    pub seed: u64,
    /// Whole pairs.
    pub pairs: u64,
    /// Pairs that would probably settle what is open, in whole blocks.
    pub further_pairs: Option<u64>,
    /// A, what is compared with.
    pub baseline: SideResult,
    /// B, what is judged.
    pub candidate: SideResult,
    /// What the pilot planned, if it came so far.
    pub plan: Option<PairsPlan>,
    /// Each declared metric.
    pub metrics: Vec<Compared>,
    /// All slices in the order in which they ran.
    pub slices: Vec<Part>,
}

/// One side.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SideResult {
    /// Its scenario.
    pub name: String,
    /// What was tested, as a URL.
    pub target: String,
    /// Where it ran.
    pub environment: Environment,
    /// Slices that count.
    pub slices: u64,
    /// Of these, slices that may say something else.
    pub suspect: u64,
    /// Slices that said nothing and were repeated.
    pub unusable: u64,
    /// Requests of the slices that count that were answered as expected.
    pub ok: u64,
    /// Requests of the slices that count that were not.
    pub failed: u64,
}

/// What may be said of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// Which, with what was asked of it.
    #[serde(flatten)]
    pub declared: Declared,
    /// The claim, after Holm's correction.
    pub claim: Claim,
    /// The values of A, pair by pair.
    pub baseline: Vec<f64>,
    /// The values of B, pair by pair.
    pub candidate: Vec<f64>,
    /// The median of A.
    pub baseline_median: f64,
    /// The median of B.
    pub candidate_median: f64,
    /// B over A: the Hodges-Lehmann estimate.
    pub ratio: f64,
    /// Its interval of confidence 1 - alpha, low and high.
    pub interval: Option<(f64, f64)>,
    /// P value of no difference (Wilcoxon, two-sided).
    pub p_no_difference: f64,
    /// P value of the nearest claim.
    pub p_claim: f64,
    /// The same after Holm's correction over the declared metrics.
    pub p_adjusted: f64,
    /// Standard deviation of the log ratios.
    pub deviation: f64,
    /// The least difference that so many pairs find four times out of five, as a ratio.
    pub detectable_ratio: f64,
    /// Pairs that would probably settle it.
    pub further_pairs: Option<u64>,
}

/// One slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Its pair, from 0.
    pub pair: u64,
    /// `A` or `B`.
    pub side: char,
    /// What may be said of it.
    pub verdict: Verdict,
    /// The declared metrics in their order; nothing if it says nothing.
    pub values: Option<Vec<f64>>,
    /// Why it says nothing, or may say something else.
    pub reasons: Vec<String>,
    /// What declared metric it does not have though nothing is wrong with it, and why.
    pub missing: Option<String>,
}

impl Pairs {
    /// Returns what was found. `sides` are A and B with their names; what they did is filled in.
    pub fn result(&self, sides: [SideResult; 2]) -> PairsResult {
        let [baseline, candidate] = sides;
        let ending = match self.turn() {
            Turn::Over(ending) => ending,
            Turn::Slice(_) => Ending::Stopped,
        };
        let metrics = self.compared();
        let open = metrics.iter().filter(|metric| metric.claim == Claim::Inconclusive);
        // One question without an answer in reach has no number, whatever the others need.
        let further = open.map(|metric| metric.further_pairs).reduce(|a, b| Some(a?.max(b?)));
        PairsResult {
            version: VERSION,
            claim: Claim::overall(metrics.iter().map(|metric| metric.claim)),
            ending,
            alpha: ALPHA,
            seed: self.settings.seed,
            pairs: self.usable / 2,
            further_pairs: further.flatten().map(|pairs| pairs + pairs % 2),
            baseline: self.filled(baseline, Side::Baseline),
            candidate: self.filled(candidate, Side::Candidate),
            plan: self.plan.clone(),
            metrics,
            slices: self.done.iter().map(part).collect(),
        }
    }

    /// Judges each metric, and all of them together.
    fn compared(&self) -> Vec<Compared> {
        let of = |(index, declared): (usize, &Declared)| {
            let (baseline, candidate) = self.points(index);
            let goal = Goal {
                better: declared.metric.better(),
                margin_ratio: declared.margin_ratio,
                alpha: ALPHA,
            };
            let found = verdict::compare(&baseline, &candidate, &goal)?;
            Some((*declared, [baseline, candidate], found))
        };
        let judged: Vec<_> = self.settings.declared.iter().enumerate().filter_map(of).collect();
        let comparisons: Vec<Comparison> = judged.iter().map(|(_, _, found)| *found).collect();
        let verdicts = verdict::together(&comparisons, ALPHA);
        let p_claims: Vec<f64> = comparisons.iter().map(|found| found.p_claim).collect();
        let finals = verdicts.into_iter().zip(holm(&p_claims));
        judged.into_iter().zip(finals).map(compared).collect()
    }

    fn filled(&self, side: SideResult, which: Side) -> SideResult {
        let mine = || self.done.iter().filter(|done| done.slice.side == which);
        let counted = || mine().filter(|done| done.sample.values.is_some());
        let suspect = counted().filter(|done| done.sample.verdict == Verdict::Suspect);
        SideResult {
            slices: counted().count() as u64,
            suspect: suspect.count() as u64,
            unusable: mine().count() as u64 - counted().count() as u64,
            ok: counted().map(|done| done.sample.ok).sum(),
            failed: counted().map(|done| done.sample.failed).sum(),
            ..side
        }
    }
}

type JudgedMetric = (Declared, [Vec<f64>; 2], Comparison);

fn compared(
    ((declared, sides, found), (verdict, p_adjusted)): (JudgedMetric, (Judged, f64)),
) -> Compared {
    let [baseline, candidate] = sides;
    let further_pairs = match verdict {
        Judged::Inconclusive { further_pairs } => further_pairs,
        _ => None,
    };
    let median = |values: &[f64]| spread::median(values).unwrap_or(0.0);
    Compared {
        declared,
        claim: Claim::of(verdict),
        baseline_median: median(&baseline),
        candidate_median: median(&candidate),
        baseline,
        candidate,
        ratio: found.ratio,
        interval: found.interval.map(|interval| (interval.low, interval.high)),
        p_no_difference: found.p_no_difference,
        p_claim: found.p_claim,
        p_adjusted,
        deviation: found.deviation,
        detectable_ratio: found.detectable_ratio,
        further_pairs,
    }
}

fn part(done: &Done) -> Part {
    Part {
        pair: done.slice.pair,
        side: if done.slice.side == Side::Baseline { 'A' } else { 'B' },
        verdict: done.sample.verdict,
        values: done.sample.values.clone(),
        reasons: done.sample.reasons.clone(),
        missing: done.sample.missing.clone(),
    }
}
