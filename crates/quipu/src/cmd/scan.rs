//! `quipu scan`: the counters whose names match a pattern.

use std::io::{BufWriter, Write};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::target::Target;
use crate::output::{FAILURE, fail};

/// Print the counters whose names match a pattern
#[derive(Debug, Args)]
pub(crate) struct ScanArgs {
    /// `*` is any text, `?` any character, `[ab]` one of these
    #[arg(default_value = "*")]
    pattern: String,
    #[command(flatten)]
    target: Target,
}

/// Prints one line per counter: a name, a tab, a value. One that is there throughout is printed
/// at least once; while new counters arrive it may be printed twice.
pub(crate) fn run(args: ScanArgs) -> anyhow::Result<ExitCode> {
    let ScanArgs { pattern, target } = args;
    match scan(&pattern, &target) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // A reader that went away, such as `head`, is no fault.
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        Err(error) => fail(FAILURE, error),
    }
}

fn scan(pattern: &str, target: &Target) -> anyhow::Result<()> {
    let mut client = target.connect()?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    client.scan(pattern, |name, value| {
        if target.json {
            writeln!(out, "{}", json!({ "counter": name, "value": value }))?;
        } else {
            writeln!(out, "{name}\t{value}")?;
        }
        Ok::<(), anyhow::Error>(())
    })?;
    Ok(out.flush()?)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
