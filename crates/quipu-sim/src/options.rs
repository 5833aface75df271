//! All that a seed decides about a run, drawn at once, so that it can be printed whole.

use stdx::prng::Prng;

/// Client operations per simulated minute: a million an hour.
pub const OPS_PER_MINUTE: u64 = 1_000_000 / 60 + 1;

/// The options of one run. Times are in simulated microseconds unless they say milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What all of it follows from.
    pub seed: u64,
    /// How long the faults last, in simulated minutes.
    pub minutes: u64,
    /// Client operations in that time.
    pub ops: u64,
    /// Clients at the same time.
    pub clients: u32,
    /// Counters that are used.
    pub counters: u32,
    /// Shards of the node.
    pub shards: u16,
}

impl Options {
    /// Draws the options of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut prng = Prng::new(seed);
        let minutes = 1 + prng.below(5);
        Self {
            seed,
            minutes,
            ops: minutes * OPS_PER_MINUTE,
            clients: 1 + prng.below(40) as u32,
            counters: 1 << prng.below(11),
            shards: 1 << prng.below(4),
        }
    }
}
