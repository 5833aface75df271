//! `quipu doctor`: what a directory and its machine give a node.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use quipu_metrics::knob::Key;
use serde_json::json;

use super::serve::take_file_limits_as_errors;
use crate::args::SettingsArgs;
use crate::doctor::{CHECKS, Finding, State, Subject};
use crate::output::FAILURE;
use crate::{output, settings};

/// Look at the data directory and the machine, and say what to mend
///
/// Each check shows what it saw, OK, WARN or BAD, and a remedy. Nothing is changed: the sync times are
/// measured with a file that is removed again, and beside a running node nothing is written at all.
/// Exits 1 where something is BAD, else 0.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// The data directory; without it that of the settings
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
    /// How long to measure syncs, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    sync_ms: u64,
    /// One JSON object instead of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Looks, and prints what was found.
///
/// # Errors
/// The settings are none, or the place cannot be looked at.
pub(crate) fn run(mut args: DoctorArgs) -> anyhow::Result<ExitCode> {
    if let Some(directory) = &args.directory {
        let directory = directory.to_str().context("the directory's name is not UTF-8")?;
        args.settings.knobs.0.push((Key::DataDir, directory.to_owned()));
    }
    let (settings, _) = settings::load(&args.settings)?;
    take_file_limits_as_errors().context("cannot listen for signals")?;
    let path = settings.data_dir.display().to_string();
    let time = Duration::from_millis(args.sync_ms);
    let subject =
        Subject::look(settings, time).with_context(|| format!("cannot look at {path}"))?;
    let found: Vec<_> = CHECKS.iter().map(|check| (check.name, (check.look)(&subject))).collect();
    let worst = found.iter().map(|(_, finding)| finding.state).max().unwrap_or(State::Ok);
    let text = if args.json { as_json } else { as_text };
    output::print(&text(&path, worst, &found))?;
    Ok(if worst == State::Bad { ExitCode::from(FAILURE) } else { ExitCode::SUCCESS })
}

fn as_json(path: &str, worst: State, found: &[(&str, Finding)]) -> String {
    let checks: Vec<_> = found
        .iter()
        .map(|(name, Finding { state, figure, remedy })| {
            json!({ "check": name, "state": state.word(), "figure": figure, "remedy": remedy })
        })
        .collect();
    let all = json!({ "directory": path, "state": worst.word(), "checks": checks });
    format!("{all}\n")
}

fn as_text(path: &str, worst: State, found: &[(&str, Finding)]) -> String {
    let line = |(name, finding): &(&str, Finding)| {
        let Finding { state, figure, remedy } = finding;
        let remedy = remedy.map(|remedy| format!("{:20}-> {remedy}\n", "")).unwrap_or_default();
        format!("{:<5} {name:<13} {figure}\n{remedy}", state.word())
    };
    let lines: Vec<_> = found.iter().map(line).collect();
    format!("{path}: {}\n\n{}", worst.word(), lines.concat())
}
