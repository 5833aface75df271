//! Shards shared between threads: each behind a short lock of its own.

use parking_lot::{Mutex, MutexGuard};
use quipu_core::node::Cells;
use quipu_core::shard::Shard;

/// The shards of this process.
#[derive(Debug)]
pub struct SharedShards {
    shards: Box<[Padded]>,
    gate: Mutex<()>,
}

/// A shard on cache lines of its own, so that neighbours do not slow each other.
#[derive(Debug)]
#[repr(align(128))]
struct Padded(Mutex<Shard>);

impl SharedShards {
    /// Takes over recovered shards; their number is a power of two.
    pub fn new(shards: Vec<Shard>) -> Self {
        let shards = shards.into_iter().map(|shard| Padded(Mutex::new(shard))).collect();
        Self { shards, gate: Mutex::new(()) }
    }
}

impl Cells for SharedShards {
    type Guard<'a> = MutexGuard<'a, Shard>;
    type Gate<'a> = MutexGuard<'a, ()>;

    fn count(&self) -> u16 {
        self.shards.len() as u16
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "shard numbers come from the hash's masked bits")]
    fn shard(&self, id: u16) -> Self::Guard<'_> {
        self.shards[usize::from(id)].0.lock()
    }

    fn gate(&self) -> Self::Gate<'_> {
        self.gate.lock()
    }
}
