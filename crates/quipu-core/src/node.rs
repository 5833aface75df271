//! Many shards as one value: routing, admission, groups, scans, and what is durable.
//!
//! A driver only moves bytes: it hands in operations with the time, takes out cuts for the log, and
//! says what became durable. How shards are shared between threads is the driver's: it gives
//! [`Cells`].

mod group;
mod room;
mod seek;
mod streams;

use std::ops::{DerefMut, Range};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use stdx::hash::hash64;

pub use self::group::Group;
pub use self::seek::Sought;
pub use self::streams::{StreamPage, StreamView};
use crate::canary::{self, Bug};
use crate::execute::Context;
use crate::limits::OP_LOG_BYTES_MAX;
use crate::op::Op;
use crate::outcome::{Dependency, Position, Refusal, Reply, Verdict};
use crate::shard::Shard;
use crate::table::shard_bits;

/// Expired counters deleted before a statement about a whole shard: the log must have room for all
/// of them at once, which with the smallest frames (256 KiB) is so for some 200.
const REAP_STEPS: usize = 64;

/// Operations that may pass the admission check at the same moment: each thread one, and no
/// machine that we know has more threads.
const ADMISSION_SLACK: u64 = 64 * OP_LOG_BYTES_MAX;

/// How shards are shared.
pub trait Cells {
    /// A shard held by one thread.
    type Guard<'a>: DerefMut<Target = Shard>
    where
        Self: 'a;
    /// The gate that groups and cuts hold, so that no cut splits a group.
    type Gate<'a>
    where
        Self: 'a;

    /// How many shards: a power of two.
    fn count(&self) -> u16;
    /// Takes one shard.
    fn shard(&self, id: u16) -> Self::Guard<'_>;
    /// Takes the gate. It is taken before any shard.
    fn gate(&self) -> Self::Gate<'_>;
}

/// One sealed batch of a cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The shard.
    pub shard: u16,
    /// Its batch.
    pub batch: u64,
    /// Where its record stands in the payload.
    pub range: Range<usize>,
    /// How many slots it has.
    pub slots: usize,
}

/// Why an atomic group was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abort {
    /// The first operation that forbade it.
    pub index: usize,
    /// Its reply; it depends on what it says.
    pub reply: Reply,
}

/// What a node is by its making.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nature {
    /// Whether the log writes one cut of several shards as one.
    pub groups: bool,
    /// Most tokens remembered at once, over all shards.
    pub tokens_max: u64,
}

/// Sizes of a shard before something is done to it.
#[derive(Debug, Clone, Copy)]
struct Before {
    open_bytes: u64,
    tokens: usize,
}

impl Before {
    #[inline]
    fn of(shard: &Shard) -> Self {
        Self { open_bytes: shard.open_bytes(), tokens: shard.tokens() }
    }
}

/// The shards of a node.
#[derive(Debug)]
pub struct Node<C> {
    cells: C,
    seed: u64,
    /// One bit for each shard whose open batch is not empty.
    dirty: Box<[AtomicU64]>,
    durable: Box<[AtomicU64]>,
    tokens: AtomicU64,
    tokens_max: u64,
    open_bytes: AtomicU64,
    room_bytes: AtomicU64,
    no_space: AtomicBool,
    overloaded: AtomicBool,
    memory_full: AtomicBool,
    stopping: AtomicBool,
    /// Whether the log writes one cut of several shards as one.
    groups: bool,
}

impl<C: Cells> Node<C> {
    /// A node over shards that are recovered and durable.
    pub fn new(cells: C, seed: u64, nature: Nature) -> Self {
        let count = cells.count();
        let Nature { groups, tokens_max } = nature;
        assert!(count.is_power_of_two(), "shards are chosen by bits of the hash");
        let durable = (0..count).map(|id| AtomicU64::new(cells.shard(id).sealed())).collect();
        let words = usize::from(count).div_ceil(64);
        let tokens = (0..count).map(|id| cells.shard(id).tokens() as u64).sum();
        Self {
            cells,
            seed,
            dirty: (0..words).map(|_| AtomicU64::new(0)).collect(),
            durable,
            tokens: AtomicU64::new(tokens),
            tokens_max,
            open_bytes: AtomicU64::new(0),
            room_bytes: AtomicU64::new(0),
            no_space: AtomicBool::new(false),
            overloaded: AtomicBool::new(false),
            memory_full: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            groups,
        }
    }

    /// The shards themselves.
    pub fn cells(&self) -> &C {
        &self.cells
    }

    /// The seed of names' hashes.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    #[inline]
    fn route(&self, name: &[u8]) -> (u64, u16) {
        let hash = hash64(self.seed, name);
        (hash, shard_bits(hash) & (self.cells.count() - 1))
    }

    /// The shard of a counter, or the home shard of a stream.
    pub fn shard_of(&self, name: &[u8]) -> u16 {
        self.route(name).1
    }

    #[inline]
    fn context(&self, now_ms: u64, ops: u64) -> Context {
        Context {
            now_ms,
            no_room: self.no_room(ops),
            memory_full: self.memory_full.load(Ordering::Relaxed),
            tokens_full: self.tokens_full(),
        }
    }

    /// Why `ops` more operations cannot be admitted, if they cannot: all open batches must fit into
    /// prepared log space.
    #[inline]
    fn no_room(&self, ops: u64) -> Option<Refusal> {
        if self.stopping.load(Ordering::Relaxed) {
            return Some(Refusal::Stopping);
        }
        let open = self.open_bytes.load(Ordering::Relaxed);
        let needed = open + ADMISSION_SLACK + ops * OP_LOG_BYTES_MAX;
        let room = self.room_bytes.load(Ordering::Relaxed);
        let fits = needed <= room || canary::is(Bug::RoomUnchecked);
        if fits && !self.overloaded.load(Ordering::Relaxed) {
            return None;
        }
        let no_space = !fits && self.no_space.load(Ordering::Relaxed);
        Some(if no_space { Refusal::NoSpace } else { Refusal::Busy })
    }

    /// Decides one operation. Cost: one hash, one lock, one look-up.
    #[inline]
    pub fn execute(&self, now_ms: u64, op: &Op<'_>) -> Reply {
        let (hash, id) = self.route(op.name.as_bytes());
        let cx = self.context(now_ms, 1);
        let mut shard = self.cells.shard(id);
        let before = Before::of(&shard);
        let reply = shard.execute(&cx, hash, op);
        self.note_growth(&shard, before);
        reply
    }

    /// Books what an operation added to an open batch. The shard is still held, so that no cut can
    /// pass between the batch and its books.
    #[inline]
    fn note_growth(&self, shard: &Shard, before: Before) {
        self.note_tokens(shard, before);
        let after = shard.open_bytes();
        if after == before.open_bytes {
            return;
        }
        self.open_bytes.fetch_add(after.wrapping_sub(before.open_bytes), Ordering::Relaxed);
        if before.open_bytes == 0 && !canary::is(Bug::DirtyForgotten) {
            let id = usize::from(shard.id());
            if let Some(word) = self.dirty.get(id / 64) {
                word.fetch_or(1 << (id % 64), Ordering::Release);
            }
        }
    }

    #[inline]
    fn note_tokens(&self, shard: &Shard, before: Before) {
        let after = shard.tokens();
        if after != before.tokens {
            let grown = (after as u64).wrapping_sub(before.tokens as u64);
            self.tokens.fetch_add(grown, Ordering::Relaxed);
        }
    }

    /// Takes all shards that `names` need, to decide several operations as one frame.
    ///
    /// # Errors
    /// The log cannot write several shards as one.
    pub fn group<'a>(
        &self,
        now_ms: u64,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<Group<'_, C>, Refusal> {
        let mut ids = Vec::new();
        let mut ops = 0;
        for name in names {
            ids.push(self.shard_of(name.as_bytes()));
            ops += 1;
        }
        ids.sort_unstable();
        ids.dedup();
        self.hold(now_ms, ids.into_iter(), ops)
    }

    /// Takes all shards, to decide `ops` operations as one frame and to look at all counters and
    /// streams between them. Nobody else gets anywhere meanwhile: keep it short.
    ///
    /// # Errors
    /// The log cannot write several shards as one.
    pub fn group_all(&self, now_ms: u64, ops: usize) -> Result<Group<'_, C>, Refusal> {
        self.hold(now_ms, 0..self.cells.count(), ops as u64)
    }

    /// Takes the shards `ids`, which rise, so that two groups never wait for each other.
    fn hold(
        &self,
        now_ms: u64,
        ids: impl ExactSizeIterator<Item = u16>,
        ops: u64,
    ) -> Result<Group<'_, C>, Refusal> {
        if ids.len() > 1 && !self.groups {
            return Err(Refusal::CrossShard);
        }
        let gate = self.cells.gate();
        let cx = self.context(now_ms, ops);
        let shards = ids.map(|id| (id, self.cells.shard(id))).collect();
        Ok(Group { node: self, cx, ops, shards, _gate: gate })
    }

    /// Decides several operations as one, all or nothing: any refusal, rejection, overflow or unmet
    /// condition takes back all, and so does a token that is known for some of them only.
    ///
    /// # Errors
    /// The first operation that forbade it.
    pub fn atomic(
        &self,
        now_ms: u64,
        ops: &[Op<'_>],
        replies: &mut Vec<Reply>,
    ) -> Result<(), Abort> {
        let refused = |refusal| Abort { index: 0, reply: Reply::refused(refusal) };
        let mut group = self.group(now_ms, ops.iter().map(|op| op.name)).map_err(refused)?;
        group.begin();
        for (index, op) in ops.iter().enumerate() {
            let reply = group.execute(op);
            let first = replies.first().copied().unwrap_or(reply);
            if let Err(reply) = acceptable(&first, reply) {
                group.abort(ops);
                replies.clear();
                return Err(Abort { index, reply: group.bounded(op, reply) });
            }
            replies.push(reply);
        }
        group.commit();
        Ok(())
    }

    /// Visits counters from `cursor` (0 starts), about `count` of them, each call bounded, and
    /// returns the next cursor (0 ends).
    pub fn scan(
        &self,
        now_ms: u64,
        start: (u64, usize),
        mut visit: impl FnMut(&str, i64),
        depends: &mut Vec<Dependency>,
    ) -> u64 {
        walk(self.cells.count(), start, |id, from, left| {
            let shard = self.reaped(now_ms, id, depends);
            scan_shard(&shard, now_ms, (from, left), &mut visit)
        })
    }

    /// How many counters exist.
    pub fn counters(&self, now_ms: u64, depends: &mut Vec<Dependency>) -> usize {
        (0..self.cells.count()).map(|id| self.reaped(now_ms, id, depends).counters()).sum()
    }

    /// Takes a shard, deletes some of what has expired, and notes that all of it is looked at.
    pub(crate) fn reaped(
        &self,
        now_ms: u64,
        id: u16,
        depends: &mut Vec<Dependency>,
    ) -> C::Guard<'_> {
        let cx = self.context(now_ms, REAP_STEPS as u64);
        let mut shard = self.cells.shard(id);
        self.survey(&mut shard, &cx, depends);
        shard
    }

    /// Deletes some of what has expired, and notes that all of a shard is looked at.
    fn survey(&self, shard: &mut Shard, cx: &Context, depends: &mut Vec<Dependency>) {
        let before = Before::of(shard);
        shard.reap(cx, REAP_STEPS);
        self.note_growth(shard, before);
        let depended = Dependency { shard: shard.id(), batch: shard.newest() };
        if !depends.contains(&depended) {
            depends.push(depended);
        }
    }

    /// Deletes up to `steps` expired counters of one shard and forgets as many tokens past their
    /// deadline; returns how many counters.
    pub fn reap(&self, now_ms: u64, id: u16, steps: usize) -> usize {
        let cx = self.context(now_ms, steps as u64);
        let mut shard = self.cells.shard(id);
        let before = Before::of(&shard);
        let reaped = shard.reap(&cx, steps);
        shard.sweep(now_ms, steps);
        self.note_growth(&shard, before);
        reaped
    }

    #[inline]
    fn tokens_full(&self) -> bool {
        let tokens = self.tokens.load(Ordering::Relaxed);
        tokens >= self.tokens_max && !canary::is(Bug::TokensUnbounded)
    }

    /// How many tokens are remembered.
    pub fn tokens(&self) -> u64 {
        self.tokens.load(Ordering::Relaxed)
    }

    /// Whether some open batch is not empty.
    pub fn is_dirty(&self) -> bool {
        self.dirty.iter().any(|word| word.load(Ordering::Acquire) != 0)
    }

    /// Seals the open batches of all dirty shards into one payload, which is one frame of the log.
    /// `reserve` is told an upper bound on the log bytes before anything new is admitted.
    pub fn cut(
        &self,
        payload: &mut Vec<u8>,
        sealed: &mut Vec<Sealed>,
        reserve: impl FnOnce(u64) -> u64,
    ) {
        let _gate = self.cells.gate();
        let start = payload.len();
        let mut bytes = 0;
        for (index, word) in self.dirty.iter().enumerate() {
            let mut bits = word.swap(0, Ordering::AcqRel);
            while bits != 0 {
                let id = (index * 64) as u16 + bits.trailing_zeros() as u16;
                bits &= bits - 1;
                bytes += self.seal(id, payload, sealed);
            }
        }
        let room = reserve((payload.len() - start) as u64);
        self.room_bytes.store(room, Ordering::Relaxed);
        self.open_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Seals the open batch of one shard; returns the bytes that it was booked with.
    fn seal(&self, id: u16, payload: &mut Vec<u8>, sealed: &mut Vec<Sealed>) -> u64 {
        let durable = self.durable_upto(id);
        let mut shard = self.cells.shard(id);
        let (bytes, slots) = (shard.open_bytes(), shard.open_slots());
        let from = payload.len();
        if let Some(batch) = shard.seal(durable, payload) {
            sealed.push(Sealed { shard: id, batch, range: from..payload.len(), slots });
        }
        bytes
    }

    /// Says whether clients have too much in flight: writes are then refused as busy.
    pub fn set_overloaded(&self, overloaded: bool) {
        self.overloaded.store(overloaded, Ordering::Relaxed);
    }

    /// Says whether new counters are refused.
    pub fn set_memory_full(&self, full: bool) {
        self.memory_full.store(full, Ordering::Relaxed);
    }

    /// Refuses all writes from now on.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Says that a shard's batches up to `batch` are durable.
    pub fn set_durable(&self, shard: u16, batch: u64) {
        if let Some(upto) = self.durable.get(usize::from(shard)) {
            upto.fetch_max(batch, Ordering::AcqRel);
        }
    }

    #[inline]
    fn durable_upto(&self, shard: u16) -> u64 {
        self.durable.get(usize::from(shard)).map_or(0, |upto| upto.load(Ordering::Acquire))
    }

    /// Whether what a reply depends on is durable.
    #[inline]
    pub fn is_durable(&self, depends: Dependency) -> bool {
        depends.batch == 0
            || depends.batch <= self.durable_upto(depends.shard)
            || canary::is(Bug::AckBeforeSync)
    }
}

/// Walks over `shards` shards from a cursor (0 starts), about `count` counters, and returns the next
/// cursor (0 ends). `step` scans one shard from an order on for about so many counters: it says how
/// many it saw, and where to go on in this shard if there is more of it.
fn walk(
    shards: u16,
    (cursor, count): (u64, usize),
    mut step: impl FnMut(u16, u64, usize) -> (usize, Option<u64>),
) -> u64 {
    let mut id = (cursor & 0x3FF) as u16;
    let mut from = (cursor >> 10) << 17;
    let mut seen = 0;
    while id < shards {
        let (visited, next) = step(id, from, count.saturating_sub(seen).max(1));
        seen += visited;
        match next {
            Some(order) if seen >= count => return (order >> 17) << 10 | u64::from(id),
            Some(order) => from = order,
            None => (id, from) = (id + 1, 0),
        }
        if seen >= count && id < shards {
            return u64::from(id);
        }
    }
    0
}

/// Scans one shard as [`walk`] wants it.
fn scan_shard(
    shard: &Shard,
    now_ms: u64,
    (from, left): (u64, usize),
    mut visit: impl FnMut(&str, i64),
) -> (usize, Option<u64>) {
    let mut seen = 0;
    let next = shard.scan(now_ms, from, left, |name, value| {
        seen += 1;
        visit(name, value);
    });
    (seen, next)
}

/// Whether an atomic group can go on after this reply.
fn acceptable(first: &Reply, reply: Reply) -> Result<(), Reply> {
    let (Ok(outcome), Ok(first)) = (reply.result, first.result) else { return Err(reply) };
    if outcome.verdict != Verdict::Done {
        return Err(reply);
    }
    if outcome.repeat != first.repeat {
        return Err(Reply { result: Err(Refusal::Conflict), ..reply });
    }
    Ok(())
}

impl Reply {
    /// A refusal that depends on nothing.
    pub fn refused(refusal: Refusal) -> Self {
        Self { result: Err(refusal), position: Position::default(), depends: Dependency::default() }
    }
}
