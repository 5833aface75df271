//! `quipu recount`: everything that is still known of a counter, step by step.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use quipu_client::archive::{self, ArchiveError};
use quipu_log::recount::recount;
use quipu_log::storage::os::{NetworkFileSystem, Os};
use quipu_server::archive::line;
use quipu_wire::http::percent;
use quipu_wire::json::history::{Line, SlotLine, State, TokenLine};
use stdx::time::utc_text;

use super::admin::Admin;

/// How long a node may take to begin. Guess: another reading comes first.
const PATIENCE: Duration = Duration::from_secs(120);

/// Print the history of a counter: its oldest known value and every later change
///
/// Asks a running node, or reads the data directory of one that is stopped. Each change is checked
/// against what was there before it. How far back it goes is set by log.retain_bytes and
/// log.retain_time.
#[derive(Debug, clap::Args)]
pub(crate) struct RecountArgs {
    /// The counter
    name: String,
    /// Data directory of a node that is not running, instead of a running node
    #[arg(long, value_name = "DIR", conflicts_with_all = ["node", "admin"])]
    data: Option<PathBuf>,
    #[command(flatten)]
    admin: Admin,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

/// Prints the history of a counter.
///
/// # Errors
/// It cannot be read to its end, or does not fit itself.
pub(crate) fn run(args: &RecountArgs) -> anyhow::Result<ExitCode> {
    let mut out = BufWriter::new(io::stdout().lock());
    let form = if args.json { json } else { text };
    let mut print = |line: &Line| form(&mut out, line);
    let told = match &args.data {
        Some(data) => from_directory(data, &args.name, &mut print),
        None => from_node(&args.admin, &args.name, &mut print),
    };
    match told.and_then(|()| Ok(out.flush()?)) {
        // A reader that went away, such as `head`, is no fault.
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        other => other.map(|()| ExitCode::SUCCESS),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

type Print<'a> = &'a mut dyn FnMut(&Line) -> io::Result<()>;

fn from_directory(data: &Path, name: &str, print: Print<'_>) -> anyhow::Result<()> {
    let path = data.display();
    if !data.is_dir() {
        bail!("{path} is no directory; name the data directory of a node");
    }
    let storage = Os::open(data, NetworkFileSystem::Force)?;
    let mut printed = Ok(());
    let told = recount(&storage, name, &mut |told| {
        printed = print(&line(&told));
        printed.is_ok()
    });
    printed?;
    told.with_context(|| format!("in {path}"))
}

fn from_node(admin: &Admin, name: &str, print: Print<'_>) -> anyhow::Result<()> {
    let path = format!("/v1/default/counters/{}/history", percent::encode_segment(name));
    let mut answer = archive::ask(&admin.address()?, ("GET", &path), PATIENCE)?;
    while let Some(text) = answer.line()? {
        let line = Line::read(&text).context("what the node sent is not understood")?;
        print(&line)?;
        match line {
            Line::End { .. } => return Ok(()),
            Line::Broken { reason } => bail!("the node cannot go on: {reason}"),
            _ => {}
        }
    }
    Err(ArchiveError::CutShort.into())
}

fn json(out: &mut dyn Write, line: &Line) -> io::Result<()> {
    if matches!(line, Line::Passed { .. }) {
        return Ok(());
    }
    let mut bytes = Vec::new();
    line.put(&mut bytes);
    out.write_all(&bytes)
}

fn text(out: &mut dyn Write, line: &Line) -> io::Result<()> {
    match line {
        Line::Oldest { frame, time_s, state } => oldest(out, (*frame, *time_s), state),
        Line::Change { position, time_ms, slots, tokens, .. } => {
            change(out, (position, *time_ms), slots, tokens)
        }
        Line::End { frame, state } => {
            writeln!(out, "now {}, as of frame {frame}", value(state))
        }
        Line::Passed { .. } | Line::Broken { .. } => Ok(()),
    }
}

fn oldest(out: &mut dyn Write, (frame, time_s): (u64, u64), state: &State) -> io::Result<()> {
    match frame {
        0 => writeln!(out, "from the beginning of the store; all history is kept")?,
        _ => writeln!(
            out,
            "from frame {frame} on, {}; what was before is not kept (log.retain_bytes, \
             log.retain_time, or a full disk)",
            utc_text(time_s * 1000)
        )?,
    }
    writeln!(out, "then {}", value(state))?;
    writeln!(
        out,
        "{:<24}  {:<14}  {:>5}  {:>12}  {:>12}  tokens",
        "time", "position", "ops", "change", "value"
    )
}

fn value(state: &State) -> String {
    let value = state.value.map_or_else(|| "absent".to_owned(), |value| value.to_string());
    match state.expires_at_ms {
        Some(at) => format!("{value}, expires {}", utc_text(at)),
        None => value,
    }
}

fn change(
    out: &mut dyn Write,
    (position, time_ms): (&str, u64),
    slots: &[SlotLine],
    tokens: &[TokenLine],
) -> io::Result<()> {
    let time = utc_text(time_ms);
    let tokens: Vec<String> = tokens.iter().map(token).collect();
    let tokens = tokens.join(" ");
    if slots.is_empty() {
        return row(out, [&time, position, "0", "none", "", &tokens]);
    }
    let last = slots.len() - 1;
    for (index, slot) in slots.iter().enumerate() {
        let after = slot.after.map_or_else(|| "absent".to_owned(), |value| value.to_string());
        let changed = match slot.delta {
            Some(delta) => format!("{delta:+}"),
            None if slot.after.is_none() => "deleted".to_owned(),
            None => "set".to_owned(),
        };
        // The tokens are those of the batch: after its last slot.
        let tokens = if index == last { tokens.as_str() } else { "" };
        row(out, [&time, position, &slot.operations.to_string(), &changed, &after, tokens])?;
    }
    Ok(())
}

fn row(out: &mut dyn Write, cells: [&str; 6]) -> io::Result<()> {
    let [time, position, ops, change, value, tokens] = cells;
    let line = format!("{time:<24}  {position:<14}  {ops:>5}  {change:>12}  {value:>12}  {tokens}");
    writeln!(out, "{}", line.trim_end())
}

fn token(token: &TokenLine) -> String {
    let TokenLine { token, item, verdict, .. } = token;
    let item = if *item == 0 { String::new() } else { format!("#{item}") };
    let verdict = if verdict == "done" { String::new() } else { format!("({verdict})") };
    format!("{token}{item}{verdict}")
}
