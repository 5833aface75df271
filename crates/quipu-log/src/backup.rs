//! Copies of a store's state: taken from a running node, verified, and made into a store again.
//!
//! A backup is a directory with a snapshot and, written last, the file `BACKUP` that says what is in
//! it: without that file there is no backup. Restoring writes a new store whose log goes on after
//! the snapshot. The restored shards begin a life (epoch) of their own, later than any that the
//! store of the backup has had or will have, so no position is given twice.

mod manifest;
mod receive;
mod restore;
#[cfg(test)]
mod tests;

use thiserror::Error;

pub use self::{
    manifest::{Manifest, ShardAt, verify},
    receive::Receiver,
    restore::{Restored, restore},
};
use crate::{sorted_file::SortedFileError, wal::RecoverError};

/// The file that makes a directory a backup.
pub const MANIFEST: &str = "BACKUP";

/// Why a backup cannot be made, believed or restored.
#[derive(Debug, Error)]
pub enum BackupError {
    /// A file cannot be read or written, or is damaged.
    #[error(transparent)]
    File(#[from] SortedFileError),
    /// The log of the restored store cannot be begun.
    #[error(transparent)]
    Log(#[from] RecoverError),
    /// The directory holds something else.
    #[error("the directory holds {file}; name one that is new or empty")]
    NotEmpty {
        /// A file in it.
        file: String,
    },
    /// The directory holds a backup already.
    #[error("the directory holds a backup already; name another one")]
    Taken,
    /// No backup, or one that was interrupted.
    #[error("there is no backup: the file {MANIFEST}, which is written last, is missing")]
    Missing,
    /// The manifest is of another version.
    #[error("{MANIFEST} has format version {found:?}, this program knows 1; use a newer program")]
    UnknownVersion {
        /// What it says.
        found: String,
    },
    /// The snapshot is intact and not the one that the manifest speaks of.
    #[error("{file} is not the snapshot that {MANIFEST} speaks of: {what} differs")]
    Other {
        /// The snapshot.
        file: String,
        /// In what.
        what: &'static str,
    },
}
