//! `quipu add`: one increment.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use quipu_client::client::{Add, Added};
use serde_json::json;

use super::target::Target;
use crate::output::{FAILURE, fail, say};

/// Add to a counter
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// The counter
    name: String,
    /// How much to add
    #[arg(default_value_t = 1, allow_negative_numbers = true)]
    delta: i64,
    /// A retry with the same token does not count again
    #[arg(long)]
    token: Option<String>,
    /// The least value that the counter may take
    #[arg(long, allow_negative_numbers = true)]
    min: Option<i64>,
    /// The greatest value that the counter may take
    #[arg(long, allow_negative_numbers = true)]
    max: Option<i64>,
    /// Go as far as a bound rather than not at all
    #[arg(long)]
    saturate: bool,
    /// Let the counter expire after so many milliseconds
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    ttl: Option<u64>,
    /// How durable the answer must be [default: what the namespace says]
    #[arg(long)]
    ack: Option<Ack>,
    #[command(flatten)]
    target: Target,
}

/// How durable an answer must be.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Ack {
    /// Answered from memory, durable within the flush interval
    Memory,
    /// On this node's disk
    Fsync,
    /// On a quorum of a Kafka log
    Quorum,
}

/// Adds, and prints the value after.
pub(crate) fn run(args: AddArgs) -> anyhow::Result<ExitCode> {
    let AddArgs { name, delta, token, min, max, saturate, ttl, ack, target } = args;
    let ack = ack.map(|ack| match ack {
        Ack::Memory => "memory",
        Ack::Fsync => "fsync",
        Ack::Quorum => "quorum",
    });
    let add = Add { name, delta, token, min, max, saturate, ttl_ms: ttl, ack };
    match target.connect().and_then(|mut client| client.add(&add)) {
        Err(error) => fail(FAILURE, error),
        Ok(added) => {
            say(if target.json { as_json(&add, &added) } else { as_text(&add, &added) })?;
            // A bound that stopped the whole increment is a refusal to a script.
            let refused = added.applied == 0 && add.delta != 0 && added.repeat == "none";
            Ok(ExitCode::from(if refused { FAILURE } else { 0 }))
        }
    }
}

fn as_json(add: &Add, added: &Added) -> String {
    let Added { value, applied, position, repeat } = added;
    json!({ "counter": add.name, "value": value, "applied": applied, "position": position,
            "repeat": repeat })
    .to_string()
}

fn as_text(add: &Add, added: &Added) -> String {
    let Added { value, applied, position, repeat } = added;
    let name = &add.name;
    match repeat.as_str() {
        "none" => format!("{name}\t{value}\tapplied {applied}\t{position}"),
        repeat => format!("{name}\t{value}\tapplied {applied}\t{position}\trepeat of a {repeat}"),
    }
}
