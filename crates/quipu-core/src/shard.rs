//! One shard: its counters, tokens, streams and open batch.
//!
//! This file holds the state and the one way to write to it; [`crate::execute`] decides operations,
//! [`crate::replay`] folds records of the log. A lost increment could happen in
//! `write_effect` (effect applied but not in the batch), in `seal` (batch not encoded), or in a log.

use std::collections::VecDeque;

use stdx::hash::hash64;

use crate::batch::{Batch, Mark};
use crate::canary::{self, Bug};
use crate::cell::{Cell, TOUCHED_MAX};
use crate::effect::{Counter, Effect, fold};
use crate::expiry::Expiries;
use crate::name::Name;
use crate::record::token::Fingerprints;
use crate::record::{Header, Kind, put_small};
use crate::stream::{Stream, Streams};
use crate::table::Table;
use crate::token::Tokens;
use crate::top::Watch;

/// Bounds of one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardLimits {
    /// Most streams.
    pub streams_max: usize,
}

/// One partition of the key space, with one order. The owner's copy and a replica's are the same.
#[derive(Debug)]
pub struct Shard {
    pub(crate) id: u16,
    pub(crate) seed: u64,
    pub(crate) epoch: u64,
    /// The newest sealed batch; the open one is the next.
    pub(crate) sealed: u64,
    /// Newest batch before this epoch: what untouched counters depend on, durable since the start.
    pub(crate) recovered: u64,
    /// Cells say what touched them as a distance from this batch.
    pub(crate) touched_base: u64,
    /// Whether this life has touched a cell.
    has_touched: bool,
    /// Log time of the open batch, or of the newest record.
    pub(crate) time_ms: u64,
    pub(crate) window_ms: u64,
    pub(crate) limits: ShardLimits,
    pub(crate) counters: Table<Cell>,
    pub(crate) present: usize,
    pub(crate) expiries: Expiries,
    pub(crate) tokens: Tokens,
    pub(crate) fingerprints: Fingerprints,
    pub(crate) streams: Streams,
    pub(crate) open: Batch,
    /// Deleted counters by the batch of their deletion; they stay until it is durable.
    pub(crate) tombstones: VecDeque<(u64, Name)>,
    pub(crate) undo: Option<Undo>,
    /// Deletions written for counters whose time had come, since the start.
    pub(crate) expired: u64,
    /// What changes while somebody looks at all of it in several steps.
    pub(crate) watch: Option<Box<Watch>>,
}

/// What a group needs to take itself back.
#[derive(Debug)]
pub(crate) struct Undo {
    mark: Mark,
    present: usize,
    expired: u64,
    cells: Vec<CellUndo>,
    pub(crate) tokens: Vec<u128>,
    streams: Vec<(Box<[u8]>, Option<Stream>)>,
    tombstones: usize,
}

impl Undo {
    /// How many notes of streams the open batch had before the group.
    pub(crate) fn streams_before(&self) -> usize {
        self.mark.streams()
    }
}

#[derive(Debug)]
struct CellUndo {
    name: Name,
    before: Option<(Cell, Option<u64>)>,
    slot: Option<(u32, (Effect, u32))>,
}

impl Shard {
    /// An empty shard of a store whose hash seed is `seed`.
    pub fn new(id: u16, seed: u64, limits: ShardLimits) -> Self {
        Self {
            id,
            seed,
            epoch: 0,
            sealed: 0,
            recovered: 0,
            touched_base: 0,
            has_touched: false,
            time_ms: 0,
            window_ms: crate::limits::TOKEN_WINDOW_MS,
            limits,
            counters: Table::new(seed),
            present: 0,
            expiries: Expiries::default(),
            tokens: Tokens::default(),
            fingerprints: Fingerprints::default(),
            streams: Streams::default(),
            open: Batch::default(),
            tombstones: VecDeque::new(),
            undo: None,
            expired: 0,
            watch: None,
        }
    }

    /// Begins a new life of the owner: appends the records that say so. All that was folded before
    /// is durable.
    pub fn begin_epoch(&mut self, now_ms: u64, window_ms: u64, out: &mut Vec<u8>) {
        assert!(self.open.is_empty(), "a life begins before its first operation");
        let steps_back = canary::is(Bug::LogTimeStepsBack);
        self.recovered = self.sealed;
        if std::mem::take(&mut self.has_touched) {
            self.rebase(self.sealed);
        }
        self.touched_base = self.sealed;
        self.time_ms = if steps_back { now_ms } else { self.time_ms.max(now_ms) };
        if canary::is(Bug::EpochReused) && self.epoch > 0 {
            return;
        }
        self.epoch += 1;
        put_small(out, &self.header(Kind::Epoch), 0);
        if self.window_ms != window_ms || self.epoch == 1 {
            self.window_ms = window_ms;
            put_small(out, &self.header(Kind::Config), window_ms);
        }
    }

    pub(crate) fn header(&self, kind: Kind) -> Header {
        let (shard, epoch) = (self.id, self.epoch);
        Header { kind, shard, epoch, batch: self.sealed, time_ms: self.time_ms }
    }

    /// Which shard it is.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// The seed of its hashes.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The life of its owner.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The newest sealed batch.
    pub fn sealed(&self) -> u64 {
        self.sealed
    }

    /// The newest log time.
    pub fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// How many counters exist.
    pub fn counters(&self) -> usize {
        self.present
    }

    /// How many counters have an expiry.
    pub fn expiring(&self) -> usize {
        self.expiries.len()
    }

    /// How many tokens are remembered.
    pub fn tokens(&self) -> usize {
        self.tokens.len()
    }

    /// How many streams there are.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// How many deleted counters wait for their deletion to be durable.
    pub fn tombstones(&self) -> usize {
        self.tombstones.len()
    }

    /// An upper bound on the log bytes of the open batch.
    #[inline]
    pub fn open_bytes(&self) -> u64 {
        self.open.log_bytes()
    }

    /// How many counters were deleted since the start because their time had come.
    pub fn expired(&self) -> u64 {
        self.expired
    }

    /// How many slots the open batch has.
    pub fn open_slots(&self) -> usize {
        self.open.slots()
    }

    /// One stream, if this shard knows it.
    pub fn stream(&self, name: &[u8]) -> Option<&Stream> {
        self.streams.get(name)
    }

    /// The newest batch that changed or ended a stream; 0 where that is durable since the start.
    pub fn stream_touched(&self, name: &[u8]) -> u64 {
        self.streams.touched(name)
    }

    /// The streams whose names follow `name`, in their order.
    pub fn streams_after(&self, name: &[u8]) -> impl Iterator<Item = (&[u8], &Stream)> {
        self.streams.after(name)
    }

    /// Asks for the memory of a counter that will be used soon, and of the token that it will be
    /// used with, by their hashes.
    #[inline]
    pub fn prefetch(&self, hash: u64, token: Option<u128>) {
        self.counters.prefetch(hash);
        if let Some(key) = token {
            self.tokens.prefetch(key);
        }
    }

    /// Asks for what [`Shard::prefetch`] waits for.
    #[inline]
    pub fn prefetch_index(&self, hash: u64, token: u128) {
        self.counters.prefetch_page(hash);
        self.tokens.prefetch_directory(token);
    }

    /// A counter as it is, without looking at the time.
    pub fn peek(&self, name: &str) -> Counter {
        let hash = hash64(self.seed, name.as_bytes());
        let found = self.counters.find(hash, |c| c.name == name).filter(|c| c.is_present());
        found.map_or(Counter::ABSENT, |c| Counter {
            value: Some(c.value),
            expires_at: self.expiries.get(name),
        })
    }

    /// The newest batch that a statement about the whole shard depends on.
    pub fn newest(&self) -> u64 {
        if self.open.is_empty() { self.sealed } else { self.sealed + 1 }
    }

    /// The time that decisions use: that of the open batch, else the present one.
    #[inline]
    pub(crate) fn decision_time(&self, now_ms: u64) -> u64 {
        if self.open.is_empty() { self.time_ms.max(now_ms) } else { self.time_ms }
    }

    /// Closes the open batch: appends its record and returns its number, or none where it is empty.
    /// Books of what is durable up to `durable` are tidied in bounded steps.
    pub fn seal(&mut self, durable: u64, out: &mut Vec<u8>) -> Option<u64> {
        self.bury(durable);
        self.streams.bury(durable);
        if self.open.is_empty() {
            return None;
        }
        if let Some(watch) = &mut self.watch {
            watch.note(self.open.names());
        }
        self.sealed += 1;
        self.open.encode(&self.header(Kind::Batch), out);
        self.open.clear();
        self.has_touched = true;
        if self.sealed - self.touched_base >= u64::from(TOUCHED_MAX) {
            self.recovered = self.recovered.max(durable);
            self.rebase(durable);
        }
        Some(self.sealed)
    }

    /// Counts what touched the cells from `base` on, up to which all is durable: a cell that was
    /// touched before is as one that this life did not touch. Cost: a pass over the shard, once in
    /// 2^32 batches.
    fn rebase(&mut self, base: u64) {
        let by = base.saturating_sub(self.touched_base);
        self.counters.iter_mut().for_each(|cell| cell.rebase(by));
        self.touched_base += by;
    }

    /// The number of the open batch as cells note it.
    #[inline]
    pub(crate) fn open_distance(&self) -> u32 {
        (self.sealed + 1 - self.touched_base) as u32
    }

    /// Removes tombstones whose deletion is durable.
    fn bury(&mut self, durable: u64) {
        while let Some((batch, name)) = self.tombstones.front() {
            if *batch > durable {
                return;
            }
            let hash = hash64(self.seed, name.as_bytes());
            let (batch, name) = (*batch, name.clone());
            self.tombstones.pop_front();
            let base = self.touched_base;
            let is_buried =
                |c: &Cell| c.name == name && !c.is_present() && c.touched(base) <= batch;
            self.counters.remove(hash, is_buried);
        }
    }

    /// Applies a decided effect to a counter that may be new, and puts it into the open batch.
    pub(crate) fn write_effect(&mut self, hash: u64, name: &str, effect: &Effect, time_ms: u64) {
        self.note_undo(hash, name);
        self.time_ms = time_ms;
        let (number, open) = (self.sealed + 1, self.open_distance());
        let fresh = || Cell::new(Name::new(name));
        let cell = self.counters.find_or_insert(hash, |c| c.name == name, fresh);
        let expires_at = if cell.expires() { self.expiries.get(name) } else { None };
        let before = Counter { expires_at, ..cell.plain() };
        let after = fold(before, effect).expect("the effect was decided on this counter");
        cell.append(&mut self.open, open, effect);
        self.present =
            self.present + usize::from(after.value.is_some()) - usize::from(cell.is_present());
        cell.put(after);
        if after.expires_at != before.expires_at {
            self.expiries.put(&cell.name, after.expires_at);
        }
        if after.value.is_none() {
            self.tombstones.push_back((number, cell.name.clone()));
        }
    }

    /// Starts to note what a group does.
    pub(crate) fn begin_group(&mut self) {
        self.undo = Some(Undo {
            mark: self.open.mark(),
            present: self.present,
            expired: self.expired,
            cells: Vec::new(),
            tokens: Vec::new(),
            streams: Vec::new(),
            tombstones: self.tombstones.len(),
        });
    }

    /// Keeps what a group did.
    pub(crate) fn commit_group(&mut self) {
        self.undo = None;
    }

    /// Takes back all that a group did.
    pub(crate) fn abort_group(&mut self) {
        let Some(undo) = self.undo.take() else { return };
        if !canary::is(Bug::AbortKeepsToken) {
            undo.tokens.into_iter().for_each(|token| self.tokens.forget(token));
        }
        if !canary::is(Bug::AbortKeepsMark) {
            let streams = undo.streams.into_iter().rev();
            streams.for_each(|(name, before)| self.streams.restore(&name, before));
        }
        self.tombstones.truncate(undo.tombstones);
        for cell in undo.cells.into_iter().rev() {
            self.restore(cell);
        }
        self.open.truncate(undo.mark);
        self.present = undo.present;
        self.expired = undo.expired;
    }

    fn restore(&mut self, undo: CellUndo) {
        let hash = hash64(self.seed, undo.name.as_bytes());
        if let Some((slot, content)) = undo.slot {
            self.open.restore_slot(slot, content);
        }
        match undo.before {
            None => {
                self.expiries.put(&undo.name, None);
                self.counters.remove(hash, |c| c.name == undo.name);
            }
            Some((before, expires_at)) => {
                self.expiries.put(&undo.name, expires_at);
                if let Some(cell) = self.counters.find_mut(hash, |c| c.name == undo.name) {
                    cell.take_back(before);
                }
            }
        }
    }

    /// Notes a stream before a group changes it.
    pub(crate) fn note_stream_undo(&mut self, name: &[u8]) {
        if let Some(undo) = &mut self.undo {
            undo.streams.push((name.into(), self.streams.get(name).copied()));
        }
    }

    fn note_undo(&mut self, hash: u64, name: &str) {
        let open = self.open_distance();
        let Some(undo) = &mut self.undo else { return };
        let found = self.counters.find(hash, |c| c.name == name);
        let slot = found
            .and_then(|c| c.open_slot(open))
            .and_then(|slot| Some((slot, self.open.slot_content(slot)?)));
        let before = found.map(|c| (c.clone(), self.expiries.get(name)));
        undo.cells.push(CellUndo { name: Name::new(name), before, slot });
    }
}
