//! A real node and its model side by side: every step is done by both, and every answer compared.

use std::collections::VecDeque;

use quipu_core::node::{Abort, Cells, Nature, Node, StreamView};
use quipu_core::op::{Op, Token};
use quipu_core::outcome::{Dependency, Refusal, Reply, Verdict};
use quipu_core::shard::Shard;
use quipu_model::model::{Asked, Expected, Limits, Model, WINDOW_MS, goes_on};

use crate::shards::{LIMITS, LocalShards, SEED, recovering};

const SHARDS: u16 = 4;

/// Most tokens: few, so that short inputs meet the bound.
const TOKENS_MAX: usize = 6;

/// Plenty of room.
const ROOM: u64 = 1 << 40;

/// The time at which every world begins, in milliseconds.
const BEGIN_MS: u64 = 0x0199_0000_0000;

/// No world lives longer, in milliseconds.
const END_MS: u64 = 1 << 50;

/// One frame of the log, and the model as of its cut.
#[derive(Debug)]
struct Frame {
    payload: Vec<u8>,
    batches: Vec<(u16, u64)>,
    model: Model,
}

/// Both sides, and the log between their lives.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) node: Node<LocalShards>,
    model: Model,
    now: u64,
    /// The payloads of all durable frames, and the model as of the last.
    log: Vec<u8>,
    base: Model,
    undurable: VecDeque<Frame>,
    /// Tokens at the beginning of this life; a replay sweeps later than an owner.
    recovered_tokens: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        let limits = Limits {
            tokens: TOKENS_MAX,
            streams: LIMITS.streams_max,
            no_room: None,
            memory_full: false,
        };
        let model = Model::new(SHARDS, limits);
        let shards = || (0..SHARDS).map(|id| Shard::new(id, SEED, LIMITS)).collect();
        let mut world = Self {
            node: node(shards()),
            base: model.clone(),
            model,
            now: BEGIN_MS,
            log: Vec::new(),
            undurable: VecDeque::new(),
            recovered_tokens: 0,
        };
        world.begin_life(shards());
        world
    }

    fn begin_life(&mut self, mut shards: Vec<Shard>) {
        for shard in &mut shards {
            shard.begin_epoch(self.now, WINDOW_MS, &mut self.log);
        }
        let limits = self.model.limits;
        self.model = self.base.clone();
        self.model.limits = limits;
        self.model.begin_life(self.now);
        self.base = self.model.clone();
        self.node = node(shards);
        self.recovered_tokens = self.node.tokens();
        self.tell_room();
    }

    /// Power fails: what is not durable is gone, but for its first `kept` frames.
    pub(crate) fn crash(&mut self, kept: usize) {
        self.settle(kept);
        self.undurable.clear();
        let mut shards = recovering();
        shards.fold(&self.log).expect("the owner's log folds");
        self.begin_life(shards.finish(SHARDS));
        self.agrees();
    }

    /// What recovery found is what the model had at the last durable cut.
    fn agrees(&self) {
        for (name, entry) in &self.model.counters {
            let shard = self.node.cells().shard(self.node.shard_of(name.as_bytes()));
            let found = shard.peek(name);
            let live = entry.live.map(|(value, at)| (value as i64, at));
            assert_eq!(found.value.map(|value| (value, found.expires_at)), live, "{name}");
        }
        let live = self.model.counters.values().filter(|entry| entry.live.is_some()).count();
        let shards = (0..SHARDS).map(|id| self.node.cells().shard(id));
        assert_eq!(shards.map(|shard| shard.counters()).sum::<usize>(), live);
    }

    /// Says why nothing can be written, if so.
    pub(crate) fn set_room(&mut self, refusal: Option<Refusal>) {
        self.model.limits.no_room = refusal;
        self.tell_room();
    }

    pub(crate) fn set_memory_full(&mut self, full: bool) {
        self.model.limits.memory_full = full;
        self.tell_room();
    }

    fn tell_room(&self) {
        let room = if self.model.limits.no_room.is_some() { 0 } else { ROOM };
        self.node.set_room(room, self.model.limits.no_room == Some(Refusal::NoSpace));
        self.node.set_memory_full(self.model.limits.memory_full);
    }

    /// Time goes on.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.now = self.now.saturating_add(ms).min(END_MS);
    }

    fn shard_of(&self, name: &str) -> u16 {
        self.node.shard_of(name.as_bytes())
    }

    fn judge(&mut self, op: &Op<'_>, seen: &Reply) -> Expected {
        let shard = self.shard_of(op.name);
        self.model.step(&Asked { shard, now: self.now, op: *op, seen })
    }

    /// Executes on both sides and compares.
    pub(crate) fn execute(&mut self, op: &Op<'_>) -> Reply {
        let reply = self.node.execute(self.now, op);
        let (tokens, max) = (self.node.tokens(), TOKENS_MAX as u64);
        assert!(tokens <= max.max(self.recovered_tokens), "{tokens} tokens are too many");
        let expected = self.judge(op, &reply);
        self.check(op, &reply, &expected);
        reply
    }

    /// Compares an answer and what it depends on. Only a durable deletion may be left out.
    fn check(&self, op: &Op<'_>, reply: &Reply, expected: &Expected) {
        let shard = self.shard_of(op.name);
        assert_eq!(reply.result, expected.result, "{op:?} at {}", self.now);
        let durable = self.model.tails[usize::from(shard)].durable;
        let is_gone = self.model.counters.get(op.name).is_none_or(|entry| entry.live.is_none());
        let is_miss = reply.result.map_or(is_gone, |outcome| outcome.previous.is_none());
        if is_miss && reply.depends.batch < expected.touched && expected.touched <= durable {
            return;
        }
        let depends = Dependency { shard, batch: expected.touched };
        assert_eq!(reply.depends, depends, "{op:?} at {}", self.now);
        assert_eq!(reply.position, expected.position, "{op:?} at {}", self.now);
        assert_eq!(self.node.is_durable(reply.depends), expected.touched <= durable, "{op:?}");
    }

    /// Several operations as one frame, each with its own answer.
    pub(crate) fn group(&mut self, ops: &[Op<'_>]) {
        let names = ops.iter().map(|op| op.name);
        let mut held = self.node.group(self.now, names).expect("this log takes groups");
        let replies: Vec<Reply> = ops.iter().map(|op| held.execute(op)).collect();
        drop(held);
        for (op, reply) in ops.iter().zip(replies) {
            let expected = self.judge(op, &reply);
            self.check(op, &reply, &expected);
        }
    }

    /// A group that is done as a whole or not at all.
    pub(crate) fn atomic(&mut self, ops: &[Op<'_>]) {
        let mut replies = Vec::new();
        if let Err(abort) = self.node.atomic(self.now, ops, &mut replies) {
            assert!(replies.is_empty(), "an aborted group has one answer");
            return self.aborted(ops, &abort);
        }
        assert_eq!(ops.len(), replies.len());
        let mut first = None;
        for (op, reply) in ops.iter().zip(&replies) {
            let expected = self.judge(op, reply);
            self.check(op, reply, &expected);
            let outcome = reply.result.expect("a refusal ends a group");
            let first = first.get_or_insert(outcome);
            assert!(goes_on(first, &outcome), "{op:?} should have ended the group: {reply:?}");
        }
    }

    /// The operations before the last were fine, that one was not, and nothing of it is left.
    fn aborted(&mut self, ops: &[Op<'_>], abort: &Abort) {
        let before = self.model.clone();
        let (fine, rest) = ops.split_at(abort.index);
        let last = rest.first().expect("an operation of the group forbade it");
        let mut first = None;
        for op in fine {
            // Nobody saw this answer, so nothing may hang on it where two are right.
            let unseen = Reply::refused(Refusal::Stopping);
            let outcome = self.judge(op, &unseen).result.expect("fine up to there");
            let first = first.get_or_insert(outcome);
            assert!(goes_on(first, &outcome), "{op:?} should have ended the group");
        }
        let mut expected = self.judge(last, &abort.reply);
        if let Ok(outcome) = expected.result {
            let is_mixed = first.is_some_and(|first| first.repeat != outcome.repeat);
            let is_done = outcome.verdict == Verdict::Done;
            assert!(!is_done || is_mixed, "{last:?} should not have ended the group");
            if is_done {
                expected.result = Err(Refusal::Conflict);
            }
        }
        self.model.abort(before);
        for op in ops {
            if let Token::Stream { name, sequence } = op.token {
                self.model.hold(self.shard_of(op.name), name, sequence);
            }
        }
        let shard = self.shard_of(last.name);
        let newest = self.model.tail(shard).newest();
        expected.touched = expected.touched.min(newest);
        expected.position.batch = expected.position.batch.min(newest);
        self.check(last, &abort.reply, &expected);
    }

    /// A place in a stream was refused before it was decided.
    pub(crate) fn hold(&mut self, counter: &str, stream: &[u8], sequence: u64) {
        self.node.hold_stream(counter, stream, sequence);
        self.model.hold(self.shard_of(counter), stream, sequence);
    }

    pub(crate) fn checkpoint(&mut self, name: &[u8], sequence: u64) {
        let shard = self.node.shard_of(name);
        let stored = self.node.checkpoint(self.now, name, sequence);
        let expected = self.model.checkpoint((shard, self.now), name, sequence);
        assert_eq!(stored, expected.map(|batch| Dependency { shard, batch }));
        self.stream(name);
    }

    /// What is known of a stream.
    pub(crate) fn stream(&self, name: &[u8]) {
        let view = self.node.stream(name);
        let known = self.model.stream(name);
        let marks = known.iter().filter(|(_, s)| s.mark > 0).map(|(id, s)| (*id, s.mark));
        assert!(view.marks.iter().copied().eq(marks), "{view:?}");
        assert_eq!(view.checkpoint, known.iter().find_map(|(_, s)| s.checkpoint));
        self.waits(name, &view);
    }

    /// What an answer about a stream depends on; what is durable may be left out.
    fn waits(&self, name: &[u8], view: &StreamView) {
        let is_undurable =
            |on: &Dependency| on.batch > self.model.tails[usize::from(on.shard)].durable;
        let touched = |shard| Dependency { shard, batch: self.model.stream_touched(shard, name) };
        let expected = (0..SHARDS).map(touched).filter(is_undurable);
        let found = view.depends.iter().copied().filter(is_undurable);
        assert!(found.eq(expected), "{view:?}");
    }

    /// An operator's word.
    pub(crate) fn end_stream(&mut self, name: &[u8], by_force: bool) {
        let ended = self.node.end_stream(self.now, name, by_force);
        let expected = self.model.end_stream(self.now, name, by_force);
        assert_eq!(ended.as_ref().err(), expected.as_ref().err());
        if let (Ok(view), Ok(known)) = (ended, expected) {
            assert_eq!(view.is_known(), !known.is_empty());
            self.waits(name, &view);
        }
        self.stream(name);
    }

    /// Seals on both sides.
    pub(crate) fn cut(&mut self) {
        let (mut payload, mut sealed) = (Vec::new(), Vec::new());
        let room = if self.model.limits.no_room.is_some() { 0 } else { ROOM };
        self.node.cut(&mut payload, &mut sealed, |_| room);
        let batches: Vec<(u16, u64)> = sealed.iter().map(|s| (s.shard, s.batch)).collect();
        assert_eq!(batches, self.model.cut());
        assert_eq!((self.node.open_bytes(), self.node.is_dirty()), (0, false), "all is cut");
        if !batches.is_empty() {
            self.undurable.push_back(Frame { payload, batches, model: self.model.clone() });
        }
    }

    /// Makes up to `frames` more frames durable.
    pub(crate) fn settle(&mut self, frames: usize) {
        for _ in 0..frames {
            let Some(frame) = self.undurable.pop_front() else { return };
            for (shard, batch) in frame.batches {
                self.node.set_durable(shard, batch);
                self.model.tail(shard).durable = batch;
            }
            self.log.extend_from_slice(&frame.payload);
            self.base = frame.model;
        }
    }

    /// SCAN in one call or several, from its start or any cursor.
    pub(crate) fn scan(&mut self, cursor: u64, count: usize) {
        let (mut depends, mut seen) = (Vec::new(), Vec::new());
        let note = |name: &str, value: i64| seen.push((name.to_owned(), value));
        let end = self.node.scan(self.now, (cursor, count), note, &mut depends);
        for dependency in &depends {
            self.reaped(dependency.shard);
            assert_eq!(dependency.batch, self.model.tail(dependency.shard).newest());
        }
        let mut visible = self.visible();
        if cursor == 0 && end == 0 {
            seen.sort();
            visible.sort();
            assert_eq!(seen, visible, "all is seen");
        } else {
            assert!(seen.iter().all(|found| visible.contains(found)), "{seen:?}");
        }
    }

    /// DBSIZE.
    pub(crate) fn count(&mut self) {
        let found = self.node.counters(self.now, &mut Vec::new());
        (0..SHARDS).for_each(|id| self.reaped(id));
        let live = self.model.counters.values().filter(|entry| entry.live.is_some()).count();
        assert_eq!(found, live);
    }

    /// The reaper's step on every shard.
    pub(crate) fn reap(&mut self) {
        for id in 0..SHARDS {
            self.node.reap(self.now, id, 100);
            self.reaped(id);
        }
    }

    fn reaped(&mut self, id: u16) {
        let node = &self.node;
        self.model.reap(id, self.now, |name| node.shard_of(name.as_bytes()) == id);
    }

    /// What a scan shows.
    fn visible(&self) -> Vec<(String, i64)> {
        let live = self.model.counters.iter().filter_map(|(name, entry)| {
            let tail = self.model.tails[usize::from(self.shard_of(name))];
            let time = if tail.open { tail.time } else { tail.time.max(self.now) };
            let (value, _) = entry.live.filter(|(_, at)| at.is_none_or(|at| at > time))?;
            Some((name.clone(), value as i64))
        });
        live.collect()
    }
}

fn node(shards: Vec<Shard>) -> Node<LocalShards> {
    let nature = Nature { groups: true, tokens_max: TOKENS_MAX as u64 };
    Node::new(LocalShards::new(shards), SEED, nature)
}
