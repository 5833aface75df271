//! Which key a request names: a source of keys and how it draws from them.
//!
//! A draw gives the index of a key. The text of a key follows from its index alone, so all keys of a
//! source can be listed for counting what arrived.

mod zipf;

use stdx::prng::Prng;

pub use self::zipf::{Zipf, ZipfError};

/// The most sources that one scenario has: what a request drew has a fixed size.
pub const SOURCES_MAX: usize = 4;

/// A space of keys and the way in which they are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Keys {
    names: Names,
    draw: Draw,
}

/// How keys are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// A prefix and the index, as many as said.
    Numbered {
        /// What stands before the index.
        prefix: String,
        /// How many there are, above 0.
        count: u32,
    },
    /// These, at least one.
    Listed(Vec<String>),
}

/// Which key comes next.
#[derive(Debug, Clone, PartialEq)]
pub enum Draw {
    /// All equally likely.
    Uniform,
    /// One after the other, by the number of the slot.
    Sequential,
    /// Key `i` in proportion to `1 / (i + 1)^exponent`.
    Zipf(Zipf),
    /// The first keys take a share of all draws; the rest is drawn uniformly from the others.
    Hot {
        /// How many keys are hot: above 0, below the number of all.
        keys: u32,
        /// Of 2^32 draws, how many go to them.
        share: u32,
    },
}

impl Keys {
    /// Returns the source.
    ///
    /// # Panics
    /// If there are no names, or more than 2^32: an index has 32 bits.
    pub fn new(names: Names, draw: Draw) -> Self {
        let keys = Self { names, draw };
        assert!(keys.count() > 0, "a source has at least one key");
        keys
    }

    /// Returns how many keys there are.
    pub fn count(&self) -> u32 {
        match &self.names {
            Names::Numbered { count, .. } => *count,
            Names::Listed(names) => u32::try_from(names.len()).unwrap_or(u32::MAX),
        }
    }

    /// Draws the index of a key for a slot.
    pub fn draw(&self, slot: u64, prng: &mut Prng) -> u32 {
        let count = self.count();
        match &self.draw {
            Draw::Uniform => below(prng, count),
            Draw::Sequential => (slot % u64::from(count)) as u32,
            Draw::Zipf(zipf) => zipf.draw(prng),
            Draw::Hot { keys, share } => {
                if (prng.next_u64() >> 32) as u32 <= *share {
                    below(prng, *keys)
                } else {
                    keys + below(prng, count - keys)
                }
            }
        }
    }

    /// Writes the text of a key at the end of `out`; allocates nothing where `out` has room.
    pub fn write(&self, index: u32, out: &mut Vec<u8>) {
        match &self.names {
            Names::Numbered { prefix, .. } => {
                out.extend_from_slice(prefix.as_bytes());
                out.extend_from_slice(itoa::Buffer::new().format(index).as_bytes());
            }
            Names::Listed(names) => {
                let name = names.get(index as usize).map_or("", String::as_str);
                out.extend_from_slice(name.as_bytes());
            }
        }
    }

    /// Returns the text of a key.
    pub fn name(&self, index: u32) -> String {
        let mut out = Vec::new();
        self.write(index, &mut out);
        String::from_utf8(out).expect("prefixes and names are strings")
    }

    /// Returns all keys in the order of their indices.
    pub fn all(&self) -> impl Iterator<Item = String> + '_ {
        (0..self.count()).map(|index| self.name(index))
    }
}

fn below(prng: &mut Prng, bound: u32) -> u32 {
    prng.below(u64::from(bound)) as u32
}

#[cfg(test)]
mod tests;
