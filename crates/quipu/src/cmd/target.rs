//! Which node a command speaks to, and in which form it answers.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use quipu_client::client::{Client, ClientError};

/// The exit code of a command that the node refused or that could not reach it.
pub(crate) const REFUSED: u8 = 1;
/// The exit code of a command that does not make sense as written.
pub(crate) const USAGE: u8 = 2;

/// The options of every command that speaks to a node.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// RESP address of the node
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7411", env = "QUIPU_NODE")]
    pub(crate) node: String,
    /// Longest wait for an answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: u64,
    /// Print one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
}

impl Target {
    /// Connects.
    pub(crate) fn connect(&self) -> Result<Client, ClientError> {
        Client::connect(&self.node, self.timeout())
    }

    /// Returns the longest wait for an answer.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

/// Prints `line` on standard output. A reader that went away, such as `head`, is no fault.
pub(crate) fn say(line: impl std::fmt::Display) -> std::io::Result<()> {
    match writeln!(std::io::stdout().lock(), "{line}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Prints `line` on standard error and returns the exit code `code`.
pub(crate) fn fail(code: u8, line: impl std::fmt::Display) -> anyhow::Result<ExitCode> {
    warn(line)?;
    Ok(ExitCode::from(code))
}

/// Prints `line` on standard error.
pub(crate) fn warn(line: impl std::fmt::Display) -> std::io::Result<()> {
    writeln!(std::io::stderr().lock(), "{line}")
}
