//! What each slot sends: an operation, its keys, its delta and its token, by the number of the slot.
//!
//! Nothing is drawn in turn: the same slot of the same scenario asks the same, whichever thread sends
//! it and whatever became of the slots before. Tokens also depend on the run, or a second run would
//! repeat the first one's and count nothing.

use std::sync::Arc;

use stdx::hash::{hash64, hash128};
use stdx::prng::Prng;

use crate::data::SOURCES_MAX;
use crate::scenario::{Counts, Delta, Operation, Scenario, Source, Tokens};
use crate::slot::Slot;

/// What tells one run of a scenario from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// A number that no other run has.
    pub id: u64,
    /// When the schedule starts, in milliseconds since 1970-01-01 UTC.
    pub start_wall_ms: u64,
}

/// What the slots of a scenario send. Cloning is cheap: threads share it.
#[derive(Debug, Clone)]
pub struct Requests {
    operations: Arc<[Operation]>,
    /// Of each operation.
    tokens: Arc<[Tokens]>,
    sources: Arc<[Source]>,
    delta: Delta,
    weights: u32,
    seed: u64,
    run: Run,
}

/// What was drawn for a slot: enough to send it again, byte for byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawn {
    /// The slot.
    pub slot: Slot,
    /// The number of the operation.
    pub operation: u16,
    /// The index of a key for each source.
    pub keys: [u32; SOURCES_MAX],
    /// How much is added where the template says so.
    pub delta: i64,
}

/// A stream of tokens. A connection has one at a time, and leaves it for the next when a request on it
/// failed: a later place in the same stream would say that the failed one had been counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stream {
    /// The number of the connection.
    pub connection: u32,
    /// How many it has left.
    pub turn: u32,
}

/// All that a template is filled from.
#[derive(Debug, Clone, Copy)]
pub struct Filling<'r> {
    /// What was drawn.
    pub drawn: Drawn,
    /// The stream in which it is sent.
    pub stream: Stream,
    requests: &'r Requests,
}

impl Stream {
    /// Returns the first stream of a connection.
    pub fn of(connection: u32) -> Self {
        Self { connection, turn: 0 }
    }
}

impl Requests {
    /// Returns what a run of a scenario sends.
    pub fn new(scenario: &Scenario, run: Run) -> Self {
        Self {
            operations: scenario.operations.as_slice().into(),
            tokens: scenario.operations.iter().map(Operation::tokens).collect(),
            sources: scenario.data.as_slice().into(),
            delta: scenario.delta,
            weights: scenario.operations.iter().map(|operation| operation.weight).sum(),
            seed: scenario.seed,
            run,
        }
    }

    /// Returns what a slot sends.
    pub fn draw(&self, slot: Slot) -> Drawn {
        let mut prng = Prng::new(hash64(self.seed, &slot.number.to_le_bytes()));
        let operation = self.draw_operation(&mut prng);
        let mut keys = [0; SOURCES_MAX];
        for (key, source) in keys.iter_mut().zip(self.sources.iter()) {
            *key = source.keys.draw(slot.number, &mut prng);
        }
        let delta = match self.delta {
            Delta::Fixed(delta) => delta,
            Delta::Uniform(least, most) => {
                let width = most.wrapping_sub(least) as u64;
                least.wrapping_add(prng.below(width.saturating_add(1)) as i64)
            }
        };
        Drawn { slot, operation, keys, delta }
    }

    /// Returns what templates are filled from for a request on a stream.
    pub fn filling(&self, drawn: Drawn, stream: Stream) -> Filling<'_> {
        Filling { drawn, stream, requests: self }
    }

    /// Returns the operations; [`Drawn::operation`] is a place in them.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Returns the sources of keys; [`Drawn::keys`] has an index for each.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Returns what makes the request of a slot recognisable when it comes again.
    pub fn tokens(&self, drawn: &Drawn) -> Tokens {
        self.tokens.get(usize::from(drawn.operation)).copied().unwrap_or(Tokens::None)
    }

    /// Returns how much a request adds to its first key, as far as conservation is concerned.
    pub fn amount(&self, drawn: &Drawn) -> i64 {
        match self.operations.get(usize::from(drawn.operation)).map(|operation| operation.counts) {
            Some(Counts::Fixed(amount)) => amount,
            Some(Counts::Delta) => drawn.delta,
            Some(Counts::Nothing) | None => 0,
        }
    }

    fn draw_operation(&self, prng: &mut Prng) -> u16 {
        if self.operations.len() < 2 {
            return 0;
        }
        let mut left = prng.below(u64::from(self.weights)) as u32;
        for (number, operation) in (0..).zip(self.operations.iter()) {
            if left < operation.weight {
                return number;
            }
            left -= operation.weight;
        }
        unreachable!("a draw is below the sum of the weights")
    }
}

impl Filling<'_> {
    pub(crate) fn write_key(&self, source: u8, out: &mut Vec<u8>) {
        let source = usize::from(source);
        if let (Some(keys), Some(index)) =
            (self.requests.sources.get(source), self.drawn.keys.get(source))
        {
            keys.keys.write(*index, out);
        }
    }

    pub(crate) fn run(&self) -> u64 {
        self.requests.run.id
    }

    /// 128 bits that only this slot of this run has.
    pub(crate) fn token(&self) -> u128 {
        self.unlike_others(*b"token")
    }

    /// RFC 9562, section 5.4.
    pub(crate) fn uuid4(&self) -> u128 {
        with_version(self.unlike_others(*b"uuid4"), 4)
    }

    /// RFC 9562, section 5.7: 48 bits of milliseconds, then random ones.
    pub(crate) fn uuid7(&self) -> u128 {
        let ms = self.requests.run.start_wall_ms + self.drawn.slot.due_ns / 1_000_000;
        let random = self.unlike_others(*b"uuid7") & (u128::MAX >> 48);
        with_version(u128::from(ms) << 80 | random, 7)
    }

    fn unlike_others(&self, purpose: [u8; 5]) -> u128 {
        let mut bytes = [0; 21];
        let (run, rest) = bytes.split_at_mut(8);
        let (number, name) = rest.split_at_mut(8);
        run.copy_from_slice(&self.requests.run.id.to_le_bytes());
        number.copy_from_slice(&self.drawn.slot.number.to_le_bytes());
        name.copy_from_slice(&purpose);
        hash128(self.requests.seed, &bytes)
    }
}

/// Sets the version and the variant of a UUID.
fn with_version(uuid: u128, version: u128) -> u128 {
    (uuid & !(0xf << 76) & !(0b11 << 62)) | version << 76 | 0b10 << 62
}

#[cfg(test)]
mod tests;
