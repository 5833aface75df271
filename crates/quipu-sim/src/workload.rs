//! What clients want: one request after the other, drawn from a generator of its own.

use quipu_core::op::{Ack, Action, Add, Expire, ExpireWhen, Presence, ReadLevel, Set, Ttl};
use stdx::hash::hash64;
use stdx::prng::Prng;

use crate::options::WorkloadOptions;
use crate::request::{Ask, Form, Key, Request, Ticket};

/// Most operations of one group. Guess: enough for several shards.
const GROUP_MAX: u64 = 6;

/// One in so many requests begins a race, and a race has from so many operations to less than twice
/// as many. Guess: some percent of all operations.
const REQUESTS_PER_RACE: u64 = 400;
const RACE: u64 = 16;

/// How far the time in a UUIDv7 is from the sender's present, in milliseconds.
const UUID_SPREAD_MS: u64 = 20_000;

/// Draws requests.
#[derive(Debug)]
pub struct Workload {
    options: WorkloadOptions,
    prng: Prng,
    requests: u64,
    keys: u64,
    seed: u64,
    race: Option<Race>,
}

/// Several clients want the same counter at the same time.
#[derive(Debug, Clone, Copy)]
struct Race {
    counter: u32,
    is_free: bool,
    left: u64,
}

/// What the next client does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Sends the next places of this stream.
    Stream(u32),
    /// Sends a request.
    Request(Box<Request>),
    /// Sends something again that was answered before.
    Replay,
}

impl Workload {
    /// A workload; all of it follows from the seed.
    pub fn new(options: WorkloadOptions, seed: u64) -> Self {
        Self { options, prng: Prng::new(seed), requests: 0, keys: 0, seed, race: None }
    }

    /// How many operations come at the same moment now.
    pub fn burst(&mut self) -> u64 {
        1 + self.prng.below(self.options.burst)
    }

    /// A number for a request that is not drawn here.
    pub fn next_id(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    fn part(&mut self, of_thousand: u64) -> bool {
        self.prng.chance(of_thousand, 1000)
    }

    /// What the next client does; `now_ms` is what its clock shows.
    pub fn wish(&mut self, now_ms: u64) -> Wish {
        if self.part(self.options.streamed) {
            return Wish::Stream(self.prng.below(u64::from(self.options.streams)) as u32);
        }
        if self.part(self.options.replays) {
            return Wish::Replay;
        }
        Wish::Request(Box::new(self.request(now_ms)))
    }

    fn request(&mut self, now_ms: u64) -> Request {
        let id = self.next_id();
        let ack = if self.part(self.options.memory) { Ack::Memory } else { Ack::Fsync };
        let read =
            if self.part(self.options.latest) { ReadLevel::Latest } else { ReadLevel::Committed };
        if self.prng.chance(1, 2000) {
            return Request { id, asks: Vec::new(), form: Form::Scan, ack, read };
        }
        let grouped = self.part(self.options.groups);
        let (form, count) = match (grouped, self.prng.below(3)) {
            (false, _) => (Form::Each, 1),
            (true, 0) => (Form::Each, 2 + self.prng.below(GROUP_MAX - 1)),
            (true, 1) => (Form::Multi, 1 + self.prng.below(GROUP_MAX)),
            (true, _) => (Form::Atomic, 1 + self.prng.below(GROUP_MAX)),
        };
        // Now and then a key that was used before, most likely for something else. Where totals are
        // foretold, nobody does that.
        let is_reused = self.prng.chance(1, 60);
        let key = self.part(self.options.keyed).then(|| self.key(now_ms, is_reused));
        self.begin_race();
        let mut asks: Vec<Ask> = Vec::new();
        for _ in 0..count {
            let is_free = is_reused || self.part(self.options.free);
            let raced = if is_reused { None } else { self.raced_ask(key.is_some()) };
            let mut ask = raced.unwrap_or_else(|| self.ask(now_ms, key.is_some(), is_free));
            if let Some(key) = key {
                let item = asks.iter().filter(|other| other.counter == ask.counter).count();
                ask.ticket = Ticket::Key(Key { item: item as u32, ..key });
            }
            asks.push(ask);
        }
        Request { id, asks, form, ack, read }
    }

    fn key(&mut self, now_ms: u64, is_reused: bool) -> Key {
        self.keys += 1;
        let number = if is_reused {
            self.keys.saturating_sub(self.prng.below(20)).max(1)
        } else {
            self.keys
        };
        let uuid_ms = if !self.part(self.options.uuids) {
            0
        } else if self.prng.chance(1, 100) {
            // Far off: too old, or from the future.
            now_ms + 400_000 - self.prng.below(8_000_000)
        } else {
            now_ms - self.prng.below(UUID_SPREAD_MS)
        };
        Key { number, uuid_ms, item: 0 }
    }

    /// The counter that several clients want at present.
    pub fn raced(&self) -> Option<u32> {
        self.race.map(|race| race.counter)
    }

    fn begin_race(&mut self) {
        if self.race.is_some() || !self.prng.chance(1, REQUESTS_PER_RACE) {
            return;
        }
        let is_free = self.prng.chance(1, 3);
        let drawn = |prng: &mut Prng, count: u32| prng.below(u64::from(count)) as u32;
        let counter = if is_free {
            self.options.sum_counters + drawn(&mut self.prng, self.options.free_counters)
        } else {
            drawn(&mut self.prng, self.options.sum_counters)
        };
        let left = RACE + self.prng.below(RACE);
        self.race = Some(Race { counter, is_free, left });
    }

    /// An operation of a race, as plain as the histories of its counter can say.
    fn raced_ask(&mut self, keyed: bool) -> Option<Ask> {
        let race = self.race.as_mut()?;
        if self.prng.chance(1, 2) {
            return None;
        }
        let Race { counter, is_free, .. } = *race;
        race.left -= 1;
        if race.left == 0 {
            self.race = None;
        }
        let small = self.prng.below(9) as i64 - 2;
        let action = match self.prng.below(12) {
            0..=2 if !keyed => Action::Get,
            3 if is_free => Action::Delete,
            4 if is_free => Action::Take,
            5..=6 if is_free => {
                Action::Set(Set { value: small, ttl: Ttl::Keep, when: Presence::Any })
            }
            _ => Action::Add(Add::plain(if small == 0 { 7 } else { small })),
        };
        Some(Ask { counter, action, ticket: Ticket::None })
    }

    fn ask(&mut self, now_ms: u64, keyed: bool, is_free: bool) -> Ask {
        let reads = if keyed { 0 } else { self.options.reads };
        let (counter, action) = if is_free {
            let drawn = self.skewed(self.options.free_counters);
            (self.options.sum_counters + drawn, self.free_action(now_ms))
        } else {
            let delta = 1 + self.prng.below(5) as i64;
            let delta = if self.prng.chance(1, 10) { -delta } else { delta };
            (self.skewed(self.options.sum_counters), Action::Add(Add::plain(delta)))
        };
        let action = if self.part(reads) { Action::Get } else { action };
        Ask { counter, action, ticket: Ticket::None }
    }

    /// A number below `count`, small ones more often as the skew says.
    fn skewed(&mut self, count: u32) -> u32 {
        let mut drawn = self.prng.below(u64::from(count));
        for _ in 0..self.options.skew {
            drawn = drawn.min(self.prng.below(u64::from(count)));
        }
        drawn as u32
    }

    fn ttl(&mut self, now_ms: u64) -> Ttl {
        match self.prng.below(8) {
            0..=3 => Ttl::Keep,
            4 => Ttl::Clear,
            5..=6 => Ttl::After(self.prng.below(self.options.ttl_ms)),
            _ => Ttl::At(now_ms - 1000 + self.prng.below(self.options.ttl_ms)),
        }
    }

    fn free_action(&mut self, now_ms: u64) -> Action {
        match self.prng.below(20) {
            0..=10 => Action::Add(self.add(now_ms)),
            11..=13 => Action::Set(Set {
                value: self.number(),
                ttl: self.ttl(now_ms),
                when: *self
                    .prng
                    .pick(&[Presence::Any, Presence::Absent, Presence::Present])
                    .unwrap_or(&Presence::Any),
            }),
            14..=15 => Action::Take,
            16..=17 => Action::Delete,
            _ => Action::Expire(Expire { ttl: self.ttl(now_ms), when: self.expire_when() }),
        }
    }

    fn expire_when(&mut self) -> ExpireWhen {
        let all = [
            ExpireWhen::Any,
            ExpireWhen::None,
            ExpireWhen::Some,
            ExpireWhen::Later,
            ExpireWhen::Earlier,
            ExpireWhen::SomeEarlier,
        ];
        *self.prng.pick(&all).unwrap_or(&ExpireWhen::Any)
    }

    fn add(&mut self, now_ms: u64) -> Add {
        let mut bound =
            |odds: u64| self.prng.chance(odds, 10).then(|| self.prng.below(400) as i64 - 150);
        let (min, max) = (bound(2), bound(4));
        let saturate = self.prng.chance(1, 3);
        Add { delta: self.number(), min, max, saturate, ttl: self.add_ttl(now_ms) }
    }

    /// Of an add, some of them only where there is no expiry.
    fn add_ttl(&mut self, now_ms: u64) -> Ttl {
        match self.ttl(now_ms) {
            Ttl::After(ms) if self.prng.chance(1, 3) => Ttl::AfterIfNone(ms),
            Ttl::At(ms) if self.prng.chance(1, 3) => Ttl::AtIfNone(ms),
            ttl => ttl,
        }
    }

    /// Mostly small, sometimes at the ends of what there is.
    fn number(&mut self) -> i64 {
        match self.prng.below(40) {
            0 => i64::MAX - self.prng.below(3) as i64,
            1 => i64::MIN + self.prng.below(3) as i64,
            _ => self.prng.below(100) as i64 - 30,
        }
    }

    /// What stands at a place of a stream: the same whoever sends it.
    pub fn stream_ask(&self, stream: u32, sequence: u64) -> Ask {
        let drawn = hash64(self.seed ^ u64::from(stream), &sequence.to_le_bytes());
        let counter = (drawn % u64::from(self.options.sum_counters)) as u32;
        let delta = 1 + (drawn >> 60) as i64;
        let ticket = Ticket::Place { stream, sequence };
        Ask { counter, action: Action::Add(Add::plain(delta)), ticket }
    }
}
