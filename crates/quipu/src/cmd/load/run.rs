//! `quipu load run`: a scenario against its target.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, anyhow};
use quipu_lab::finding::Finding;
use quipu_lab::page;
use quipu_lab::schedule;
use quipu_lab::validity::Verdict;
use quipu_load::run::{Ask, threads_default};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::report::{self, Forms};
use super::scenario::ScenarioArgs;
use super::{INVALID, SLO_FAILED, live};
use crate::output::{self, USAGE, fail};
use crate::screen::Screen;

/// Run a scenario against its target
///
/// On a terminal it is shown live; elsewhere each window is a line on standard error. Ctrl-C, and `q`
/// in the live view, end it early; what was found until then is printed.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// How many threads send [default: half of the cores, at least one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Ask for real-time priority of the threads that send
    #[arg(long)]
    realtime: bool,
    /// Save the result in this folder [default: where the scenario says, if it asks for any form]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    forms: Forms,
    /// The result as JSON instead of the page
    #[arg(long)]
    json: bool,
    /// A line for each window, on a terminal too
    #[arg(long)]
    plain: bool,
}

/// Runs the scenario and prints what was found.
///
/// # Errors
/// Standard output cannot be written, or the result cannot be saved.
pub(super) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let scenario = match args.scenario.read() {
        Ok(scenario) => scenario,
        Err(error) => return fail(USAGE, format_args!("{error:#}")),
    };
    let ask = Ask {
        scenario,
        threads: args.threads.unwrap_or_else(threads_default),
        is_realtime: args.realtime,
        id: getrandom::u64().map_err(|error| anyhow!("the system gives no numbers: {error}"))?,
    };
    let stop = stopped_by_signal()?;
    if !args.json {
        output::note(&schedule::plan(&ask.scenario));
    }
    let found = match if args.plain || args.json { None } else { Screen::open()? } {
        Some(screen) => live::shown(&ask, &stop, screen)?,
        None => quipu_load::run::run(&ask, &stop, &mut |window| {
            if !args.json {
                output::note(&page::window(window));
            }
        }),
    };
    let finding = match found {
        Ok(finding) => finding,
        Err(error) => return fail(INVALID, format_args!("{:#}", anyhow::Error::from(error))),
    };
    let text = if args.json { finding.to_json() + "\n" } else { page::page(&finding) };
    output::print(&text)?;
    let asked = &args.forms.write;
    if let Some((folder, forms)) =
        report::destination(&ask.scenario, &finding, args.out.as_deref(), asked)
    {
        output::note(report::save(&finding, forms, &folder)?.trim_end());
    }
    Ok(code(&finding))
}

fn code(finding: &Finding) -> ExitCode {
    if finding.validity.verdict == Verdict::Invalid {
        ExitCode::from(INVALID)
    } else if finding.keeps_promises() {
        ExitCode::SUCCESS
    } else if finding.breaks_promises() {
        ExitCode::from(SLO_FAILED)
    } else {
        // It says nothing about what was promised.
        ExitCode::from(INVALID)
    }
}

/// A switch that the first Ctrl-C or SIGTERM turns on; a second one ends the process.
pub(super) fn stopped_by_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_default(signal, Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .context("cannot listen for signals")?;
    }
    Ok(stop)
}
