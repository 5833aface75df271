//! What every client of the kill loop can do, and what ends its work.

use std::io;

use crate::Violation;
use crate::chance::Chance;
use crate::resp::{Reply, Resp};

/// Why a client stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The connection broke, as it must when the node is killed.
    Broken,
    /// A promise was broken.
    Violation(Violation),
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

/// A client that keeps books on what it sent and what was acknowledged.
pub(crate) trait Client: Send {
    /// Sends one pipeline, notes it before, and notes each reply. Returns how many replies came.
    fn pipeline(&mut self, node: &mut Resp, chance: &mut Chance) -> Result<usize, Stop>;

    /// After a restart: compares the books with the node and resolves what had no answer.
    fn settle(&mut self, node: &mut Resp) -> Result<(), Violation>;
}

/// Returns the reply to one of our own commands, which cannot fail except by the node's end.
pub(crate) fn accepted(reply: Reply, command: &str) -> Result<Reply, Stop> {
    match reply.error() {
        None => Ok(reply),
        // The node says itself that it may or may not have counted: the same as no answer.
        Some(text) if text.starts_with("UNKNOWN") => Err(Stop::Broken),
        Some(text) => Err(Violation::new("refusal", format!("{command}: {text}")).into()),
    }
}

/// Sends a command to a node that is not being killed.
pub(crate) fn ask(node: &mut Resp, command: &str) -> Result<Reply, Violation> {
    let reply = node
        .try_call(command)
        .map_err(|error| Violation::new("liveness", format!("{command}: {error}")))?;
    match accepted(reply, command) {
        Ok(reply) => Ok(reply),
        Err(Stop::Violation(violation)) => Err(violation),
        Err(Stop::Broken) => Err(Violation::new("liveness", format!("{command}: UNKNOWN"))),
    }
}

/// Reads a counter, committed; an absent one is 0.
pub(crate) fn value_of(node: &mut Resp, name: &str) -> Result<i64, Violation> {
    let reply = ask(node, &format!("GET {name}"))?;
    if reply.is_null() {
        return Ok(0);
    }
    reply.int().ok_or_else(|| Violation::new("form", format!("GET {name}: {reply:?}")))
}
