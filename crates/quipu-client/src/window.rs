//! What an ingest knows about the blocks of one stream in flight.
//!
//! A block's operations are sums over its lines, so a block that was sent in part must be sent
//! again with the very same lines: were it cut elsewhere after a crash, its sums would differ from
//! what the node has counted under the same sequences, and the difference would be lost or
//! doubled. Hence the one rule: **the end of a block is durable before any of its operations
//! leaves.** Each block goes through these steps, in this order:
//!
//! 1. its *cut*, begin and end, is stored at the node, as the checkpoint of a companion stream;
//! 2. its increments are sent and answered, durably;
//! 3. its end is stored as the checkpoint of the stream: the block is *confirmed* and forgotten.
//!
//! At most two blocks are between cut and confirmed. The newest cut names where its block begins
//! and ends, which are the ends of the last two blocks: so whoever resumes knows every end beyond
//! the checkpoint. Fewer lines than usual make a block when a source has no more for now; nothing
//! depends on how many there are.
//!
//! A refusal that asks for patience (busy, held, no room) stops the sending; when all answers are
//! in, the block goes on at the increment refused first. What later ones had counted in between is
//! answered as a repeat by the stream's mark. A lost connection is the same from the begin of the
//! first block that the node has not confirmed.

use std::collections::VecDeque;

use thiserror::Error;

use crate::block::{Block, Increment};
use crate::canary::{self, Bug};
use crate::lines::Position;

/// Blocks that are cut and not confirmed. One more would need a third end in the cut.
pub const BLOCKS_MAX: usize = 2;
/// Bits of a cut that hold how many lines its block has.
const LENGTH_BITS: u32 = 20;
/// Most lines of a block.
pub const BLOCK_LINES_MAX: u64 = (1 << LENGTH_BITS) - 1;
/// Most lines of a source: a cut holds the number of a line in the other bits.
pub const LINES_MAX: u64 = (1 << (u64::BITS - LENGTH_BITS)) - 1;

/// A request whose answer is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// The cut of a block: the checkpoint of the companion stream.
    Cut(Cut),
    /// The increment with this number in the block with that one.
    Add {
        /// Which block, from 0: the first that is not confirmed.
        block: usize,
        /// Which of its increments, from 0.
        index: usize,
    },
    /// The checkpoint of the stream.
    Checkpoint(u64),
}

/// Where a block begins and ends, as a node keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The line after which the block begins.
    pub from: u64,
    /// The line that ends it.
    pub upto: u64,
}

/// The checkpoint of a stream and its cut do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "the node's checkpoint {checkpoint} lies inside the block of lines {} to {}: something else \
     counts under the same stream", .cut.from + 1, .cut.upto
)]
pub struct Tangled {
    /// The checkpoint.
    pub checkpoint: u64,
    /// The cut.
    pub cut: Cut,
}

/// What a node knows of a stream and its companion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// The checkpoint: every block up to here is done. 0 where there is none.
    pub checkpoint: u64,
    /// The newest cut.
    pub cut: Option<Cut>,
}

/// The way of one block.
#[derive(Debug)]
struct Flight {
    block: Block,
    announced: Announced,
    sent: usize,
    answers: usize,
    refused: Option<usize>,
    confirming: bool,
}

/// What the node knows of a block's cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Announced {
    No,
    Asked,
    Durably,
}

/// The blocks of one stream in flight.
#[derive(Debug)]
pub struct Window {
    confirmed: Position,
    ends: VecDeque<u64>,
    blocks: VecDeque<Flight>,
}

impl Cut {
    /// Returns the number that a node keeps.
    pub fn encode(self) -> u64 {
        let length = self.upto - self.from;
        assert!(length <= BLOCK_LINES_MAX && self.upto <= LINES_MAX, "a cut fits into 64 bits");
        self.upto << LENGTH_BITS | length
    }

    /// Reads the number that a node keeps; `None` of one that is not a cut.
    pub fn decode(stored: u64) -> Option<Cut> {
        let upto = stored >> LENGTH_BITS;
        let from = upto.checked_sub(stored & BLOCK_LINES_MAX)?;
        Some(Cut { from, upto })
    }
}

impl Stored {
    /// Returns the ends of blocks beyond the checkpoint.
    ///
    /// # Errors
    /// The checkpoint lies inside a block.
    pub fn ends(&self) -> Result<Vec<u64>, Tangled> {
        let Stored { checkpoint, cut } = *self;
        let cut = cut.filter(|cut| cut.upto > checkpoint && !canary::is(Bug::CutsForgotten));
        let Some(cut) = cut else { return Ok(Vec::new()) };
        if cut.from < checkpoint {
            return Err(Tangled { checkpoint, cut });
        }
        let ends = [cut.from, cut.upto].into_iter();
        Ok(ends.filter(|end| *end > checkpoint).collect())
    }
}

impl Window {
    /// Goes on at `confirmed`; `ends` are the ends of blocks beyond it that the node knows.
    pub fn new(confirmed: Position, ends: Vec<u64>) -> Window {
        assert!(ends.len() <= BLOCKS_MAX, "a node knows of as many as may be in flight");
        let blocks = VecDeque::with_capacity(BLOCKS_MAX);
        Window { confirmed, ends: ends.into(), blocks }
    }

    /// Returns up to where the node has stored a checkpoint.
    pub fn confirmed(&self) -> Position {
        self.confirmed
    }

    /// Returns up to where every increment was answered.
    pub fn answered(&self) -> Position {
        let done = self.blocks.iter().take_while(|flight| flight.is_answered());
        done.last().map_or(self.confirmed, |flight| flight.block.upto())
    }

    /// Says whether nothing is between cut and confirmed.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Says whether another block may be cut.
    pub fn has_place(&self) -> bool {
        self.blocks.len() < BLOCKS_MAX
    }

    /// Returns the line where the block that is being read must end, if a run before has cut it.
    pub fn end_to_come(&self) -> Option<u64> {
        self.ends.front().copied()
    }

    /// Takes a block that was read.
    pub fn push(&mut self, block: Block) {
        assert!(self.has_place(), "a node knows the ends of {BLOCKS_MAX} blocks");
        let end = self.ends.pop_front();
        assert!(end.is_none_or(|end| end == block.upto().lines), "a block ends where it was cut");
        // Of a block without increments nothing leaves, so its end may change.
        let durable = end.is_some() || block.is_empty() || canary::is(Bug::NoStreams);
        let announced = if durable { Announced::Durably } else { Announced::No };
        self.blocks.push_back(Flight::new(block, announced));
    }

    /// Returns the next request that may leave, and counts it as sent.
    pub fn next_request(&mut self) -> Option<Request> {
        let mut may_add = self.blocks.iter().all(|flight| flight.refused.is_none());
        for (number, flight) in self.blocks.iter_mut().enumerate() {
            let request = flight.next_request(number, may_add);
            // A cut that came after the one of a later block would hide it.
            if request.is_some() || flight.announced != Announced::Durably {
                return request;
            }
            may_add &= flight.sent == flight.block.len();
        }
        None
    }

    /// Returns the increment of a request that is in flight.
    pub fn increment(&self, block: usize, index: usize) -> Option<Increment<'_>> {
        self.blocks.get(block)?.block.increment(index)
    }

    /// Returns the increment that the next answer to an increment belongs to.
    pub fn awaited(&self) -> Option<Increment<'_>> {
        let flight = self.blocks.iter().find(|flight| flight.answers < flight.sent)?;
        flight.block.increment(flight.answers)
    }

    /// Notes the answer to `request`, the oldest in flight: whether the node asked for it again.
    pub fn answer(&mut self, request: Request, again: bool) {
        match request {
            Request::Cut(_) => {
                let asked = |flight: &&mut Flight| flight.announced == Announced::Asked;
                let Some(flight) = self.blocks.iter_mut().find(asked) else { return };
                flight.announced = if again { Announced::No } else { Announced::Durably };
            }
            Request::Add { .. } => {
                let awaits = |flight: &&mut Flight| flight.answers < flight.sent;
                let Some(flight) = self.blocks.iter_mut().find(awaits) else { return };
                if again {
                    flight.refused.get_or_insert(flight.answers);
                }
                flight.answers += 1;
            }
            Request::Checkpoint(_) if again => {
                self.blocks.iter_mut().for_each(|flight| flight.confirming = false);
            }
            Request::Checkpoint(_) => self.confirm(),
        }
        if canary::is(Bug::NoStreams) && self.blocks.front().is_some_and(Flight::is_answered) {
            self.confirm();
        }
    }

    fn confirm(&mut self) {
        if let Some(flight) = self.blocks.pop_front() {
            self.confirmed = flight.block.upto();
        }
    }

    /// Goes back to what was refused; nothing may be in flight.
    pub fn go_back(&mut self) {
        for flight in &mut self.blocks {
            if let Some(refused) = flight.refused.take() {
                (flight.sent, flight.answers) = (refused, refused);
            }
        }
    }

    /// Forgets what is in flight after a lost connection, given what the node has stored.
    ///
    /// Returns whether that fits: without a checkpoint or a cut that it had confirmed it has lost
    /// data or is another node.
    pub fn resume(&mut self, stored: Stored) -> bool {
        if stored.checkpoint < self.confirmed.lines {
            return false;
        }
        // The answer to a checkpoint may have been lost while the checkpoint was not.
        while let Some(flight) = self.blocks.front()
            && flight.block.upto().lines <= stored.checkpoint
        {
            self.confirm();
        }
        let Ok(ends) = stored.ends() else { return false };
        let mut blocks = self.blocks.iter();
        if !blocks.all(|flight| flight.is_known_by(&ends)) {
            return false;
        }
        self.blocks.iter_mut().for_each(Flight::start_over);
        true
    }
}

impl Flight {
    fn new(block: Block, announced: Announced) -> Flight {
        Flight { block, announced, sent: 0, answers: 0, refused: None, confirming: false }
    }

    fn is_answered(&self) -> bool {
        self.answers == self.block.len() && self.refused.is_none()
    }

    /// `may_add`: all of earlier blocks was sent, and nothing was refused.
    fn next_request(&mut self, number: usize, may_add: bool) -> Option<Request> {
        if self.announced == Announced::No {
            self.announced = Announced::Asked;
            let upto = self.block.upto().lines;
            return Some(Request::Cut(Cut { from: self.block.from(), upto }));
        }
        let may_add = may_add && self.announced == Announced::Durably;
        if may_add && self.sent < self.block.len() {
            self.sent += 1;
            return Some(Request::Add { block: number, index: self.sent - 1 });
        }
        if number == 0 && self.is_answered() && !self.confirming {
            self.confirming = true;
            return Some(Request::Checkpoint(self.block.upto().lines));
        }
        None
    }

    /// Says whether a node with these ends knows what it confirmed of this block.
    fn is_known_by(&self, ends: &[u64]) -> bool {
        let durable = self.announced == Announced::Durably && !self.block.is_empty();
        !durable || ends.contains(&self.block.upto().lines)
    }

    /// A cut that is known durable is not announced again: it would hide a later one.
    fn start_over(&mut self) {
        if self.announced == Announced::Asked {
            self.announced = Announced::No;
        }
        (self.sent, self.answers, self.refused, self.confirming) = (0, 0, None, false);
    }
}

#[cfg(test)]
mod tests;
