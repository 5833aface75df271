//! The `quipu-sim` command: evidence from seeds. Progress goes to standard error; the last line of
//! standard output is one JSON object.

mod args;
mod crashes;
mod flips;
mod output;
mod progress;
mod seeds;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let ended = args::Args::parse().command.run().and_then(|verdict| output::tell(&verdict));
    match ended {
        Ok(code) => code,
        Err(error) => output::complain(&error),
    }
}
