//! The `quipu-peers` command. Progress goes to standard error; the last line of standard output is
//! one JSON object.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Parser;
use quipu_peers::campaign::Campaign;
use quipu_peers::load::Load;
use quipu_peers::rows;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Systems that count, ended under load again and again, and held to what they acknowledged.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The program `quipu`.
    #[arg(long)]
    binary: PathBuf,
    /// Where the systems keep their data; by default the folder for temporary files.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Rounds begin until so many seconds are over; the first runs to its end.
    #[arg(long, default_value_t = 0)]
    seconds: u64,
    /// Kills, and cuts, of each system in one round.
    #[arg(long, default_value_t = 10)]
    ends: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Only rows whose name begins so, such as `redis`; again for more.
    #[arg(long)]
    only: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let folder = arguments.dir.unwrap_or_else(std::env::temp_dir);
    let folder = folder.join(format!("quipu-peers-{}", std::process::id()));
    let campaign = Campaign {
        folder: folder.clone(),
        first: arguments.first,
        ends: arguments.ends,
        time: Duration::from_secs(arguments.seconds),
        load: Load::default(),
        stop: Arc::default(),
    };
    if let Err(error) = stop_on_signal(&campaign.stop) {
        note(&format!("cannot listen for signals: {error}"));
        return ExitCode::FAILURE;
    }
    let only = &arguments.only;
    let mut systems = rows::all(&arguments.binary);
    systems.retain(|s| only.is_empty() || only.iter().any(|name| s.key().starts_with(name)));
    let verdict = campaign.run(&systems, &note);
    // What cannot be removed is in the way of nobody.
    drop(std::fs::remove_dir_all(&folder));
    if writeln!(io::stdout().lock(), "{}", verdict.to_json()).is_err() || !verdict.is_clean() {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// The first Ctrl-C or SIGTERM ends the campaign in order; a second one ends the process.
fn stop_on_signal(stop: &Arc<AtomicBool>) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_default(signal, Arc::clone(stop))?;
        flag::register(signal, Arc::clone(stop))?;
    }
    Ok(())
}

/// Writes a line of progress. Nowhere is left to say that standard error is closed.
fn note(line: &str) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}
