//! `quipu load`: load tests whose results can be trusted, or say that they cannot.

mod ab;
mod compare;
mod fit;
mod import;
mod live;
mod picture;
mod plan;
mod report;
mod results;
mod run;
mod runner;
mod scenario;
mod search;
mod seen;
mod selftest;
mod serve;
mod stall;

use std::process::ExitCode;

/// The exit code of a run that broke a promise; k6 has the same.
const SLO_FAILED: u8 = 99;
/// The exit code of a run that says nothing about its target, or not whether it kept a promise.
const INVALID: u8 = 98;
/// The exit code of a comparison whose candidate is worse than its baseline.
const REGRESSED: u8 = 3;

/// Test a target under load, honestly
///
/// Latency counts from the moment of the plan, not from the write; beside it stand the service time
/// and how late the generator was. Before any number comes a verdict on the run itself. Exits 0 where
/// all promises were kept, 99 where one was broken, 98 where the run is invalid, could not begin or
/// cannot tell whether a promise was kept, 3 where a comparison found a regression, 2 where the command
/// line or the scenario makes no sense.
#[derive(Debug, clap::Args)]
pub(crate) struct LoadArgs {
    #[command(subcommand)]
    command: LoadCommand,
}

/// What to do. Each variant's help is that of its arguments.
#[derive(Debug, clap::Subcommand)]
enum LoadCommand {
    Plan(plan::PlanArgs),
    Run(run::RunArgs),
    Report(report::ReportArgs),
    Import(import::ImportArgs),
    Ab(ab::AbArgs),
    Compare(compare::CompareArgs),
    Search(search::SearchArgs),
    Fit(fit::FitArgs),
    Selftest(selftest::SelftestArgs),
    Stall(stall::StallArgs),
    Serve(serve::ServeArgs),
}

/// Does what was asked.
///
/// # Errors
/// Standard output cannot be written, or the result cannot be saved.
pub(crate) fn run(args: &LoadArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        LoadCommand::Plan(args) => plan::run(args),
        LoadCommand::Run(args) => run::run(args),
        LoadCommand::Report(args) => report::run(args),
        LoadCommand::Import(args) => import::run(args),
        LoadCommand::Ab(args) => ab::run(args),
        LoadCommand::Compare(args) => compare::run(args),
        LoadCommand::Search(args) => search::run(args),
        LoadCommand::Fit(args) => fit::run(args),
        LoadCommand::Selftest(args) => selftest::run(args),
        LoadCommand::Stall(args) => stall::run(args),
        LoadCommand::Serve(args) => serve::run(args),
    }
}
