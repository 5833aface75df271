//! A comparison of two scenarios by slices that take turns: [`quipu_lab::pairs`] against targets.

use quipu_lab::finding::Finding;
use quipu_lab::pairs::{Pairs, PairsPlan, PairsResult, Sample, Settings, SideResult, Slice, Turn};
use quipu_lab::scenario::Scenario;
use quipu_stats::pair::Side;

use crate::run::RunError;
use crate::runner::{Ran, Runner};

/// What happens, for whoever watches.
#[derive(Debug, Clone, Copy)]
pub enum Event<'e> {
    /// A slice is over.
    Slice(&'e Slice, &'e Sample),
    /// The pilot is over, and this is the plan of the rest.
    Plan(&'e PairsPlan),
}

/// Runs slices of the baseline and the candidate until the comparison is over. Each pair draws from
/// a seed of its own, and both of its sides from the same.
///
/// # Errors
/// A slice could not begin.
pub fn compare(
    sides: [&Scenario; 2],
    settings: Settings,
    runner: &mut Runner,
    watch: &mut dyn FnMut(Event<'_>),
) -> Result<PairsResult, RunError> {
    let declared = settings.declared.clone();
    let mut pairs = Pairs::new(settings);
    let mut found = <[SideResult; 2]>::default();
    while let Turn::Slice(slice) = pairs.turn() {
        if runner.is_stopped() {
            pairs.stop();
            break;
        }
        let [baseline, candidate] = sides;
        let side = if slice.side == Side::Baseline { baseline } else { candidate };
        let Ran { finding, took_ns } = runner.run(seeded(side, baseline.seed, slice.pair))?;
        let sample = Sample::of(&finding, &declared, took_ns);
        watch(Event::Slice(&slice, &sample));
        describe(&mut found, slice.side, finding);
        if let Some(plan) = pairs.take(sample) {
            watch(Event::Plan(plan));
        }
    }
    Ok(pairs.result(found))
}

fn seeded(scenario: &Scenario, seed: u64, pair: u64) -> Scenario {
    Scenario { seed: seed.wrapping_add(pair), ..scenario.clone() }
}

/// Notes who a side is, from its newest slice.
fn describe([baseline, candidate]: &mut [SideResult; 2], side: Side, finding: Finding) {
    let result = if side == Side::Baseline { baseline } else { candidate };
    result.name = finding.plan.name;
    result.target = finding.plan.target;
    result.environment = finding.environment;
}
