//! The `quipu` command: arguments, configuration, composition. No logic of its own.
//!
//! Reading order: `args` (what was typed), `settings` (what it means), `cmd` (one file per
//! subcommand), `output` (how results leave).

mod args;
mod cmd;
mod output;
#[cfg(feature = "canary")]
mod sabotage;
mod settings;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
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
