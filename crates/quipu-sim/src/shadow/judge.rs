//! Judging one operation: what must be answered, and which promise a wrong answer breaks.

use quipu_core::limits::TOKEN_FUTURE_MS;
use quipu_core::op::Action;
use quipu_core::outcome::{Dependency, Outcome, Position, Refusal, Repeat, Reply, Verdict};
use quipu_model::rules::{Change, Live, rule};

use crate::checks::{Check, Checked, Violation};
use crate::request::{Ask, Key, Ticket};
use crate::shadow::{Asked, Entry, Expected, Memory, Progress, Shadow};

/// An outcome or a refusal, and the newest batch that it speaks of.
type Judged<T> = Result<T, (Refusal, u64)>;

fn nothing<T>(refusal: Refusal) -> Judged<T> {
    Err((refusal, 0))
}

impl Shadow {
    /// Decides one operation and says what must be answered.
    pub fn step(&mut self, asked: &Asked<'_>) -> Expected {
        let judged = match asked.ask.ticket {
            Ticket::None => self.plain(asked).map(|(outcome, touched)| (outcome, touched, None)),
            Ticket::Key(key) => self.keyed(asked, key),
            Ticket::Place { stream, sequence } => self.streamed(asked, stream, sequence),
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
        self.perform(asked, &asked.ask.action)
    }

    fn perform(&mut self, asked: &Asked<'_>, action: &Action) -> Judged<(Outcome, u64)> {
        let Asked { shard, now_ms, ask, .. } = *asked;
        if let (Some(refusal), true) = (asked.no_room, *action != Action::Get) {
            return nothing(refusal);
        }
        let time = self.tail(shard).decision_time(now_ms);
        let mut entry = self.counter(ask.counter);
        if entry.live.and_then(|(_, at)| at).is_some_and(|at| at <= time) {
            entry.live = None;
            if asked.no_room.is_none() {
                entry.touched = self.write(shard, now_ms);
                self.set_counter(ask.counter, entry);
            }
        }
        let found = entry.live;
        let (verdict, applied, change) = rule(found, action, time);
        let after = match change {
            Change::Nothing => found,
            Change::Put(live) => Some(live),
            Change::Remove => None,
        };
        let mut touched = entry.touched;
        if change != Change::Nothing {
            self.admit_counter(asked, entry)?;
            touched = self.write(shard, now_ms);
            self.set_counter(ask.counter, Entry { live: after, touched });
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
    fn admit_counter(&mut self, asked: &Asked<'_>, entry: Entry) -> Judged<()> {
        let forbidden = match entry {
            _ if !asked.memory_full => false,
            Entry { live: Some(_), .. } => false,
            Entry { touched: 0, .. } => true,
            Entry { touched, .. } if touched > self.durable(asked.shard) => false,
            _ => asked.seen.result == Err(Refusal::NoMemory),
        };
        if forbidden { nothing(Refusal::NoMemory) } else { Ok(()) }
    }

    fn keyed(&mut self, asked: &Asked<'_>, key: Key) -> Judged<(Outcome, u64, Option<Position>)> {
        let Asked { shard, now_ms, ask, .. } = *asked;
        let time = self.tail(shard).decision_time(now_ms);
        let scope = (ask.counter, key);
        if let Some(known) = self.tokens.get(&scope).filter(|known| known.until >= time) {
            let (epoch, batch) = (known.epoch, known.batch);
            let touched = if epoch == self.tail(shard).epoch { batch } else { 0 };
            if known.action != ask.action {
                return Err((Refusal::Conflict, touched));
            }
            let outcome = Outcome { repeat: Repeat::Token, ..known.outcome };
            return Ok((outcome, touched, Some(Position { shard, epoch, batch })));
        }
        let until = remembered_until(key, time, self.bounds.window_ms)?;
        if let Some(refusal) = asked.no_room {
            return nothing(refusal);
        }
        // Tokens past their deadline count until they are swept, so whether the memory is full is
        // checked against the node's own books.
        if asked.seen.result == Err(Refusal::TokensFull) {
            return nothing(Refusal::TokensFull);
        }
        let (outcome, _) = self.plain(asked)?;
        let batch = self.write(shard, now_ms);
        let (action, epoch) = (ask.action, self.tail(shard).epoch);
        self.set_token(scope, Memory { shard, action, outcome, epoch, batch, until });
        Ok((outcome, batch, None))
    }

    fn streamed(
        &mut self,
        asked: &Asked<'_>,
        stream: u32,
        sequence: u64,
    ) -> Judged<(Outcome, u64, Option<Position>)> {
        let Asked { shard, now_ms, .. } = *asked;
        if sequence == 0 {
            return nothing(Refusal::BadSequence);
        }
        let progress = self.stream(shard, stream).unwrap_or_default();
        if sequence <= progress.mark {
            let (found, touched) = self.perform(asked, &Action::Get)?;
            let outcome = Outcome { repeat: Repeat::Stream, ..found };
            return Ok((outcome, touched.max(progress.touched), None));
        }
        if let Some(held) = progress.held.filter(|held| sequence > *held) {
            return nothing(Refusal::Held { sequence: held });
        }
        let performed = if self.streams_full(shard, progress) {
            nothing(self.full())
        } else {
            self.plain(asked)
        };
        let changed = if performed.is_ok() {
            let held = progress.held.filter(|held| *held > sequence);
            let touched = self.write(shard, now_ms);
            Progress { mark: sequence, held, touched, ..progress }
        } else {
            Progress { held: Some(sequence), ..progress }
        };
        self.set_stream((shard, stream), changed);
        performed.map(|(outcome, _)| (outcome, changed.touched, None))
    }

    /// Stores a checkpoint; returns the batch that holds it.
    ///
    /// # Errors
    /// The refusal that the node must answer.
    pub fn checkpoint(
        &mut self,
        (shard, now_ms): (u16, u64),
        (stream, sequence): (u32, u64),
        no_room: Option<Refusal>,
    ) -> Result<u64, Refusal> {
        if sequence == 0 {
            return Err(Refusal::BadSequence);
        }
        no_room.map_or(Ok(()), Err)?;
        let progress = self.stream(shard, stream).unwrap_or_default();
        if self.streams_full(shard, progress) {
            return Err(self.full());
        }
        let touched = self.write(shard, now_ms);
        let checkpoint = Some(sequence);
        let progress = Progress { checkpoint, touched, ..progress };
        self.set_stream((shard, stream), progress);
        Ok(touched)
    }
}

impl Shadow {
    fn full(&self) -> Refusal {
        Refusal::StreamsFull { most: self.bounds.streams as u64 }
    }

    /// Ends a stream on all shards; returns what it was: its marks, by shard.
    ///
    /// # Errors
    /// The refusal that the node must answer.
    pub fn end_stream(
        &mut self,
        now_ms: u64,
        stream: u32,
        no_room: Option<Refusal>,
    ) -> Result<Vec<(u16, u64)>, Refusal> {
        let shards = 0..self.tails.len() as u16;
        let known: Vec<(u16, Progress)> =
            shards.filter_map(|shard| Some((shard, self.stream(shard, stream)?))).collect();
        if let Some(sequence) = known.iter().filter_map(|(_, progress)| progress.held).min() {
            return Err(Refusal::Held { sequence });
        }
        no_room.filter(|_| !known.is_empty()).map_or(Ok(()), Err)?;
        for (shard, progress) in &known {
            let is_recorded = progress.mark > 0 || progress.checkpoint.is_some();
            let batch = is_recorded.then(|| self.write(*shard, now_ms));
            self.end_stream_on((*shard, stream), batch);
        }
        let marks = known.into_iter().map(|(shard, progress)| (shard, progress.mark));
        Ok(marks.filter(|(_, mark)| *mark > 0).collect())
    }
}

fn remembered_until(key: Key, time: u64, window_ms: u64) -> Judged<u64> {
    let own = key.uuid_ms;
    if own == 0 {
        return Ok(time + window_ms);
    }
    if own > time + TOKEN_FUTURE_MS {
        return nothing(Refusal::FutureToken { ahead_ms: own - time });
    }
    if own + window_ms < time {
        return nothing(Refusal::Expired);
    }
    Ok(time.max(own) + window_ms)
}

/// Whether a reply allows an atomic group to go on after one that began with `first`.
pub fn goes_on(first: &Outcome, outcome: &Outcome) -> bool {
    outcome.verdict == Verdict::Done && outcome.repeat == first.repeat
}

/// Compares an answer, what it depends on and where it stands with what must be. Only a deletion
/// that is durable may be left out of a miss.
///
/// # Errors
/// The promise that a wrong answer breaks.
pub fn compare(shadow: &Shadow, ask: &Ask, reply: &Reply, expected: &Expected) -> Checked {
    let shard = expected.position.shard;
    let differ = |check, what: &str| {
        let text = format!("{what} of {ask:?} on shard {shard}: {reply:?}, expected {expected:?}");
        Err(Violation::new(check, text))
    };
    if reply.result != expected.result {
        return differ(broken(ask, reply, expected), "the answer");
    }
    let durable = shadow.durable(shard);
    let is_gone = shadow.counter(ask.counter).live.is_none();
    let is_miss = reply.result.map_or(is_gone, |outcome| outcome.previous.is_none());
    if is_miss && reply.depends.batch < expected.touched && expected.touched <= durable {
        return Ok(());
    }
    if reply.depends != (Dependency { shard, batch: expected.touched }) {
        return differ(Check::ReplyDepends, "the dependency");
    }
    if reply.position != expected.position {
        return differ(Check::Position, "the position");
    }
    Ok(())
}

/// Which promise a wrong answer breaks.
fn broken(ask: &Ask, reply: &Reply, expected: &Expected) -> Check {
    let either =
        |test: fn(&Result<Outcome, Refusal>) -> bool| test(&reply.result) || test(&expected.result);
    let verdict = |wanted: Verdict| {
        let is = |result: &Result<Outcome, Refusal>| result.is_ok_and(|o| o.verdict == wanted);
        is(&reply.result) != is(&expected.result)
    };
    let is_full = |result: &Result<Outcome, Refusal>| {
        matches!(
            result,
            Err(Refusal::Busy
                | Refusal::NoSpace
                | Refusal::NoMemory
                | Refusal::TokensFull
                | Refusal::StreamsFull { .. }
                | Refusal::Stopping)
        )
    };
    if either(|r| matches!(r, Err(Refusal::Expired | Refusal::FutureToken { .. }))) {
        Check::TokenWindow
    } else if either(|r| *r == Err(Refusal::Conflict))
        || either(|r| r.is_ok_and(|outcome| outcome.repeat == Repeat::Token))
    {
        Check::TokenOnce
    } else if either(|r| matches!(r, Err(Refusal::Held { .. }))) {
        Check::StreamOnce
    } else if either(is_full) {
        Check::Limits
    } else if matches!(ask.ticket, Ticket::Place { .. }) && repeats_differ(reply, expected) {
        Check::StreamOnce
    } else if verdict(Verdict::Overflow) || overflows(ask, expected) {
        Check::Overflow
    } else {
        Check::ValueIsSum
    }
}

/// Whether the sum does not fit, and nothing may change.
fn overflows(ask: &Ask, expected: &Expected) -> bool {
    let (Action::Add(add), Ok(outcome)) = (ask.action, expected.result) else { return false };
    let sum = outcome.previous.unwrap_or(0).checked_add(add.delta);
    sum.is_none() && outcome.verdict != Verdict::Done
}

fn repeats_differ(reply: &Reply, expected: &Expected) -> bool {
    match (reply.result, expected.result) {
        (Ok(found), Ok(wanted)) => found.repeat != wanted.repeat,
        _ => true,
    }
}
