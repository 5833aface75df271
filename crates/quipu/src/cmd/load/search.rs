//! `quipu load search`: the greatest rate at which promises are kept.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use quipu_lab::search::{Capacity, Outcome};

use super::runner::RunnerArgs;
use super::scenario::ScenarioArgs;
use super::{INVALID, SLO_FAILED};
use crate::output::{self, USAGE, fail};

/// Search for the greatest rate at which promises are kept
///
/// The scenario has a table `search`, as the built-in one named capacity. The rate is doubled until a
/// trial fails, then halved between; a trial that fails is repeated once, and the answer is confirmed
/// by longer trials. Exits 0 with an answer, 99 where no rate passes, 98 where the search did not come
/// to its end.
#[derive(Debug, clap::Args)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    #[command(flatten)]
    runner: RunnerArgs,
    /// Save the result in this folder: capacity.json
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The result as JSON instead of the sentence
    #[arg(long)]
    json: bool,
}

/// Runs the search and prints the answer.
///
/// # Errors
/// Standard output cannot be written, or the result cannot be saved.
pub(super) fn run(args: &SearchArgs) -> anyhow::Result<ExitCode> {
    let scenario = match args.scenario.read() {
        Ok(scenario) => scenario,
        Err(error) => return fail(USAGE, format_args!("{error:#}")),
    };
    let Some(settings) = scenario.search.clone() else {
        return fail(USAGE, format_args!("{} has no [search] table", scenario.name));
    };
    let mut runner = args.runner.runner()?;
    let found = quipu_load::search::search(
        &scenario,
        &settings,
        &mut runner,
        &mut |ask, outcome, finding| {
            output::note(&ask.line(outcome, finding));
        },
    );
    let capacity = match found {
        Ok(capacity) => capacity,
        Err(error) => return fail(INVALID, format_args!("{:#}", anyhow::Error::from(error))),
    };
    let json = serde_json::to_string_pretty(&capacity).context("the result has no form")? + "\n";
    if let Some(folder) = &args.out {
        output::save(folder, &[("capacity.json", json.as_str())])?;
    }
    output::print(&if args.json { json } else { format!("{capacity}\n") })?;
    Ok(code(&capacity))
}

fn code(capacity: &Capacity) -> ExitCode {
    let has_failed = |outcome: &Outcome| matches!(outcome, Outcome::Fail { .. });
    match capacity.highest_pass_per_s {
        Some(_) if capacity.is_settled() => ExitCode::SUCCESS,
        None if capacity.trials.iter().all(|trial| has_failed(&trial.outcome))
            && !capacity.is_at_least =>
        {
            ExitCode::from(SLO_FAILED)
        }
        _ => ExitCode::from(INVALID),
    }
}
