//! The log as the commit step sees it: cuts go in, and what became durable comes out later.
//!
//! The trait suits a log that syncs in the same turn as well as one whose answer comes much later
//! with several batches in flight: [`Log::append`] accepts, [`Log::flush`] makes progress and
//! reports.

pub mod local;
pub mod memory;
#[cfg(test)]
mod tests;

use thiserror::Error;

use crate::wal::WriteError;

/// Why the log did not take a cut or could not make it durable.
#[derive(Debug, Clone, Error)]
pub enum LogError {
    /// The write-ahead log refused or failed.
    #[error("the log did not take the write")]
    Wal(#[from] WriteError),
}

impl LogError {
    /// Says whether the log is finished: whether what was appended is durable is then unknown, and
    /// every later call fails.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Wal(error) => error.is_final(),
        }
    }
}

/// What one commit takes from the shards: the encoded batches of all that have one.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The encoded batches, one after the other.
    pub payload: Vec<u8>,
    /// Which part of the payload is which batch.
    pub batches: Vec<CutBatch>,
}

/// One batch of a cut.
pub use quipu_core::node::Sealed as CutBatch;

impl Cut {
    /// Empties the cut and keeps its memory.
    pub fn clear(&mut self) {
        self.payload.clear();
        self.batches.clear();
    }

    /// Adds an encoded batch of one slot.
    pub fn push(&mut self, shard: u16, batch: u64, bytes: &[u8]) {
        let start = self.payload.len();
        self.payload.extend_from_slice(bytes);
        self.batches.push(CutBatch { shard, batch, range: start..self.payload.len(), slots: 1 });
    }

    /// Returns the bytes of one of its batches.
    pub fn bytes(&self, batch: &CutBatch) -> &[u8] {
        self.payload.get(batch.range.clone()).unwrap_or_default()
    }
}

/// A log of batches with one order per shard.
pub trait Log: Send {
    /// Accepts a cut. It is in the log, in this order, but not durable yet.
    ///
    /// # Errors
    /// When it is not [`LogError::is_final`], nothing was accepted and the log goes on.
    fn append(&mut self, cut: &Cut) -> Result<(), LogError>;

    /// Makes progress and adds to `durable` what became durable: (shard, newest batch), each
    /// shard at most once. A shard's batches become durable in order.
    ///
    /// # Errors
    /// When the log failed; whether what was appended is durable is then unknown.
    fn flush(&mut self, durable: &mut Vec<(u16, u64)>) -> Result<(), LogError>;

    /// Says in the log what is durable, so that recovery can tell a torn end from damage. To be
    /// called when appending pauses for 100 ms and at shutdown, after the last flush.
    ///
    /// # Errors
    /// As [`Log::flush`].
    fn mark(&mut self) -> Result<(), LogError>;

    /// Closes what is being written to, so that it can be folded; false when there is nothing to
    /// close, or nothing to go on with. To be called after a flush.
    ///
    /// # Errors
    /// As [`Log::flush`].
    fn seal(&mut self) -> Result<bool, LogError>;

    /// Says whether a cut is durable as a whole or not at all, over all its shards.
    fn groups(&self) -> bool;

    /// Says whether room should be made ahead of need, on another thread. Cheap enough for every
    /// commit.
    fn needs_segment(&self) -> bool;

    /// Returns the length in bytes of the largest cut that the log is sure to take now.
    fn room(&self) -> u64;

    /// Returns what writing took. Cheap enough for every commit.
    fn written(&self) -> Written;
}

/// What writing took on the disk; zeros for a log that has none.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Bytes of all frames since the start: headers, padding and marks included.
    pub bytes: u64,
    /// Bytes in the segment that is being written to, its own header included.
    pub open_bytes: u64,
}

/// Keeps the newest batch of each shard of a list.
fn note(durable: &mut Vec<(u16, u64)>, shard: u16, batch: u64) {
    match durable.iter_mut().find(|(known, _)| *known == shard) {
        Some((_, newest)) => *newest = (*newest).max(batch),
        None => durable.push((shard, batch)),
    }
}
