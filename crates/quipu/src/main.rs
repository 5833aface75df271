//! The `quipu` command: arguments, configuration, composition. No logic of its own.
//!
//! Reading order: `args` (what was typed), `settings` (what it means), `cmd` (one file per
//! subcommand), `output` (how results leave). `doctor` looks at a directory and its machine.

mod args;
mod cmd;
mod doctor;
mod figure;
mod output;
#[cfg(feature = "canary")]
mod sabotage;
mod screen;
mod settings;

use std::panic;
use std::process::{self, ExitCode};

use clap::Parser as _;

fn main() -> ExitCode {
    end_with_the_first_panic();
    match args::Args::parse().command.run() {
        Ok(code) => code,
        Err(error) => {
            output::complain(&error);
            ExitCode::from(if settings::is_usage_error(&error) {
                output::USAGE
            } else {
                output::FAILURE
            })
        }
    }
}

/// A broken assertion ends the process, in builds that could unwind too: a node that lives on without
/// one of its threads answers some of its clients and leaves the others waiting.
fn end_with_the_first_panic() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |about| {
        tell(about);
        process::abort();
    }));
}
