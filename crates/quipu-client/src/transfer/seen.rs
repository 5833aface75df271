//! Names that came before, at 16 bytes each.

use std::collections::HashSet;

use stdx::hash::hash128;

/// A set of names. Two names are taken for one with a chance of about 2^-90 among a billion.
#[derive(Debug, Default)]
pub struct Seen {
    seed: u64,
    hashes: HashSet<u128>,
}

impl Seen {
    /// An empty set. The seed keeps whoever chooses the names from choosing their hashes.
    pub fn new(seed: u64) -> Self {
        Self { seed, hashes: HashSet::new() }
    }

    /// Notes a name; says whether it is new.
    pub fn is_new(&mut self, name: &[u8]) -> bool {
        self.hashes.insert(hash128(self.seed, name))
    }
}
