//! Commands as values: a request of words in, a [`Command`] out.
//!
//! [`table`] is the one list of commands; a new one is a row there and a function that reads its
//! arguments. Everything that is about one counter becomes one [`OpCommand`].

mod connection;
mod counter;
mod expire;
mod increx;
mod keys;
mod quipu;
pub mod table;
mod words;

use quipu_core::op::{Ack, Op, ReadLevel};

pub use self::connection::{Client, CommandInfo, Hello};
pub use self::keys::{Keys, Many, ManyCommand, Scan};
pub use self::quipu::{Place, place, token};
use crate::resp::error::CommandError;
use crate::resp::frame::Request;

/// What a client asks.
#[derive(Debug, Clone, Copy)]
pub enum Command<'a> {
    /// One operation on one counter.
    Op(OpCommand<'a>),
    /// The same operation on several counters.
    Many(ManyCommand<'a>),
    /// SCAN.
    Scan(Scan<'a>),
    /// DBSIZE.
    DbSize,
    /// MULTI.
    Multi,
    /// EXEC.
    Exec,
    /// DISCARD.
    Discard,
    /// PING, with what to answer.
    Ping(Option<&'a [u8]>),
    /// ECHO.
    Echo(&'a [u8]),
    /// HELLO.
    Hello(Hello<'a>),
    /// AUTH.
    Auth {
        /// The user; none means the default one, which must have a password then.
        user: Option<&'a [u8]>,
        /// The password.
        password: &'a [u8],
    },
    /// SELECT of database 0, the only one.
    Select,
    /// QUIT.
    Quit,
    /// RESET.
    Reset,
    /// INFO, with the sections that are wanted; none means the default ones.
    Info(Request<'a>),
    /// CONFIG GET, with the patterns.
    ConfigGet(Request<'a>),
    /// COMMAND and its subcommands.
    Command(CommandInfo<'a>),
    /// CLIENT and its subcommands.
    Client(Client<'a>),
    /// QUIPU.STREAM: checkpoint and mark per shard.
    Stream(&'a [u8]),
    /// QUIPU.CHECKPOINT.
    Checkpoint {
        /// The stream.
        name: &'a [u8],
        /// All up to here was answered.
        sequence: u64,
    },
    /// QUIPU.TOP: how many counters.
    Top(usize),
    /// QUIPU.USE: the namespace that follows.
    Use(&'a [u8]),
}

/// One operation on one counter, and how to answer it.
#[derive(Debug, Clone, Copy)]
pub struct OpCommand<'a> {
    /// What to do.
    pub op: Op<'a>,
    /// How its outcome is written.
    pub shape: Shape,
    /// When a write may be answered; none means the namespace's default.
    pub ack: Option<Ack>,
    /// What a read shows; none means the namespace's default.
    pub read: Option<ReadLevel>,
}

/// How an outcome becomes a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The value after, as an integer (INCR).
    Integer,
    /// The value as a string, or null (GET).
    Value,
    /// The value before as a string, or null (GETSET, GETDEL, SET with GET).
    Previous,
    /// OK, or null where the condition did not hold (SET).
    Ok,
    /// 1, or 0 where the condition did not hold (SETNX, DEL, EXPIRE, PERSIST).
    Flag,
    /// 1 where there is a counter, else 0 (EXISTS).
    Exists,
    /// Seconds to live, rounded to the nearest; -1 without expiry, -2 without counter (TTL).
    TtlSeconds,
    /// The same in milliseconds (PTTL).
    TtlMillis,
    /// The Unix time of the expiry in seconds, rounded to the nearest; -1 and -2 as TTL (EXPIRETIME).
    ExpirySeconds,
    /// The same in milliseconds (PEXPIRETIME).
    ExpiryMillis,
    /// `string` or `none` (TYPE).
    Type,
    /// `[value, applied, position, repeat]` (QUIPU.ADD); the value is null where no counter is.
    Added,
    /// `[value, applied]`, the value 0 where no counter is (INCREX).
    Increased,
    /// `[value, position]` (QUIPU.GET).
    Found,
    /// `[value taken, position, repeat]` (QUIPU.TAKE).
    Taken,
}

/// Reads a request as a command. Allocates only to report an error.
///
/// # Errors
/// No such command, or arguments that it does not take. [`CommandError::spoils_group`] tells what
/// this means between MULTI and EXEC.
#[inline]
pub fn command(request: Request<'_>) -> Result<Command<'_>, CommandError> {
    let row = table::lookup(request)?;
    (row.parse)(row.name, request)
}

#[cfg(test)]
mod tests;
