//! `quipu load selftest`: how right this generator is on this machine.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use quipu_lab::accuracy::{Accuracy, Statement};
use quipu_load::selftest::{SelfTestError, Trial, selftest};
use quipu_load::statement;

use super::INVALID;
use crate::output::{self, FAILURE, fail};

/// Measure how right this generator is on this machine
///
/// A built-in target stalls once, so that the true p99 is known; beside it stand how well moments are
/// met and what a request costs. Every later report on this machine carries what was found. Exits 0
/// where the reported p99 is within 3 % of the true one, 98 where it is not and the machine was too
/// busy to say why, else 1.
#[derive(Debug, clap::Args)]
pub(crate) struct SelftestArgs {
    /// Ten seconds in place of a minute and a half, with a stall of 100 ms
    #[arg(long)]
    quick: bool,
    /// Save the result in this folder too: accuracy.json and accuracy.txt
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The result as JSON instead of the page
    #[arg(long)]
    json: bool,
}

/// Runs the self-test, keeps what it found and prints it.
///
/// # Errors
/// Standard output cannot be written, or the result cannot be saved.
pub(super) fn run(args: &SelftestArgs) -> anyhow::Result<ExitCode> {
    let trial = if args.quick { Trial::QUICK } else { Trial::FULL };
    let stop = super::run::stopped_by_signal()?;
    let accuracy = match selftest(trial, &stop, &mut output::note) {
        Ok(accuracy) => accuracy,
        Err(error @ SelfTestError::Stopped) => return fail(FAILURE, error),
        Err(error) => return fail(INVALID, format_args!("{:#}", anyhow::Error::from(error))),
    };
    if let Some(folder) = &args.out {
        save(&accuracy, folder).with_context(|| format!("cannot write {}", folder.display()))?;
    }
    keep(&accuracy);
    let text = if args.json { accuracy.to_json() + "\n" } else { accuracy.page() };
    output::print(&text)?;
    Ok(match accuracy.statement() {
        Statement::Right => ExitCode::SUCCESS,
        Statement::NotMeasurable => ExitCode::from(INVALID),
        Statement::Wrong => ExitCode::from(FAILURE),
    })
}

/// Keeps the statement for later reports. What a busy machine spoiled replaces no better one.
fn keep(accuracy: &Accuracy) {
    if accuracy.statement() == Statement::NotMeasurable {
        return output::note("not kept for later reports: nothing may be said");
    }
    let Some(path) = statement::path() else {
        return output::note("not kept for later reports: there is no home directory");
    };
    match statement::keep(accuracy, &path) {
        Ok(()) => output::note(&format!("kept for later reports in {}", path.display())),
        Err(error) => output::note(&format!("cannot keep it in {}: {error}", path.display())),
    }
}

fn save(accuracy: &Accuracy, folder: &Path) -> std::io::Result<()> {
    statement::keep(accuracy, &folder.join("accuracy.json"))?;
    std::fs::write(folder.join("accuracy.txt"), accuracy.page())
}
