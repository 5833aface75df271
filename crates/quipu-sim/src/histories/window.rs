//! One window: what clients asked of one counter from a known value on, and what they were told.

use quipu_core::outcome::{Outcome, Refusal, Repeat, Verdict};
use quipu_history::bounds;
use quipu_history::event::{Call, Event, line};
use quipu_history::linear::{self, Linearity};

use crate::checks::{Check, Checked, Violation, ensure};

/// Placements that the search may try. Measured: one window of some thousands needs more.
const WORK: usize = 4_000;

/// What makes several attempts one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// An operation of a request.
    Ask {
        /// The request.
        request: u64,
        /// Which of its operations.
        index: usize,
    },
    /// A place in a stream.
    Place {
        /// The stream.
        stream: u32,
        /// The place.
        sequence: u64,
    },
}

/// How an operation ended for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was given up.
    GivenUp,
    /// It was answered; `is_durable` says whether no crash may take that back.
    Answered {
        /// The answer; none where the group was taken back that it was part of.
        result: Option<Result<Outcome, Refusal>>,
        /// Whether the answer waited for the disk.
        is_durable: bool,
    },
}

/// An operation in a window.
#[derive(Debug, Clone, Copy)]
struct Op {
    name: Name,
    event: Event,
    /// Whether its repeats are recognised: then it happens once, however often it is sent.
    is_once: bool,
    /// How often it went onto the network.
    copies: u32,
    is_over: bool,
    /// Whether it is known to have changed nothing.
    is_void: bool,
}

/// A window.
#[derive(Debug)]
pub struct Window {
    /// The counter.
    pub counter: u32,
    /// Its value when the window began, durable, with nothing on its way.
    pub start: i64,
    /// When that was.
    pub begun_us: u64,
    most: usize,
    ops: Vec<Op>,
}

/// What a judged window was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Histories that were judged.
    pub checked: u64,
    /// Operations in them.
    pub events: u64,
    /// Histories whose search needed more work than it may do.
    pub undecided: u64,
}

impl Figures {
    /// Adds those of other windows.
    pub fn join(&mut self, other: Self) {
        self.checked += other.checked;
        self.events += other.events;
        self.undecided += other.undecided;
    }
}

impl Window {
    /// A window that begins now, of `most` operations.
    pub fn new((counter, start): (u32, i64), begun_us: u64, most: usize) -> Self {
        Self { counter, start, begun_us, most, ops: Vec::new() }
    }

    /// How many operations it has.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether no more operation may begin in it.
    pub fn is_full(&self) -> bool {
        self.ops.len() >= self.most
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// An operation is wished.
    pub fn begin(&mut self, name: Name, call: Call, is_once: bool, now_us: u64) {
        let event = Event::unknown(call, now_us);
        self.ops.push(Op { name, event, is_once, copies: 0, is_over: false, is_void: false });
    }

    /// A copy of it leaves. One that has no token may happen once for each, and nobody knows which
    /// of them is answered, so all have the time of the first.
    pub fn copy(&mut self, name: Name) {
        let Some(op) = self.op(name) else { return };
        op.copies += 1;
        if op.copies > 1 && !op.is_once && op.event.call != Call::Read {
            let other = Op { is_over: true, ..*op };
            self.ops.push(other);
        }
    }

    /// It came to its end.
    pub fn end(&mut self, name: Name, end: End, now_us: u64) {
        let Some(op) = self.op(name) else { return };
        op.is_over = true;
        let End::Answered { result, is_durable } = end else { return };
        let is_done = matches!(result, Some(Ok(outcome)) if outcome.verdict == Verdict::Done);
        if let (Some(Ok(outcome)), true) = (result, is_done) {
            // What was answered from memory may be taken back: nobody knows.
            if is_durable {
                op.event.answered = Some((now_us, value(op.event.call, &outcome)));
            }
            return;
        }
        // It changed nothing; another attempt may have, unless the answer is that of all.
        let is_final = is_durable && matches!(result, Some(Ok(_)));
        op.is_void = is_final || !op.is_once || op.copies < 2;
    }

    fn op(&mut self, name: Name) -> Option<&mut Op> {
        self.ops.iter_mut().find(|op| op.name == name && !op.is_over)
    }

    /// What is known of it now.
    pub fn events(&self) -> Vec<Event> {
        let counts = |op: &&Op| {
            let is_blind = op.event.call == Call::Read && op.event.answered.is_none();
            !op.is_void && !is_blind
        };
        self.ops.iter().filter(counts).map(|op| op.event).collect()
    }

    /// Judges what is known of it now.
    ///
    /// # Errors
    /// It cannot have happened in any one order.
    pub fn judge(&self) -> Checked<Figures> {
        let events = self.events();
        let linearity = linear::check(&events, self.start, WORK);
        ensure(linearity != Linearity::Not, Check::Linearizable, || {
            let short = linear::shorten(&events, self.start, WORK);
            let (counter, start) = (self.counter, self.start);
            format!("counter {counter} from {start} on: {}", line(&short))
        })?;
        let is_undecided = linearity == Linearity::Undecided;
        if is_undecided {
            self.judge_reads(&events)?;
        }
        let undecided = u64::from(is_undecided);
        Ok(Figures { checked: 1, events: events.len() as u64, undecided })
    }

    /// Where no order is found in time, each read is judged by itself.
    fn judge_reads(&self, events: &[Event]) -> Checked {
        let is_bounded = |event: &Event| matches!(event.call, Call::Add(_) | Call::Read);
        if !events.iter().all(is_bounded) {
            return Ok(());
        }
        bounds::check(events, self.start).map(drop).map_err(|out| {
            let (counter, start) = (self.counter, self.start);
            Violation::new(Check::ReadBounds, format!("counter {counter} from {start} on: {out:?}"))
        })
    }
}

/// The value that an answer tells; the repeat of a place in a stream tells a later one.
fn value(call: Call, outcome: &Outcome) -> Option<i64> {
    if outcome.repeat == Repeat::Stream {
        return None;
    }
    let value = if call == Call::Take { outcome.previous } else { outcome.value };
    Some(value.unwrap_or(0))
}
