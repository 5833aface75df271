//! `quipu stream`: the streams of a node, and the operator's word that ends one.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use quipu_client::streams::{self, KnownStream};
use quipu_wire::http::percent;

use super::admin::Admin;
use crate::figure::grouped;
use crate::output::{self, FAILURE, fail, say};

/// List the streams that a node remembers, show one, end those that are not needed
///
/// A stream remembers how far a source was counted. It ends by this command alone: a node that
/// remembers as many as `stream.max` allows refuses further ones. Names are written as in a path: a
/// byte that is no letter, digit, `-`, `.`, `_` or `~` may stand as `%` and two digits.
#[derive(Debug, Args)]
pub(crate) struct StreamArgs {
    #[command(subcommand)]
    command: StreamCommand,
}

#[derive(Debug, Subcommand)]
enum StreamCommand {
    List(ListArgs),
    Show(ShowArgs),
    End(EndArgs),
}

/// List streams in the order of their names
///
/// The mark is the highest sequence that was counted on any shard, the checkpoint what the sender
/// stored. USED says whether something of the stream was counted or stored since the node started.
#[derive(Debug, Args)]
struct ListArgs {
    /// Names: `*` is any text, `?` any character, `[ab]` one of these
    #[arg(long = "match", value_name = "PATTERN", default_value = "*")]
    pattern: String,
    /// Only those that were not used since the node started
    #[arg(long)]
    unused: bool,
    /// Print names alone, as `quipu stream end` takes them
    #[arg(long, conflicts_with = "json")]
    names: bool,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

/// Show the mark of a stream on each shard, and its checkpoint
#[derive(Debug, Args)]
struct ShowArgs {
    /// The stream
    name: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

/// End streams: what was counted stays, and their sequences count again
///
/// Stop the sender first: whatever it sends afterwards, sent before or not, counts as that of a new
/// stream. A file whose streams ended counts from its first line when it is ingested again.
#[derive(Debug, Args)]
struct EndArgs {
    /// The streams
    #[arg(required = true)]
    names: Vec<String>,
    /// Also one of which a sequence was refused and must come again: its sender is gone
    #[arg(long)]
    force: bool,
    /// Print one JSON object per stream
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

/// Does what was asked.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn run(args: &StreamArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        StreamCommand::List(args) => list(args),
        StreamCommand::Show(args) => show(args),
        StreamCommand::End(args) => end(args),
    }
}

fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let mut known = Vec::new();
    streams::list(&args.admin.address()?, &args.pattern, |stream| {
        if !args.unused || stream.is_used == Some(false) {
            known.push(stream);
        }
    })?;
    let mut text = String::new();
    if args.names || args.json {
        for stream in &known {
            let told = if args.json { stream.told.to_string() } else { name(&stream.segment) };
            writeln!(text, "{told}")?;
        }
    } else {
        let rows: Vec<[String; 5]> = known.iter().map(row).collect();
        text = output::table(["STREAM", "MARK", "CHECKPOINT", "HELD AT", "USED"], &rows);
    }
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn row(stream: &KnownStream) -> [String; 5] {
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), count);
    let used = if stream.is_used == Some(true) { "yes" } else { "no" };
    let mark = Some(stream.mark()).filter(|mark| *mark > 0);
    [
        name(&stream.segment),
        number(mark),
        number(stream.checkpoint),
        number(stream.held),
        used.to_owned(),
    ]
}

fn show(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let stream = match streams::show(&args.admin.address()?, &segment(&args.name)) {
        Ok(stream) => stream,
        Err(error) => return fail(FAILURE, error),
    };
    if args.json {
        say(&stream.told)?;
        return Ok(ExitCode::SUCCESS);
    }
    let checkpoint = stream.checkpoint.map_or_else(|| "none".to_owned(), count);
    let mut text = format!("stream      {}\ncheckpoint  {checkpoint}\n", name(&stream.segment));
    for (shard, mark) in &stream.marks {
        writeln!(text, "shard {shard:<5} {}", count(*mark))?;
    }
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Ends one after the other; one that does not end is told and the others go on.
fn end(args: &EndArgs) -> anyhow::Result<ExitCode> {
    let address = args.admin.address()?;
    let mut code = ExitCode::SUCCESS;
    for given in &args.names {
        match streams::end(&address, &segment(given), args.force) {
            Ok(stream) if args.json => say(&stream.told)?,
            Ok(stream) => say(ended(&stream))?,
            Err(error) => code = fail(FAILURE, format_args!("{given}: {error}"))?,
        }
    }
    Ok(code)
}

fn ended(stream: &KnownStream) -> String {
    let mut had = Vec::new();
    if !stream.marks.is_empty() {
        let shards = stream.marks.len();
        let word = if shards == 1 { "shard" } else { "shards" };
        had.push(format!("mark {} on {shards} {word}", count(stream.mark())));
    }
    had.extend(stream.checkpoint.map(|sequence| format!("checkpoint {}", count(sequence))));
    had.extend(stream.held.map(|sequence| format!("held at {}", count(sequence))));
    format!("{} ended, it had {}", name(&stream.segment), had.join(", "))
}

fn count(number: u64) -> String {
    grouped(i128::from(number))
}

/// A name as it is shown: with the bytes that need no `%` in a terminal as they are.
fn name(segment: &str) -> String {
    let Ok(bytes) = percent::decode_segment(segment) else { return segment.to_owned() };
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'%';
    let word = |byte: u8| {
        if is_plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") }
    };
    bytes.iter().copied().map(word).collect()
}

/// A name as it was given, as a segment of a path.
fn segment(given: &str) -> String {
    match percent::decode_segment(given) {
        Ok(bytes) => percent::encode_bytes(&bytes),
        // Let the node say what is wrong with it.
        Err(_) => given.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{name, segment};

    #[test]
    fn a_name_that_is_shown_is_the_name_that_is_taken() {
        let check = |shown: &str, path: &str| {
            assert_eq!(segment(shown), path);
            assert_eq!(name(path), shown);
        };
        check("file/1f-00ab.1", "file%2f1f-00ab.1");
        check("a%20b", "a%20b");
        check("%ff%00", "%ff%00");
        check("100%25", "100%25");
        assert_eq!(segment("caf\u{e9} 1"), "caf%c3%a9%201", "a name may be given as it is");
    }
}
