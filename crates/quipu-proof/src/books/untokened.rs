//! Clients without tokens: their counters lie between what was acknowledged and what was sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use quipu_history::bounds::{Final, judge_final};

use crate::books::{Client, Stop, accepted, values_of};
use crate::chance::Chance;
use crate::resp::{Resp, encode_line};
use crate::{Violation, demand};

/// Counters of each kind; few, so that batches coalesce.
const COUNTERS: usize = 8;
/// Commands of one pipeline, at most.
const PIPELINE_MAX: usize = 48;

/// The books of one counter that several connections increment.
#[derive(Debug, Default)]
pub struct Entry {
    /// The value at the last settlement.
    base: AtomicI64,
    sent: AtomicI64,
    acknowledged: AtomicI64,
    /// The greatest value that an acknowledgement named.
    seen: AtomicI64,
}

impl Entry {
    /// Compares with the value after a restart: each counter by itself, because a total hides one
    /// that lost what another doubled. The books begin anew from there.
    fn settle(&self, key: usize, value: i64) -> Result<(), Violation> {
        let base = self.base.swap(value, SeqCst);
        let acknowledged = self.acknowledged.swap(0, SeqCst);
        let least = (base + acknowledged).max(self.seen.load(SeqCst));
        let most = base + self.sent.swap(0, SeqCst);
        match judge_final(value, i128::from(least), i128::from(most - least)) {
            Final::Right => Ok(()),
            Final::Lost(_) => Err(Violation::new(
                "acknowledged is there",
                format!("plain:{key} is {value}, acknowledged up to {least}"),
            )),
            Final::Doubled(_) => Err(Violation::new(
                "unacknowledged at most once",
                format!("plain:{key} is {value}, but only {most} were sent"),
            )),
        }
    }
}

/// Returns the books of the counters that all [`Plain`] clients share.
pub fn shared_counters() -> Arc<[Entry]> {
    (0..COUNTERS).map(|_| Entry::default()).collect()
}

/// Sends `INCR` on shared counters.
#[derive(Debug)]
pub struct Plain {
    books: Arc<[Entry]>,
}

impl Plain {
    /// Returns a client on these books.
    pub const fn new(books: Arc<[Entry]>) -> Self {
        Self { books }
    }
}

impl Client for Plain {
    fn pipeline(&mut self, node: &mut Resp, chance: &mut Chance) -> Result<usize, Stop> {
        let keys: Vec<usize> =
            (0..=chance.below(PIPELINE_MAX)).map(|_| chance.below(COUNTERS)).collect();
        let mut bytes = Vec::new();
        for &key in &keys {
            self.books[key].sent.fetch_add(1, SeqCst);
            bytes.extend_from_slice(&encode_line(&format!("INCR plain:{key}")));
        }
        node.send(&bytes)?;
        for &key in &keys {
            let reply = accepted(node.receive()?, "INCR")?;
            let value = reply.int().ok_or_else(|| Violation::new("form", format!("{reply:?}")))?;
            self.books[key].acknowledged.fetch_add(1, SeqCst);
            self.books[key].seen.fetch_max(value, SeqCst);
        }
        Ok(keys.len())
    }

    fn settle(&mut self, node: &mut Resp) -> Result<(), Violation> {
        let values = values_of(node, "plain", COUNTERS)?;
        for (key, (entry, value)) in self.books.iter().zip(values).enumerate() {
            entry.settle(key, value)?;
        }
        Ok(())
    }
}

/// Adds with `ACK memory`: only what a committed read has shown must be there.
#[derive(Debug)]
pub struct WriteBehind {
    /// For each counter: the durable floor, and the value if everything sent had arrived.
    books: Vec<(i64, i64)>,
}

impl Default for WriteBehind {
    fn default() -> Self {
        Self::new()
    }
}

impl WriteBehind {
    /// Returns a client with empty books.
    pub fn new() -> Self {
        Self { books: vec![(0, 0); COUNTERS] }
    }
}

impl Client for WriteBehind {
    fn pipeline(&mut self, node: &mut Resp, chance: &mut Chance) -> Result<usize, Stop> {
        let key = chance.below(COUNTERS);
        let count = 1 + chance.below(PIPELINE_MAX);
        let add = encode_line(&format!("QUIPU.ADD behind:{key} 1 ACK memory"));
        self.books[key].1 += count as i64;
        node.send(&add.repeat(count))?;
        for _ in 0..count {
            accepted(node.receive()?, "QUIPU.ADD")?;
        }
        if chance.percent(25) {
            node.send(&encode_line(&format!("GET behind:{key}")))?;
            let reply = accepted(node.receive()?, "GET")?;
            let value = reply.int().ok_or_else(|| Violation::new("form", format!("{reply:?}")))?;
            demand(value == self.books[key].1, "committed read", || {
                format!("behind:{key} reads {value} after acknowledged {:?}", self.books[key])
            })?;
            self.books[key].0 = value;
        }
        Ok(count)
    }

    fn settle(&mut self, node: &mut Resp) -> Result<(), Violation> {
        let values = values_of(node, "behind", COUNTERS)?;
        for (key, ((floor, sent), value)) in self.books.iter_mut().zip(values).enumerate() {
            demand(value >= *floor, "durable floor", || {
                format!("behind:{key} is {value}, a committed read had shown {floor}")
            })?;
            demand(value <= *sent, "unacknowledged at most once", || {
                format!("behind:{key} is {value}, but only {sent} were sent")
            })?;
            (*floor, *sent) = (value, value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_counter_lost_and_another_doubled_does_not_cancel() {
        let entry = || Entry { sent: 5.into(), acknowledged: 4.into(), ..Entry::default() };
        let settled = |value| entry().settle(0, value).err().map(|violation| violation.check);
        assert_eq!(settled(3), Some("acknowledged is there"));
        assert_eq!(settled(6), Some("unacknowledged at most once"));
        assert_eq!([settled(4), settled(5)], [None, None]);
    }
}
