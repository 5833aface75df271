//! The `quipu-proof` command: kills and power cuts of real nodes, for as long as asked. Progress
//! goes to standard error; the last line of standard output is one JSON object.

mod by_hand;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser};
use quipu_proof::campaign::Campaign;
use quipu_proof::trial::End;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Real nodes, ended under load again and again, and held to what they acknowledged.
#[derive(Debug, Parser)]
#[command(version)]
enum Command {
    /// SIGKILL at any moment.
    Kills(Bounds),
    /// Power cuts: what was not synced is gone.
    Cuts(Bounds),
    /// A disk for other programs: a line on standard input cuts its power.
    Disk {
        /// An empty directory.
        dir: PathBuf,
    },
}

/// How much to run.
#[derive(Debug, Args)]
struct Bounds {
    /// The program `quipu`.
    #[arg(long)]
    binary: PathBuf,
    /// Where the nodes keep their data; by default the folder for temporary files.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Ends after so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Ends after so many lives.
    #[arg(long)]
    count: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Nodes at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
}

/// Lives where nobody says how many. Guess: half a minute.
const LIVES: u64 = 200;

fn main() -> ExitCode {
    let (end, bounds) = match Command::parse() {
        Command::Kills(bounds) => (End::Kill, bounds),
        Command::Cuts(bounds) => (End::Cut, bounds),
        Command::Disk { dir } => return disk(&dir),
    };
    let folder = bounds.dir.unwrap_or_else(std::env::temp_dir);
    let folder = folder.join(format!("quipu-proof-{}", std::process::id()));
    let unbounded = if bounds.seconds.is_some() { u64::MAX } else { LIVES };
    let endless = Campaign::new(&bounds.binary, &folder, end);
    let campaign = Campaign {
        first: bounds.first,
        count: bounds.count.unwrap_or(unbounded),
        time: bounds.seconds.map_or(endless.time, Duration::from_secs),
        jobs: bounds.jobs,
        ..endless
    };
    if let Err(error) = stop_on_signal(&campaign) {
        note(&format!("cannot listen for signals: {error}"));
        return ExitCode::FAILURE;
    }
    let verdict = campaign.run(&note);
    verdict.failures.iter().for_each(|line| note(line));
    if verdict.is_clean() {
        // What cannot be removed is in the way of nobody.
        drop(std::fs::remove_dir_all(&folder));
    } else {
        note(&format!("the data is kept in {}", folder.display()));
    }
    if writeln!(io::stdout().lock(), "{}", verdict.to_json()).is_err() || !verdict.is_clean() {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// The first Ctrl-C or SIGTERM ends the campaign in order; a second one ends the process.
fn stop_on_signal(campaign: &Campaign) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_default(signal, Arc::clone(&campaign.stop))?;
        flag::register(signal, Arc::clone(&campaign.stop))?;
    }
    Ok(())
}

fn disk(dir: &Path) -> ExitCode {
    match by_hand::serve(dir, io::stdin().lock(), io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Writes a line of progress. Nowhere is left to say that standard error is closed.
fn note(line: &str) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}
