//! `quipu take`: the value of a counter, leaving 0.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::target::Target;
use crate::output::{FAILURE, fail, say};

/// Take the value of a counter and leave 0
#[derive(Debug, Args)]
pub(crate) struct TakeArgs {
    /// The counter
    name: String,
    /// A retry with the same token takes nothing more and prints the same value
    #[arg(long)]
    token: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Takes, and prints what was taken; fails if there is no such counter.
pub(crate) fn run(args: TakeArgs) -> anyhow::Result<ExitCode> {
    let TakeArgs { name, token, target } = args;
    let taken = target.connect().and_then(|mut client| client.take(&name, token.as_deref()));
    let taken = match taken {
        Ok(taken) => taken,
        Err(error) => return fail(FAILURE, error),
    };
    match (target.json, taken.value) {
        (true, value) => say(json!({
            "counter": name, "value": value, "position": taken.position, "repeat": taken.repeat,
        }))?,
        (false, Some(value)) => say(format_args!("{name}\t{value}"))?,
        (false, None) => say(format_args!("{name}\t(none)"))?,
    }
    Ok(ExitCode::from(if taken.value.is_none() { FAILURE } else { 0 }))
}
