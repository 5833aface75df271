//! What an operation answers, as a value.

use crate::limits::{STREAM_BYTES_MAX, TOKEN_BYTES_MAX};

/// How an operation ended. All of these are outcomes: they are recorded with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// As asked.
    Done = 0,
    /// A bound forbade it; nothing changed.
    Rejected = 1,
    /// The sum does not fit 64 bits; nothing changed.
    Overflow = 2,
    /// Its condition did not hold (no such counter, or one where none was wanted).
    Unmet = 3,
}

impl Verdict {
    /// Reads the byte of the log.
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Done),
            1 => Some(Self::Rejected),
            2 => Some(Self::Overflow),
            3 => Some(Self::Unmet),
            _ => None,
        }
    }
}

/// Whether the operation had been seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// No.
    None,
    /// Its token is remembered; this is the original outcome.
    Token,
    /// Its place in the stream was counted already; this is the present value.
    Stream,
}

impl Repeat {
    /// The word of replies.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Token => "token",
            Self::Stream => "stream",
        }
    }
}

/// A place in the log: which shard, which life of its owner, which batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// The shard.
    pub shard: u16,
    /// The life of the owner; a new one at every start.
    pub epoch: u64,
    /// The batch, counted from 1 over all epochs.
    pub batch: u64,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.shard, self.epoch, self.batch)
    }
}

/// The outcome of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub verdict: Verdict,
    /// The value after, or none where there is no counter.
    pub value: Option<i64>,
    /// The value before.
    pub previous: Option<i64>,
    /// What was really added; 0 for all but adds.
    pub applied: i64,
    /// When the counter expires, in log time.
    pub expires_at: Option<u64>,
    /// Seen before?
    pub repeat: Repeat,
}

/// An operation that was not decided. It has no effect and no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Empty or too long.
    #[error("a token has 1 to {TOKEN_BYTES_MAX} bytes, this one has {bytes}")]
    BadToken {
        /// Its length.
        bytes: usize,
    },
    /// Empty or too long.
    #[error("a stream name has 1 to {STREAM_BYTES_MAX} bytes, this one has {bytes}")]
    BadStream {
        /// Its length.
        bytes: usize,
    },
    /// Sequence 0.
    #[error("stream sequences start at 1")]
    BadSequence,
    /// A UUIDv7 from the future.
    #[error("the token's time is {ahead_ms} ms in the future; check the sender's clock")]
    FutureToken {
        /// How far ahead.
        ahead_ms: u64,
    },
    /// Same token, other operation.
    #[error("the token was used for another operation on this counter")]
    Conflict,
    /// An earlier sequence of the stream was refused and must come first.
    #[error("the stream is held until sequence {sequence} is sent again")]
    Held {
        /// The one to send.
        sequence: u64,
    },
    /// A UUIDv7 older than the window.
    #[error("the token is older than the window; this request did not count")]
    Expired,
    /// Token memory full of tokens inside their window.
    #[error("the token memory is full; retry later, or send without a token")]
    TokensFull,
    /// A shard has as many streams as it may have.
    #[error(
        "there are {most} streams, as many as stream.max allows; end some with \
         `quipu stream end`, or raise it and start again"
    )]
    StreamsFull {
        /// How many those are.
        most: u64,
    },
    /// Too much not yet durable.
    #[error("too much is in flight; retry")]
    Busy,
    /// No memory for a new counter.
    #[error("no memory for a new counter; existing ones go on")]
    NoMemory,
    /// No prepared log space.
    #[error("no disk space for the log; reads go on")]
    NoSpace,
    /// A group whose shards cannot share one atomic write.
    #[error("this log cannot write a group across shards; use a plain batch with tokens")]
    CrossShard,
    /// The log has failed or the node is stopping.
    #[error("the node is stopping; the operation did not start")]
    Stopping,
}

/// What a reply must wait for: one batch of one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dependency {
    /// The shard.
    pub shard: u16,
    /// Its batch; 0 depends on nothing.
    pub batch: u64,
}

/// The answer to one operation: outcome or refusal, where it stands, and what it depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// Outcome or refusal.
    pub result: Result<Outcome, Refusal>,
    /// Where the newest change that it speaks of stands.
    pub position: Position,
    /// The newest batch that it speaks of, durable or not.
    pub depends: Dependency,
}
