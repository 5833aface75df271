//! A log in memory, in both manners of the real ones.
//!
//! *In turn*: durable at the next flush, a cut as a whole, as on one machine. *Late*: each batch
//! becomes durable some flushes after it was appended and out of step with other shards, several
//! in flight, as on Kafka; so cuts are not atomic over shards. A seed decides when.

use std::collections::{BTreeMap, VecDeque};

use stdx::hash::hash64;

use crate::log::{Cut, Log, LogError, Written, note};

/// How a [`MemoryLog`] answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Everything appended is durable at the next flush.
    InTurn,
    /// Each shard makes progress on its own, as this seed decides.
    Late(u64),
}

/// A log in memory. Its batches can be read back as they became durable.
#[derive(Debug)]
pub struct MemoryLog {
    manner: Manner,
    flushes: u64,
    pending: BTreeMap<u16, VecDeque<Batch>>,
    durable: BTreeMap<u16, Vec<Batch>>,
    /// All durable batches in the order in which they became durable.
    order: Vec<(u16, u64)>,
}

/// A batch as it was appended: its number and its bytes.
pub type Batch = (u64, Vec<u8>);

impl MemoryLog {
    /// Returns an empty log.
    pub fn new(manner: Manner) -> Self {
        Self {
            manner,
            flushes: 0,
            pending: BTreeMap::new(),
            durable: BTreeMap::new(),
            order: Vec::new(),
        }
    }

    /// Returns the durable batches of a shard, in order.
    pub fn durable(&self, shard: u16) -> &[Batch] {
        self.durable.get(&shard).map_or(&[], Vec::as_slice)
    }

    /// Returns (shard, batch) of all durable batches, in the order in which they became durable.
    pub fn order(&self) -> &[(u16, u64)] {
        &self.order
    }

    /// Says whether every batch is durable.
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// Returns how many of the waiting batches of a shard become durable at this flush.
    fn progress(&self, shard: u16, waiting: usize) -> usize {
        match self.manner {
            Manner::InTurn => waiting,
            Manner::Late(seed) => {
                let draw = hash64(seed ^ self.flushes, &shard.to_le_bytes());
                // Two of three times nothing happens; else any number of the waiting ones.
                if draw.is_multiple_of(3) { 1 + (draw / 3) as usize % waiting } else { 0 }
            }
        }
    }
}

impl Log for MemoryLog {
    fn append(&mut self, cut: &Cut) -> Result<(), LogError> {
        for batch in &cut.batches {
            let bytes = cut.bytes(batch).to_vec();
            self.pending.entry(batch.shard).or_default().push_back((batch.batch, bytes));
        }
        Ok(())
    }

    fn flush(&mut self, durable: &mut Vec<(u16, u64)>) -> Result<(), LogError> {
        self.flushes += 1;
        let shards: Vec<(u16, usize)> = self.pending.iter().map(|(s, q)| (*s, q.len())).collect();
        for (shard, waiting) in shards {
            let count = self.progress(shard, waiting);
            let Some(queue) = self.pending.get_mut(&shard) else { continue };
            for batch in queue.drain(..count) {
                note(durable, shard, batch.0);
                self.order.push((shard, batch.0));
                self.durable.entry(shard).or_default().push(batch);
            }
        }
        self.pending.retain(|_, queue| !queue.is_empty());
        Ok(())
    }

    fn mark(&mut self) -> Result<(), LogError> {
        Ok(())
    }

    fn seal(&mut self) -> Result<bool, LogError> {
        Ok(false)
    }

    fn groups(&self) -> bool {
        self.manner == Manner::InTurn
    }

    fn needs_segment(&self) -> bool {
        false
    }

    fn room(&self) -> u64 {
        u64::MAX
    }

    fn written(&self) -> Written {
        Written::default()
    }
}
