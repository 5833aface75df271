//! How one trace works, all of it drawn from its seed.

use std::sync::Arc;

use quipu_core::table::shard_bits;
use quipu_log::history::Retain;
use quipu_log::wal::{Identity, Options};
use stdx::hash::hash64;
use stdx::prng::Prng;

use crate::crash::ledger::Request;
use crate::recovery::SEED;

/// Requests of all lives of a trace, at most.
const REQUESTS_MAX: usize = 96;

/// How one trace works.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed that all follows from.
    pub seed: u64,
    /// Shards of the node.
    pub shards: u16,
    /// Size of a block of the disk, in bytes.
    pub block_bytes: u32,
    /// Length of a segment in bytes.
    pub segment_bytes: u64,
    /// Requests of the first life.
    pub requests: usize,
    /// A commit after every so many requests.
    pub commit_every: usize,
    /// A sync after every so many frames: those before wait together.
    pub sync_every: usize,
    /// A mark after every so many requests.
    pub mark_every: usize,
    /// A fold after every so many requests.
    pub fold_every: usize,
    /// Memory of a fold before it spills, in bytes.
    pub fold_memory_bytes: usize,
    /// All requests of all lives, in their order.
    pub script: Arc<Vec<Request>>,
}

/// Largest payload of a frame, in bytes: what a life admits between two commits fits.
const FRAME_BYTES_MAX: u32 = 3 << 10;

impl Plan {
    /// Draws all of it.
    pub fn draw(seed: u64) -> Self {
        let mut random = Prng::new(hash64(seed, b"plan of crashes"));
        let shards = 1 << random.below(3);
        let block_bytes = if random.chance(1, 4) { 4096 } else { 512 };
        // A header, two largest frames and a mark, and a few blocks more.
        let least = 2 * u64::from(block_bytes) + 2 * (4096 + u64::from(block_bytes));
        let segment_bytes = least + random.below(4) * u64::from(block_bytes) * 2;
        let pair = over_two_shards(shards);
        let mut script: Vec<Request> =
            (0..REQUESTS_MAX).map(|n| Request::draw(seed, n, &pair)).collect();
        Request::place_all(&mut script);
        Self {
            seed,
            shards,
            block_bytes,
            segment_bytes,
            requests: 24 + random.below(40) as usize,
            commit_every: 1 + random.below(5) as usize,
            sync_every: 1 + random.below(5) as usize,
            mark_every: 3 + random.below(20) as usize,
            fold_every: 5 + random.below(20) as usize,
            fold_memory_bytes: 600 << random.below(6),
            script: Arc::new(script),
        }
    }

    /// The layout of the log; `life` makes the random numbers of one start.
    pub fn log_options(&self, life: u64) -> Options {
        let (seed, mut drawn) = (hash64(self.seed, &life.to_le_bytes()), 0_u64);
        let mut options = Options::new(Box::new(move || {
            drawn += 1;
            hash64(seed, &drawn.to_le_bytes())
        }));
        options.segment_bytes = self.segment_bytes;
        options.frame_bytes_max = FRAME_BYTES_MAX;
        options.identity = Identity { store_id: self.store_id(), shards: self.shards };
        options
    }

    /// How much history is kept: that of the last fold alone, or a chain of up to three.
    pub fn retain(&self) -> Retain {
        let chosen = hash64(self.seed, b"store");
        Retain { snapshots: 1 + (chosen % 3) as usize, ..Retain::LAST_FOLD }
    }

    /// The identity of the store, under which names and tokens are hashed.
    pub fn store_id(&self) -> u64 {
        SEED
    }
}

/// Two counters, of different shards where there is more than one.
fn over_two_shards(shards: u16) -> [String; 2] {
    let shard = |name: &String| shard_bits(hash64(SEED, name.as_bytes())) & (shards - 1);
    let first = "g".to_owned();
    let other = (0..1000).map(|n| format!("g{n}")).find(|name| shard(name) != shard(&first));
    [first, other.unwrap_or_else(|| "g0".to_owned())]
}
