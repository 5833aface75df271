//! The node behind commands that read what its disk holds.

use std::time::Duration;

use clap::Args;
use quipu_client::archive::{ArchiveError, admin_address};

/// How long a node may take to say where its admin listener is. Guess.
const PATIENCE: Duration = Duration::from_secs(30);

/// The options of commands that speak to the admin listener.
#[derive(Debug, Clone, Args)]
pub(super) struct Admin {
    /// RESP address of the node, which says where its admin listener is
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7411", env = "QUIPU_NODE")]
    node: String,
    /// Address of the admin listener, if the node is not to be asked for it
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
}

impl Admin {
    /// Returns the address of the admin listener.
    pub(super) fn address(&self) -> Result<String, ArchiveError> {
        match &self.admin {
            Some(address) => Ok(address.clone()),
            None => admin_address(&self.node, PATIENCE),
        }
    }
}
