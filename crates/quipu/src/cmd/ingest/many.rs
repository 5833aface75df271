//! Several files: one after the other to their ends, or all at once while they grow.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use quipu_client::follow::listing::{Listing, Wanted};
use quipu_client::follow::report::{FileReport, Happening, Report, What};
use quipu_client::follow::{Follow, FollowError, Make, Stop, follow};
use quipu_client::input::Input;
use quipu_client::summary::Summary;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{IngestArgs, as_object, as_text, count, tell};
use crate::output::{FAILURE, USAGE, fail, say};

/// Ingests each of `files` to its end, one after the other.
pub(super) fn run_each(
    args: &IngestArgs,
    files: &[PathBuf],
    make: &Make,
) -> anyhow::Result<ExitCode> {
    let listing = match list(args, files) {
        Ok(listing) => listing,
        Err(error) => return fail(USAGE, format_args!("{error:#}")),
    };
    let begun = Instant::now();
    let mut report = Report::default();
    for path in &listing.wanted {
        // A file that cannot be read must not keep the others from being counted.
        let done = match Input::open(path) {
            Ok(input) => count(args, make(input), Some(path))?,
            Err(error) => Err(error.into()),
        };
        let (summary, failure) = match done {
            Ok(summary) => (summary, None),
            Err(error) => (Summary::default(), Some(error.to_string())),
        };
        report.add(path, summary, failure);
    }
    print(args, &report, begun.elapsed())
}

fn list(args: &IngestArgs, files: &[PathBuf]) -> anyhow::Result<Listing> {
    let wanted = wanted(args, files)?;
    let listing = Listing::of(&wanted)?;
    for file in &wanted {
        if let Wanted::File(path) = file {
            Input::open(path).context("no such input")?;
        }
    }
    anyhow::ensure!(!listing.wanted.is_empty(), "no file is there");
    Ok(listing)
}

fn wanted(args: &IngestArgs, files: &[PathBuf]) -> anyhow::Result<Vec<Wanted>> {
    anyhow::ensure!(
        args.source.is_none(),
        "--source is for standard input; a file is known by its inode and first line"
    );
    let is_input = |file: &PathBuf| file == Path::new("-");
    anyhow::ensure!(!files.iter().any(is_input), "standard input is counted alone, and to its end");
    Ok(files.iter().map(|file| Wanted::parse(file)).collect::<Result<_, _>>()?)
}

/// Follows all files until a signal.
pub(super) fn follow_all(args: &IngestArgs, make: Make) -> anyhow::Result<ExitCode> {
    let wanted = match wanted(args, &args.files) {
        Ok(wanted) => wanted,
        Err(error) => return fail(USAGE, format_args!("{error:#}")),
    };
    let stop = stop_on_signal()?;
    let settle = Duration::from_nanos(args.settle.0);
    let job = Follow { wanted, make, settle, patience: args.target.timeout() };
    let begun = Instant::now();
    let mut shown = Shown { report_every: args.report_every, report_at: BTreeMap::new() };
    match follow(job, &stop, &mut |happening| shown.show(&happening)) {
        Ok(report) => print(args, &report, begun.elapsed()),
        Err(error) => fail(FAILURE, explain(&error)),
    }
}

/// The first signal ends in order; a second one ends the process.
fn stop_on_signal() -> anyhow::Result<Stop> {
    let stop = Stop::new()?;
    let asked = stop.clone();
    let mut signals = Signals::new([SIGTERM, SIGINT]).context("cannot listen for signals")?;
    let wait = move || {
        for (count, signal) in signals.forever().enumerate() {
            if count > 0 {
                // The default action of a second signal is what the user asks for.
                drop(signal_hook::low_level::emulate_default_handler(signal));
            }
            asked.ask();
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(stop)
}

fn explain(error: &FollowError) -> String {
    format!("{error}\nwhat was answered is counted; run the same command again to go on")
}

fn print(args: &IngestArgs, report: &Report, elapsed: Duration) -> anyhow::Result<ExitCode> {
    if args.target.json {
        say(as_json(report, elapsed))?;
    } else {
        let text = as_text(&report.total, elapsed);
        // There is no one line that all of them were resumed from.
        let lines = text.lines().filter(|line| !line.starts_with("resumed from"));
        lines.into_iter().try_for_each(say)?;
        report.files.iter().try_for_each(|file| say(file_line(file)))?;
    }
    let failed = report.files.iter().any(|file| file.failure.is_some());
    Ok(if failed { ExitCode::from(FAILURE) } else { ExitCode::SUCCESS })
}

fn as_json(report: &Report, elapsed: Duration) -> String {
    let sources: Vec<_> = report.files.iter().map(|file| source(file, elapsed)).collect();
    let mut object = as_object(&report.total, elapsed);
    if let Some(fields) = object.as_object_mut() {
        fields.remove("resumed_from");
        fields.insert("sources".to_owned(), sources.into());
    }
    object.to_string()
}

fn source(file: &FileReport, elapsed: Duration) -> serde_json::Value {
    let mut object = as_object(&file.summary, elapsed);
    if let Some(fields) = object.as_object_mut() {
        fields.insert("path".to_owned(), file.path.to_string_lossy().into());
        fields.insert("failure".to_owned(), file.failure.clone().into());
    }
    object
}

fn file_line(file: &FileReport) -> String {
    let FileReport { path, summary, failure } = file;
    let Summary { resumed_from, lines, .. } = summary;
    let path = path.display();
    match failure {
        Some(why) => format!("  {path}: {lines} lines after line {resumed_from}, then {why}"),
        None => format!("  {path}: {lines} lines after line {resumed_from}"),
    }
}

/// What is shown on standard error while files are followed.
struct Shown {
    report_every: Option<u64>,
    report_at: BTreeMap<PathBuf, u64>,
}

impl Shown {
    fn show(&mut self, happening: &Happening) {
        let path = happening.path.display();
        match &happening.what {
            What::Answered(line) => self.report(&happening.path, *line),
            What::Started(0) => tell(&format!("{path}: counting from its start")),
            What::Started(_) => {}
            What::Replaced(replaced) => tell(&format!(
                "{path}: another source: line {} was counted under this inode and first line, \
                 the file begins otherwise or is shorter now; counting it from its start",
                replaced.counted
            )),
            What::Renamed(before) => tell(&format!("{path}: was {}", before.display())),
            What::Cut => tell(&format!("{path}: was cut; counting it from its start")),
            What::Finished => tell(&format!("{path}: finished")),
            What::Waiting(text) => tell(&format!("{path}: waiting: {text}")),
            What::Lost(cause) => tell(&format!("{path}: lost: {cause}; connecting again")),
            What::Resumed(line) => tell(&format!("{path}: resumed after line {line}")),
            What::Failed(why) => tell(&format!("{path}: given up: {why}")),
            What::TooMany(open) => tell(&format!(
                "{path}: must wait, {open} files are open; follow fewer with one command"
            )),
        }
    }

    fn report(&mut self, path: &Path, line: u64) {
        let Some(every) = self.report_every else { return };
        let at = self.report_at.entry(path.to_owned()).or_insert(every);
        if line >= *at {
            tell(&format!("acked {line} {}", path.display()));
            *at = line.saturating_add(every);
        }
    }
}
