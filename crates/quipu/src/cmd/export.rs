//! `quipu export`: every counter as a line.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use quipu_client::transfer::export::{count, export};
use quipu_client::transfer::format::Format;
use serde_json::json;

use super::target::Target;
use super::transfer_progress::Progress;
use crate::output::{FAILURE, fail, say, warn};

/// Write every counter as a line of JSON or CSV
///
/// Name, value, and the Unix time at which it expires. A counter that exists throughout is there
/// exactly once, with a value that it had at some moment of the export; several counters are no
/// cut. A file gets its name when it is whole.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The file to make, or `-` for standard output
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Names: `*` is any text, `?` any character, `[ab]` one of these
    #[arg(long = "match", value_name = "PATTERN", default_value = "*")]
    pattern: String,
    /// Lines of JSON (jsonl) or CSV
    #[arg(long, value_name = "jsonl|csv", default_value = "jsonl", value_parser = Format::named)]
    format: Format,
    /// Replace the file if there is one
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    target: Target,
}

/// Exports, showing how far it is, and says how much it was.
pub(crate) fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let is_pipe = args.file == Path::new("-");
    let done = if is_pipe { to_pipe(args) } else { to_file(args) };
    let said = match done {
        Ok(said) => said,
        // A reader that went away, such as `head`, is no fault.
        Err(error) if is_broken_pipe(&error) => return Ok(ExitCode::SUCCESS),
        Err(error) => return fail(FAILURE, format_args!("{error:#}")),
    };
    let told = if is_pipe { warn(said) } else { say(said) };
    told?;
    Ok(ExitCode::SUCCESS)
}

fn to_pipe(args: &ExportArgs) -> anyhow::Result<String> {
    write_all(args, &mut BufWriter::new(io::stdout().lock()))
}

fn to_file(args: &ExportArgs) -> anyhow::Result<String> {
    let path = &args.file;
    anyhow::ensure!(
        args.overwrite || !path.exists(),
        "{} exists; name another file, or --overwrite",
        path.display()
    );
    let part = part_of(path);
    let written = write_part(args, &part);
    if written.is_err() {
        // What cannot be removed is named by the error of the next export.
        drop(fs::remove_file(&part));
    }
    let said = written.with_context(|| format!("in {}", part.display()))?;
    fs::rename(&part, path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(said)
}

fn write_part(args: &ExportArgs, part: &Path) -> anyhow::Result<String> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(part)?;
    let mut out = BufWriter::new(file);
    let said = write_all(args, &mut out)?;
    let file: File = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(said)
}

/// Where a file is while it is not whole.
fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

fn write_all(args: &ExportArgs, out: &mut impl Write) -> anyhow::Result<String> {
    let node = (args.target.node.as_str(), args.target.timeout());
    let mut progress = Progress::new("exported", Some(count(node.0, node.1)?));
    let (mut counters, mut expiring) = (0_u64, 0_u64);
    out.write_all(args.format.head().as_bytes())?;
    let seed = getrandom::u64().unwrap_or_default();
    let done = export(node, &args.pattern, seed, |found| {
        let line = args.format.line(found.name, found.value, found.expires_at_ms);
        out.write_all(line.as_bytes())?;
        counters += 1;
        expiring += u64::from(found.expires_at_ms.is_some());
        progress.move_to(counters, counters);
        Ok::<(), anyhow::Error>(())
    });
    let seconds = progress.finish().as_secs_f64();
    done?;
    out.flush()?;
    Ok(if args.target.json {
        json!({ "counters": counters, "expiring": expiring, "seconds": seconds }).to_string()
    } else {
        format!("exported {counters} counters in {seconds:.2} s, {expiring} of them expire")
    })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
