//! `quipu import`: counters from lines, or from a live Redis.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use quipu_client::source::{NAME_BYTES_MAX, Source};
use quipu_client::transfer::address::Address;
use quipu_client::transfer::dump::{Dump, identity};
use quipu_client::transfer::entry::Kind;
use quipu_client::transfer::format::Format;
use quipu_client::transfer::import::{Entries, Event, ImportError, Mode, Options, import};
use quipu_client::transfer::redis::Redis;
use quipu_client::transfer::report::Report;
use serde_json::json;

use super::target::Target;
use super::transfer_progress::Progress;
use crate::output::{FAILURE, USAGE, fail, say};

/// Set counters from lines of JSON or CSV, or from the integer keys of a live Redis
///
/// Counters that exist with another value are refused unless `--overwrite` or `--add` is given.
/// Run again after an interruption, it changes nothing twice: setting is the same the second time,
/// and `--add` keeps a stream with the number of the line, by which what was added is known. A file
/// is known by its content; `--source` names it otherwise. Exits 0 where everything is in, 1 where
/// something was refused or the end was not reached.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file, or `-` for standard input
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    file: Option<PathBuf>,
    /// Read the integer keys of this Redis: `redis://[user:password@]host[:port][/database]`
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// Keys of the Redis: `*` is any text, `?` any character, `[ab]` one of these
    #[arg(long = "match", value_name = "PATTERN", default_value = "*", requires = "from")]
    pattern: String,
    /// Set counters that exist already, too
    #[arg(long, conflicts_with = "add")]
    overwrite: bool,
    /// Add the values, each exactly once; expiries are left out
    #[arg(long, conflicts_with = "from")]
    add: bool,
    /// What the lines are known by for `--add`, instead of the content of the file
    #[arg(long, value_name = "NAME", requires = "add")]
    source: Option<String>,
    /// Lines of JSON (jsonl) or CSV; without it the first byte tells
    #[arg(long, value_name = "jsonl|csv", value_parser = Format::named)]
    format: Option<Format>,
    /// Most entries in flight
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    window: u32,
    /// Give up after so many seconds without progress
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    give_up: u64,
    #[command(flatten)]
    target: Target,
}

/// Where the entries come from, and how much that is: bytes or keys.
struct Input {
    entries: Box<dyn Entries>,
    total: Option<u64>,
    mode: Mode,
}

/// Imports, showing how far it is, and prints a report.
pub(crate) fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let mut input = match input(args) {
        Ok(input) => input,
        Err(error) => return fail(USAGE, format_args!("{error:#}")),
    };
    let options = Options {
        node: args.target.node.clone(),
        mode: input.mode.clone(),
        window: args.window as usize,
        timeout: args.target.timeout(),
        give_up: Duration::from_secs(args.give_up),
        now_ms: quipu_server::clock::read().wall_ms,
    };
    let mut progress = Progress::new("imported", input.total);
    let (report, done) =
        import(&mut *input.entries, &options, &mut |event| show(&mut progress, &event));
    let elapsed = progress.finish();
    let text = if args.target.json { as_json } else { as_text };
    say(text(&report, done.as_ref().err(), elapsed))?;
    match done {
        Ok(()) if report.is_whole() => Ok(ExitCode::SUCCESS),
        Ok(()) => Ok(ExitCode::from(FAILURE)),
        Err(error) => fail(FAILURE, format_args!("{error}\nrun the same command again to go on")),
    }
}

fn show(progress: &mut Progress, event: &Event<'_>) {
    match event {
        Event::Progress { report, bytes } => {
            let place = if *bytes > 0 { *bytes } else { report.read };
            progress.move_to(place, report.set + report.added + report.unchanged + report.repeated);
        }
        Event::Waiting(refusal) => progress.note(&format!("waiting: {}", refusal.text)),
        Event::Lost(cause) => progress.note(&format!("lost: {cause}; connecting again")),
    }
}

fn input(args: &ImportArgs) -> anyhow::Result<Input> {
    match (&args.from, &args.file) {
        (Some(url), _) => redis(args, url),
        (None, Some(file)) if file == Path::new("-") => pipe(args),
        (None, Some(file)) => dump(args, file),
        (None, None) => bail!("name a file, or --from a Redis"),
    }
}

fn redis(args: &ImportArgs, url: &str) -> anyhow::Result<Input> {
    let address = Address::parse(url)?;
    let seed = getrandom::u64().unwrap_or_default();
    let mut redis = Redis::connect(&address, &args.pattern, args.target.timeout(), seed)
        .with_context(|| format!("from {address:?}"))?;
    let total = redis.count()?;
    Ok(Input { entries: Box::new(redis), total: Some(total), mode: setting(args) })
}

fn setting(args: &ImportArgs) -> Mode {
    if args.overwrite { Mode::Overwrite } else { Mode::Create }
}

fn pipe(args: &ImportArgs) -> anyhow::Result<Input> {
    let mode = match (args.add, &args.source) {
        (false, _) => setting(args),
        (true, Some(name)) => named(name)?,
        (true, None) => bail!(
            "--add from standard input needs --source NAME: the same name for the same lines, so \
             that a second run adds only what is new"
        ),
    };
    let entries = Box::new(Dump::new(Box::new(std::io::stdin()), args.format));
    Ok(Input { entries, total: None, mode })
}

fn dump(args: &ImportArgs, path: &Path) -> anyhow::Result<Input> {
    let named_path = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(named_path)?;
    let metadata = file.metadata().with_context(named_path)?;
    ensure!(metadata.is_file(), "{} is not a regular file; pipe it in", path.display());
    let mode = match (args.add, &args.source) {
        (false, _) => setting(args),
        (true, Some(name)) => named(name)?,
        (true, None) => {
            let identity = identity(path).with_context(named_path)?;
            Mode::Add { stream: format!("import/{identity}") }
        }
    };
    let entries = Box::new(Dump::new(Box::new(file), args.format));
    Ok(Input { entries, total: Some(metadata.len()), mode })
}

/// Addition under a stream that a person named.
fn named(name: &str) -> anyhow::Result<Mode> {
    const { assert!("import/named/".len() + NAME_BYTES_MAX <= 64) };
    Source::named(name)?;
    Ok(Mode::Add { stream: format!("import/named/{name}") })
}

/// The words of a report for what was no entry.
fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Bad => "bad",
        Kind::NotInteger => "not_integer",
        Kind::OtherType => "other_type",
    }
}

fn as_json(report: &Report, error: Option<&ImportError>, elapsed: Duration) -> String {
    let unfit = |kind| report.unfit.get(&kind).copied().unwrap_or(0);
    let examples: Vec<_> = report
        .examples
        .iter()
        .map(|example| {
            let kind = example.kind.map_or("refused", kind_word);
            json!({ "kind": kind, "entry": example.number, "why": example.why })
        })
        .collect();
    json!({
        "resumed_from": report.resumed_from,
        "read": report.read,
        "set": report.set,
        "added": report.added,
        "unchanged": report.unchanged,
        "repeated": report.repeated,
        "over": report.over,
        "expiries_left": report.expiries_left,
        "refused": report.refused,
        "bad": unfit(Kind::Bad),
        "not_integer": unfit(Kind::NotInteger),
        "other_type": unfit(Kind::OtherType),
        "waits": report.waits,
        "reconnects": report.reconnects,
        "answered": report.answered,
        "is_whole": error.is_none() && report.is_whole(),
        "error": error.map(ToString::to_string),
        "seconds": elapsed.as_secs_f64(),
        "examples": examples,
    })
    .to_string()
}

fn as_text(report: &Report, error: Option<&ImportError>, elapsed: Duration) -> String {
    let rate = report.read as f64 / elapsed.as_secs_f64().max(1e-9);
    let unfit = |kind| report.unfit.get(&kind).copied().unwrap_or(0);
    let seconds = elapsed.as_secs_f64();
    let mut lines =
        vec![format!("read          {} in {seconds:.2} s, {rate:.0} per second", report.read)];
    let counts = [
        ("resumed from", report.resumed_from, "entries were answered before"),
        ("set", report.set, ""),
        ("added", report.added, ""),
        ("unchanged", report.unchanged, "had this value already"),
        ("repeated", report.repeated, "had been added before"),
        ("over", report.over, "had expired"),
        ("expiries", report.expiries_left, "are not brought along by an addition"),
        ("refused", report.refused, ""),
        ("bad", unfit(Kind::Bad), "are no entries of counters"),
        ("not integer", unfit(Kind::NotInteger), "were skipped"),
        ("other type", unfit(Kind::OtherType), "were skipped"),
        ("again", report.waits + report.reconnects, "waits and reconnects"),
    ];
    for (word, count, about) in counts.into_iter().filter(|(_, count, _)| *count > 0) {
        lines.push(format!("{word:<13} {count} {about}").trim_end().to_owned());
    }
    for example in &report.examples {
        let kind = example.kind.map_or("refused", kind_word).replace('_', " ");
        lines.push(format!("  entry {}, {kind}: {}", example.number, example.why));
    }
    lines.push(end(report, error));
    lines.join("\n")
}

/// Whether all is in, and if not, what to do.
fn end(report: &Report, error: Option<&ImportError>) -> String {
    let Report { answered, resumed_from, .. } = report;
    match (error, report.is_whole()) {
        (Some(_), _) => format!("stopped       everything up to entry {answered} was answered"),
        (None, true) if *resumed_from > 0 => {
            format!("whole         everything after entry {resumed_from} is in")
        }
        (None, true) => "whole         everything that was asked for is in".to_owned(),
        (None, false) if report.added + report.repeated > 0 => {
            "NOT whole     the entries above are not in; add them from a file of their own, because \
             a file that was changed is another one"
                .to_owned()
        }
        (None, false) => "NOT whole     the entries above are not in".to_owned(),
    }
}
