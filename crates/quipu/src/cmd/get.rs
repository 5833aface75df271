//! `quipu get`: the values of counters.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::target::Target;
use crate::output::{FAILURE, fail, say};

/// Print the values of counters
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// The counters
    #[arg(required = true)]
    names: Vec<String>,
    /// Whether to wait for what is not durable yet
    #[arg(long, default_value = "committed")]
    read: Level,
    #[command(flatten)]
    target: Target,
}

/// What a read may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    /// Only what is durable
    Committed,
    /// What is there now
    Latest,
}

/// Prints one line per counter; fails if one of them does not exist.
pub(crate) fn run(args: GetArgs) -> anyhow::Result<ExitCode> {
    let GetArgs { names, read, target } = args;
    let mut client = match target.connect() {
        Ok(client) => client,
        Err(error) => return fail(FAILURE, error),
    };
    let mut code = ExitCode::SUCCESS;
    for name in &names {
        let read = match client.get(name, read == Level::Latest) {
            Ok(read) => read,
            Err(error) => return fail(FAILURE, error),
        };
        match (target.json, read.value) {
            (true, value) => {
                say(json!({ "counter": name, "value": value, "position": read.position }))?;
            }
            (false, Some(value)) => say(format_args!("{name}\t{value}"))?,
            (false, None) => say(format_args!("{name}\t(none)"))?,
        }
        if read.value.is_none() {
            code = ExitCode::from(FAILURE);
        }
    }
    Ok(code)
}
