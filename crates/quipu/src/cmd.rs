//! The subcommands, one file each. A new one is a module, a variant and an arm.

mod config;
mod docs;

use std::process::ExitCode;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Print every setting in force and where it came from
    Config(config::Args),
    /// Print a reference page that is generated from the program's tables
    #[command(hide = true)]
    Docs(docs::Args),
}

impl Command {
    /// Runs the command to its end and returns the code to exit with.
    ///
    /// # Errors
    /// If it did not do what was asked; the message is for the user.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Config(args) => config::run(&args),
            Self::Docs(args) => docs::run(&args),
        }
    }
}
