//! What has no answer when the plan has ended is sent again with its token until it has one, so that
//! what was counted must be exactly what was sent.
//!
//! It is a step function over what is still open: whoever has the sockets asks for the next step and
//! tells how each request ended. Nothing of it is part of what was measured: a failure stays one.
//! Requests of one stream go one after the other, in their order; all others go as they come.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use stdx::prng::Prng;

use crate::failure::Failure;
use crate::request::Stream;
use crate::slot::Slot;

/// How many requests of a run are remembered to be sent again: 8 MiB, as much as 13 s at 20,000/s
/// without an answer.
pub const REMEMBERED_MAX: usize = 1 << 18;
/// After how long a request is not sent again unless it stands in a stream: half of the window of a
/// node (`token.window` is 1 h), after which the token counts again.
const OUTDATED_NS: u64 = 30 * 60 * 1_000_000_000;
/// The first wait after a target took nothing; it doubles from time to time.
const BACKOFF_NS_MIN: u64 = 10_000_000;
/// The longest wait: a target that comes back is seen soon.
const BACKOFF_NS_MAX: u64 = 500_000_000;

/// A request whose end nobody knows: enough to send it again, byte for byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Open {
    /// Whether it has a place in its stream, so that it comes again in order. If not, it has a token of
    /// its own.
    pub is_ordered: bool,
    /// The stream in which it was sent.
    pub stream: Stream,
    /// The number of its slot.
    pub number: u64,
    /// When its slot was due, in nanoseconds from the start of the run.
    pub due_ns: u64,
}

/// What is remembered of requests without an answer, in bounded memory.
#[derive(Debug, Clone, Default)]
pub struct Unanswered {
    open: Vec<Open>,
    room: usize,
    forgotten: u64,
}

/// For how long requests are sent again, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Since the last answer that settled one.
    pub patience_ns: u64,
    /// In total.
    pub total_ns: u64,
}

impl Limits {
    /// After a plan that came to its end: time for a node to start again over a large log, and for all
    /// that is remembered at 4,000/s (guesses).
    pub const ENDED: Self = Self { patience_ns: 30_000_000_000, total_ns: 120_000_000_000 };
    /// After a run that somebody stopped, and who waits for its result (guess).
    pub const STOPPED: Self = Self { patience_ns: 5_000_000_000, total_ns: 5_000_000_000 };
}

/// What became of the requests whose end nobody knew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Settlement {
    /// Requests that were tried and of which nothing was written to a socket: they are none of those
    /// that were sent.
    pub unwritten: u64,
    /// Requests that were sent again with their token, however often.
    pub retried: u64,
    /// Of those, how many then were counted, or refused for good.
    pub settled: u64,
    /// Requests of which nobody knows whether they were counted.
    pub unsettled: u64,
    /// Of the unsettled, those without a token: sent again they could count again.
    pub untokened: u64,
    /// Of the unsettled, those beyond what is remembered.
    pub forgotten: u64,
    /// Of the unsettled, those whose token the target need not know any more.
    pub outdated: u64,
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Send this again.
    Send(Open),
    /// Wait for an answer to what was sent.
    Receive,
    /// Nothing before this moment.
    WaitUntil(u64),
    /// Nothing more.
    Over,
}

/// What an answer says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is counted.
    Counted,
    /// It is not counted, and never will be.
    NotCounted,
    /// The answer says nothing of it: it is to be sent again.
    Open,
    /// Nobody will ever know.
    Unknown,
}

/// Requests that go one after the other: those of one stream, or a single one with a token.
#[derive(Debug, Clone, Copy)]
struct Line {
    /// The place of the first that is left.
    next: u32,
    /// The place behind the last.
    end: u32,
    /// Whether the first was sent again before.
    is_tried: bool,
}

/// What is still open, and how far it is.
#[derive(Debug, Clone)]
pub struct Settle {
    /// Those of one stream lie together, in their order.
    open: Vec<Open>,
    waiting: VecDeque<Line>,
    under_way: Vec<Line>,
    limits: Limits,
    started_ns: u64,
    settled_ns: u64,
    resume_ns: u64,
    failures: u32,
    prng: Prng,
    found: Settlement,
}

impl Open {
    /// Returns its slot. The phase is not remembered: it is of no matter to what is sent.
    pub fn slot(&self) -> Slot {
        Slot { number: self.number, phase: 0, due_ns: self.due_ns }
    }
}

impl Unanswered {
    /// Remembers at most `room` requests.
    pub fn new(room: usize) -> Self {
        Self { open: Vec::new(), room, forgotten: 0 }
    }

    /// Remembers one, or that there was one more.
    pub fn note(&mut self, open: Open) {
        if self.open.len() < self.room {
            self.open.push(open);
        } else {
            self.forgotten += 1;
        }
    }
}

impl Settlement {
    /// Adds that of another thread.
    pub fn add(&mut self, other: &Self) {
        self.unwritten += other.unwritten;
        self.retried += other.retried;
        self.settled += other.settled;
        self.unsettled += other.unsettled;
        self.untokened += other.untokened;
        self.forgotten += other.forgotten;
        self.outdated += other.outdated;
    }

    /// Returns a sentence for each thing that there is to say.
    pub fn sentences(&self) -> Vec<String> {
        let mut said = Vec::new();
        if self.unwritten > 0 {
            said.push(format!("{} were never written and are not sent", self.unwritten));
        }
        if self.retried > 0 {
            let Self { retried, settled, .. } = self;
            said.push(format!("{retried} without an answer were sent again, {settled} settled"));
        }
        if self.unsettled > 0 {
            let reasons = [
                (self.untokened, "without a token"),
                (self.forgotten, "not remembered"),
                (self.outdated, "too old"),
            ];
            let reasons = reasons.iter().filter(|(count, _)| *count > 0);
            let reasons: Vec<_> = reasons.map(|(count, why)| format!("{count} {why}")).collect();
            let reasons = if reasons.is_empty() {
                String::new()
            } else {
                format!(" ({})", reasons.join(", "))
            };
            said.push(format!("{} may or may not be counted{reasons}", self.unsettled));
        }
        said
    }
}

/// Returns what an answer to a request that was sent again says of it. Only what a target says of the
/// request itself settles it: one that has no room, or is stopping, has not looked for the token.
fn fate(outcome: Result<(), Failure>) -> Fate {
    match outcome {
        Ok(()) => Fate::Counted,
        Err(Failure::Resp(word)) => match word.as_str() {
            // Held: a place before it was refused for good, so this one never counted. Those before it
            // that are open come first.
            "ERR" | "WRONGTYPE" | "CONFLICT" | "HELD" => Fate::NotCounted,
            "EXPIRED" => Fate::Unknown,
            _ => Fate::Open,
        },
        Err(Failure::Status4xx) => Fate::NotCounted,
        Err(Failure::Validation) => Fate::Unknown,
        Err(_) => Fate::Open,
    }
}

impl Settle {
    /// Begins at `now_ns` to settle what is remembered.
    pub fn new(unanswered: Unanswered, limits: Limits, seed: u64, now_ns: u64) -> Self {
        let Unanswered { mut open, forgotten, .. } = unanswered;
        open.sort_unstable();
        let is_one_line = |a: &Open, b: &Open| a.is_ordered && b.is_ordered && a.stream == b.stream;
        let (mut waiting, mut next) = (VecDeque::new(), 0);
        for line in open.chunk_by(is_one_line) {
            let end = next + line.len() as u32;
            waiting.push_back(Line { next, end, is_tried: false });
            next = end;
        }
        Self {
            open,
            waiting,
            under_way: Vec::new(),
            limits,
            started_ns: now_ns,
            settled_ns: now_ns,
            resume_ns: now_ns,
            failures: 0,
            prng: Prng::new(seed),
            found: Settlement { unsettled: forgotten, forgotten, ..Settlement::default() },
        }
    }

    /// Makes haste: somebody waits.
    pub fn hurry(&mut self) {
        self.limits = Limits::STOPPED;
    }

    /// Returns when it is given up, unless an answer settles something before.
    pub fn deadline_ns(&self) -> u64 {
        let patience_ns = self.settled_ns.saturating_add(self.limits.patience_ns);
        patience_ns.min(self.started_ns.saturating_add(self.limits.total_ns))
    }

    /// Returns what is to be done now.
    pub fn step(&mut self, now_ns: u64) -> Step {
        let is_empty = self.waiting.is_empty() && self.under_way.is_empty();
        if is_empty || now_ns >= self.deadline_ns() {
            return Step::Over;
        }
        if now_ns < self.resume_ns && !self.waiting.is_empty() {
            let until_ns = self.resume_ns.min(self.deadline_ns());
            return if self.under_way.is_empty() {
                Step::WaitUntil(until_ns)
            } else {
                Step::Receive
            };
        }
        while let Some(line) = self.waiting.pop_front() {
            let Some(open) = self.open.get(line.next as usize).copied() else { continue };
            if !open.is_ordered && now_ns.saturating_sub(open.due_ns) > OUTDATED_NS {
                self.found.outdated += 1;
                self.pass(line, Fate::Unknown);
                continue;
            }
            self.under_way.push(line);
            return Step::Send(open);
        }
        if self.under_way.is_empty() { Step::Over } else { Step::Receive }
    }

    /// Takes how the request of slot `number` that was sent again has ended, and returns what that says
    /// of it.
    pub fn ended(&mut self, number: u64, outcome: Result<(), Failure>, now_ns: u64) -> Fate {
        let Some(line) = self.take(number) else { return Fate::Open };
        self.found.retried += u64::from(!line.is_tried);
        let (line, fate) = (Line { is_tried: true, ..line }, fate(outcome));
        if fate == Fate::Open {
            self.waiting.push_back(line);
            self.back_off(now_ns);
        } else {
            (self.settled_ns, self.failures) = (now_ns, 0);
            self.pass(line, fate);
        }
        fate
    }

    /// Takes back the request of slot `number`: there is no connection on which to send it.
    pub fn unsent(&mut self, number: u64, now_ns: u64) {
        if let Some(line) = self.take(number) {
            self.waiting.push_back(line);
            self.back_off(now_ns);
        }
    }

    fn take(&mut self, number: u64) -> Option<Line> {
        let is_of = |line: &Line| {
            self.open.get(line.next as usize).is_some_and(|open| open.number == number)
        };
        let place = self.under_way.iter().position(is_of)?;
        Some(self.under_way.swap_remove(place))
    }

    /// Waits before more is sent: the target took nothing, or is not there. Those that end together
    /// cost one wait.
    fn back_off(&mut self, now_ns: u64) {
        if now_ns < self.resume_ns {
            return;
        }
        let most_ns = (BACKOFF_NS_MIN << self.failures.min(10)).min(BACKOFF_NS_MAX);
        // Between the half and the whole, so that threads do not come together.
        self.resume_ns = now_ns + most_ns / 2 + self.prng.below(most_ns / 2 + 1);
        self.failures += 1;
    }

    /// Ends it, and returns what became of all.
    pub fn finish(self) -> Settlement {
        let left = self.waiting.iter().chain(&self.under_way);
        let left: u64 = left.map(|line| u64::from(line.end - line.next)).sum();
        Settlement { unsettled: self.found.unsettled + left, ..self.found }
    }

    /// Goes on behind the first of a line.
    fn pass(&mut self, line: Line, fate: Fate) {
        if fate == Fate::Unknown {
            self.found.unsettled += 1;
        } else {
            self.found.settled += 1;
        }
        if line.next + 1 < line.end {
            self.waiting.push_back(Line { next: line.next + 1, is_tried: false, ..line });
        }
    }
}

#[cfg(test)]
mod tests;
