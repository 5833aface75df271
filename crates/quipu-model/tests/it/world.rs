//! Node and model side by side: every step is done by both, and every answer compared.

use quipu_core::node::{Group, Nature, Node, Sealed, StreamView};
use quipu_core::op::Action;
use quipu_core::outcome::{Dependency, Refusal, Reply};
use quipu_core::shard::{Shard, ShardLimits};
use stdx::prng::Prng;

use crate::cells::LocalShards;
use crate::fold;
use crate::script::{self, Label, Sent};
use quipu_model::model::{Asked, Expected, Limits, Model, Progress, WINDOW_MS};

/// The seed of names' hashes.
pub(crate) const SEED: u64 = 7;

const SHARDS: u16 = 4;

/// Plenty of room.
const ROOM: u64 = 1 << 40;

/// The time at which every world begins, in milliseconds.
const BEGIN_MS: u64 = 0x0199_0000_0000;

/// Both sides, and the log between their lives.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) node: Node<LocalShards>,
    pub(crate) model: Model,
    pub(crate) now: u64,
    /// All frames of the log, from its beginning.
    pub(crate) log: Vec<Vec<u8>>,
    /// The model as of each frame of the log, the empty one first.
    pub(crate) history: Vec<Model>,
    /// How many frames are durable, and what the others hold.
    pub(crate) durable: usize,
    undurable: Vec<Vec<Sealed>>,
    sent: Vec<Sent>,
    /// What the steps met, to be sure that they meet something.
    pub(crate) met: Met,
    /// Tokens at the beginning of this life; a replay sweeps later than an owner.
    recovered_tokens: u64,
}

pub(crate) fn nature(limits: &Limits) -> Nature {
    Nature { groups: true, tokens_max: limits.tokens as u64 }
}

/// How often something was met.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Met {
    pub(crate) outcomes: usize,
    pub(crate) refusals: usize,
    pub(crate) conflicts: usize,
    pub(crate) repeats: usize,
    pub(crate) held: usize,
    pub(crate) aborts: usize,
    pub(crate) groups: usize,
    pub(crate) crashes: usize,
    pub(crate) tokens_full: usize,
    pub(crate) no_memory: usize,
    pub(crate) ends: usize,
    pub(crate) forced: usize,
}

pub(crate) fn limits(tokens: usize) -> Limits {
    Limits { tokens, streams: 2, no_room: None, memory_full: false }
}

pub(crate) fn shard_limits(limits: &Limits) -> ShardLimits {
    ShardLimits { streams_max: limits.streams }
}

impl World {
    pub(crate) fn new(tokens: usize) -> Self {
        let limits = limits(tokens);
        let model = Model::new(SHARDS, limits);
        let mut world = Self {
            node: Node::new(fold::fresh(SHARDS, &limits), SEED, nature(&limits)),
            history: vec![model.clone()],
            model,
            now: BEGIN_MS,
            log: Vec::new(),
            durable: 0,
            undurable: Vec::new(),
            sent: Vec::new(),
            met: Met::default(),
            recovered_tokens: 0,
        };
        world.begin_life(Vec::new());
        world
    }

    /// Begins a life on the frames of a log.
    pub(crate) fn begin_life(&mut self, log: Vec<Vec<u8>>) {
        let limits = self.model.limits;
        let mut shards = fold::replay(SHARDS, &limits, &log);
        let mut frame = Vec::new();
        for shard in &mut shards {
            shard.begin_epoch(self.now, WINDOW_MS, &mut frame);
        }
        self.log = log;
        self.log.push(frame);
        self.durable = self.log.len();
        self.undurable.clear();
        self.model = self.history[self.log.len() - 1].clone();
        self.model.limits = limits;
        self.model.begin_life(self.now);
        self.history.truncate(self.log.len());
        self.history.push(self.model.clone());
        self.node = Node::new(LocalShards::new(shards), SEED, nature(&limits));
        self.recovered_tokens = self.node.tokens();
        self.tell_room();
    }

    fn tell_room(&self) {
        let room = if self.model.limits.no_room.is_some() { 0 } else { ROOM };
        self.node.set_room(room, self.model.limits.no_room == Some(Refusal::NoSpace));
        self.node.set_memory_full(self.model.limits.memory_full);
    }

    /// Power fails: what is not durable is gone, but for its first `kept` frames.
    pub(crate) fn crash(&mut self, kept: usize) {
        self.met.crashes += 1;
        self.log.truncate(self.durable + kept);
        self.begin_life(self.log.clone());
        fold::agrees(&self.model, &self.node, self.now);
    }

    /// One random step that follows from `seed` and what is there.
    pub(crate) fn step(&mut self, seed: u64) {
        let mut random = Prng::new(seed);
        match random.below(100) {
            0..=55 => {
                let sent = self.draw(&mut random);
                self.execute(&sent);
            }
            56..=62 => self.atomic_step(&mut random),
            63..=65 => self.group_step(&mut random),
            66..=73 => self.cut(),
            74..=78 => self.settle(1 + random.below(3) as usize),
            79..=87 => self.pass(&mut random),
            88..=90 => self.switch(&mut random),
            91..=92 => self.checkpoint(&mut random),
            93 => self.end_stream(&mut random),
            94..=96 => self.look_at_all(&mut random),
            97..=98 => fold::check_log(self, &mut random),
            _ => {
                let kept = random.below(self.undurable.len() as u64 + 1) as usize;
                self.crash(kept);
            }
        }
    }

    /// An operation: a new one, or one that was sent before.
    pub(crate) fn draw(&mut self, random: &mut Prng) -> Sent {
        let window = self.sent.len().saturating_sub(30);
        if random.chance(1, 3)
            && let Some(sent) = random.pick(self.sent.get(window..).unwrap_or(&[]))
        {
            return sent.clone();
        }
        let name = script::name(random);
        let mut action = script::action(random, self.now);
        let token = match random.below(10) {
            0..=3 => {
                Label::Key(script::key(random, self.now), random.below(5).saturating_sub(3) as u32)
            }
            4..=6 => self.place(random, &name),
            _ => Label::None,
        };
        if !matches!(token, Label::None) && action == Action::Get {
            action = Action::Take;
        }
        let sent = Sent { name, action, token };
        self.sent.push(sent.clone());
        sent
    }

    /// A place in a stream: mostly the next one, sometimes one that was, or a later one.
    fn place(&self, random: &mut Prng, name: &str) -> Label {
        let stream = vec![b's', random.below(3) as u8];
        let shard = self.node.shard_of(name.as_bytes());
        let known = self.model.streams.get(&(shard, stream.clone())).copied().unwrap_or_default();
        let next = known.held.unwrap_or(known.mark + 1);
        let sequence = match random.below(10) {
            0 => known.mark.saturating_sub(random.below(2)),
            1 => next + 1 + random.below(3),
            _ => next,
        };
        Label::Stream(stream, sequence)
    }

    /// Executes on both sides and compares.
    pub(crate) fn execute(&mut self, sent: &Sent) -> Reply {
        let reply = self.node.execute(self.now, &sent.op());
        self.compare(sent, reply);
        reply
    }

    fn compare(&mut self, sent: &Sent, reply: Reply) {
        let expected = self.expect(sent, &reply);
        self.check(sent, &reply, &expected);
    }

    fn expect(&mut self, sent: &Sent, seen: &Reply) -> Expected {
        let shard = self.node.shard_of(sent.name.as_bytes());
        let (tokens, max) = (self.node.tokens(), self.model.limits.tokens as u64);
        assert!(tokens <= max.max(self.recovered_tokens), "{tokens} tokens are too many: {sent:?}");
        if seen.result == Err(Refusal::TokensFull) {
            assert!(tokens >= max, "{tokens} tokens are not too many: {sent:?}");
        }
        self.model.step(&Asked { shard, now: self.now, op: sent.op(), seen })
    }

    /// Compares an answer and what it depends on. Only a durable deletion may be left out.
    pub(crate) fn check(&mut self, sent: &Sent, reply: &Reply, expected: &Expected) {
        self.count(reply);
        let shard = self.node.shard_of(sent.name.as_bytes());
        let at = format!("{sent:?} at {}: {reply:?}", self.now);
        assert_eq!(reply.result, expected.result, "{at}");
        let durable = self.model.tails[usize::from(shard)].durable;
        let is_gone = self.model.counters.get(&sent.name).is_none_or(|entry| entry.live.is_none());
        let is_miss = reply.result.map_or(is_gone, |outcome| outcome.previous.is_none());
        let is_buried =
            is_miss && reply.depends.batch < expected.touched && expected.touched <= durable;
        if is_buried {
            return;
        }
        assert_eq!(reply.depends, Dependency { shard, batch: expected.touched }, "{at}");
        assert_eq!(reply.position, expected.position, "{at}");
        assert_eq!(self.node.is_durable(reply.depends), expected.touched <= durable, "{at}");
    }

    fn count(&mut self, reply: &Reply) {
        let met = &mut self.met;
        match reply.result {
            Ok(outcome) => {
                met.outcomes += 1;
                met.repeats += usize::from(outcome.repeat != quipu_core::outcome::Repeat::None);
            }
            Err(refusal) => {
                met.refusals += 1;
                met.conflicts += usize::from(refusal == Refusal::Conflict);
                met.held += usize::from(matches!(refusal, Refusal::Held { .. }));
                met.tokens_full += usize::from(refusal == Refusal::TokensFull);
                met.no_memory += usize::from(refusal == Refusal::NoMemory);
            }
        }
    }

    /// Several operations as one frame, each with its own answer.
    fn group_step(&mut self, random: &mut Prng) {
        let group: Vec<Sent> = (0..=random.below(4)).map(|_| self.draw(random)).collect();
        let names = group.iter().map(|sent| sent.name.as_str());
        let mut held = self.node.group(self.now, names).expect("this log takes groups");
        let replies: Vec<Reply> = group.iter().map(|sent| held.execute(&sent.op())).collect();
        drop(held);
        for (sent, reply) in group.iter().zip(replies) {
            // The number of tokens is that of the end of the group, so it proves nothing here.
            let shard = self.node.shard_of(sent.name.as_bytes());
            let asked = Asked { shard, now: self.now, op: sent.op(), seen: &reply };
            let expected = self.model.step(&asked);
            self.check(sent, &reply, &expected);
        }
    }

    fn atomic_step(&mut self, random: &mut Prng) {
        let group: Vec<Sent> = (0..=random.below(4)).map(|_| self.draw(random)).collect();
        self.atomic(&group);
    }

    /// Seals on both sides and appends to the log.
    pub(crate) fn cut(&mut self) {
        let (mut payload, mut sealed) = (Vec::new(), Vec::new());
        let room = if self.model.limits.no_room.is_some() { 0 } else { ROOM };
        self.node.cut(&mut payload, &mut sealed, |_| room);
        let found: Vec<(u16, u64)> = sealed.iter().map(|s| (s.shard, s.batch)).collect();
        assert_eq!(found, self.model.cut());
        assert_eq!(self.node.open_bytes(), 0, "all is cut");
        assert!(!self.node.is_dirty());
        let end = sealed.iter().fold(0, |at, s| if s.range.start == at { s.range.end } else { 0 });
        assert_eq!(end, payload.len(), "the ranges of a cut are its payload");
        if !sealed.is_empty() {
            self.log.push(payload);
            self.history.push(self.model.clone());
            self.undurable.push(sealed);
        }
    }

    /// Makes up to `frames` more frames durable.
    pub(crate) fn settle(&mut self, frames: usize) {
        let count = frames.min(self.undurable.len());
        for batch in self.undurable.drain(..count).flatten() {
            self.node.set_durable(batch.shard, batch.batch);
            self.model.tail(batch.shard).durable = batch.batch;
        }
        self.durable += count;
    }

    /// Time goes on; a clock that steps back a little changes nothing.
    fn pass(&mut self, random: &mut Prng) {
        self.now += match random.below(8) {
            0 => random.below(100_000),
            1 => random.below(10_000),
            _ => random.below(400),
        };
    }

    fn switch(&mut self, random: &mut Prng) {
        let limits = &mut self.model.limits;
        match random.below(6) {
            0 => limits.no_room = Some(Refusal::NoSpace),
            1 => limits.no_room = Some(Refusal::Busy),
            2 => limits.memory_full = true,
            _ => (limits.no_room, limits.memory_full) = (None, false),
        }
        self.tell_room();
    }

    fn checkpoint(&mut self, random: &mut Prng) {
        let (name, sequence) = (vec![b's', random.below(3) as u8], random.below(6));
        let shard = self.node.shard_of(&name);
        let stored = if random.chance(1, 2) {
            self.group_of_all().checkpoint(&name, sequence)
        } else {
            self.node.checkpoint(self.now, &name, sequence)
        };
        let expected = self.model.checkpoint((shard, self.now), &name, sequence);
        assert_eq!(stored, expected.map(|batch| Dependency { shard, batch }));
        self.check_stream_view(&name);
    }

    fn check_stream_view(&self, name: &[u8]) {
        let view = self.node.stream(name);
        assert_eq!(self.group_of_all().stream(name), view);
        let known = self.model.stream(name);
        assert_eq!(view.marks, marks(&known));
        assert_eq!(view.checkpoint, known.iter().find_map(|(_, s)| s.checkpoint));
        assert_eq!(view.held, known.iter().filter_map(|(_, s)| s.held).min());
        assert_eq!(view.is_used, known.iter().any(|(_, s)| s.touched > 0));
        self.check_stream_depends(name, &view.depends);
    }

    /// Only what is durable may be left out.
    fn check_stream_depends(&self, name: &[u8], depends: &[Dependency]) {
        let touched = |shard| self.model.stream_touched(shard, name);
        let durable = |shard: u16| self.model.tails[usize::from(shard)].durable;
        let is_undurable = |on: &Dependency| on.batch > durable(on.shard);
        let expected = (0..SHARDS).map(|shard| Dependency { shard, batch: touched(shard) });
        let expected: Vec<Dependency> = expected.filter(is_undurable).collect();
        let found: Vec<Dependency> = depends.iter().copied().filter(is_undurable).collect();
        assert_eq!(found, expected, "{name:?}");
    }

    /// An operator's word: what the stream was, what the answer depends on, and that it is gone.
    fn end_stream(&mut self, random: &mut Prng) {
        let name = vec![b's', random.below(4) as u8];
        let by_force = random.chance(1, 2);
        self.check_stream_view(&name);
        let ended = self.node.end_stream(self.now, &name, by_force);
        let expected = self.model.end_stream(self.now, &name, by_force);
        match (ended, expected) {
            (Ok(view), Ok(known)) => {
                self.met.ends += usize::from(view.is_known());
                self.met.forced += usize::from(view.held.is_some());
                assert_eq!(view.marks, marks(&known));
                assert_eq!(view.checkpoint, known.iter().find_map(|(_, s)| s.checkpoint));
                assert_eq!(view.is_known(), !known.is_empty());
                self.check_stream_depends(&name, &view.depends);
                assert!(!self.node.stream(&name).is_known());
            }
            (ended, expected) => assert_eq!(ended.err(), expected.err()),
        }
        self.check_stream_view(&name);
        self.check_listing(random);
    }

    /// All streams, page by page.
    fn check_listing(&self, random: &mut Prng) {
        let (mut listed, mut after): (Vec<Vec<u8>>, Vec<u8>) = (Vec::new(), Vec::new());
        let count = 1 + random.below(3) as usize;
        loop {
            let page = self.node.streams(&after, count);
            assert!(page.streams.len() <= count, "{page:?}");
            for (name, view) in &page.streams {
                let whole = self.node.stream(name);
                assert_eq!(*view, StreamView { depends: Vec::new(), ..whole });
            }
            listed.extend(page.streams.into_iter().map(|(name, _)| name.into_vec()));
            if !page.has_more {
                break;
            }
            after.clone_from(listed.last().expect("a page with more has some"));
        }
        let mut names: Vec<Vec<u8>> =
            self.model.streams.keys().map(|(_, name)| name.clone()).collect();
        names.sort();
        names.dedup();
        assert_eq!(listed, names);
    }

    /// SCAN to its end, or DBSIZE, or the reaper: what they see, and what they depend on.
    fn look_at_all(&mut self, random: &mut Prng) {
        let way = random.below(3);
        // A group that holds all shards sees what anybody else would.
        let in_group = random.chance(1, 2);
        let mut depends = Vec::new();
        let mut seen = Vec::new();
        let mut count = None;
        match way {
            0 => {
                let note = |name: &str, value: i64| seen.push((name.to_owned(), value));
                let end = if in_group {
                    self.group_of_all().scan((0, 1000), note, &mut depends)
                } else {
                    self.node.scan(self.now, (0, 1000), note, &mut depends)
                };
                assert_eq!(end, 0, "all is seen at once");
            }
            1 if in_group => count = Some(self.group_of_all().counters(&mut depends)),
            1 => count = Some(self.node.counters(self.now, &mut depends)),
            _ => (0..SHARDS).for_each(|id| _ = self.node.reap(self.now, id, 100)),
        }
        let node = &self.node;
        for id in 0..SHARDS {
            self.model.reap(id, self.now, |name| node.shard_of(name.as_bytes()) == id);
        }
        if way < 2 {
            let expected: Vec<Dependency> = (0..SHARDS)
                .map(|shard| Dependency { shard, batch: self.model.tail(shard).newest() })
                .collect();
            assert_eq!(depends, expected, "all of a shard is its newest batch");
        }
        if way == 0 {
            seen.sort();
            assert_eq!(seen, self.visible());
        }
        let live = self.model.counters.values().filter(|entry| entry.live.is_some()).count();
        assert!(count.is_none_or(|count| count == live), "{count:?} of {live}");
    }

    fn group_of_all(&self) -> Group<'_, LocalShards> {
        let group = self.node.group_all(self.now, 1).expect("this log takes groups");
        assert_eq!(group.shards().count(), usize::from(SHARDS));
        group
    }

    /// What a scan shows, sorted.
    fn visible(&mut self) -> Vec<(String, i64)> {
        let now = self.now;
        let mut visible = Vec::new();
        for (name, entry) in &self.model.counters {
            let tail = self.model.tails[usize::from(self.node.shard_of(name.as_bytes()))];
            let time = if tail.open { tail.time } else { tail.time.max(now) };
            let live = entry.live.filter(|(_, at)| at.is_none_or(|at| at > time));
            visible.extend(live.map(|(value, _)| (name.clone(), value as i64)));
        }
        visible
    }
}

/// The marks of a stream on the shards that have one.
fn marks(known: &[(u16, Progress)]) -> Vec<(u16, u64)> {
    known.iter().filter(|(_, s)| s.mark > 0).map(|(shard, s)| (*shard, s.mark)).collect()
}

/// A shard as it begins.
pub(crate) fn empty(id: u16, limits: &Limits) -> Shard {
    Shard::new(id, SEED, shard_limits(limits))
}
