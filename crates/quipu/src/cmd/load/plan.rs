//! `quipu load plan`: what a scenario would send, without sending it.

use std::process::ExitCode;

use quipu_lab::schedule;

use super::scenario::ScenarioArgs;
use crate::output::{self, USAGE, fail};

/// Print what a scenario would send, without sending it
#[derive(Debug, clap::Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
}

/// Prints the plan.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn run(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    match args.scenario.read() {
        Ok(scenario) => {
            output::print(&schedule::plan(&scenario))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => fail(USAGE, format_args!("{error:#}")),
    }
}
