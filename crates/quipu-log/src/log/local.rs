//! The log of one machine: each cut is one frame of the write-ahead log, each flush one sync.

use quipu_core::canary::{self, Bug};

use crate::{
    log::{Cut, Log, LogError, Written, note},
    storage::Storage,
    wal::Wal,
};

/// A write-ahead log as a [`Log`].
#[derive(Debug)]
pub struct WalLog<S: Storage> {
    wal: Wal<S>,
    /// What was appended since the last flush: (shard, newest batch).
    pending: Vec<(u16, u64)>,
}

impl<S: Storage> WalLog<S> {
    /// Takes over a writer.
    pub fn new(wal: Wal<S>) -> Self {
        Self { wal, pending: Vec::new() }
    }

    /// Returns the writer, for its positions and its need of segments.
    pub fn wal(&self) -> &Wal<S> {
        &self.wal
    }
}

impl<S: Storage> Log for WalLog<S> {
    fn append(&mut self, cut: &Cut) -> Result<(), LogError> {
        match cut.batches.first().filter(|_| canary::is(Bug::GroupSplit)) {
            Some(first) => {
                let (head, rest) = cut.payload.split_at(first.range.end);
                self.wal.write(&[head])?;
                self.wal.write(&[rest])?;
            }
            None => _ = self.wal.write(&[&cut.payload])?,
        }
        for batch in &cut.batches {
            note(&mut self.pending, batch.shard, batch.batch);
        }
        Ok(())
    }

    fn flush(&mut self, durable: &mut Vec<(u16, u64)>) -> Result<(), LogError> {
        self.wal.sync()?;
        for (shard, batch) in self.pending.drain(..) {
            note(durable, shard, batch);
        }
        Ok(())
    }

    fn mark(&mut self) -> Result<(), LogError> {
        Ok(self.wal.mark()?)
    }

    fn seal(&mut self) -> Result<bool, LogError> {
        Ok(self.wal.seal()?)
    }

    fn groups(&self) -> bool {
        true
    }

    fn needs_segment(&self) -> bool {
        self.wal.needs_segment()
    }

    fn room(&self) -> u64 {
        self.wal.room()
    }

    fn written(&self) -> Written {
        Written { bytes: self.wal.written_bytes(), open_bytes: self.wal.segment_used() }
    }
}
