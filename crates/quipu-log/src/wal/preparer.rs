//! Makes segments ahead of need, on a thread of its caller's choice.

use std::{io, sync::Arc};

use quipu_core::failpoint::{Point, reach};
use thiserror::Error;

use crate::{
    storage::{Storage, StorageFile},
    wal::{
        Random,
        pool::Pool,
        segment::{self, Header, Segment},
    },
};

/// Why no segment could be prepared. The segments that are ready stay usable.
#[derive(Debug, Error)]
pub enum PrepareError {
    /// There is no room on the disk. Trying again later is right.
    #[error("no room on the disk for the next segment of {bytes} bytes")]
    NoSpace {
        /// What was asked for.
        bytes: u64,
    },
    /// The disk failed; what was being made is given up. Trying again makes another file.
    #[error("cannot prepare {file}")]
    Storage {
        /// The unfinished file.
        file: String,
        /// What the storage said.
        source: io::Error,
    },
    /// A segment may or may not have its name on disk, so no later one can be made safely.
    #[error("preparing {file} failed half way; restart to recover")]
    Stuck {
        /// The segment.
        file: String,
    },
}

impl PrepareError {
    /// Says whether only a restart helps: the log has no further segment after those that are
    /// ready.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Stuck { .. })
    }
}

/// Prepares segments. One thread owns it; the writer goes on meanwhile.
pub struct Preparer<S: Storage> {
    pub(crate) pool: Arc<Pool<S>>,
    random: Random,
    stuck: bool,
}

impl<S: Storage> std::fmt::Debug for Preparer<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Preparer").field("stuck", &self.stuck).finish_non_exhaustive()
    }
}

impl<S: Storage> Preparer<S> {
    pub(crate) fn new(pool: Arc<Pool<S>>, random: Random) -> Self {
        Self { pool, random, stuck: false }
    }

    /// Says whether fewer segments are ready than wanted.
    pub fn needed(&self) -> bool {
        self.pool.needs_segment()
    }

    /// Makes segments until as many are ready as wanted: writes each one full of zeros, syncs it,
    /// names it, syncs the directory. Takes as long as the disk needs for `segment_bytes`.
    ///
    /// # Errors
    /// See [`PrepareError`]; the writer is untouched by any of them.
    pub fn run(&mut self) -> Result<(), PrepareError> {
        while self.needed() {
            self.prepare()?;
        }
        Ok(())
    }

    fn prepare(&mut self) -> Result<(), PrepareError> {
        let sequence = self.pool.next_sequence();
        if self.stuck {
            return Err(PrepareError::Stuck { file: segment::name(sequence) });
        }
        let (name, file) = self.open_raw(sequence)?;
        reach(Point::PrepareCreated);
        let header = Header {
            block_bytes: self.pool.storage.block_bytes(),
            store_id: self.pool.store_id,
            segment_id: (self.random)(),
            sequence,
        };
        let length = self.pool.segment_bytes;
        if let Err(source) = fill(&file, &header, length) {
            return Err(self.give_up(name, source));
        }
        if let Err(source) = segment::publish(&self.pool.storage, &name, sequence) {
            // Whether the new name is on disk is unknown; a segment must not exist twice.
            self.stuck = true;
            return Err(PrepareError::Storage { file: segment::name(sequence), source });
        }
        self.pool.put_ready(Segment { file, header, length });
        reach(Point::PrepareDone);
        Ok(())
    }

    fn open_raw(&mut self, sequence: u64) -> Result<(String, S::File), PrepareError> {
        if let Some(name) = self.pool.take_spare() {
            return match self.pool.storage.open(&name) {
                Ok(file) => Ok((name, file)),
                Err(source) => Err(PrepareError::Storage { file: name, source }),
            };
        }
        let name = segment::unfinished_name(sequence);
        match create_or_open(&self.pool.storage, &name) {
            Ok(file) => Ok((name, file)),
            Err(source) => Err(self.give_up(name, source)),
        }
    }

    /// Frees what an unfinished file took: a half-made file on a full disk helps nobody.
    fn give_up(&self, name: String, source: io::Error) -> PrepareError {
        if self.pool.storage.remove(&name).is_err() && segment::parse(&name) == segment::Name::Spare
        {
            self.pool.put_spare(name.clone());
        }
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                PrepareError::NoSpace { bytes: self.pool.segment_bytes }
            }
            _ => PrepareError::Storage { file: name, source },
        }
    }
}

/// Fills the file of a segment, durably.
fn fill<F: StorageFile>(file: &F, header: &Header, length: u64) -> io::Result<()> {
    segment::format(file, header, length)?;
    reach(Point::PrepareZeroed);
    file.sync()?;
    reach(Point::PrepareSynced);
    Ok(())
}

/// An unfinished file of an attempt that failed may still be there; it is overwritten anyway.
pub(crate) fn create_or_open<S: Storage>(storage: &S, name: &str) -> io::Result<S::File> {
    match storage.create(name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => storage.open(name),
        other => other,
    }
}
