//! Which node a command speaks to, and in which form it answers.

use std::time::Duration;

use clap::Args;
use quipu_client::client::{Client, ClientError};

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
