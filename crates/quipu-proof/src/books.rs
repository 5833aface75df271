//! What every client of the kill loop can do, and what ends its work.

pub mod raced;
pub mod tokened;
pub mod untokened;

use std::io;

use crate::Violation;
use crate::books::raced::Judged;
use crate::chance::Chance;
use crate::node::{Node, PATIENCE, poll};
use crate::resp::{Reply, Resp, encode_line};

/// Why a client stopped.
#[derive(Debug)]
pub enum Stop {
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
pub trait Client: Send {
    /// A life begins: connects wherever it needs more than the connection that it is handed.
    ///
    /// # Errors
    /// Nobody listens.
    fn meet(&mut self, node: &Node) -> io::Result<()> {
        let _: &Node = node;
        Ok(())
    }

    /// Sends one pipeline, notes it before, and notes each reply. Returns how many replies came.
    ///
    /// # Errors
    /// The connection broke, or what came is not the protocol.
    fn pipeline(&mut self, node: &mut Resp, chance: &mut Chance) -> Result<usize, Stop>;

    /// After a restart: compares the books with the node and resolves what had no answer.
    ///
    /// # Errors
    /// The connection broke, or what came is not the protocol.
    fn settle(&mut self, node: &mut Resp) -> Result<(), Violation>;

    /// How many answered operations were sent again and answered as they must be.
    fn repeats(&self) -> u64 {
        0
    }

    /// How many histories were judged.
    fn judged(&self) -> Judged {
        Judged::default()
    }
}

/// Returns the reply to one of our own commands, which cannot fail except by the node's end.
///
/// # Errors
/// The connection broke, or what came is not the protocol.
pub fn accepted(reply: Reply, command: &str) -> Result<Reply, Stop> {
    match reply.error() {
        None => Ok(reply),
        // The node says itself that it may or may not have counted: the same as no answer.
        Some(text) if text.starts_with("UNKNOWN") => Err(Stop::Broken),
        // A disk that is slower than the load: the client goes no further in this life.
        Some(_) if is_too_soon(&reply) => Err(Stop::Broken),
        Some(text) => Err(Violation::new("refusal", format!("{command}: {text}")).into()),
    }
}

/// Whether the command was refused for now: no segment was ready, or one before it was refused so.
fn is_too_soon(reply: &Reply) -> bool {
    reply.fails_with("BUSY") || reply.fails_with("HELD")
}

/// Sends commands to a node that is not being killed, in one pipeline, and returns their replies;
/// what is refused for now is sent again, in order, until patience is over.
///
/// # Errors
/// The connection broke, or what came is not the protocol.
pub fn ask<S: AsRef<str>>(node: &mut Resp, lines: &[S]) -> Result<Vec<Reply>, Violation> {
    let bytes: Vec<u8> = lines.iter().flat_map(|line| encode_line(line.as_ref())).collect();
    let broken = |error| Violation::new("liveness", format!("after a restart: {error}"));
    node.send(&bytes).map_err(broken)?;
    let mut came = Vec::new();
    for _ in lines {
        came.push(node.receive().map_err(broken)?);
    }
    let mut replies = Vec::new();
    for (line, reply) in lines.iter().map(AsRef::as_ref).zip(came) {
        let again = || Some(node.try_call(line)).filter(|r| !r.as_ref().is_ok_and(is_too_soon));
        let later = is_too_soon(&reply).then(|| poll(PATIENCE, again)).flatten();
        match accepted(later.transpose().map_err(broken)?.unwrap_or(reply), line) {
            Ok(reply) => replies.push(reply),
            Err(Stop::Violation(violation)) => return Err(violation),
            Err(Stop::Broken) => {
                return Err(Violation::new("liveness", format!("{line}: UNKNOWN")));
            }
        }
    }
    Ok(replies)
}

/// Reads counters `prefix:0`, `prefix:1` and on, committed; an absent one is 0.
///
/// # Errors
/// The connection broke, or what came is not the protocol.
pub fn values_of(node: &mut Resp, prefix: &str, count: usize) -> Result<Vec<i64>, Violation> {
    let reads: Vec<String> = (0..count).map(|key| format!("GET {prefix}:{key}")).collect();
    let value = |reply: &Reply| if reply.is_null() { Some(0) } else { reply.int() };
    let replies = ask(node, &reads)?;
    let values: Option<Vec<i64>> = replies.iter().map(value).collect();
    values.ok_or_else(|| Violation::new("form", format!("GET {prefix}: {replies:?}")))
}
