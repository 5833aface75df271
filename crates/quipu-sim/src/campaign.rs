//! Many seeds, one after the other, and what they add up to.

use std::fmt;

use crate::coverage::{Coverage, Met};
use crate::options::Options;
use crate::run::{Ran, run_options};
use stdx::verdict::Verdict;

/// A simulated hour in milliseconds.
pub const HOUR_MS: u64 = 3_600_000;

/// Client operations that make a simulated hour one that counts.
pub const OPS_PER_HOUR: u64 = 1_000_000;

/// After so many operations everything must have happened that can. Measured: half of it suffices.
const OPS_FOR_COVERAGE: u64 = 4_000_000;

/// Seeds between two lines of progress.
const SEEDS_PER_LINE: u64 = 50;

/// When it is enough. Simulated time and operations both count where they are bounded.
pub struct Until {
    /// Seeds.
    pub count: u64,
    /// Simulated milliseconds.
    pub sim_ms: u64,
    /// Client operations.
    pub ops: u64,
    /// Whether seeds are cut short, with more trouble in less time.
    pub is_dense: bool,
    /// Whether there is no more time. Real time is the caller's: nothing here reads a clock.
    pub is_late: Box<dyn Fn() -> bool>,
}

impl fmt::Debug for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Until").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Until {
    /// Enough after so many seeds.
    pub fn count(count: u64) -> Self {
        let is_late = Box::new(|| false);
        Self { count, sim_ms: u64::MAX, ops: u64::MAX, is_dense: false, is_late }
    }
}

/// Runs seeds from `first` on; lines of progress go to `note`.
pub fn run_seeds(first: u64, until: &Until, note: impl Fn(&str)) -> (Verdict, Coverage) {
    let (mut verdict, mut coverage) = (Verdict::new("seeds"), Coverage::default());
    let (mut sim_ms, mut seed) = (0, first);
    loop {
        let count = seed - first;
        let is_simulated = sim_ms >= until.sim_ms && coverage.of(Met::Ops) >= until.ops;
        if count >= until.count || is_simulated || (until.is_late)() {
            break;
        }
        let options = if until.is_dense { Options::dense(seed) } else { Options::draw(seed) };
        let ran = run_options(options, None);
        sim_ms += ran.sim_ms;
        coverage.join(&ran.coverage);
        add(&mut verdict, &ran);
        if let Some(violation) = &ran.violation {
            let dense = if until.is_dense { " --dense" } else { "" };
            verdict.fail(format!("quipu-sim seed {seed}{dense}: {violation}"));
        }
        seed += 1;
        if (seed - first).is_multiple_of(SEEDS_PER_LINE) {
            let (failures, hours) = (verdict.failures.len(), sim_ms as f64 / HOUR_MS as f64);
            note(&format!(
                "{} seeds, {hours:.1} simulated hours, {failures} failures",
                seed - first
            ));
        }
    }
    (verdict, coverage)
}

/// As [`run_seeds`], with the coverage as lines of progress.
pub fn run_all(first: u64, until: &Until, note: impl Fn(&str)) -> Verdict {
    let (mut verdict, coverage) = run_seeds(first, until, &note);
    let is_long = coverage.of(Met::Ops) >= OPS_FOR_COVERAGE;
    for name in coverage.missing().into_iter().filter(|_| is_long) {
        verdict.fail(format!("{name} never happened, so it was never tested"));
    }
    for (name, count) in coverage.rows() {
        note(&format!("{name:>20} {count}"));
    }
    verdict
}

/// Adds one run.
fn add(verdict: &mut Verdict, ran: &Ran) {
    let of = |what| ran.coverage.of(what);
    verdict.add("seeds", 1);
    verdict.add("sim_ms", ran.sim_ms);
    verdict.add("events", ran.events);
    let figures = [
        ("ops", of(Met::Ops)),
        ("crashes", of(Met::PowerCuts) + of(Met::Kills)),
        ("sync_failures", of(Met::SyncFailures)),
        ("acked", of(Met::Acked)),
        ("repeats", of(Met::TokenRepeats) + of(Met::StreamRepeats)),
        ("folds", of(Met::Folds)),
        ("reads_checked", of(Met::ReadsChecked)),
        ("totals_exact", of(Met::TotalsExact)),
        ("histories_checked", ran.histories.checked),
        ("history_events", ran.histories.events),
        ("histories_undecided", ran.histories.undecided),
    ];
    for (name, count) in figures {
        verdict.add(name, count);
    }
}
