//! Two scenarios in slices that take turns: what is run next, how many pairs it takes, what is said.
//!
//! [`Pairs`] is a step function. [`Pairs::turn`] says which slice is next, [`Pairs::take`] takes what
//! it found. The first [`PILOT_PAIRS`] are the pilot: their spread, not their difference, decides how
//! many pairs there are, so looking at them costs the level of the tests next to nothing (measured by
//! the experiment in the tests). Slices run in blocks A B B A and B A A B in an order that follows
//! from the seed; a slice that says nothing is repeated at once, so that neighbours stay neighbours.

mod page;
mod plan;
mod result;

use quipu_stats::pair::{self, Side};
use quipu_stats::plan::PAIRS_MIN;

pub use self::page::{differences, slice as slice_line};
pub use self::plan::{Limit, MetricPlan, PairsPlan};
pub use self::result::{Claim, Compared, PairsResult, Part, SideResult};

use crate::finding::Finding;
use crate::metric::Declared;
use crate::validity::Verdict;

/// Pairs of the pilot: the fewest that a two-sided rank test can use.
pub const PILOT_PAIRS: u64 = PAIRS_MIN;

/// The chance of a false claim that is accepted, over all declared metrics together.
pub const ALPHA: f64 = 0.05;

/// The most pairs that are planned; at 10 s for a slice, more than a working day.
pub const PAIRS_MAX: u64 = 2_000;

/// The share of slices that may say nothing, and the least number of those (guess: a machine that
/// spoils a third of its slices is no place to measure).
const UNUSABLE_SHARE_MAX: f64 = 1.0 / 3.0;
const UNUSABLE_MIN: u64 = 4;

/// What is compared, and within which bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What is judged, in its order; at least one.
    pub declared: Vec<Declared>,
    /// What the order follows from.
    pub seed: u64,
    /// How many pairs, if someone has decided it; at least [`PILOT_PAIRS`].
    pub pairs: Option<u64>,
    /// How long all of it may take, in nanoseconds.
    pub time_max_ns: u64,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Run a slice.
    Slice(Slice),
    /// Nothing more.
    Over(Ending),
}

/// One slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Its pair, from 0.
    pub pair: u64,
    /// Whose it is.
    pub side: Side,
    /// How often it was tried before.
    pub repeats: u64,
}

/// Why no more slices are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// All pairs are there.
    Complete,
    /// Too many slices said nothing.
    TooManyUnusable,
    /// A slice without fault does not have a declared metric. Repeating it until it does would choose
    /// among slices by what they found.
    Unmeasurable,
    /// Someone has stopped it.
    Stopped,
}

/// What one slice found.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// What may be said of it.
    pub verdict: Verdict,
    /// The declared metrics, in their order; nothing if it says nothing.
    pub values: Option<Vec<f64>>,
    /// Why it says nothing, or may say something else.
    pub reasons: Vec<String>,
    /// What declared metric it does not have though nothing is wrong with it, and why.
    pub missing: Option<String>,
    /// Requests that were answered as expected.
    pub ok: u64,
    /// Requests that were not.
    pub failed: u64,
    /// From the start of the slice to that of the next, in nanoseconds.
    pub took_ns: u64,
}

impl Sample {
    /// Reads the sample of a slice that took so long with all around it.
    pub fn of(finding: &Finding, declared: &[Declared], took_ns: u64) -> Self {
        let verdict = finding.validity.verdict;
        let is_usable = verdict != Verdict::Invalid && !finding.stopped;
        let values: Result<Vec<f64>, String> =
            declared.iter().map(|one| one.metric.of(finding)).collect();
        Self {
            verdict,
            missing: values.as_ref().err().filter(|_| is_usable).cloned(),
            values: values.ok().filter(|_| is_usable),
            reasons: finding.validity.reasons().collect(),
            ok: finding.total.counts.ok,
            failed: finding.total.counts.failed,
            took_ns,
        }
    }
}

/// A slice and what it found.
#[derive(Debug, Clone, PartialEq)]
struct Done {
    slice: Slice,
    sample: Sample,
}

/// A comparison under way.
#[derive(Debug, Clone)]
pub struct Pairs {
    settings: Settings,
    order: Vec<[Side; 2]>,
    done: Vec<Done>,
    /// Slices that count.
    usable: u64,
    plan: Option<PairsPlan>,
    stopped: bool,
}

impl Pairs {
    /// Begins a comparison.
    pub fn new(settings: Settings) -> Self {
        let order = pair::order(PILOT_PAIRS as usize, settings.seed);
        Self { settings, order, done: Vec::new(), usable: 0, plan: None, stopped: false }
    }

    /// Returns what is to be done.
    pub fn turn(&self) -> Turn {
        if self.stopped {
            return Turn::Over(Ending::Stopped);
        }
        if self.done.last().is_some_and(|done| done.sample.missing.is_some()) {
            return Turn::Over(Ending::Unmeasurable);
        }
        if self.unusable() > self.unusable_max() {
            return Turn::Over(Ending::TooManyUnusable);
        }
        let (pair, place) = (self.usable / 2, (self.usable % 2) as usize);
        let Some([first, second]) = self.order.get(pair as usize) else {
            return Turn::Over(Ending::Complete);
        };
        let side = if place == 0 { *first } else { *second };
        let tried = self.done.iter().rev();
        let repeats = tried.take_while(|done| done.sample.values.is_none()).count() as u64;
        Turn::Slice(Slice { pair, side, repeats })
    }

    /// Takes what the slice of this turn found, and returns the plan when the pilot is over.
    pub fn take(&mut self, sample: Sample) -> Option<&PairsPlan> {
        let Turn::Slice(slice) = self.turn() else { return None };
        self.usable += u64::from(sample.values.is_some());
        self.done.push(Done { slice, sample });
        if self.plan.is_some() || self.usable < 2 * PILOT_PAIRS {
            return None;
        }
        let took_ns: u64 = self.done.iter().map(|done| done.sample.took_ns).sum();
        let plan = plan::plan(&self.settings, |metric| self.points(metric), took_ns);
        let more = plan.pairs.saturating_sub(PILOT_PAIRS);
        // Another seed, or the rest would repeat the pilot's order.
        self.order.extend(pair::order(more as usize, self.settings.seed.wrapping_add(1)));
        Some(self.plan.insert(plan))
    }

    /// Ends it before all pairs are there.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    fn unusable(&self) -> u64 {
        self.done.len() as u64 - self.usable
    }

    fn unusable_max(&self) -> u64 {
        let slices = 2 * self.order.len();
        UNUSABLE_MIN.max((slices as f64 * UNUSABLE_SHARE_MAX) as u64)
    }

    /// The values of a metric, baseline and candidate, of all pairs that are whole.
    fn points(&self, metric: usize) -> (Vec<f64>, Vec<f64>) {
        let of = |side| {
            let mine = self.done.iter().filter(move |done| done.slice.side == side);
            let values = mine.filter_map(|done| done.sample.values.as_ref()?.get(metric).copied());
            values.take((self.usable / 2) as usize).collect()
        };
        (of(Side::Baseline), of(Side::Candidate))
    }
}

#[cfg(test)]
mod tests;
