//! Folds the log into the next snapshot, beside the running node.
//!
//! Sealed, durable segments are composed into a sorted change set; when it is larger than its
//! memory it is spilled as a sorted run. Runs and the last snapshot are then merged, streaming,
//! into the next snapshot, which is synced, named, read back and checked; only then does what it
//! replaces go. Older snapshots and the segments after them stay as history: see [`crate::history`].

mod changes;
mod merge;
#[cfg(test)]
pub(crate) mod tests;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

pub(crate) use changes::Changes;
pub(crate) use merge::Merge;
use quipu_core::{
    canary::{self, Bug},
    effect::Mismatch,
    failpoint::{Point, reach},
    replay::FoldError,
    snapshot::{ShardMeta, put_item},
};
use thiserror::Error;

use crate::{
    history::{self, Base, Retain},
    snapshot::{self, Snapshot, UNFINISHED},
    sorted_file::{Header, Kind, SortedFileError, Writer, failed},
    storage::{Storage, StorageFile},
    wal::{Pool, RecoverError, SegmentInfo, Wal, read_sealed, segment},
};

/// A segment is cut when more than this part of what it uses is unused: a whole one is worth more as
/// it is, to be used again. Guess.
const UNUSED_PART: u64 = 8;

/// How many items are merged between two looks at the cancellation; a guess, not measured.
const ITEMS_PER_LOOK: u64 = 1024;

/// Why a fold failed. Nothing is lost: the last snapshot and the log stay as they are.
#[derive(Debug, Error)]
pub enum FoldFailed {
    /// A snapshot or a run cannot be written or read.
    #[error(transparent)]
    File(#[from] SortedFileError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] RecoverError),
    /// A frame does not follow what was folded before it.
    #[error("frame {position} does not fit the log before it")]
    Frame {
        /// The frame.
        position: u64,
        /// How.
        source: FoldError,
    },
    /// A change does not fit the snapshot that it is folded into.
    #[error("a change of {item} in shard {shard} does not fit the snapshot before it")]
    Item {
        /// The shard.
        shard: u16,
        /// The counter, token or stream.
        item: String,
        /// How.
        source: Mismatch,
    },
    /// Retired files cannot be removed.
    #[error("cannot retire what the new snapshot replaces")]
    Retire(#[source] io::Error),
}

impl FoldFailed {
    /// Says whether there was no room on the disk: giving up history may help.
    pub fn is_no_space(&self) -> bool {
        let Self::File(SortedFileError::Storage { source, .. }) = self else { return false };
        matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// What a run of the folder did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// No sealed segment is newer than the snapshot.
    Nothing,
    /// It was cancelled and left everything as it was.
    Cancelled,
    /// There is a new snapshot.
    Folded(Folded),
}

/// A finished fold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    /// The new snapshot.
    pub snapshot: Snapshot,
    /// How many bytes of log went into it, at most.
    pub log_bytes: u64,
    /// How many bytes were written, runs included.
    pub written_bytes: u64,
    /// How many sorted runs were spilled.
    pub runs: usize,
    /// How many segments were retired.
    pub retired: usize,
}

/// How many files the log has, by what they are there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segments {
    /// Prepared ahead of need.
    pub prepared: usize,
    /// Newer than the newest snapshot, the one that is being written to included.
    pub live: usize,
    /// Folded, kept as history.
    pub retained: usize,
}

/// Folds and retires. One thread owns it.
#[derive(Debug)]
pub struct Folder<S: Storage> {
    pool: Arc<Pool<S>>,
    memory_bytes: usize,
    newest: Option<Snapshot>,
    retain: Retain,
    /// Whether the chain of history was looked for.
    found: bool,
}

impl<S: Storage> Folder<S> {
    /// Returns a folder for a log; a change set takes about `memory_bytes` before it is spilled.
    /// `newest` is what [`snapshot::newest`] found at start. Keeps what the last fold took up.
    pub fn new(wal: &Wal<S>, memory_bytes: usize, newest: Option<Snapshot>) -> Self {
        let retain = Retain::LAST_FOLD;
        Self { pool: wal.pool(), memory_bytes, newest, retain, found: false }
    }

    /// Looks for the history that is there, and keeps as much as `retain` says from now on.
    ///
    /// # Errors
    /// The directory or a snapshot cannot be read.
    pub fn retaining(mut self, retain: Retain) -> Result<Self, FoldFailed> {
        self.retain = retain;
        self.find_history()?;
        Ok(self)
    }

    fn find_history(&mut self) -> Result<(), FoldFailed> {
        if !self.found {
            let bases = history::find(&self.pool, self.newest.as_ref())?;
            self.pool.kept.lock().set(bases);
            self.found = true;
        }
        Ok(())
    }

    /// Returns the newest snapshot.
    pub fn newest(&self) -> Option<&Snapshot> {
        self.newest.as_ref()
    }

    /// Returns how many bytes of sealed segments are newer than the newest snapshot, at most.
    pub fn log_bytes(&self) -> u64 {
        let position = self.position();
        let newer = |info: &&SegmentInfo| info.positions.end > position + 1;
        self.pool.sealed().iter().filter(newer).map(|info| info.bytes).sum()
    }

    /// Returns how many bytes are kept only as history: folded segments and older snapshots.
    pub fn history_bytes(&self) -> u64 {
        folded_bytes(&self.pool.sealed(), 0, self.position()) + self.pool.kept.lock().older_bytes()
    }

    /// Returns the oldest state from which the log can be counted again.
    pub fn oldest(&self) -> Base {
        self.pool.kept.lock().bases().first().copied().unwrap_or(Base::BEGINNING)
    }

    /// Counts the log's files by what they are there for.
    pub fn segments(&self) -> Segments {
        let position = self.position();
        let sealed = self.pool.sealed();
        let retained = sealed.iter().filter(|info| info.positions.end <= position + 1).count();
        // The one that is being written to is not sealed.
        let live = sealed.len() - retained + 1;
        Segments { prepared: self.pool.ready_count(), live, retained }
    }

    /// Says whether closing the segment that is being written to, of which `open_bytes` are used,
    /// would make a fold due. Only where it holds at least half of what makes one due: the rest of
    /// a closed segment is lost to the log.
    pub fn wants_seal(&self, open_bytes: u64, log_bytes_min: u64) -> bool {
        let due = self.due_bytes(log_bytes_min);
        let sealed = self.log_bytes();
        sealed < due && sealed + open_bytes >= due && open_bytes >= due / 2
    }

    /// Says whether the sealed log exceeds max(`log_bytes_min`, the snapshot's size).
    pub fn is_due(&self, log_bytes_min: u64) -> bool {
        self.log_bytes() >= self.due_bytes(log_bytes_min)
    }

    fn due_bytes(&self, log_bytes_min: u64) -> u64 {
        let snapshot = self.newest.as_ref().map_or(0, |newest| newest.bytes);
        log_bytes_min.max(snapshot).max(1)
    }

    fn position(&self) -> u64 {
        self.newest.as_ref().map_or(0, |newest| newest.position)
    }

    /// Folds all sealed segments into a new snapshot and retires what is older than the last one.
    /// Reads the last snapshot twice and the new one once; looks at `cancel` at every frame and
    /// every thousand items.
    ///
    /// # Errors
    /// See [`FoldFailed`].
    pub fn run(&mut self, cancel: &AtomicBool) -> Result<Outcome, FoldFailed> {
        remove_leftovers(&self.pool.storage)?;
        let metas = self.check_base()?;
        self.find_history()?;
        let upto = self.pool.sealed().iter().map(|info| info.positions.end - 1).max().unwrap_or(0);
        if upto <= self.position() {
            return Ok(Outcome::Nothing);
        }
        let log_bytes = self.log_bytes();
        let header = self.header(upto, 0);
        let mut changes = Changes::new(self.pool.storage.clone(), header, self.memory_bytes);
        for (shard, meta) in metas {
            changes.set_base(shard, meta);
        }
        let written = self.write(&mut changes, upto, cancel);
        let (runs, spilled) = (changes.runs(), changes.spilled_bytes());
        // Also after a failure: what it wrote may be what filled the disk.
        let removed = changes.remove_runs();
        if !matches!(written, Ok(true)) {
            remove_leftovers(&self.pool.storage)?;
            return written.map(|_| Outcome::Cancelled);
        }
        removed?;
        if canary::is(Bug::RetiredEarly) {
            self.retire_segments(upto)?;
        }
        let snapshot = self.publish(upto)?;
        self.give_back(self.position())?;
        self.pool.kept.lock().push(Base::from(&snapshot));
        self.newest = Some(snapshot.clone());
        let retired = self.shorten(u64::from(snapshot.time_s) * 1000, true)?;
        let written_bytes = spilled + snapshot.bytes;
        Ok(Outcome::Folded(Folded { snapshot, log_bytes, written_bytes, runs, retired }))
    }

    /// Reads the newest snapshot and returns what it says of the shards. One that was damaged
    /// since it was written gives way to the one before it.
    fn check_base(&mut self) -> Result<Vec<(u16, ShardMeta)>, FoldFailed> {
        let (storage, store_id) = (&self.pool.storage, self.pool.store_id);
        while let Some(base) = &self.newest {
            match snapshot::metas(storage, store_id, base.position) {
                Ok(metas) => return Ok(metas),
                Err(error) if error.is_damage() => {
                    self.newest = snapshot::newest(storage, store_id)?.snapshot;
                    self.found = false;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Vec::new())
    }

    /// Gives up older snapshots and all folded segments: the first thing to go when the disk is
    /// full. Returns how many segments went.
    ///
    /// # Errors
    /// See [`FoldFailed`].
    pub fn give_up_history(&mut self) -> Result<usize, FoldFailed> {
        self.find_history()?;
        self.pool.kept.lock().give_up();
        self.retire()
    }

    /// Gives up what is older, at log time `now_ms`, than is to be kept. Costs nothing where nothing
    /// is. Returns how many segments went.
    ///
    /// # Errors
    /// See [`FoldFailed`].
    pub fn trim(&mut self, now_ms: u64) -> Result<usize, FoldFailed> {
        self.find_history()?;
        self.shorten(now_ms, false)
    }

    /// Gives back the room that folded segments after `after` never used: one that was closed early
    /// for a fold or a backup would keep all of it for as long as it is history.
    fn give_back(&self, after: u64) -> Result<(), FoldFailed> {
        for info in self.pool.sealed().iter().filter(|info| info.positions.end > after + 1) {
            self.cut(info).map_err(FoldFailed::Retire)?;
        }
        Ok(())
    }

    fn cut(&self, info: &SegmentInfo) -> io::Result<()> {
        let file = self.pool.storage.open(&segment::name(info.sequence))?;
        let mut header = [0; segment::HEADER_BYTES];
        let read = file.read_at(&mut header, 0)?;
        // Not its segment: whoever reads it next says so.
        let Ok(header) = segment::Header::decode(header.get(..read).unwrap_or_default()) else {
            return Ok(());
        };
        let used = u64::from(header.block_bytes) + info.bytes;
        if file.length()? <= used + used / UNUSED_PART {
            return Ok(());
        }
        file.set_length(used)?;
        file.sync()
    }

    /// Shortens the chain by the rule. After a fold also removes snapshots that are not in it:
    /// damaged ones, and those of an attempt that failed half way.
    fn shorten(&mut self, now_ms: u64, folded: bool) -> Result<usize, FoldFailed> {
        let (sealed, position) = (self.pool.sealed(), self.position());
        let segments = |after| folded_bytes(&sealed, after, position);
        let shorter = self.pool.kept.lock().shorten(&self.retain, now_ms, segments);
        if shorter || folded { self.retire() } else { Ok(0) }
    }

    fn header(&self, position: u64, time_ms: u64) -> Header {
        let time_s = u32::try_from(time_ms / 1000).unwrap_or(u32::MAX);
        Header { kind: Kind::Snapshot, store_id: self.pool.store_id, position, time_s }
    }

    /// Writes the unfinished snapshot; false when cancelled.
    fn write(
        &self,
        changes: &mut Changes<S>,
        upto: u64,
        cancel: &AtomicBool,
    ) -> Result<bool, FoldFailed> {
        let mut result = Ok(true);
        read_sealed(&self.pool, self.position() + 1, upto, &mut |position, payload| {
            result = changes.add(position, payload).map(|()| !cancel.load(Ordering::Relaxed));
            matches!(result, Ok(true))
        })?;
        if !result? {
            return Ok(false);
        }
        let base = self.newest.as_ref().map(|base| base.file.as_str());
        let mut merge = Merge::new(changes, base)?;
        let header = self.header(upto, changes.time_ms());
        let mut writer = Writer::create(&self.pool.storage, UNFINISHED, &header)?;
        let mut items = 0_u64;
        while let Some((place, value)) = merge.next()? {
            writer.put(|out| put_item(out, &place, &value))?;
            items += 1;
            if items.is_multiple_of(ITEMS_PER_LOOK) && cancel.load(Ordering::Relaxed) {
                return Ok(false);
            }
        }
        writer.finish()?;
        reach(Point::FoldWritten);
        Ok(true)
    }

    /// Names the finished snapshot, durably, and reads it back.
    fn publish(&self, position: u64) -> Result<Snapshot, FoldFailed> {
        let (storage, name) = (&self.pool.storage, snapshot::name(position));
        storage.rename(UNFINISHED, &name).map_err(failed("name", &name))?;
        reach(Point::FoldRenamed);
        storage.sync_dir().map_err(failed("sync", "the data directory"))?;
        reach(Point::FoldNamed);
        if canary::is(Bug::SnapshotUnchecked) {
            return Ok(snapshot::ends(storage, position)?);
        }
        let checked = snapshot::check(storage, self.pool.store_id, position, |_, _| {})?;
        reach(Point::FoldChecked);
        Ok(checked)
    }

    /// Removes every snapshot that is not in the chain, and the segments before the chain.
    fn retire(&self) -> Result<usize, FoldFailed> {
        let bases = self.pool.kept.lock().bases().to_vec();
        let oldest = bases.first().map_or(0, |base| base.position);
        let storage = &self.pool.storage;
        for position in snapshot::positions(storage)? {
            if bases.iter().all(|base| base.position != position) {
                let name = snapshot::name(position);
                storage.remove(&name).map_err(failed("remove", &name))?;
                reach(Point::FoldSnapshotRemoved);
            }
        }
        storage.sync_dir().map_err(failed("sync", "the data directory"))?;
        self.retire_segments(oldest)
    }

    /// Retires the segments that end at `oldest` or before.
    fn retire_segments(&self, oldest: u64) -> Result<usize, FoldFailed> {
        let mut retired = 0;
        while self.pool.sealed().first().is_some_and(|info| info.positions.end <= oldest + 1) {
            self.pool.retire_oldest().map_err(FoldFailed::Retire)?;
            retired += 1;
        }
        Ok(retired)
    }
}

/// The bytes of segments with frames after `after` that were folded up to `upto`.
fn folded_bytes(sealed: &[SegmentInfo], after: u64, upto: u64) -> u64 {
    let within = |info: &&SegmentInfo| {
        info.positions.end <= upto + 1 && (info.positions.end > after + 1 || after == 0)
    };
    sealed.iter().filter(within).map(|info| info.bytes).sum()
}

/// Removes what an interrupted fold left. A start does it before it asks for room itself: a fold that
/// a crash ended may have filled the disk.
///
/// # Errors
/// The directory cannot be listed, or a file not be removed.
pub fn remove_leftovers<S: Storage>(storage: &S) -> Result<(), SortedFileError> {
    for name in storage.list().map_err(failed("list", "the data directory"))? {
        if name == UNFINISHED || changes::is_run(&name) {
            storage.remove(&name).map_err(failed("remove", &name))?;
        }
    }
    Ok(())
}
