//! The write-ahead log of one machine: frames in pre-zeroed segments, one writer, one order.
//!
//! A *frame* is what is synced at once; its payload is opaque here. A *segment* is a file of fixed
//! length that is filled with zeros, synced and named before the first frame goes into it, so that
//! writing a frame costs one `pwrite` and one `fdatasync` and no change of metadata.
//!
//! [`recover`] opens a log and returns its [`Wal`] (the writer) and its [`Preparer`], which
//! another thread runs so that the next segment is there before it is needed. Layouts are in
//! `docs/formats.md`.

mod chain;
pub mod frame;
mod open;
mod pool;
mod preparer;
mod publish;
mod reader;
mod recover_error;
mod recovery;
mod sealed;
pub mod segment;
mod store;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use chain::RESTORING;
pub(crate) use chain::begins_at_the_beginning;
pub use chain::identify;
pub use open::{recover, recover_then, replay};
pub(crate) use pool::Pool;
pub use pool::SegmentInfo;
pub use preparer::{PrepareError, Preparer};
pub(crate) use publish::establish;
pub use recovery::{Cut, RecoverError, Recovered, Report};
pub(crate) use sealed::{read_sealed, read_written};
pub use store::{Identity, LookError, look};
pub use writer::{Wal, WriteError};

/// Shards of a new store (DESIGN section 2).
const SHARDS: u16 = 64;

/// Draws 64 random bits; the log takes identities of segments and of the store from it.
pub type Random = Box<dyn FnMut() -> u64 + Send>;

/// How a log is laid out. Existing segments keep the sizes that they have.
pub struct Options {
    /// Length of a new segment in bytes; rounded up to whole blocks.
    pub segment_bytes: u64,
    /// Largest payload of a frame in bytes.
    pub frame_bytes_max: u32,
    /// How many segments are kept ready beside the current one.
    pub prepared: usize,
    /// The identity that a new store gets; an existing one keeps its own.
    pub identity: Identity,
    /// Source of the identities of segments.
    pub random: Random,
}

impl Options {
    /// Returns the defaults of DESIGN section 5: segments of 64 MiB, frames of at most 16 MiB, one
    /// segment ahead; a new store gets a random identity and 64 shards.
    pub fn new(mut random: Random) -> Self {
        let identity = Identity { store_id: random(), shards: SHARDS };
        Self { segment_bytes: 64 << 20, frame_bytes_max: 16 << 20, prepared: 1, identity, random }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Options")
            .field("segment_bytes", &self.segment_bytes)
            .field("frame_bytes_max", &self.frame_bytes_max)
            .field("prepared", &self.prepared)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
