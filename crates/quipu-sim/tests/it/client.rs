//! A client that outlives crashes: what it asked, what was acknowledged, and what must hold.

use std::collections::BTreeMap;

use quipu_core::op::{Action, Add, Op, Presence, Set, Token, Ttl};
use quipu_core::outcome::{Outcome, Refusal, Repeat};
use quipu_core::table::shard_bits;
use quipu_log::log::{Log, LogError};
use stdx::hash::hash64;

use quipu_sim::driver::{Driver, Released};
use quipu_sim::recovery::{SEED, SHARDS};

/// What a request is, and so what is known of it after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Adds with tokens: counted exactly once, however often they are sent.
    Keyed,
    /// An add without a token: sent once, counted at most once.
    Plain,
    /// An add with a place in a stream.
    Streamed,
    /// Two adds as one, with one key.
    Group,
    /// An add that a bound soon rejects; the rejection has a token too.
    Bounded,
    /// A set or a deletion.
    Assign,
}

/// One request.
#[derive(Debug, Clone)]
struct Request {
    kind: Kind,
    names: Vec<String>,
    action: Action,
    key: Vec<u8>,
    sequence: u64,
}

/// Largest value of the bounded counter.
const LIMIT: i64 = 2;

/// Adds in a burst, enough that some bursts fill a segment.
const BURST: usize = 64;

impl Request {
    fn new(number: usize) -> Self {
        let kinds = [
            Kind::Keyed,
            Kind::Plain,
            Kind::Streamed,
            Kind::Group,
            Kind::Keyed,
            Kind::Bounded,
            Kind::Streamed,
            Kind::Assign,
        ];
        let kind = kinds[number % 8];
        let one = |letter: char| vec![format!("{letter}{}", number % 3)];
        let mut key = format!("key {number}").into_bytes();
        let (names, action) = match kind {
            Kind::Keyed if number.is_multiple_of(8) => {
                key.resize(64, b'-');
                (burst(number), Action::Add(Add::plain(1)))
            }
            Kind::Keyed => (one('t'), Action::Add(Add::plain(number as i64 + 1))),
            Kind::Plain => (one('p'), Action::Add(Add::plain(1))),
            Kind::Streamed => (one('s'), Action::Add(Add::plain(1))),
            Kind::Group => (over_two_shards(), Action::Add(Add::plain(1))),
            Kind::Bounded => {
                (vec!["limit".into()], Action::Add(Add { max: Some(LIMIT), ..Add::plain(1) }))
            }
            Kind::Assign if number % 16 == 15 => (vec!["d".into()], Action::Delete),
            Kind::Assign => {
                let set = Set { value: number as i64, ttl: Ttl::Clear, when: Presence::Any };
                (vec!["d".into()], Action::Set(set))
            }
        };
        Self { kind, names, action, key, sequence: number as u64 + 1 }
    }

    /// What a counter is after this request counted once.
    fn after(&self, before: Option<i64>) -> Option<i64> {
        match self.action {
            Action::Add(add) => {
                let sum = before.unwrap_or(0) + add.delta;
                Some(add.max.map_or(sum, |max| sum.min(max)))
            }
            Action::Set(set) => Some(set.value),
            _ => None,
        }
    }

    fn ops(&self) -> Vec<Op<'_>> {
        let token = match self.kind {
            Kind::Plain => Token::None,
            Kind::Streamed => Token::Stream { name: b"stream", sequence: self.sequence },
            _ => Token::Key { key: &self.key, item: 0 },
        };
        self.names.iter().map(|name| Op { name, action: self.action, token }).collect()
    }
}

/// Two counters of different shards.
fn over_two_shards() -> Vec<String> {
    let shard = |name: &String| shard_bits(hash64(SEED, name.as_bytes())) & (SHARDS - 1);
    let mut names = (0..).map(|n| format!("g{n}"));
    let first = names.next().expect("there is always another name");
    let other = names.find(|name| shard(name) != shard(&first));
    vec![first, other.expect("names are spread over the shards")]
}

/// Names of the longest kind, so that a segment fills up soon.
fn burst(number: usize) -> Vec<String> {
    (0..BURST).map(|i| format!("{:x<256}", format!("burst {number} {i} "))).collect()
}

/// All requests so far and what became of them.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    requests: Vec<Request>,
    /// The first acknowledged outcomes of each.
    answers: BTreeMap<usize, Vec<Outcome>>,
    /// Which were decided at least once, acknowledged or not.
    decided: BTreeMap<usize, u32>,
    /// Whether the log takes groups over shards.
    groups: bool,
}

impl Client {
    pub(crate) fn new(groups: bool) -> Self {
        Self { requests: Vec::new(), answers: BTreeMap::new(), decided: BTreeMap::new(), groups }
    }

    /// How many requests were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.answers.len()
    }

    /// Sends `count` new requests; every `every`-th time it commits, in turns with and without
    /// waiting for the log.
    pub(crate) fn work<L: Log>(
        &mut self,
        driver: &mut Driver<L>,
        (count, every): (usize, usize),
    ) -> Result<(), LogError> {
        for _ in 0..count {
            let number = self.requests.len();
            self.requests.push(Request::new(number));
            self.send(driver, number)?;
            match number % (3 * every) {
                n if n == every => driver.append()?,
                n if n % every == 0 => self.commit(driver)?,
                _ => {}
            }
            if number % 11 == 10 {
                driver.log.mark()?;
            }
        }
        self.commit(driver)
    }

    pub(crate) fn commit<L: Log>(&mut self, driver: &mut Driver<L>) -> Result<(), LogError> {
        let released = driver.commit()?;
        self.learn(released);
        Ok(())
    }

    /// Commits until no reply is held.
    pub(crate) fn settle<L: Log>(&mut self, driver: &mut Driver<L>) -> Result<(), LogError> {
        self.commit(driver)?;
        while driver.held() > 0 {
            self.commit(driver)?;
        }
        Ok(())
    }

    /// Sends one request; a node that has no room gets some first.
    fn send<L: Log>(&mut self, driver: &mut Driver<L>, number: usize) -> Result<(), LogError> {
        let request = self.requests[number].clone();
        let atomic = request.kind == Kind::Group;
        let mut sent = driver.submit(number, &request.ops(), atomic);
        if sent == Err(Refusal::Busy) {
            self.commit(driver)?;
            sent = driver.submit(number, &request.ops(), atomic);
        }
        if atomic && !self.groups {
            assert_eq!(sent, Err(Refusal::CrossShard), "two shards are no unit in this log");
            return Ok(());
        }
        if let Ok(outcomes) = sent {
            *self.decided.entry(number).or_default() += 1;
            self.check_repeat(number, &outcomes);
        }
        self.learn(driver.release());
        Ok(())
    }

    /// What was acknowledged was counted, and says so with the same outcome.
    fn check_repeat(&self, number: usize, outcomes: &[Outcome]) {
        let (Some(answers), request) = (self.answers.get(&number), &self.requests[number]) else {
            return;
        };
        for (answer, outcome) in answers.iter().zip(outcomes) {
            if request.kind == Kind::Streamed {
                assert_eq!(outcome.repeat, Repeat::Stream, "{number} was acknowledged");
                continue;
            }
            assert_eq!(outcome.repeat, Repeat::Token, "{number} was acknowledged");
            assert_eq!(Outcome { repeat: answer.repeat, ..*outcome }, *answer, "{number}");
        }
    }

    /// Takes acknowledgements.
    pub(crate) fn learn(&mut self, released: Released) {
        for (number, outcomes) in released {
            self.check_repeat_of_same(number, &outcomes);
            self.answers.entry(number).or_insert(outcomes);
        }
    }

    fn check_repeat_of_same(&self, number: usize, outcomes: &[Outcome]) {
        let Some(answers) = self.answers.get(&number) else { return };
        if self.requests[number].kind == Kind::Streamed {
            return;
        }
        for (answer, outcome) in answers.iter().zip(outcomes) {
            assert_eq!(Outcome { repeat: answer.repeat, ..*outcome }, *answer, "{number}");
        }
    }

    /// After a restart: what was acknowledged is there, then everything that has a token or a
    /// place in a stream is sent again, and then all of it counted exactly once.
    pub(crate) fn resume<L: Log>(&mut self, driver: &mut Driver<L>) -> Result<(), LogError> {
        self.check_plain(driver);
        self.check_marks(driver);
        for number in 0..self.requests.len() {
            if self.requests[number].kind != Kind::Plain {
                self.send(driver, number)?;
            }
        }
        self.settle(driver)?;
        self.check(driver);
        Ok(())
    }

    /// Checks all totals; everything with a token was sent to its end in this life.
    fn check<L: Log>(&self, driver: &Driver<L>) {
        self.check_plain(driver);
        let mut expected: BTreeMap<&str, Option<i64>> = BTreeMap::new();
        for request in &self.requests {
            let uncounted = request.kind == Kind::Group && !self.groups;
            if request.kind == Kind::Plain || uncounted {
                continue;
            }
            for name in &request.names {
                let value = expected.entry(name).or_default();
                *value = request.after(*value);
            }
        }
        for (name, value) in expected {
            assert_eq!(driver.value(name), value, "{name}");
        }
    }

    /// Adds without tokens: those acknowledged counted, and none twice.
    fn check_plain<L: Log>(&self, driver: &Driver<L>) {
        let mut bounds: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        let plain = self.requests.iter().enumerate().filter(|(_, r)| r.kind == Kind::Plain);
        for (number, request) in plain {
            let (least, most) = bounds.entry(&request.names[0]).or_default();
            *least += i64::from(self.answers.contains_key(&number));
            *most += i64::from(self.decided.get(&number).copied().unwrap_or(0));
        }
        for (name, (least, most)) in bounds {
            let value = driver.value(name).unwrap_or(0);
            assert!((least..=most).contains(&value), "{name}: {value} of {least} to {most}");
        }
    }

    /// Each shard's mark is at least at the newest acknowledged sequence there.
    fn check_marks<L: Log>(&self, driver: &Driver<L>) {
        let marks: BTreeMap<u16, u64> = driver.node.stream(b"stream").marks.into_iter().collect();
        let streamed = self.answers.keys().map(|number| &self.requests[*number]);
        for request in streamed.filter(|request| request.kind == Kind::Streamed) {
            let shard = driver.node.shard_of(request.names[0].as_bytes());
            let mark = marks.get(&shard).copied().unwrap_or(0);
            assert!(mark >= request.sequence, "{mark} is before {}", request.sequence);
        }
    }
}
