//! A simple model of a node: maps, explicit rules, and the newest batch that touched each thing.

use std::collections::BTreeMap;

use quipu_core::op::{Action, Op, Token};
use quipu_core::outcome::{Outcome, Position, Refusal, Repeat, Reply, Verdict};

use crate::rules::{Change, Live, rule};

/// For how long the stores of these tests remember a token, in milliseconds.
pub const WINDOW_MS: u64 = 60_000;

const FUTURE_MS: u64 = 5 * 60 * 1000;

/// One counter: there or gone, and the newest batch of this life that touched it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Entry {
    /// What it is, unless it is gone.
    pub live: Option<Live>,
    /// The newest batch of this life that touched it; 0 for none.
    pub touched: u64,
}

/// One remembered token.
#[derive(Debug, Clone)]
pub struct Memory {
    /// Its shard.
    pub shard: u16,
    /// What was asked.
    pub action: Action,
    /// What was answered.
    pub outcome: Outcome,
    /// The epoch of its decision.
    pub epoch: u64,
    /// The batch of its decision.
    pub batch: u64,
    /// Until when it is remembered, in milliseconds of log time.
    pub until: u64,
}

/// One stream on one shard.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// The newest sequence that counted.
    pub mark: u64,
    /// What its sender stored.
    pub checkpoint: Option<u64>,
    /// The refused sequence that must come next.
    pub held: Option<u64>,
    /// The newest batch of this life that touched it; 0 for none.
    pub touched: u64,
}

/// One shard's place in its log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tail {
    /// The present life.
    pub epoch: u64,
    /// Batches that are closed.
    pub sealed: u64,
    /// Batches that this life began with.
    pub recovered: u64,
    /// Batches that are durable.
    pub durable: u64,
    /// Whether there is an open batch.
    pub open: bool,
    /// Newest log time, in milliseconds.
    pub time: u64,
}

/// What a node can hold and is told.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most tokens.
    pub tokens: usize,
    /// Most streams of one shard.
    pub streams: usize,
    /// Why nothing can be written, if so.
    pub no_room: Option<Refusal>,
    /// Whether new counters are refused.
    pub memory_full: bool,
}

/// The operation, and where and when it arrives.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its shard.
    pub shard: u16,
    /// When, in milliseconds.
    pub now: u64,
    /// What.
    pub op: Op<'a>,
    /// What the node answered: it decides where both answers are right.
    pub seen: &'a Reply,
}

/// Counter, canonical token, item.
pub type Scope = (String, Vec<u8>, u32);

/// What must be answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// The answer.
    pub result: Result<Outcome, Refusal>,
    /// The newest batch of this life that touched it; 0 for none.
    pub touched: u64,
    /// The position that the answer names.
    pub position: Position,
}

type Judged<T> = Result<T, (Refusal, u64)>;

/// The whole node.
#[derive(Debug, Clone)]
pub struct Model {
    /// Counters by name.
    pub counters: BTreeMap<String, Entry>,
    /// Tokens by scope.
    pub tokens: BTreeMap<Scope, Memory>,
    /// Streams by shard and name.
    pub streams: BTreeMap<(u16, Vec<u8>), Progress>,
    /// The batches of this life that ended streams, by shard and name.
    pub ends: BTreeMap<(u16, Vec<u8>), u64>,
    /// Each shard in its log.
    pub tails: Vec<Tail>,
    /// What it can hold.
    pub limits: Limits,
}

impl Tail {
    /// The number of its open batch, or of the last closed one.
    pub fn newest(&self) -> u64 {
        self.sealed + u64::from(self.open)
    }

    fn decision_time(&self, now: u64) -> u64 {
        if self.open { self.time } else { self.time.max(now) }
    }
}

fn nothing<T>(refusal: Refusal) -> Judged<T> {
    Err((refusal, 0))
}

impl Model {
    /// A new node.
    pub fn new(shards: u16, limits: Limits) -> Self {
        Self {
            counters: BTreeMap::new(),
            tokens: BTreeMap::new(),
            streams: BTreeMap::new(),
            ends: BTreeMap::new(),
            tails: vec![Tail::default(); usize::from(shards)],
            limits,
        }
    }

    /// One shard in its log.
    pub fn tail(&mut self, shard: u16) -> &mut Tail {
        &mut self.tails[usize::from(shard)]
    }

    /// Puts something into the open batch of a shard; returns its number.
    fn write(&mut self, shard: u16, now: u64) -> u64 {
        let tail = self.tail(shard);
        tail.time = tail.decision_time(now);
        tail.open = true;
        tail.newest()
    }

    /// Decides an operation.
    pub fn step(&mut self, asked: &Asked<'_>) -> Expected {
        let judged = match asked.op.token {
            Token::None => self.plain(asked).map(|(outcome, touched)| (outcome, touched, None)),
            Token::Key { key, item } => self.keyed(asked, key, item),
            Token::Stream { name, sequence } => self.streamed(asked, name, sequence),
        };
        let (result, touched, original) = match judged {
            Ok((outcome, touched, original)) => (Ok(outcome), touched, original),
            Err((refusal, touched)) => (Err(refusal), touched, None),
        };
        let shard = asked.shard;
        let tail = self.tail(shard);
        let present = Position { shard, epoch: tail.epoch, batch: touched.max(tail.recovered) };
        Expected { result, touched, position: original.unwrap_or(present) }
    }

    fn plain(&mut self, asked: &Asked<'_>) -> Judged<(Outcome, u64)> {
        let Asked { shard, now, op, .. } = *asked;
        if let (Some(refusal), true) = (self.limits.no_room, op.action != Action::Get) {
            return nothing(refusal);
        }
        let time = self.tail(shard).decision_time(now);
        let mut entry = self.counters.get(op.name).copied();
        let is_over = |e: &Entry| e.live.and_then(|(_, at)| at).is_some_and(|at| at <= time);
        if let Some(found) = entry.as_mut().filter(|e| is_over(e)) {
            found.live = None;
            if self.limits.no_room.is_none() {
                found.touched = self.write(shard, now);
                self.counters.insert(op.name.to_owned(), *found);
            }
        }
        let found = entry.and_then(|e| e.live);
        let (verdict, applied, change) = rule(found, &op.action, time);
        let after = match change {
            Change::Nothing => found,
            Change::Put(live) => Some(live),
            Change::Remove => None,
        };
        let mut touched = entry.map_or(0, |e| e.touched);
        if change != Change::Nothing {
            self.admit_counter(asked, entry)?;
            touched = self.write(shard, now);
            self.counters.insert(op.name.to_owned(), Entry { live: after, touched });
        }
        let value = |live: Option<Live>| live.map(|(value, _)| value as i64);
        let outcome = Outcome {
            verdict,
            value: value(after),
            previous: value(found),
            applied: applied as i64,
            expires_at: after.and_then(|(_, at)| at),
            repeat: Repeat::None,
        };
        Ok((outcome, touched))
    }

    /// A full memory forbids new counters. One whose deletion is not durable is still there; one
    /// whose deletion is durable may be or not.
    fn admit_counter(&mut self, asked: &Asked<'_>, entry: Option<Entry>) -> Judged<()> {
        let durable = self.tail(asked.shard).durable;
        let forbidden = match entry {
            _ if !self.limits.memory_full => false,
            None => true,
            Some(entry) if entry.live.is_some() || entry.touched > durable => false,
            Some(_) => asked.seen.result == Err(Refusal::NoMemory),
        };
        if forbidden { nothing(Refusal::NoMemory) } else { Ok(()) }
    }

    fn keyed(
        &mut self,
        asked: &Asked<'_>,
        key: &[u8],
        item: u32,
    ) -> Judged<(Outcome, u64, Option<Position>)> {
        let Asked { shard, now, op, .. } = *asked;
        if key.is_empty() || key.len() > 64 {
            return nothing(Refusal::BadToken { bytes: key.len() });
        }
        let time = self.tail(shard).decision_time(now);
        let scope = (op.name.to_owned(), canonical(key), item);
        if let Some(known) = self.tokens.get(&scope).filter(|known| known.until >= time) {
            let (epoch, batch) = (known.epoch, known.batch);
            let touched = if epoch == self.tails[usize::from(shard)].epoch { batch } else { 0 };
            if known.action != op.action {
                return Err((Refusal::Conflict, touched));
            }
            let outcome = Outcome { repeat: Repeat::Token, ..known.outcome };
            return Ok((outcome, touched, Some(Position { shard, epoch, batch })));
        }
        let until = remembered_until(key, time)?;
        if let Some(refusal) = self.limits.no_room {
            return nothing(refusal);
        }
        // Tokens past their deadline count until they are swept, so whether the memory is full is
        // checked against the node's own books.
        if asked.seen.result == Err(Refusal::TokensFull) {
            return nothing(Refusal::TokensFull);
        }
        let (outcome, _) = self.plain(asked)?;
        let batch = self.write(shard, now);
        let (action, epoch) = (op.action, self.tail(shard).epoch);
        self.tokens.insert(scope, Memory { shard, action, outcome, epoch, batch, until });
        Ok((outcome, batch, None))
    }

    fn streamed(
        &mut self,
        asked: &Asked<'_>,
        name: &[u8],
        sequence: u64,
    ) -> Judged<(Outcome, u64, Option<Position>)> {
        let Asked { shard, now, op, .. } = *asked;
        self.check_stream(shard, name, sequence)?;
        let known = self.streams.get(&(shard, name.to_vec())).copied();
        let stream = known.unwrap_or_default();
        if sequence <= stream.mark {
            let look = Asked { op: Op { action: Action::Get, ..op }, ..*asked };
            let (found, touched) = self.plain(&look)?;
            let outcome = Outcome { repeat: Repeat::Stream, ..found };
            return Ok((outcome, touched.max(stream.touched), None));
        }
        if let Some(held) = stream.held.filter(|held| sequence > *held) {
            return nothing(Refusal::Held { sequence: held });
        }
        let has_place = self.check_streams_full(shard, stream);
        let performed = has_place.and_then(|()| self.plain(asked));
        let mut changed = stream;
        if performed.is_ok() {
            changed.mark = sequence;
            changed.held = stream.held.filter(|held| *held != sequence);
            changed.touched = self.write(shard, now);
        } else {
            changed.held = Some(sequence);
        }
        self.streams.insert((shard, name.to_vec()), changed);
        performed.map(|(outcome, _)| (outcome, changed.touched, None))
    }

    fn check_stream(&self, shard: u16, name: &[u8], sequence: u64) -> Judged<()> {
        debug_assert!(usize::from(shard) < self.tails.len(), "the world knows its shards");
        if name.is_empty() || name.len() > 64 {
            return nothing(Refusal::BadStream { bytes: name.len() });
        }
        if sequence == 0 { nothing(Refusal::BadSequence) } else { Ok(()) }
    }

    /// Streams that are only held have no place yet.
    fn check_streams_full(&self, shard: u16, stream: Progress) -> Judged<()> {
        let is_recorded = |of: &Progress| of.mark > 0 || of.checkpoint.is_some();
        let here = self.streams.iter().filter(|((s, _), of)| *s == shard && is_recorded(of));
        if !is_recorded(&stream) && here.count() >= self.limits.streams {
            return nothing(Refusal::StreamsFull { most: self.limits.streams as u64 });
        }
        Ok(())
    }

    /// Stores a checkpoint; returns the batch that holds it.
    ///
    /// # Errors
    /// Why it cannot be stored.
    pub fn checkpoint(
        &mut self,
        (shard, now): (u16, u64),
        name: &[u8],
        sequence: u64,
    ) -> Result<u64, Refusal> {
        self.check_stream(shard, name, sequence).map_err(|(refusal, _)| refusal)?;
        self.limits.no_room.map_or(Ok(()), Err)?;
        let key = (shard, name.to_vec());
        let known = self.streams.get(&key).copied().unwrap_or_default();
        self.check_streams_full(shard, known).map_err(|(refusal, _)| refusal)?;
        let touched = self.write(shard, now);
        let stream = self.streams.entry(key).or_default();
        (stream.checkpoint, stream.touched) = (Some(sequence), touched);
        Ok(touched)
    }

    /// What is known of a stream, by shard.
    pub fn stream(&self, name: &[u8]) -> Vec<(u16, Progress)> {
        let of_name = self.streams.iter().filter(|((_, known), _)| known == name);
        of_name.map(|((shard, _), progress)| (*shard, *progress)).collect()
    }

    /// The newest batch of this life that changed or ended a stream on a shard; 0 for none.
    pub fn stream_touched(&self, shard: u16, name: &[u8]) -> u64 {
        let at = (shard, name.to_vec());
        let changed = self.streams.get(&at).map_or(0, |stream| stream.touched);
        changed.max(self.ends.get(&at).copied().unwrap_or(0))
    }

    /// Ends a stream on all shards; returns what it was on each.
    ///
    /// # Errors
    /// Why it does not end.
    pub fn end_stream(
        &mut self,
        now: u64,
        name: &[u8],
        by_force: bool,
    ) -> Result<Vec<(u16, Progress)>, Refusal> {
        self.check_stream(0, name, 1).map_err(|(refusal, _)| refusal)?;
        let known = self.stream(name);
        let held = known.iter().filter_map(|(_, stream)| stream.held).min();
        if let (Some(sequence), false) = (held, by_force) {
            return Err(Refusal::Held { sequence });
        }
        if !known.is_empty() {
            self.limits.no_room.map_or(Ok(()), Err)?;
        }
        for (shard, stream) in &known {
            let at = (*shard, name.to_vec());
            self.streams.remove(&at);
            // What was never counted nor stored is not in the log.
            if stream.mark > 0 || stream.checkpoint.is_some() {
                let touched = self.write(*shard, now);
                self.ends.insert(at, touched);
            }
        }
        Ok(known)
    }

    /// Deletes what has expired, as far as there is room to say so; names the shard's counters
    /// that can be seen.
    pub fn reap(&mut self, shard: u16, now: u64, mine: impl Fn(&str) -> bool) {
        let time = self.tail(shard).decision_time(now);
        if self.limits.no_room.is_some() {
            return;
        }
        let is_over = |e: &Entry| e.live.and_then(|(_, at)| at).is_some_and(|at| at <= time);
        let over = self.counters.iter().filter(|(name, e)| mine(name) && is_over(e));
        let over: Vec<String> = over.map(|(name, _)| name.clone()).collect();
        for name in over {
            let touched = self.write(shard, now);
            self.counters.insert(name, Entry { live: None, touched });
        }
    }

    /// Closes the open batches; says which.
    pub fn cut(&mut self) -> Vec<(u16, u64)> {
        let mut sealed = Vec::new();
        for (id, tail) in self.tails.iter_mut().enumerate().filter(|(_, tail)| tail.open) {
            tail.sealed += 1;
            tail.open = false;
            sealed.push((id as u16, tail.sealed));
        }
        sealed
    }

    /// A new life on what is in the log: nothing is held, nothing is newly touched.
    pub fn begin_life(&mut self, now: u64) {
        self.counters.retain(|_, entry| entry.live.is_some());
        self.counters.values_mut().for_each(|entry| entry.touched = 0);
        self.streams.retain(|_, stream| stream.mark > 0 || stream.checkpoint.is_some());
        self.streams.values_mut().for_each(|s| (s.held, s.touched) = (None, 0));
        self.ends.clear();
        for tail in &mut self.tails {
            assert!(!tail.open, "a life begins at a cut");
            tail.epoch += 1;
            (tail.recovered, tail.durable) = (tail.sealed, tail.sealed);
            tail.time = tail.time.max(now);
        }
    }

    /// Takes back what an aborted group did: back to `before`, but time does not step back.
    pub fn abort(&mut self, before: Self) {
        let after = std::mem::replace(self, before);
        for (tail, after) in self.tails.iter_mut().zip(&after.tails) {
            tail.time = after.time;
        }
    }

    /// Holds a stream at an operation that did not count.
    pub fn hold(&mut self, shard: u16, name: &[u8], sequence: u64) {
        if self.check_stream(shard, name, sequence).is_err() {
            return;
        }
        let stream = self.streams.entry((shard, name.to_vec())).or_default();
        if sequence > stream.mark {
            stream.held = Some(stream.held.map_or(sequence, |held| held.min(sequence)));
        }
    }
}

/// A UUIDv7 is the same token in any case; every other token is its bytes.
fn canonical(key: &[u8]) -> Vec<u8> {
    if uuid_ms(key).is_some() { key.to_ascii_lowercase() } else { key.to_vec() }
}

/// The time of a UUIDv7 in its canonical text form.
pub fn uuid_ms(key: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(key).ok()?;
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let is_hex = text.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
    if lengths != [8, 4, 4, 4, 12] || !is_hex {
        return None;
    }
    let number = u128::from_str_radix(&parts.concat(), 16).ok()?;
    (number >> 76 & 0xF == 7).then_some((number >> 80) as u64)
}

fn remembered_until(key: &[u8], time: u64) -> Judged<u64> {
    let Some(own) = uuid_ms(key) else { return Ok(time + WINDOW_MS) };
    if own > time + FUTURE_MS {
        return nothing(Refusal::FutureToken { ahead_ms: own - time });
    }
    if own + WINDOW_MS < time {
        return nothing(Refusal::Expired);
    }
    Ok(time.max(own) + WINDOW_MS)
}

/// Whether a reply allows an atomic group to go on after one that began with `first`.
pub fn goes_on(first: &Outcome, outcome: &Outcome) -> bool {
    outcome.verdict == Verdict::Done && outcome.repeat == first.repeat
}
