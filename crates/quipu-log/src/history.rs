//! What is kept of the log beside what a start needs, and the reading of it while the log goes on.
//!
//! The log from a snapshot on can only be counted again with that snapshot as its base. So history
//! is a chain: the oldest kept snapshot, all segments after it, and the snapshots in between, which
//! cost as much as the log before them at most and are what the chain can be shortened to. It grows
//! by one link at each fold and loses its oldest link when it has more bytes, is older, or has more
//! snapshots than is to be kept; a full disk takes all of it at once.
//!
//! Who reads holds the chain as it is ([`Pin`]), against the rule and not against a full disk: then
//! the reading ends with [`RecoverError::GivenUp`].

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    snapshot::{self, Items, Snapshot},
    sorted_file::{SortedFileError, failed},
    storage::{Storage, StorageFile},
    wal::{Pool, RecoverError, Wal, read_written},
};

/// Milliseconds in a second.
const SECOND_MS: u64 = 1000;

/// How much history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retain {
    /// Most bytes of folded segments and older snapshots together.
    pub bytes: u64,
    /// For how long, by log time; none is without a limit.
    pub time_ms: Option<u64>,
    /// Most snapshots before the newest one.
    pub snapshots: usize,
}

impl Retain {
    /// Keeps what the last fold took up, whatever its size.
    pub const LAST_FOLD: Self = Self { bytes: u64::MAX, time_ms: None, snapshots: 1 };
}

/// A state from which the log can be folded on: a snapshot, or the beginning of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// The last position folded into it; 0 is the beginning, which has no file.
    pub position: u64,
    /// Length of its file in bytes.
    pub bytes: u64,
    /// The newest log time folded into it, in seconds; 0 where it is not known.
    pub time_s: u32,
}

impl Base {
    /// The beginning of a store.
    pub const BEGINNING: Self = Self { position: 0, bytes: 0, time_s: 0 };

    /// Returns the name of its file; none for the beginning.
    pub fn file(&self) -> Option<String> {
        (self.position > 0).then(|| snapshot::name(self.position))
    }
}

impl From<&Snapshot> for Base {
    fn from(snapshot: &Snapshot) -> Self {
        Self { position: snapshot.position, bytes: snapshot.bytes, time_s: snapshot.time_s }
    }
}

/// The chain, and who reads it.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Oldest first; the newest snapshot is the last. Never empty once a folder has begun.
    bases: Vec<Base>,
    /// From which base on each reader needs the chain.
    pins: BTreeMap<u64, u64>,
    next_pin: u64,
}

impl Kept {
    /// Takes over what a start found, oldest first.
    pub(crate) fn set(&mut self, bases: Vec<Base>) {
        self.bases = bases;
    }

    /// Returns the bases, oldest first.
    pub(crate) fn bases(&self) -> &[Base] {
        &self.bases
    }

    /// Adds the newest one.
    pub(crate) fn push(&mut self, base: Base) {
        self.bases.retain(|known| known.position < base.position);
        self.bases.push(base);
    }

    /// Returns the position of the oldest base.
    pub(crate) fn oldest(&self) -> u64 {
        self.bases.first().map_or(0, |base| base.position)
    }

    /// Returns the bytes of the snapshots before the newest.
    pub(crate) fn older_bytes(&self) -> u64 {
        let older = self.bases.split_last().map_or(&[][..], |(_, older)| older);
        older.iter().map(|base| base.bytes).sum()
    }

    /// Shortens the chain by the rule; `segments` says how many bytes of segments follow a
    /// position. Says whether anything is to go.
    pub(crate) fn shorten(
        &mut self,
        retain: &Retain,
        now_ms: u64,
        segments: impl Fn(u64) -> u64,
    ) -> bool {
        let before = self.bases.len();
        while let [oldest, next, ..] = self.bases[..] {
            let bytes = self.older_bytes() + segments(oldest.position);
            let until_ms = |time_ms| u64::from(next.time_s) * SECOND_MS + time_ms;
            let keeps = bytes <= retain.bytes
                && self.bases.len() - 1 <= retain.snapshots
                && retain.time_ms.is_none_or(|time_ms| now_ms <= until_ms(time_ms));
            let is_read = self.pins.values().any(|pinned| *pinned < next.position);
            if keeps || is_read {
                break;
            }
            self.bases.remove(0);
        }
        self.bases.len() < before
    }

    /// Leaves the newest snapshot alone, whoever reads.
    pub(crate) fn give_up(&mut self) {
        let older = self.bases.len().saturating_sub(1);
        self.bases.drain(..older);
    }

    fn pin(&mut self) -> (u64, Vec<Base>) {
        self.next_pin += 1;
        self.pins.insert(self.next_pin, self.oldest());
        (self.next_pin, self.bases.clone())
    }
}

/// Finds the chain that ends with `newest`: earlier snapshots whose two ends are intact and after
/// which the log holds everything.
pub(crate) fn find<S: Storage>(
    pool: &Pool<S>,
    newest: Option<&Snapshot>,
) -> Result<Vec<Base>, SortedFileError> {
    let first = pool.first_position();
    let mut bases = Vec::new();
    if first == 1 {
        bases.push(Base::BEGINNING);
    }
    let Some(newest) = newest else { return Ok(bases) };
    for position in snapshot::positions(&pool.storage)? {
        if position >= newest.position || position + 1 < first {
            continue;
        }
        match snapshot::ends(&pool.storage, position) {
            Ok(snapshot) => bases.push(Base::from(&snapshot)),
            Err(error) if error.is_damage() => {}
            Err(error) => return Err(error),
        }
    }
    bases.push(Base::from(newest));
    Ok(bases)
}

/// Reads the history of a log that is in use.
#[derive(Debug)]
pub struct History<S: Storage> {
    pool: Arc<Pool<S>>,
}

impl<S: Storage> Clone for History<S> {
    fn clone(&self) -> Self {
        Self { pool: Arc::clone(&self.pool) }
    }
}

impl<S: Storage> History<S> {
    /// Returns the history of a log.
    pub fn of(wal: &Wal<S>) -> Self {
        Self { pool: wal.pool() }
    }

    /// Returns the identity of the store.
    pub fn store_id(&self) -> u64 {
        self.pool.store_id
    }

    /// Returns the newest position that is durable.
    pub fn durable(&self) -> u64 {
        self.pool.durable()
    }

    /// Returns the newest position in a segment that is closed.
    pub fn sealed(&self) -> u64 {
        self.pool.sealed().iter().map(|info| info.positions.end - 1).max().unwrap_or(0)
    }

    /// Holds what is kept now. Costs a short lock.
    pub fn pin(&self) -> Pin<S> {
        let (id, bases) = self.pool.kept.lock().pin();
        Pin { pool: Arc::clone(&self.pool), id, bases }
    }
}

/// History that stays while this is there, unless the disk is full.
#[derive(Debug)]
pub struct Pin<S: Storage> {
    pool: Arc<Pool<S>>,
    id: u64,
    bases: Vec<Base>,
}

impl<S: Storage> Drop for Pin<S> {
    fn drop(&mut self) {
        self.pool.kept.lock().pins.remove(&self.id);
    }
}

impl<S: Storage> Pin<S> {
    /// Returns the identity of the store.
    pub fn store_id(&self) -> u64 {
        self.pool.store_id
    }

    /// Returns the oldest state from which the log can be folded on.
    pub fn oldest(&self) -> Base {
        self.bases.first().copied().unwrap_or(Base::BEGINNING)
    }

    /// Returns the newest such state.
    pub fn newest(&self) -> Base {
        self.bases.last().copied().unwrap_or(Base::BEGINNING)
    }

    /// Returns the bytes of closed segments after the oldest base, at most.
    pub fn log_bytes(&self) -> u64 {
        let after = self.oldest().position;
        let later = self.pool.sealed().into_iter().filter(|info| info.positions.end > after + 1);
        later.map(|info| info.bytes).sum()
    }

    /// Opens the file of a base.
    ///
    /// # Errors
    /// It cannot be opened, or was given up.
    pub fn open(&self, base: &Base) -> Result<Option<S::File>, RecoverError> {
        let Some(name) = base.file() else { return Ok(None) };
        match self.pool.storage.open(&name) {
            Ok(file) => Ok(Some(file)),
            Err(_) if self.is_given_up(base.position) => Err(given_up(name)),
            Err(source) => Err(RecoverError::Storage { operation: "open", file: name, source }),
        }
    }

    /// Visits the items of the oldest base in order, until `visit` answers false.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or was given up.
    pub fn items(
        &self,
        mut visit: impl FnMut(&quipu_core::snapshot::Place, &quipu_core::snapshot::ItemValue) -> bool,
    ) -> Result<(), SortedFileError> {
        let Some(name) = self.oldest().file() else { return Ok(()) };
        let mut items = Items::open(&self.pool.storage, &name)?;
        while let Some((place, value)) = items.next()? {
            if !visit(&place, &value) {
                break;
            }
        }
        Ok(())
    }

    /// Hands the payloads of the durable frames after position `after` up to `upto` to `visit`, in
    /// order, until it answers false.
    ///
    /// # Errors
    /// They cannot be read, are damaged, or were given up.
    pub fn frames(
        &self,
        after: u64,
        upto: u64,
        visit: &mut dyn FnMut(u64, &[u8]) -> bool,
    ) -> Result<(), RecoverError> {
        let upto = upto.min(self.pool.durable());
        if after >= upto {
            return Ok(());
        }
        read_written(&self.pool, after + 1, upto, visit).map_err(|error| {
            if self.is_given_up(after) { given_up("the history".to_owned()) } else { error }
        })
    }

    /// Whether a base is still there. Who holds its file open holds its room as well, which a full
    /// disk needs.
    pub fn is_kept(&self, base: &Base) -> bool {
        !self.is_given_up(base.position)
    }

    /// Whether the disk needed the room of what follows `position`. The chain is shortened before
    /// any file goes, so a file that went was given up before.
    fn is_given_up(&self, position: u64) -> bool {
        self.pool.kept.lock().oldest() > position
    }
}

fn given_up(file: String) -> RecoverError {
    RecoverError::GivenUp { file }
}

/// Reads all of a file in parts, in order, until `visit` answers false.
///
/// # Errors
/// It cannot be read.
pub fn copy<F: StorageFile>(
    file: &F,
    name: &str,
    visit: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<(), SortedFileError> {
    let length = file.length().map_err(failed("measure", name))?;
    let mut part = vec![0; COPY_BYTES];
    let mut offset = 0;
    while offset < length {
        let count = file.read_at(&mut part, offset).map_err(failed("read", name))?;
        let read = part.get(..count).unwrap_or_default();
        if read.is_empty() || !visit(read) {
            break;
        }
        offset += count as u64;
    }
    Ok(())
}

/// How much is copied at once; a guess, not measured.
const COPY_BYTES: usize = 64 * 1024;
