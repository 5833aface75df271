//! `quipu load compare`: saved results beside each other, or in a history.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use quipu_lab::compare::{Comparison, compare};
use quipu_lab::history::{self, Entry, Trend};
use quipu_lab::metric::Declared;
use quipu_lab::pairs::Claim;

use super::results;
use super::{INVALID, REGRESSED};
use crate::output::{self, USAGE, fail};

/// Compare saved results, or keep and read a history of them
///
/// With results: OLD against all NEW; a result is a file, the folder of a run or a folder of those.
/// Histograms of a side are merged, percentiles never averaged. With at least six results per side each
/// is a point of an unpaired test; with fewer there is no verdict. With --history: where the metrics of
/// each scenario have changed. Exits 3 on a regression, 98 where a side has no usable result.
#[derive(Debug, clap::Args)]
pub(crate) struct CompareArgs {
    /// OLD and NEW results; with --history and --append the results to be kept
    #[arg(value_name = "RESULT")]
    results: Vec<PathBuf>,
    /// More results of the old side
    #[arg(long, value_name = "RESULT", conflicts_with = "history")]
    old: Vec<PathBuf>,
    /// The file of a history, one line of JSON per result
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Append the results to the history first
    #[arg(long, requires = "history")]
    append: bool,
    /// What was tested, for the history [default: the commit of the working directory, if git tells]
    #[arg(long, value_name = "TEXT", requires = "append")]
    commit: Option<String>,
    /// What is judged: throughput, mean, p50, p95, p99, p99.9, server_cpu; each with its margin, such
    /// as p99=10%
    #[arg(long, value_name = "METRIC", value_delimiter = ',')]
    metrics: Vec<Declared>,
    /// The result as JSON instead of the page
    #[arg(long)]
    json: bool,
}

/// Compares and prints what was found.
///
/// # Errors
/// Standard output or the history cannot be written.
pub(super) fn run(args: &CompareArgs) -> anyhow::Result<ExitCode> {
    let declared =
        if args.metrics.is_empty() { Declared::usual_all() } else { args.metrics.clone() };
    match &args.history {
        Some(file) => args.history(file, &declared),
        None => args.sides(&declared),
    }
}

impl CompareArgs {
    fn sides(&self, declared: &[Declared]) -> anyhow::Result<ExitCode> {
        let Some((first, rest)) = self.results.split_first().filter(|(_, rest)| !rest.is_empty())
        else {
            return fail(USAGE, "name an OLD and a NEW result, or --history FILE");
        };
        let more = results::read_all(&self.old);
        let sides = results::read(first).and_then(|mut old| {
            old.extend(more?);
            Ok((old, results::read_all(rest)?))
        });
        let (old, new) = match sides {
            Ok(sides) => sides,
            Err(error) => return fail(USAGE, format_args!("{error:#}")),
        };
        let found = compare(&old, &new, declared);
        let json = || serde_json::to_string_pretty(&found).map(|text| text + "\n");
        output::print(&if self.json { json()? } else { found.page() })?;
        Ok(code(&found))
    }

    fn history(&self, file: &Path, declared: &[Declared]) -> anyhow::Result<ExitCode> {
        if self.append == self.results.is_empty() {
            return fail(USAGE, "results are kept in a history with --append");
        }
        if self.append {
            let entries = match self.entries() {
                Ok(entries) => entries,
                Err(error) => return fail(USAGE, format_args!("{error:#}")),
            };
            let Some(entries) = entries else {
                return fail(INVALID, "an INVALID result is not kept");
            };
            append(file, &entries)?;
        }
        let text = fs::read_to_string(file);
        let text = text.with_context(|| format!("cannot read {}", file.display()))?;
        let entries = match history::parse(&text) {
            Ok(entries) => entries,
            Err(error) => {
                let error = anyhow::Error::from(error);
                return fail(USAGE, format_args!("{}: {error:#}", file.display()));
            }
        };
        let trends = history::trends(&entries, declared);
        let json = || serde_json::to_string_pretty(&trends).map(|text| text + "\n");
        output::print(&if self.json { json()? } else { trends.iter().map(Trend::page).collect() })?;
        Ok(ExitCode::SUCCESS)
    }

    /// The lines to be kept, or nothing if one of the results is not fit to be.
    fn entries(&self) -> anyhow::Result<Option<Vec<Entry>>> {
        let commit = self.commit.clone().unwrap_or_else(commit_here);
        let results = results::read_all(&self.results)?;
        Ok(results.iter().map(|named| Entry::of(&named.finding, &commit)).collect())
    }
}

fn code(found: &Comparison) -> ExitCode {
    match found.claim {
        _ if found.old_runs.min(found.new_runs) == 0 => ExitCode::from(INVALID),
        Some(Claim::Regressed) => ExitCode::from(REGRESSED),
        _ => ExitCode::SUCCESS,
    }
}

/// Appends lines by one write, so that two that append at once mix no lines.
fn append(file: &Path, entries: &[Entry]) -> anyhow::Result<()> {
    let text: String = entries.iter().map(Entry::line).collect();
    let mut opened = OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .with_context(|| format!("cannot open {}", file.display()))?;
    opened.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", file.display()))
}

/// Returns the commit of the working directory, or nothing where git does not tell.
fn commit_here() -> String {
    let told = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let told = told.ok().filter(|output| output.status.success());
    told.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
