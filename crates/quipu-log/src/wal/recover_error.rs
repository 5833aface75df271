//! Why a log cannot be opened or read, in sentences for an operator.

use std::{error::Error, io};

use thiserror::Error;

use crate::wal::{WriteError, store};

/// Why a log cannot be opened.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// The storage failed.
    #[error("cannot {operation} {file} while opening the log")]
    Storage {
        /// What was being done.
        operation: &'static str,
        /// The file; empty for the directory.
        file: String,
        /// What the storage said.
        source: io::Error,
    },
    /// The options do not fit together.
    #[error(
        "segments of {segment_bytes} bytes are too short for frames of {frame_bytes_max} bytes"
    )]
    SegmentTooSmall {
        /// Length of a segment in bytes.
        segment_bytes: u64,
        /// Largest payload in bytes.
        frame_bytes_max: u32,
    },
    /// A file is of a newer format.
    #[error("{file} has format version {found}, this program knows {known}; use a newer program")]
    UnknownVersion {
        /// The file.
        file: String,
        /// Its version.
        found: u32,
        /// The newest known version.
        known: u32,
    },
    /// A segment's header or the store file does not check.
    #[error("the header of {file} is damaged; restore this file from a copy")]
    HeaderDamaged {
        /// The file.
        file: String,
    },
    /// A segment belongs to another store.
    #[error("{file} belongs to store {found:016x}, not to {expected:016x}; move it away")]
    Foreign {
        /// The file.
        file: String,
        /// The identity in it.
        found: u64,
        /// The identity of this store.
        expected: u64,
    },
    /// A segment is missing between others.
    #[error("{file} is missing; restore it from a copy")]
    MissingSegment {
        /// The file.
        file: String,
    },
    /// All segments are missing.
    #[error("the directory is a store but holds no segments; restore them from a copy")]
    MissingLog,
    /// A restore was interrupted.
    #[error(
        "the directory holds a restore that was interrupted; remove all that is in it and restore again"
    )]
    HalfRestored,
    /// The file that says how the store was created is missing.
    #[error("the file {} is missing; restore it from a copy", store::NAME)]
    MissingStore,
    /// The log begins later than the snapshot ends.
    #[error(
        "the log begins at position {first} in {file}, but position {start} is needed; restore \
         the segments before it from a copy"
    )]
    Gap {
        /// The first segment.
        file: String,
        /// Its first position.
        first: u64,
        /// The position after the snapshot's.
        start: u64,
    },
    /// The log ends before the snapshot does.
    #[error(
        "the log ends at position {last} in {file} at offset {offset}, but the snapshot holds \
         position {snapshot}; restore the log's files from a copy"
    )]
    EndsEarly {
        /// The segment in which it ends.
        file: String,
        /// Where, in bytes.
        offset: u64,
        /// The last position in the log.
        last: u64,
        /// The position of the snapshot.
        snapshot: u64,
    },
    /// Acknowledged data is damaged.
    #[error(
        "{file} is damaged at offset {offset}: frame {position} was acknowledged (so says \
         {proof_file} at offset {proof_offset}) and does not check; restore the file from a copy, \
         or, to give up this frame and all after it, truncate the file to {offset} bytes and move \
         all later segments away"
    )]
    Damaged {
        /// The damaged segment.
        file: String,
        /// Where the frame should be, in bytes.
        offset: u64,
        /// Its position.
        position: u64,
        /// The segment of the frame that proves it durable.
        proof_file: String,
        /// Where that frame is, in bytes.
        proof_offset: u64,
    },
    /// A sealed segment does not check while the log is in use.
    #[error(
        "{file} is damaged at offset {offset}: frame {position}, which was durable, does not \
         check; take a copy of the data before the next restart"
    )]
    SealedDamaged {
        /// The segment.
        file: String,
        /// Where the frame should be, in bytes.
        offset: u64,
        /// Its position.
        position: u64,
    },
    /// History went while it was read: the disk was full.
    #[error(
        "{file} was given up while it was read, because the disk is full; make room and ask again"
    )]
    GivenUp {
        /// What was read.
        file: String,
    },
    /// The caller could not take a frame's payload.
    #[error("the payload of frame {position} is refused")]
    Visit {
        /// The frame's position.
        position: u64,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Writing the unproven frames again failed.
    #[error("cannot write the end of the log again")]
    Rewrite(#[source] WriteError),
}
