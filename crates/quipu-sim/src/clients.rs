//! What clients remember of their requests: what waits, what was answered, and what an answer
//! must be.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use quipu_core::op::{Ack, Action};
use quipu_core::outcome::{Outcome, Refusal, Repeat, Verdict};
use stdx::prng::Prng;

use crate::checks::{Check, Checked, Violation, ensure};
use crate::coverage::{Coverage, Met};
use crate::request::{Answer, Form, Request, Response, Ticket};
use crate::tally::{Sums, Tally};

/// Most requests that wait at once. Guess: beyond it clients are slower than they would like.
const PENDING_MAX: usize = 3000;

/// How often a client tries while the token memory is full. Guess.
const ATTEMPTS_WITHOUT_MEMORY: u32 = 5;

/// How many answered requests are remembered, to be sent again.
const RECENT_MAX: usize = 2000;

/// A request that waits for its answer.
#[derive(Debug)]
pub struct Pending {
    /// What is asked.
    pub request: Rc<Request>,
    /// How often it was sent.
    pub attempts: u32,
    /// When it was sent first, under whatever number.
    pub sent_us: u64,
    /// The sums of the counter that it reads, as they were then.
    sums: Option<Sums>,
    /// Which of its operations are known to have counted.
    settled: u64,
    /// What it was answered before, if it was.
    expected: Option<Vec<Answer>>,
}

/// A request that was answered, durably.
#[derive(Debug)]
struct Resolved {
    request: Rc<Request>,
    answers: Vec<Answer>,
    sent_us: u64,
}

/// All clients.
#[derive(Debug)]
pub struct Clients {
    pending: BTreeMap<u64, Pending>,
    recent: VecDeque<Resolved>,
    prng: Prng,
    /// After this time a client does not rely on its token any more.
    patience_us: u64,
    /// Whether a token is sure to be remembered for that long.
    is_exact: bool,
    /// Whether each read is judged by its bounds.
    bounds_reads: bool,
    is_healed: bool,
}

/// What a client does after it has waited in vain.
#[derive(Debug)]
pub enum Patience {
    /// Nothing: it was answered.
    Over,
    /// Sends it again, as the attempt with this number.
    Again(Rc<Request>, u32),
    /// Gives it up.
    GivenUp(Rc<Request>),
}

/// Whether a repeat of the request is recognised.
fn is_safe(request: &Request) -> bool {
    request.asks.first().is_some_and(|ask| ask.ticket != Ticket::None)
}

/// Whether this refusal may be another answer later.
pub fn is_passing(refusal: Refusal) -> bool {
    use Refusal::{Busy, Held, NoMemory, NoSpace, Stopping, StreamsFull, TokensFull};
    matches!(
        refusal,
        Busy | NoMemory | NoSpace | Stopping | TokensFull | StreamsFull { .. } | Held { .. }
    )
}

/// What a plain addition adds.
fn delta(action: &Action) -> Option<i64> {
    if let Action::Add(add) = action { Some(add.delta) } else { None }
}

impl Clients {
    /// Clients that rely on tokens for so long; `is_exact` says that they may.
    pub fn new(seed: u64, patience_us: u64, is_exact: bool) -> Self {
        Self {
            pending: BTreeMap::new(),
            recent: VecDeque::new(),
            prng: Prng::new(seed),
            patience_us,
            is_exact,
            bounds_reads: true,
            is_healed: false,
        }
    }

    /// Leaves reads to those who look at histories.
    pub fn leave_reads(&mut self) {
        self.bounds_reads = false;
    }

    /// All is well from now on: what is still refused stays refused.
    pub fn heal(&mut self) {
        self.is_healed = true;
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// Whether no more may be sent now.
    pub fn is_full(&self) -> bool {
        self.pending.len() >= PENDING_MAX
    }

    /// The oldest request that waits.
    pub fn oldest(&self) -> Option<&Pending> {
        self.pending.values().next()
    }

    /// A request is sent for the first time.
    pub fn begin(&mut self, request: Request, now_us: u64, tally: &mut Tally) -> Rc<Request> {
        let request = Rc::new(request);
        if self.counts_once(&request) {
            attempt(&request, tally);
        }
        let read = request.asks.first().filter(|ask| ask.action == Action::Get);
        let read = read.filter(|_| self.bounds_reads);
        let sums = read.and_then(|ask| tally.sums(ask.counter));
        self.insert(&request, now_us, sums, None);
        request
    }

    fn insert(
        &mut self,
        request: &Rc<Request>,
        sent_us: u64,
        sums: Option<Sums>,
        expected: Option<Vec<Answer>>,
    ) {
        let request = Rc::clone(request);
        let id = request.id;
        let pending = Pending { request, attempts: 1, sent_us, sums, settled: 0, expected };
        self.pending.insert(id, pending);
    }

    /// A copy of a request leaves: one that has no token may count each time.
    pub fn note_copy(&self, request: &Request, tally: &mut Tally) {
        if !self.counts_once(request) {
            attempt(request, tally);
        }
    }

    /// Draws an answered request to be sent again; none where all are too old.
    pub fn replay(&mut self, id: u64, now_us: u64) -> Option<Rc<Request>> {
        if !self.is_exact {
            return None;
        }
        while self.recent.front().is_some_and(|old| now_us - old.sent_us > self.patience_us) {
            self.recent.pop_front();
        }
        let count = self.recent.len() as u64;
        let drawn = if count > 0 { self.prng.below(count) as usize } else { return None };
        let old = self.recent.get(drawn)?;
        if now_us - old.sent_us > self.patience_us {
            return None;
        }
        let request = Rc::new(Request { id, ..(*old.request).clone() });
        let (expected, sent_us) = (Some(old.answers.clone()), old.sent_us);
        self.insert(&request, sent_us, None, expected);
        Some(request)
    }

    /// A client has waited long enough for an attempt.
    pub fn time_out(&mut self, id: u64, attempt: u32, now_us: u64) -> Patience {
        let Some(pending) = self.pending.get_mut(&id) else { return Patience::Over };
        if pending.attempts != attempt {
            return Patience::Over;
        }
        // Some client libraries send again what has no token; that is theirs to answer for.
        let is_hasty = !is_safe(&pending.request) && self.prng.chance(1, 20);
        let is_patient = is_safe(&pending.request) && now_us - pending.sent_us < self.patience_us;
        if !is_hasty && !is_patient {
            let request = Rc::clone(&pending.request);
            self.pending.remove(&id);
            return Patience::GivenUp(request);
        }
        pending.attempts += 1;
        Patience::Again(Rc::clone(&pending.request), pending.attempts)
    }

    /// Whether the request counts once, however often it is sent.
    pub fn counts_once(&self, request: &Request) -> bool {
        is_safe(request) && self.is_exact
    }

    /// An answer arrives; says which request waits no more because of it.
    ///
    /// # Errors
    /// It breaks a promise.
    pub fn respond(
        &mut self,
        (id, response): (u64, &Response),
        tally: &mut Tally,
        coverage: &mut Coverage,
    ) -> Checked<Option<Rc<Request>>> {
        let Response::Answers(answers) = response else { return Ok(None) };
        let Some(mut pending) = self.pending.remove(&id) else { return Ok(None) };
        coverage.met(Met::Answered);
        check_read(&pending, answers, tally, coverage)?;
        pending.settle(answers, self.is_exact, tally);
        // A full token memory may last as long as its window: nobody waits for that.
        let is_hopeless = |refusal| {
            let is_tired = self.is_healed || pending.attempts > ATTEMPTS_WITHOUT_MEMORY;
            refusal == Refusal::TokensFull && is_tired
        };
        let may_change = |refusal| is_passing(refusal) && !is_hopeless(refusal);
        let refused = |answer: &Answer| answer.result.err().is_some_and(may_change);
        if is_safe(&pending.request) && answers.iter().any(refused) {
            // The timer of this attempt sends it again.
            self.pending.insert(id, pending);
            return Ok(None);
        }
        pending.check_repeat(answers, coverage)?;
        let request = Rc::clone(&pending.request);
        self.remember(pending, answers);
        Ok(Some(request))
    }

    /// Remembers what was answered, where a repeat must be answered the same.
    fn remember(&mut self, pending: Pending, answers: &[Answer]) {
        let (request, sent_us) = (pending.request, pending.sent_us);
        let is_whole = answers.len() == request.asks.len();
        let is_durable = request.ack == Ack::Fsync && request.form != Form::Scan;
        // An atomic group that was taken back is decided again.
        let must_be_done = request.form == Form::Atomic;
        let is_kept = |outcome: Outcome| !must_be_done || outcome.verdict == Verdict::Done;
        let is_answered = answers.iter().all(|answer| answer.result.is_ok_and(is_kept));
        if !(is_safe(&request) && is_whole && is_durable && is_answered) {
            return;
        }
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(Resolved { request, answers: answers.to_vec(), sent_us });
    }
}

fn attempt(request: &Request, tally: &mut Tally) {
    for ask in &request.asks {
        if let Some(delta) = delta(&ask.action) {
            tally.attempt(ask.counter, delta);
        }
    }
}

impl Pending {
    /// Books what is now known to have counted, each operation once.
    fn settle(&mut self, answers: &[Answer], is_exact: bool, tally: &mut Tally) {
        let safe = is_safe(&self.request);
        // What was answered before was booked before; what is not exact cannot be booked once.
        if self.expected.is_some() || self.request.ack == Ack::Memory || (safe && !is_exact) {
            return;
        }
        let is_whole = answers.len() == self.request.asks.len();
        for (index, (ask, answer)) in self.request.asks.iter().zip(answers).enumerate() {
            let done = answer.result.is_ok_and(|outcome| outcome.verdict == Verdict::Done);
            let bit = 1 << (index % 64);
            if is_whole && done && self.settled & bit == 0 && delta(&ask.action).is_some() {
                self.settled |= bit;
                tally.settle(ask.counter, answer.result.map_or(0, |outcome| outcome.applied));
            }
        }
    }

    /// A repeat of what was answered gets the original outcome, at the original place.
    fn check_repeat(&self, answers: &[Answer], coverage: &mut Coverage) -> Checked {
        let Some(expected) = &self.expected else { return Ok(()) };
        let original = |answer: &Answer| {
            let outcome = answer.result.map(|o| Outcome { repeat: Repeat::None, ..o });
            (outcome, answer.position)
        };
        for (ask, (answer, before)) in self.request.asks.iter().zip(answers.iter().zip(expected)) {
            let is_repeat = answer.result.is_ok_and(|o| o.repeat == Repeat::Token);
            ensure(is_repeat && original(answer) == original(before), Check::TokenOnce, || {
                format!("a repeat of {ask:?} was answered {answer:?}, before {before:?}")
            })?;
        }
        coverage.met(Met::Replays);
        Ok(())
    }
}

/// A read lies between what was known to have counted and what was attempted.
fn check_read(
    pending: &Pending,
    answers: &[Answer],
    tally: &Tally,
    coverage: &mut Coverage,
) -> Checked {
    let (Some(sums), Some(ask)) = (&pending.sums, pending.request.asks.first()) else {
        return Ok(());
    };
    // An aborted group has one answer, which speaks of any of its counters.
    let first = answers.first().filter(|_| answers.len() == pending.request.asks.len());
    let Some(Ok(outcome)) = first.map(|answer| answer.result) else { return Ok(()) };
    let bounds = tally.bounds_since(ask.counter, sums);
    let value = i128::from(outcome.value.unwrap_or(0));
    coverage.met(Met::ReadsChecked);
    if bounds.contains(&value) {
        return Ok(());
    }
    let text = format!("counter {} was read as {value}, not in {bounds:?}", ask.counter);
    Err(Violation::new(Check::ReadBounds, text))
}
