//! What a client asks, as it travels: counters and tokens by number, text only at the node.

use quipu_core::op::{Ack, Action, Op, ReadLevel, Token};
use quipu_core::outcome::{Outcome, Position, Refusal};

/// What makes a repeat recognisable, by numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ticket {
    /// Nothing.
    None,
    /// A key.
    Key(Key),
    /// A place in a stream.
    Place {
        /// Which stream.
        stream: u32,
        /// From 1.
        sequence: u64,
    },
}

/// A token by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Which one.
    pub number: u64,
    /// The time in it in milliseconds, if it is a UUIDv7; else 0.
    pub uuid_ms: u64,
    /// Which of the items that carry it on one counter.
    pub item: u32,
}

/// The text of a token, held in place.
#[derive(Debug, Clone, Copy)]
pub struct KeyText {
    bytes: [u8; 36],
    len: usize,
}

const HEX: &[u8; 16] = b"0123456789abcdef";
const HEX_UPPER: &[u8; 16] = b"0123456789ABCDEF";

impl Key {
    /// Its text; that of a UUIDv7 in the case asked for.
    pub fn text(&self, upper: bool) -> KeyText {
        if self.uuid_ms == 0 {
            return self.opaque();
        }
        let digits = if upper { HEX_UPPER } else { HEX };
        // 48 bits of time, version 7, and the number in the rest.
        let high = (u128::from(self.uuid_ms) << 80) | (7 << 76) | (0x8 << 60);
        let value = high | u128::from(self.number & 0x0FFF_FFFF_FFFF_FFFF);
        let (mut bytes, mut at) = ([b'-'; 36], 0);
        for nibble in (0..32).rev() {
            if matches!(at, 8 | 13 | 18 | 23) {
                at += 1;
            }
            bytes[at] = digits[(value >> (nibble * 4)) as usize & 0xF];
            at += 1;
        }
        KeyText { bytes, len: 36 }
    }

    fn opaque(&self) -> KeyText {
        let mut bytes = [b'k'; 36];
        for (nibble, place) in bytes.iter_mut().skip(1).take(16).enumerate() {
            *place = HEX[(self.number >> (nibble * 4)) as usize & 0xF];
        }
        KeyText { bytes, len: 17 }
    }
}

impl KeyText {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

/// One operation of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// The counter.
    pub counter: u32,
    /// What to do to it.
    pub action: Action,
    /// What makes a repeat recognisable.
    pub ticket: Ticket,
}

/// How the operations of a request belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Each for itself, as in a plain batch.
    Each,
    /// One frame, each with its own answer, as between MULTI and EXEC.
    Multi,
    /// All or nothing.
    Atomic,
    /// A look at all counters: no operations.
    Scan,
    /// A sender's checkpoint: no operations.
    Checkpoint {
        /// Which stream.
        stream: u32,
        /// Up to here all was answered.
        sequence: u64,
    },
    /// What the node knows of a stream: no operations.
    Resume {
        /// Which stream.
        stream: u32,
    },
    /// An operator's word that a stream ends: no operations.
    End {
        /// Which stream.
        stream: u32,
    },
}

/// One request, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its number.
    pub id: u64,
    /// Its operations.
    pub asks: Vec<Ask>,
    /// How they belong together.
    pub form: Form,
    /// When its writes may be answered.
    pub ack: Ack,
    /// What its reads may show.
    pub read: ReadLevel,
}

/// The answer to one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Outcome or refusal.
    pub result: Result<Outcome, Refusal>,
    /// Where what it speaks of stands.
    pub position: Position,
}

/// What comes back to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// One answer for each operation; one in all for an aborted group.
    Answers(Vec<Answer>),
    /// The checkpoint and the marks of a stream.
    Stream {
        /// What its sender stored.
        checkpoint: Option<u64>,
        /// The highest mark of any shard.
        newest: u64,
    },
    /// The stream has ended, or there was none.
    Ended,
    /// The log failed: it may have been counted.
    Unknown,
    /// Nobody listens.
    Unreachable,
}

/// Names of counters and streams, and where the counters live.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Counters; their order is that of their numbers.
    pub counters: Vec<String>,
    /// The shard of each counter.
    pub shards: Vec<u16>,
    /// Streams.
    pub streams: Vec<String>,
    /// The home shard of each stream.
    pub homes: Vec<u16>,
}

impl Names {
    /// The name of a counter.
    pub fn counter(&self, counter: u32) -> &str {
        self.counters.get(counter as usize).map_or("", String::as_str)
    }

    /// The name of a stream.
    pub fn stream(&self, stream: u32) -> &str {
        self.streams.get(stream as usize).map_or("", String::as_str)
    }

    /// The shard of a counter.
    pub fn shard(&self, counter: u32) -> u16 {
        self.shards.get(counter as usize).copied().unwrap_or(0)
    }

    /// The home shard of a stream.
    pub fn home(&self, stream: u32) -> u16 {
        self.homes.get(stream as usize).copied().unwrap_or(0)
    }
}

impl Ask {
    /// Its token as text, where it has one; a UUIDv7 is the same in any case.
    pub fn key_text(&self, upper: bool) -> Option<KeyText> {
        match self.ticket {
            Ticket::Key(key) => Some(key.text(upper)),
            _ => None,
        }
    }

    /// The operation as the node takes it.
    pub fn op<'a>(&self, names: &'a Names, text: Option<&'a KeyText>) -> Op<'a> {
        let token = match (self.ticket, text) {
            (Ticket::Key(key), Some(text)) => Token::Key { key: text.bytes(), item: key.item },
            (Ticket::Place { stream, sequence }, _) => {
                Token::Stream { name: names.stream(stream).as_bytes(), sequence }
            }
            _ => Token::None,
        };
        Op { name: names.counter(self.counter), action: self.action, token }
    }
}
