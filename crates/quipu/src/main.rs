//! The `quipu` command: arguments, configuration, composition. No logic of its own.
//!
//! Reading order: `args` (what was typed), `settings` (what it means), `cmd` (one file per
//! subcommand), `output` (how results leave), `log` (what a node says of itself). `doctor` looks at a
//! directory and its machine.

mod args;
mod bar;
mod cmd;
mod doctor;
mod figure;
mod log;
mod output;
mod reference;
#[cfg(feature = "canary")]
mod sabotage;
mod screen;
mod settings;

use std::env;
use std::panic;
use std::process::{self, ExitCode};

use clap::Parser as _;

fn main() -> ExitCode {
    log::choose(env::args_os(), env::var_os(log::VARIABLE));
    end_with_the_first_panic();
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => return refuse(&error),
    };
    match args.command.run() {
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

/// Shows the help that was asked for, or says why the command line makes no sense.
fn refuse(error: &clap::Error) -> ExitCode {
    if log::is_json() && error.use_stderr() {
        let text = error.render().to_string();
        let first = text.lines().next().unwrap_or_default();
        output::complain(&anyhow::anyhow!(first.trim_start_matches("error: ").to_owned()));
    } else {
        // Nowhere is left to say that the terminal is gone; the exit code still tells.
        drop(error.print());
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(output::USAGE))
}

/// A broken assertion ends the process, in builds that could unwind too: a node that lives on without
/// one of its threads answers some of its clients and leaves the others waiting.
fn end_with_the_first_panic() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |about| {
        if log::is_json() {
            // Nowhere is left to say that standard error is closed.
            drop(output::warn(log::panicked(about)));
        } else {
            tell(about);
        }
        process::abort();
    }));
}
