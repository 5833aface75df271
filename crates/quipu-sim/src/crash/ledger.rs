//! A client that outlives crashes: what it asked, what was acknowledged, and what must hold.

use quipu_core::op::{Action, Add, Op, Presence, Set, Token, Ttl};
use quipu_core::outcome::{Outcome, Refusal, Repeat};
use quipu_log::log::Log;
use quipu_log::storage::Storage;
use stdx::hash::hash64;
use stdx::prng::Prng;

use crate::checks::{Check, Checked, Violation, ensure};
use crate::crash::life::{End, Life, with_causes};
use crate::crash::plan::Plan;
use crate::driver::{Driver, Released};

/// What a request is, and so what is known of it after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An add with a token: counted exactly once, however often it is sent.
    Keyed,
    /// An add without a token: sent once, counted at most once.
    Plain,
    /// An add with a place in a stream.
    Streamed,
    /// An operator's word that the stream ends, once all before it was acknowledged: its places are
    /// counted from 1 again.
    End,
    /// Two adds as one, with one key.
    Group,
    /// An add that a bound soon rejects; the rejection has a token too.
    Bounded,
    /// A set, a deletion or a take.
    Assign,
    /// An add to a counter that expires soon.
    Fleeting,
    /// A committed read of a counter that only grows.
    Read,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    kind: Kind,
    names: Vec<String>,
    action: Action,
    key: Vec<u8>,
    sequence: u64,
}

/// The stream.
const STREAM: &[u8] = b"stream";

/// Largest value of the bounded counter.
const LIMIT: i64 = 2;

/// How long a fleeting counter lives, in milliseconds: a request is one.
const FLEETING_MS: u64 = 7;

const KINDS: [Kind; 16] = [
    Kind::Keyed,
    Kind::Keyed,
    Kind::Keyed,
    Kind::Plain,
    Kind::Plain,
    Kind::Streamed,
    Kind::Streamed,
    Kind::Streamed,
    Kind::Streamed,
    Kind::Streamed,
    Kind::End,
    Kind::Group,
    Kind::Bounded,
    Kind::Assign,
    Kind::Fleeting,
    Kind::Read,
];

impl Request {
    /// The request with this number; `pair` are the counters of groups.
    pub fn draw(seed: u64, number: usize, pair: &[String; 2]) -> Self {
        let mut random = Prng::new(hash64(seed, &(number as u64).to_le_bytes()));
        let kind = *random.pick(&KINDS).unwrap_or(&Kind::Keyed);
        let delta = random.below(9) as i64 + 1;
        let one = |letter: &str, of: u64| vec![format!("{letter}{of}")];
        let some = random.below(3);
        let (names, action) = match kind {
            Kind::Keyed => (one("t", some), Action::Add(Add::plain(delta))),
            Kind::Plain => (one("p", some), Action::Add(Add::plain(1))),
            Kind::Streamed => (one("s", some), Action::Add(Add::plain(1))),
            Kind::Group => (pair.to_vec(), Action::Add(Add::plain(1))),
            Kind::Bounded => {
                (one("limit", 0), Action::Add(Add { max: Some(LIMIT), ..Add::plain(1) }))
            }
            Kind::Assign => (one("d", 0), assign(some, number)),
            Kind::Fleeting => {
                (one("x", some), Action::Add(Add { ttl: Ttl::After(FLEETING_MS), ..Add::plain(1) }))
            }
            Kind::Read => (one("p", some), Action::Get),
            Kind::End => (Vec::new(), Action::Get),
        };
        // Some keys are long, so that frames are of many lengths.
        let mut key = format!("key {number}").into_bytes();
        key.resize(key.len().max(random.below(65) as usize), b'-');
        Self { kind, names, action, key, sequence: 0 }
    }

    /// Gives the places of the stream their sequences, from 1 after every end.
    pub fn place_all(script: &mut [Self]) {
        let mut sequence = 0;
        for request in script {
            match request.kind {
                Kind::Streamed => sequence += 1,
                Kind::End => sequence = 0,
                _ => continue,
            }
            request.sequence = sequence;
        }
    }

    /// What a counter is after this request counted once.
    fn after(&self, before: Option<i64>) -> Option<i64> {
        match self.action {
            Action::Add(add) => {
                let sum = before.unwrap_or(0) + add.delta;
                Some(add.max.map_or(sum, |max| sum.min(max)))
            }
            Action::Set(set) => Some(set.value),
            Action::Take => before.map(|_| 0),
            _ => None,
        }
    }

    fn op<'a>(&'a self, name: &'a str) -> Op<'a> {
        let token = match self.kind {
            Kind::Plain | Kind::Read | Kind::End => Token::None,
            Kind::Streamed => Token::Stream { name: STREAM, sequence: self.sequence },
            _ => Token::Key { key: &self.key, item: 0 },
        };
        Op { name, action: self.action, token }
    }

    /// What a node answers to this request when it comes again, with a token or without counting.
    pub(crate) fn probe<L: Log>(&self, driver: &mut Driver<L>, number: usize) -> Option<Answer> {
        if matches!(self.kind, Kind::Plain | Kind::End) {
            return None;
        }
        Some(driver.submit(number, &self.ops(), self.kind == Kind::Group))
    }

    fn ops(&self) -> Vec<Op<'_>> {
        self.names.iter().map(|name| self.op(name)).collect()
    }

    fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }
}

fn assign(some: u64, number: usize) -> Action {
    match some {
        0 => Action::Delete,
        1 => Action::Take,
        _ => Action::Set(Set { value: number as i64, ttl: Ttl::Clear, when: Presence::Any }),
    }
}

/// What a node answers to one request.
pub(crate) type Answer = Result<Vec<Outcome>, Refusal>;

/// What became of one request.
#[derive(Debug, Clone, Copy, Default)]
struct Fate {
    /// The first acknowledged outcomes.
    answer: Option<(Outcome, Option<Outcome>)>,
    /// How often it was decided, acknowledged or not.
    decided: u32,
    /// Of an end, whether it was acknowledged.
    has_ended: bool,
}

/// All requests so far and what became of them.
#[derive(Debug, Clone)]
pub struct Ledger {
    plan: Plan,
    fates: Vec<Fate>,
}

fn log_failed(error: impl std::error::Error) -> End {
    End::Storage(with_causes(&error))
}

impl Ledger {
    /// An empty one.
    pub fn new(plan: &Plan) -> Self {
        Self { plan: plan.clone(), fates: Vec::new() }
    }

    /// How the trace works.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// A number that stands for what is known: which requests were decided, and which answered.
    pub fn knowledge(&self) -> u64 {
        let is_known = |fate: &Fate| fate.answer.is_some() || fate.has_ended;
        let of = |fate: &Fate| [u8::from(is_known(fate)), fate.decided as u8];
        hash64(0, &self.fates.iter().flat_map(of).collect::<Vec<u8>>())
    }

    fn request(&self, number: usize) -> &Request {
        let found = self.plan.script.get(number);
        found.expect("lives are shorter than the script")
    }

    fn sent(&self) -> impl Iterator<Item = (&Request, &Fate)> {
        self.plan.script.iter().zip(&self.fates)
    }

    /// Sends `count` new requests, with commits, marks and folds between them.
    ///
    /// # Errors
    /// The log ended, or a promise was broken.
    pub fn work<S: Storage>(&mut self, life: &mut Life<S>, count: usize) -> Result<(), End> {
        let most = self.plan.script.len();
        for _ in 0..count.min(most.saturating_sub(self.fates.len())) {
            let number = self.fates.len();
            if self.request(number).kind == Kind::End {
                // An operator ends what is answered.
                self.commit(life)?;
            }
            self.fates.push(Fate::default());
            self.send(life, number)?;
            self.between(life, number + 1)?;
        }
        self.commit(life)
    }

    /// What happens after so many requests.
    fn between<S: Storage>(&mut self, life: &mut Life<S>, sent: usize) -> Result<(), End> {
        if sent.is_multiple_of(self.plan.commit_every) {
            let frames = sent / self.plan.commit_every;
            if frames.is_multiple_of(self.plan.sync_every) {
                self.commit(life)?;
            } else {
                life.driver.append().map_err(log_failed)?;
            }
        }
        if sent.is_multiple_of(self.plan.mark_every) {
            self.commit(life)?;
            life.driver.log.mark().map_err(log_failed)?;
        }
        if sent.is_multiple_of(self.plan.fold_every) {
            self.commit(life)?;
            life.fold()?;
        }
        Ok(())
    }

    fn commit<S: Storage>(&mut self, life: &mut Life<S>) -> Result<(), End> {
        let released = life.driver.commit().map_err(log_failed)?;
        Ok(self.learn(released)?)
    }

    fn send<S: Storage>(&mut self, life: &mut Life<S>, number: usize) -> Result<(), End> {
        let request = self.request(number);
        if request.kind == Kind::End {
            return self.end_stream(life, number);
        }
        let is_group = request.kind == Kind::Group;
        let sent = life.driver.submit(number, &request.ops(), is_group);
        match sent {
            Ok(outcomes) => {
                if let Some(fate) = self.fates.get_mut(number) {
                    fate.decided += 1;
                }
                self.check_repeat(number, &outcomes)?;
            }
            // What came before was never decided in this life, and comes first.
            Err(Refusal::Held { .. }) => {}
            Err(refusal) => {
                let what = format!("request {number} is refused: {refusal}");
                return Err(Violation::new(Check::Admission, what).into());
            }
        }
        Ok(self.learn(life.driver.release())?)
    }

    /// Ends the stream and waits until that is durable.
    fn end_stream<S: Storage>(&mut self, life: &mut Life<S>, number: usize) -> Result<(), End> {
        life.driver.end_stream(number, STREAM).map_err(|refusal| {
            let what = format!("the end of the stream is refused: {refusal}");
            Violation::new(Check::Admission, what)
        })?;
        self.commit(life)
    }

    /// Whether a request is a place in the stream before an end that was sent: it was
    /// acknowledged, and would count again.
    fn is_over(&self, number: usize) -> bool {
        let later = self.sent().skip(number).any(|(request, _)| request.kind == Kind::End);
        self.request(number).kind == Kind::Streamed && later
    }

    /// Whether a request is an end that was acknowledged: what came after it must not end, too.
    fn is_ended(&self, number: usize) -> bool {
        self.fates.get(number).is_some_and(|fate| fate.has_ended)
    }

    /// What was acknowledged was counted, and says so with the same outcome.
    fn check_repeat(&self, number: usize, outcomes: &[Outcome]) -> Checked {
        let request = self.request(number);
        let answer = self.fates.get(number).and_then(|fate| fate.answer);
        let Some((first, second)) = answer.filter(|_| request.kind != Kind::Read) else {
            return Ok(());
        };
        for (answer, outcome) in [Some(first), second].into_iter().flatten().zip(outcomes) {
            let (check, repeat) = match request.kind {
                Kind::Streamed => (Check::StreamOnce, Repeat::Stream),
                _ => (Check::TokenOnce, Repeat::Token),
            };
            let is_same = request.kind == Kind::Streamed
                || Outcome { repeat: answer.repeat, ..*outcome } == answer;
            ensure(outcome.repeat == repeat && is_same, check, || {
                format!("request {number} was acknowledged as {answer:?}, now {outcome:?}")
            })?;
        }
        Ok(())
    }

    /// Takes acknowledgements.
    fn learn(&mut self, released: Released) -> Checked {
        for (number, outcomes) in released {
            let kind = self.request(number).kind;
            let is_read = kind == Kind::Read;
            let Some(fate) = self.fates.get_mut(number) else { continue };
            fate.has_ended |= kind == Kind::End;
            let first = outcomes.first().copied();
            if fate.answer.is_none() || is_read {
                fate.answer = first.map(|first| (first, outcomes.get(1).copied()));
            } else if self.request(number).kind != Kind::Streamed {
                self.check_same(number, &outcomes)?;
            }
        }
        Ok(())
    }

    fn check_same(&self, number: usize, outcomes: &[Outcome]) -> Checked {
        let Some((first, second)) = self.fates.get(number).and_then(|fate| fate.answer) else {
            return Ok(());
        };
        let answers = [Some(first), second].into_iter().flatten();
        let is_same = answers
            .zip(outcomes)
            .all(|(answer, outcome)| Outcome { repeat: answer.repeat, ..*outcome } == answer);
        ensure(is_same, Check::TokenOnce, || format!("{number}: {first:?}, now {outcomes:?}"))
    }

    /// After a restart: what was acknowledged is there, then everything that has a token or a
    /// place in a stream is sent again, and then all of it counted exactly once.
    ///
    /// # Errors
    /// The log ended, or a promise was broken.
    pub fn resume<S: Storage>(&mut self, life: &mut Life<S>) -> Result<(), End> {
        self.check_plain(life)?;
        self.check_marks(life)?;
        for number in 0..self.fates.len() {
            let is_plain = self.request(number).kind == Kind::Plain;
            if !is_plain && !self.is_over(number) && !self.is_ended(number) {
                self.send(life, number)?;
            }
        }
        self.commit(life)?;
        self.check_plain(life)?;
        Ok(self.check_totals(life)?)
    }

    /// Everything with a token was sent to its end in this life: all totals are exact.
    fn check_totals<S: Storage>(&self, life: &Life<S>) -> Checked {
        let mut expected: Vec<(&str, Option<i64>)> = Vec::new();
        for (request, _) in self.sent() {
            if matches!(request.kind, Kind::Plain | Kind::Read | Kind::Fleeting) {
                continue;
            }
            for name in &request.names {
                match expected.iter_mut().find(|(known, _)| known == name) {
                    Some((_, value)) => *value = request.after(*value),
                    None => expected.push((name, request.after(None))),
                }
            }
        }
        expected.iter().try_for_each(|(name, value)| {
            let found = life.driver.value(name);
            ensure(found == *value, Check::FinalTotals, || {
                format!("{name} is {found:?} and should be {value:?}")
            })
        })
    }

    /// Adds without tokens: those acknowledged, and those that a committed read saw, counted; none
    /// counted twice.
    fn check_plain<S: Storage>(&self, life: &Life<S>) -> Checked {
        let mut bounds: [(i64, i64, i64); 3] = Default::default();
        for (request, fate) in self.sent() {
            let index = request.name().strip_prefix('p').and_then(|n| n.parse::<usize>().ok());
            let Some(bound) = index.and_then(|index| bounds.get_mut(index)) else { continue };
            match (request.kind, fate.answer) {
                (Kind::Read, Some((read, _))) => bound.2 = bound.2.max(read.value.unwrap_or(0)),
                (Kind::Plain, answer) => {
                    bound.0 += i64::from(answer.is_some());
                    bound.1 += i64::from(fate.decided);
                }
                _ => {}
            }
        }
        for (index, (least, most, read)) in bounds.into_iter().enumerate() {
            let value = life.driver.value(&format!("p{index}")).unwrap_or(0);
            ensure((least..=most).contains(&value), Check::AckedDurable, || {
                format!("p{index} is {value}, of {least} acknowledged and {most} decided")
            })?;
            ensure(read <= value, Check::ReadBounds, || {
                format!("p{index} is {value}, and a committed read saw {read}")
            })?;
        }
        Ok(())
    }

    /// Each shard's mark is at least at the newest acknowledged sequence there since the last end,
    /// and none is of before an end that was acknowledged.
    fn check_marks<S: Storage>(&self, life: &Life<S>) -> Checked {
        let marks = life.driver.node.stream(STREAM).marks;
        let ends = self.sent().filter(|(request, _)| request.kind == Kind::End);
        let is_ended = ends.last().is_none_or(|(_, fate)| fate.has_ended);
        let places = self.sent().enumerate().filter(|(_, (r, _))| r.kind == Kind::Streamed);
        let live: Vec<(&Request, &Fate)> =
            places.filter(|(number, _)| !self.is_over(*number)).map(|(_, sent)| sent).collect();
        let most = live.iter().map(|(request, _)| request.sequence).max().unwrap_or(0);
        let beyond = marks.iter().find(|(_, mark)| is_ended && *mark > most);
        ensure(beyond.is_none(), Check::StreamOnce, || {
            format!("the marks are {marks:?}, and nothing after {most} was sent since the end")
        })?;
        for (request, fate) in live {
            if fate.answer.is_none() {
                continue;
            }
            let shard = life.driver.node.shard_of(request.name().as_bytes());
            let mark = marks.iter().find(|(id, _)| *id == shard).map_or(0, |(_, mark)| *mark);
            ensure(mark >= request.sequence, Check::StreamOnce, || {
                format!("the mark {mark} is before {}, which was acknowledged", request.sequence)
            })?;
        }
        Ok(())
    }
}
