//! A search for capacity: [`quipu_lab::search`] against a target.

use quipu_lab::finding::Finding;
use quipu_lab::scenario::{Scenario, Search as Settings};
use quipu_lab::search::{self, Ask, Capacity, Outcome, Search, Turn};

use crate::run::RunError;
use crate::runner::Runner;

/// Runs trials until the capacity is known; `watch` sees each one. The target rests between trials.
///
/// # Errors
/// A trial could not begin.
pub fn search(
    scenario: &Scenario,
    settings: &Settings,
    runner: &mut Runner,
    watch: &mut dyn FnMut(&Ask, &Outcome, &Finding),
) -> Result<Capacity, RunError> {
    let mut search = Search::new(settings.clone());
    let mut is_first = true;
    loop {
        let ask = match search.turn() {
            Turn::Trial(ask) => ask,
            Turn::Over(capacity) => return Ok(*capacity),
        };
        if !std::mem::take(&mut is_first) {
            runner.rest(settings.cooldown);
        }
        if runner.is_stopped() {
            search.stop();
            continue;
        }
        let trial = search::scenario(scenario, &settings.checks, &ask);
        let finding = runner.run(trial)?.finding;
        if runner.is_stopped() {
            // A trial that was cut short says nothing of its rate.
            search.stop();
            continue;
        }
        let outcome = search::judge(&finding, &settings.checks);
        watch(&ask, &outcome, &finding);
        if outcome == Outcome::Pass {
            search.remember(&finding);
        }
        search.take(outcome);
    }
}
