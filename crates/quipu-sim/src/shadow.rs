//! What every answer must be: an independent node of plain maps and explicit rules, which can go
//! back to any frame that is not known to be durable.
//!
//! Every change is written into a journal before it is made. An aborted group and a crash are the
//! same thing at different distances: the journal is read backwards. `judge` decides, this file
//! holds the state.

mod journal;
mod judge;

use std::collections::{BTreeMap, BTreeSet};

use quipu_core::op::Action;
use quipu_core::outcome::{Dependency, Outcome, Position, Refusal, Reply};
use quipu_model::rules::Live;

use self::journal::Journal;
pub use self::judge::{compare, goes_on};
use crate::request::{Ask, Key};

/// One counter: there or gone, and the newest batch of this life that touched it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its value and expiry, if it exists.
    pub live: Option<Live>,
    /// The batch; 0 where that was before this life.
    pub touched: u64,
}

/// One remembered token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Memory {
    /// Where its counter lives.
    pub shard: u16,
    /// What it was used for.
    pub action: Action,
    /// What was answered.
    pub outcome: Outcome,
    /// The life in which it was decided.
    pub epoch: u64,
    /// The batch that holds it.
    pub batch: u64,
    /// Log time until which it is remembered.
    pub until: u64,
}

/// One stream on one shard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// The highest sequence counted.
    pub mark: u64,
    /// What its sender stored.
    pub checkpoint: Option<u64>,
    /// What was refused and must come first.
    pub held: Option<u64>,
    /// The newest batch of this life that changed it.
    pub touched: u64,
}

/// One shard's place in its log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tail {
    /// The life.
    pub epoch: u64,
    /// The newest closed batch.
    pub sealed: u64,
    /// The newest batch before this life.
    pub recovered: u64,
    /// Whether the open batch has something.
    pub open: bool,
    /// The newest log time.
    pub time: u64,
}

impl Tail {
    /// The newest batch, open or closed.
    pub fn newest(&self) -> u64 {
        self.sealed + u64::from(self.open)
    }

    /// The time of a decision taken now.
    pub fn decision_time(&self, now_ms: u64) -> u64 {
        if self.open { self.time } else { self.time.max(now_ms) }
    }
}

/// What a node can hold.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// For how long tokens are remembered, in milliseconds.
    pub window_ms: u64,
    /// Most streams of a shard.
    pub streams: usize,
}

/// The operation, and where, when and under which circumstances it arrives.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The shard of its counter.
    pub shard: u16,
    /// Log time.
    pub now_ms: u64,
    /// The operation.
    pub ask: &'a Ask,
    /// Why no write is admitted, if none is.
    pub no_room: Option<Refusal>,
    /// Whether new counters are refused.
    pub memory_full: bool,
    /// What the node answered: it decides where both answers are right.
    pub seen: &'a Reply,
}

/// What must be answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// Outcome or refusal.
    pub result: Result<Outcome, Refusal>,
    /// The newest batch that it speaks of.
    pub touched: u64,
    /// Where that stands.
    pub position: Position,
}

/// The scope of a token: counter and key.
pub type Scope = (u32, Key);

/// The whole node, as it must be.
#[derive(Debug)]
pub struct Shadow {
    counters: Vec<Entry>,
    expiries: Vec<BTreeSet<(u64, u32)>>,
    tokens: BTreeMap<Scope, Memory>,
    streams: BTreeMap<(u16, u32), Progress>,
    /// The batches of this life that ended streams.
    ends: BTreeMap<(u16, u32), u64>,
    tails: Vec<Tail>,
    durable: Vec<u64>,
    shards: Vec<u16>,
    bounds: Bounds,
    journal: Journal,
    pruned: usize,
}

impl Shadow {
    /// An empty node; `shards` says where each counter lives.
    pub fn new(shards: Vec<u16>, count: u16, bounds: Bounds) -> Self {
        let count = usize::from(count);
        Self {
            counters: vec![Entry::default(); shards.len()],
            expiries: vec![BTreeSet::new(); count],
            tokens: BTreeMap::new(),
            streams: BTreeMap::new(),
            ends: BTreeMap::new(),
            tails: vec![Tail::default(); count],
            durable: vec![0; count],
            shards,
            bounds,
            journal: Journal::default(),
            pruned: 0,
        }
    }

    /// One counter.
    pub fn counter(&self, counter: u32) -> Entry {
        self.counters.get(counter as usize).copied().unwrap_or_default()
    }

    /// How many counters exist on a shard.
    pub fn present(&self, shard: u16) -> usize {
        let here = self.counters.iter().zip(&self.shards).filter(|(_, at)| **at == shard);
        here.filter(|(entry, _)| entry.live.is_some()).count()
    }

    /// One shard's place in its log.
    pub fn tail(&self, shard: u16) -> Tail {
        self.tails.get(usize::from(shard)).copied().unwrap_or_default()
    }

    /// One stream on one shard.
    pub fn stream(&self, shard: u16, stream: u32) -> Option<Progress> {
        self.streams.get(&(shard, stream)).copied()
    }

    /// What an answer about a stream must wait for: the batches that changed or ended it and are
    /// not durable.
    pub fn stream_waits(&self, stream: u32) -> Vec<Dependency> {
        let touched = |shard: u16| {
            let changed = self.stream(shard, stream).map_or(0, |progress| progress.touched);
            changed.max(self.ends.get(&(shard, stream)).copied().unwrap_or(0))
        };
        let shards = 0..self.tails.len() as u16;
        let waits = shards.map(|shard| Dependency { shard, batch: touched(shard) });
        waits.filter(|on| on.batch > self.durable(on.shard)).collect()
    }

    /// All tokens and what is remembered of them.
    pub fn tokens(&self) -> impl Iterator<Item = (&Scope, &Memory)> {
        self.tokens.iter()
    }

    /// How many tokens are inside their window at this time.
    pub fn remembered(&self, now_ms: u64) -> u64 {
        let time = |shard| self.tail(shard).decision_time(now_ms);
        let is_in = |memory: &&Memory| memory.until >= time(memory.shard);
        self.tokens.values().filter(is_in).count() as u64
    }

    /// All streams of all shards.
    pub fn streams(&self) -> impl Iterator<Item = (&(u16, u32), &Progress)> {
        self.streams.iter()
    }

    /// The newest durable batch of a shard.
    pub fn durable(&self, shard: u16) -> u64 {
        self.durable.get(usize::from(shard)).copied().unwrap_or(0)
    }

    /// Says that a shard's batches up to this one are durable.
    pub fn set_durable(&mut self, shard: u16, batch: u64) {
        if let Some(upto) = self.durable.get_mut(usize::from(shard)) {
            *upto = batch.max(*upto);
        }
    }

    /// What a scan shows at this time: the counters of a shard in the order of their numbers.
    pub fn visible(&self, shard: u16, now_ms: u64) -> impl Iterator<Item = (u32, i64)> {
        let time = self.tail(shard).decision_time(now_ms);
        let here = self.counters.iter().zip(&self.shards).enumerate();
        here.filter_map(move |(id, (entry, at))| {
            let live = entry.live.filter(|(_, at)| at.is_none_or(|at| at > time));
            live.filter(|_| *at == shard).map(|(value, _)| (id as u32, value as i64))
        })
    }

    /// How many of a shard's counters have expired and are still there.
    pub fn expired(&self, shard: u16, now_ms: u64) -> usize {
        let time = self.tail(shard).decision_time(now_ms);
        let all = self.expiries.get(usize::from(shard));
        all.map_or(0, |all| all.iter().take_while(|(at, _)| *at <= time).count())
    }

    /// Deletes up to `steps` of a shard's counters that have expired, the earliest first.
    pub fn reap(&mut self, shard: u16, now_ms: u64, steps: usize) {
        let time = self.tail(shard).decision_time(now_ms);
        for _ in 0..steps {
            let first = self.expiries.get(usize::from(shard)).and_then(BTreeSet::first).copied();
            let Some((_, counter)) = first.filter(|(at, _)| *at <= time) else { return };
            let touched = self.write(shard, now_ms);
            self.set_counter(counter, Entry { live: None, touched });
        }
    }

    /// Closes the open batches; says which.
    pub fn cut(&mut self) -> Vec<(u16, u64)> {
        let mut sealed = Vec::new();
        for id in 0..self.tails.len() as u16 {
            let tail = self.tail(id);
            if tail.open {
                self.set_tail(id, Tail { sealed: tail.sealed + 1, open: false, ..tail });
                sealed.push((id, tail.sealed + 1));
            }
        }
        sealed
    }

    /// Forgets tokens that no node could remember any more; rarely enough to cost nothing.
    pub fn prune(&mut self) {
        // A crash takes back some seconds of log time at most; ten minutes are far beyond it.
        const SLACK_MS: u64 = 600_000;
        if self.tokens.len() < 2 * self.pruned + 1000 {
            return;
        }
        let oldest = self.tails.iter().map(|tail| tail.time).min().unwrap_or(0);
        self.tokens.retain(|_, memory| memory.until + SLACK_MS >= oldest);
        self.pruned = self.tokens.len();
    }

    /// A new life on what is in the log: nothing is held, nothing is newly touched. `times` are
    /// the shards' log times, `epochs` the numbers of the life.
    pub fn begin_life(&mut self, now_ms: u64, times: &[u64], epochs: &[u64]) {
        self.journal.clear();
        self.counters.iter_mut().for_each(|entry| entry.touched = 0);
        self.streams.retain(|_, stream| stream.mark > 0 || stream.checkpoint.is_some());
        self.streams.values_mut().for_each(|s| (s.held, s.touched) = (None, 0));
        self.ends.clear();
        for ((tail, durable), time) in self.tails.iter_mut().zip(&mut self.durable).zip(times) {
            tail.recovered = tail.sealed;
            *durable = tail.sealed;
            tail.time = now_ms.max(*time);
        }
        self.tails.iter_mut().zip(epochs).for_each(|(tail, epoch)| tail.epoch = *epoch);
    }
}
