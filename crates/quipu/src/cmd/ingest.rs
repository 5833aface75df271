//! `quipu ingest`: the lines of a file, counted exactly once.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use quipu_client::follow::Make;
use quipu_client::follow::listing::Wanted;
use quipu_client::ingest::{Event, IngestError, Job, Options, ingest};
use quipu_client::input::Input;
use quipu_client::matcher::Matcher;
use quipu_client::reject::Rejected;
use quipu_client::source::Source;
use quipu_client::summary::Summary;
use quipu_client::window::BLOCK_LINES_MAX;
use serde_json::json;
use stdx::units::Nanos;

use super::ingest_meaning::{MeaningArgs, fields_help};
use super::ingest_progress::Progress;
use super::target::Target;
use crate::output::{FAILURE, USAGE, fail, say, warn};

mod many;

/// Count the lines of files, each exactly once
///
/// Every line of the format, or that the pattern matches, adds one to the counter that each
/// template names. The node keeps one stream per file, template and meaning of lines: run again,
/// after a crash of either side or over a file that has grown, only new lines are counted. A file
/// is known by its inode and its first line. The last line counts even if it is not terminated.
/// Files compressed by gzip or zstd are read as they are.
#[derive(Debug, Args)]
#[command(after_long_help = fields_help())]
pub(crate) struct IngestArgs {
    /// Files, folders (all files in them that are not hidden) or patterns such as '/var/log/*.log';
    /// or `-` for standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    meaning: MeaningArgs,
    /// What standard input is known by
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Append what cannot be counted to this file, with the reason, as lines of JSON
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Most increments in flight
    #[arg(long, value_name = "N", default_value_t = 8192, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    window: u32,
    /// Most lines that are added up before they are sent: lines between two checkpoints
    #[arg(long, value_name = "LINES", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=BLOCK_LINES_MAX))]
    checkpoint_every: u64,
    /// Print `acked LINE` on standard error whenever so many more lines were answered
    #[arg(long, value_name = "LINES", value_parser = clap::value_parser!(u64).range(1..))]
    report_every: Option<u64>,
    /// Give up after so many seconds without progress
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    give_up: u64,
    /// Go on until SIGINT or SIGTERM: count lines as they are written, over rotation
    #[arg(long)]
    follow: bool,
    /// How long a file that was rotated away must be quiet until it is done with
    #[arg(long, value_name = "DURATION", default_value = "5s", requires = "follow")]
    settle: Nanos,
    #[command(flatten)]
    target: Target,
}

/// Counts, showing how far it is, and prints a summary.
pub(crate) fn run(args: &IngestArgs) -> anyhow::Result<ExitCode> {
    #[cfg(feature = "canary")]
    crate::sabotage::arrange()?;
    let make = match maker(args) {
        Ok(make) => make,
        Err(error) => return fail(USAGE, format_args!("{error:#}")),
    };
    if args.follow {
        return many::follow_all(args, make);
    }
    match args.files.as_slice() {
        [file] if matches!(Wanted::parse(file), Ok(Wanted::File(_))) => run_one(args, file, &make),
        files => many::run_each(args, files, &make),
    }
}

fn run_one(args: &IngestArgs, file: &Path, make: &Make) -> anyhow::Result<ExitCode> {
    let input = match input(file, args.source.as_deref()) {
        Ok(input) => input,
        Err(error) => return fail(USAGE, format_args!("{error:#}")),
    };
    let begun = Instant::now();
    match count(args, make(input), None)? {
        Ok(summary) => {
            let text = if args.target.json { as_json } else { as_text };
            say(text(&summary, begun.elapsed()))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => fail(FAILURE, explain(&error)),
    }
}

/// Counts one input and shows how far it is; `path` names it where there are others.
fn count(
    args: &IngestArgs,
    job: Job,
    path: Option<&Path>,
) -> anyhow::Result<Result<Summary, IngestError>> {
    let size = match &job.input {
        Input::File(file) => Some(file.metadata()?.len()),
        Input::Pipe(..) => None,
    };
    let mut progress = Progress::new(size, args.report_every, path);
    let done = ingest(job, &mut |event| show(&mut progress, &event));
    Ok(done)
}

/// Returns what makes a job of an input; every fault here is one of usage.
fn maker(args: &IngestArgs) -> anyhow::Result<Make> {
    let meaning = args.meaning.meaning()?;
    let matcher = move || Matcher::new(&meaning);
    matcher()?;
    let node = args.target.node.clone();
    let options = Options {
        window: args.window as usize,
        block_lines: args.checkpoint_every,
        timeout: args.target.timeout(),
        give_up: Duration::from_secs(args.give_up),
    };
    let rejects = args.rejects.clone();
    Ok(Arc::new(move |input| Job {
        node: node.clone(),
        input,
        matcher: matcher().expect("what was understood once is understood again"),
        rejects: rejects.clone(),
        options,
    }))
}

fn input(file: &Path, source: Option<&str>) -> anyhow::Result<Input> {
    match (file == Path::new("-"), source) {
        (true, Some(name)) => Ok(Input::Pipe(std::io::stdin(), Source::named(name)?)),
        (true, None) => anyhow::bail!(
            "standard input needs --source NAME: the same name for the same lines, so that a \
             second run counts only what is new"
        ),
        (false, Some(_)) => anyhow::bail!(
            "--source is for standard input; a file is known by its inode and first line"
        ),
        (false, None) => Input::open(file).context("no such input"),
    }
}

fn show(progress: &mut Progress, event: &Event<'_>) {
    match event {
        Event::Started { after, offset } => progress.start(*after, *offset),
        Event::Progress { answered, offset, summary } => {
            progress.move_to(*answered, *offset, summary);
        }
        Event::Replaced(replaced) => progress.note(&format!(
            "another source: line {} was counted under this inode and first line, the file has \
             {} lines now or begins otherwise; counting it from its start",
            replaced.counted, replaced.lines
        )),
        Event::Waiting(refusal) => progress.note(&format!("waiting: {}", refusal.text)),
        Event::Lost(cause) => progress.note(&format!("lost: {cause}; connecting again")),
        Event::Resumed(after) => progress.note(&format!("resumed after line {after}")),
    }
}

fn explain(error: &IngestError) -> String {
    format!("{error}\nwhat was answered is counted; run the same command again to go on")
}

fn as_json(summary: &Summary, elapsed: Duration) -> String {
    as_object(summary, elapsed).to_string()
}

fn as_object(summary: &Summary, elapsed: Duration) -> serde_json::Value {
    let examples: Vec<_> = summary
        .examples
        .iter()
        .map(|example| json!({ "line": example.line, "why": example.why }))
        .collect();
    let reasons = summary.rejected.each().filter(|(_, count)| *count > 0);
    let rejected: serde_json::Map<_, _> =
        reasons.map(|(reason, count)| (reason.word().to_owned(), count.into())).collect();
    json!({
        "resumed_from": summary.resumed_from,
        "lines": summary.lines,
        "bytes": summary.bytes,
        "matched": summary.matched,
        "filtered": summary.filtered,
        "rejected": rejected,
        "added": summary.added,
        "repeated": summary.repeated,
        "retries": summary.retries,
        "reconnects": summary.reconnects,
        "seconds": elapsed.as_secs_f64(),
        "lines_per_second": summary.lines_per_second(elapsed),
        "examples": examples,
    })
}

fn as_text(summary: &Summary, elapsed: Duration) -> String {
    let rate = summary.lines_per_second(elapsed);
    let mut lines = vec![
        format!(
            "lines         {} in {:.2} s, {rate:.0} per second",
            summary.lines,
            elapsed.as_secs_f64()
        ),
        format!("resumed from  line {}", summary.resumed_from),
        format!("matched       {}", summary.matched),
        format!("filtered      {}", summary.filtered),
        format!("rejected      {}{}", summary.rejected.total(), reasons(&summary.rejected)),
        format!("added         {}", summary.added),
        format!("repeated      {}", summary.repeated),
    ];
    let Summary { reconnects, retries, .. } = summary;
    if reconnects + retries > 0 {
        lines.push(format!("again         {reconnects} reconnects, {retries} waits"));
    }
    let examples = summary.examples.iter();
    lines.extend(examples.map(|example| format!("  line {}: {}", example.line, example.why)));
    lines.join("\n")
}

/// The reasons that there were, with their counts.
fn reasons(rejected: &Rejected) -> String {
    let some = rejected.each().filter(|(_, count)| *count > 0);
    let each: Vec<_> = some.map(|(reason, count)| format!("{count} {}", reason.word())).collect();
    if each.is_empty() { String::new() } else { format!(": {}", each.join(", ")) }
}

/// Prints `line` where the progress is shown.
pub(super) fn tell(line: &str) {
    // Nobody can be told that standard error is gone.
    warn(line).unwrap_or_default();
}
