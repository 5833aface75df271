//! Deciding one operation on its shard.
//!
//! The order of checks: repeat, conflict, age, hold, room, decision. So repeats are answered even
//! when the node is full.

use crate::canary::{self, Bug};
use crate::decide::{Decision, decide};
use crate::effect::{Counter, Effect, ExpiryEffect};
use crate::limits::{STREAM_BYTES_MAX, SWEEP_STEPS, TOKEN_BYTES_MAX};
use crate::op::{Action, Op, Token};
use crate::outcome::{Dependency, Outcome, Position, Refusal, Repeat, Reply, Verdict};
use crate::record::StreamKind;
use crate::shard::{Shard, Undo};
use crate::stream::Place;
use crate::token::{TokenRecord, deadline, scope_key};

/// What the node knows when an operation arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// Log time.
    pub now_ms: u64,
    /// Why no write is admitted now, if none is.
    pub no_room: Option<Refusal>,
    /// Whether no new counter is admitted.
    pub memory_full: bool,
    /// Whether no new token is admitted.
    pub tokens_full: bool,
}

/// One operation at the moment of its decision.
struct Asked<'o> {
    cx: Context,
    time_ms: u64,
    /// Hash of the counter's name.
    hash: u64,
    op: Op<'o>,
}

/// An outcome and the newest batch that it speaks of (0: from before this start).
type Performed = (Outcome, u64);
impl Shard {
    /// Decides one operation and puts its effect into the open batch. `hash` is that of the name
    /// under the store's seed. Cost: one look-up; a token adds one of its own.
    #[inline]
    pub fn execute(&mut self, cx: &Context, hash: u64, op: &Op<'_>) -> Reply {
        let time_ms = self.decision_time(cx.now_ms);
        let asked = Asked { cx: *cx, time_ms, hash, op: *op };
        let performed = match op.token {
            Token::None => self.perform(&asked),
            Token::Key { key, item } => return self.perform_keyed(&asked, key, item),
            Token::Stream { name, sequence } => self.perform_streamed(&asked, name, sequence),
        };
        self.answer(performed)
    }

    #[inline]
    fn answer(&self, performed: Result<Performed, Refusal>) -> Reply {
        match performed {
            Ok((outcome, touched)) => self.reply(Ok(outcome), touched),
            Err(refusal) => self.reply(Err(refusal), 0),
        }
    }

    #[inline]
    fn reply(&self, result: Result<Outcome, Refusal>, touched: u64) -> Reply {
        let batch = touched.max(self.recovered);
        Reply {
            result,
            position: Position { shard: self.id, epoch: self.epoch, batch },
            depends: Dependency { shard: self.id, batch: touched },
        }
    }

    #[inline]
    fn perform(&mut self, asked: &Asked<'_>) -> Result<Performed, Refusal> {
        let Asked { cx, time_ms, hash, op } = asked;
        let (time_ms, hash) = (*time_ms, *hash);
        if let (Some(refusal), true) = (cx.no_room, op.action.is_write()) {
            return Err(refusal);
        }
        let (number, open, base) = (self.sealed + 1, self.open_distance(), self.touched_base);
        if let Some(cell) = self.counters.find_mut(hash, |c| c.name == op.name)
            && !cell.expires()
        {
            let counter = cell.plain();
            let decision = decide(counter, &op.action, time_ms);
            match (decision.effect, &op.action) {
                (None, _) => {
                    let touched = seen(cell.touched(base), &op.action, &decision);
                    return Ok((outcome(counter, counter, &decision), touched));
                }
                (Some(effect), Action::Add(_))
                    if effect.expiry == ExpiryEffect::Keep
                        && cell.is_present()
                        && self.undo.is_none() =>
                {
                    let value = effect.after.unwrap_or(0);
                    cell.append_add(&mut self.open, open, value);
                    self.time_ms = time_ms;
                    let after = added(counter, &effect);
                    return Ok((outcome(counter, after, &decision), number));
                }
                _ => {}
            }
        }
        self.perform_slowly(asked)
    }

    /// Absent counters, expiries, and all that is not a plain add.
    fn perform_slowly(&mut self, asked: &Asked<'_>) -> Result<Performed, Refusal> {
        let Asked { cx, time_ms, hash, op } = asked;
        let (time_ms, hash) = (*time_ms, *hash);
        let (counter, touched, known) = self.find_live(asked);
        let decision = decide(counter, &op.action, time_ms);
        let Some(effect) = decision.effect else {
            let touched = seen(touched, &op.action, &decision);
            return Ok((outcome(counter, counter, &decision), touched));
        };
        if !known && cx.memory_full {
            return Err(Refusal::NoMemory);
        }
        self.write_effect(hash, op.name, &effect, time_ms);
        let after = crate::effect::fold(counter, &effect).expect("decided on this counter");
        Ok((outcome(counter, after, &decision), self.sealed + 1))
    }

    /// A counter, the batch it depends on, and whether the table knows it. One that is found
    /// expired is deleted first; without room for the record it just reads as absent.
    fn find_live(&mut self, asked: &Asked<'_>) -> (Counter, u64, bool) {
        let (time_ms, hash, name) = (asked.time_ms, asked.hash, asked.op.name);
        let Some(cell) = self.counters.find(hash, |c| c.name == name) else {
            return (Counter::ABSENT, 0, false);
        };
        let touched = cell.touched(self.touched_base);
        if !cell.expires() {
            return (cell.plain(), touched, true);
        }
        let counter = Counter { expires_at: self.expiries.get(name), ..cell.plain() };
        if !counter.is_expired(time_ms) {
            return (counter, touched, true);
        }
        if asked.cx.no_room.is_some() {
            return (Counter::ABSENT, touched, true);
        }
        if canary::is(Bug::ExpiryUnrecorded) {
            self.put(hash, name, Counter::ABSENT);
            return (Counter::ABSENT, touched, true);
        }
        let deletion = Effect::assign(counter.value, None, ExpiryEffect::Clear);
        self.write_effect(hash, name, &deletion, time_ms);
        self.expired += 1;
        (Counter::ABSENT, self.sealed + 1, true)
    }

    fn perform_keyed(&mut self, asked: &Asked<'_>, key: &[u8], item: u32) -> Reply {
        if key.is_empty() || key.len() > TOKEN_BYTES_MAX {
            return self.reply(Err(Refusal::BadToken { bytes: key.len() }), 0);
        }
        let scope = scope_key(self.seed, asked.op.name.as_bytes(), key, item);
        let found = self.tokens.find(scope);
        let is_known = |found: &&TokenRecord| found.is_remembered(asked.time_ms);
        if let Some(known) = found.as_ref().filter(is_known)
            && !canary::is(Bug::NoDedup)
        {
            return self.answer_known(asked, known);
        }
        let performed = self.perform_first(asked, (key, item), (scope, found.is_none()));
        if canary::is(Bug::TokenClaimedEarly) && performed.is_err() {
            self.claim(asked, scope);
        }
        self.answer(performed)
    }

    /// The answer to a token that is remembered: the original outcome where it stands, or a
    /// conflict. Both speak of the original, so they wait for it.
    fn answer_known(&self, asked: &Asked<'_>, known: &TokenRecord) -> Reply {
        let waits = known.epoch == self.epoch && !canary::is(Bug::RepeatNotHeld);
        let touched = if waits { known.batch } else { 0 };
        if known.fingerprint != asked.op.action.fingerprint() {
            return self.reply(Err(Refusal::Conflict), touched);
        }
        let position = Position { shard: self.id, epoch: known.epoch, batch: known.batch };
        Reply { position, ..self.reply(Ok(known.outcome()), touched) }
    }

    /// A token that is not remembered: the operation is decided and its outcome recorded. A fresh
    /// one is not even there past its deadline.
    fn perform_first(
        &mut self,
        asked: &Asked<'_>,
        (key, item): (&[u8], u32),
        (scope, is_fresh): (u128, bool),
    ) -> Result<Performed, Refusal> {
        let Asked { cx, time_ms, op, .. } = asked;
        let time_ms = *time_ms;
        let deadline_ms = deadline(key, time_ms, self.window_ms)?;
        if let Some(refusal) = cx.no_room {
            return Err(refusal);
        }
        let swept = self.tokens.sweep(time_ms, SWEEP_STEPS);
        if cx.tokens_full && swept == 0 {
            if !canary::is(Bug::WindowShortened) {
                return Err(Refusal::TokensFull);
            }
            self.tokens.forget_oldest();
        }
        let (outcome, _) = self.perform(asked)?;
        let record = self.token_record((op, scope), &outcome, deadline_ms);
        self.time_ms = time_ms;
        if !canary::is(Bug::TokenOutsideRecord) {
            self.open.add_token(op.name, key, item, record);
        }
        if is_fresh {
            self.tokens.remember_fresh(&record);
        } else {
            self.tokens.remember(&record);
        }
        if let Some(undo) = &mut self.undo {
            undo.tokens.push(scope);
        }
        Ok((outcome, self.sealed + 1))
    }

    /// What is remembered of an operation that is decided in the open batch.
    fn token_record(
        &mut self,
        (op, scope): (&Op<'_>, u128),
        outcome: &Outcome,
        deadline_ms: u64,
    ) -> TokenRecord {
        TokenRecord {
            key: scope,
            fingerprint: self.fingerprints.of_action(&op.action),
            verdict: outcome.verdict,
            value: outcome.value,
            previous: outcome.previous,
            applied: outcome.applied,
            expires_at: outcome.expires_at,
            epoch: self.epoch,
            batch: self.sealed + 1,
            deadline_ms,
        }
    }

    /// Remembers the token of an operation that was refused: only a deliberate bug does.
    #[cold]
    fn claim(&mut self, asked: &Asked<'_>, scope: u128) {
        let counter = self.peek(asked.op.name);
        let decision = decide(counter, &asked.op.action, asked.time_ms);
        let claimed = outcome(counter, counter, &decision);
        let deadline_ms = asked.time_ms.saturating_add(self.window_ms);
        let record = self.token_record((&asked.op, scope), &claimed, deadline_ms);
        self.tokens.remember(&TokenRecord { batch: self.newest(), ..record });
    }

    fn perform_streamed(
        &mut self,
        asked: &Asked<'_>,
        name: &[u8],
        sequence: u64,
    ) -> Result<Performed, Refusal> {
        check_stream(name, sequence)?;
        let place = self.streams.place(name, sequence)?;
        if place == Place::Repeat && !canary::is(Bug::NoDedup) {
            let look = Asked { op: Op { action: Action::Get, ..asked.op }, ..*asked };
            let (found, touched) = self.perform(&look)?;
            let counted = self.streams.get(name).map_or(0, |s| s.touched);
            return Ok((Outcome { repeat: Repeat::Stream, ..found }, touched.max(counted)));
        }
        match self.admit_stream(name).and_then(|()| self.perform(asked)) {
            Err(refusal) => {
                if !canary::is(Bug::MarkJumpsRefusal) {
                    self.streams.hold(name, sequence, self.limits.streams_max);
                }
                Err(refusal)
            }
            Ok((outcome, _)) => {
                self.time_ms = asked.time_ms;
                let number = self.sealed + 1;
                self.note_stream_undo(name);
                let kept = self.undo.as_ref().map_or(0, Undo::streams_before);
                if !canary::is(Bug::MarkOutsideRecord) {
                    self.open.note_stream(name, StreamKind::Mark, sequence, kept);
                }
                self.streams.change(name, |stream| {
                    (stream.mark, stream.touched) = (sequence, number);
                    stream.held = stream.held.filter(|held| *held > sequence);
                });
                Ok((outcome, number))
            }
        }
    }

    /// Whether there is a place for a stream: it has one, or there is a free one.
    fn admit_stream(&self, name: &[u8]) -> Result<(), Refusal> {
        let most = self.limits.streams_max;
        if self.streams.has_place(name, most) {
            return Ok(());
        }
        Err(Refusal::StreamsFull { most: most as u64 })
    }

    /// Holds a stream because an operation of it did not count.
    pub fn hold_stream(&mut self, name: &[u8], sequence: u64) {
        if check_stream(name, sequence).is_ok() {
            self.streams.hold(name, sequence, self.limits.streams_max);
        }
    }

    /// Stores a sender's checkpoint on this, the stream's home shard; returns what it depends on.
    ///
    /// # Errors
    /// A bad name or sequence, no room, or too many streams.
    pub fn checkpoint(
        &mut self,
        cx: &Context,
        name: &[u8],
        sequence: u64,
    ) -> Result<Dependency, Refusal> {
        check_stream(name, sequence)?;
        if let Some(refusal) = cx.no_room {
            return Err(refusal);
        }
        self.admit_stream(name)?;
        self.time_ms = self.decision_time(cx.now_ms);
        self.open.note_stream(name, StreamKind::Checkpoint, sequence, 0);
        let number = self.sealed + 1;
        self.streams.change(name, |stream| {
            (stream.checkpoint, stream.touched) = (Some(sequence), number);
        });
        Ok(Dependency { shard: self.id, batch: number })
    }

    /// Ends a stream on this shard: the log says so where it knows the stream, and from here on its
    /// sequences count again. What was held is not held any more.
    pub fn end_stream(&mut self, now_ms: u64, name: &[u8]) {
        let Some(stream) = self.streams.get(name).copied() else { return };
        if !stream.is_recorded() {
            self.streams.restore(name, None);
            return;
        }
        self.time_ms = self.decision_time(now_ms);
        if !canary::is(Bug::EndUnrecorded) {
            self.open.note_stream(name, StreamKind::End, stream.mark, 0);
        }
        self.streams.end(name, self.newest());
    }

    /// Writes the deletions of up to `steps` expired counters; returns how many it wrote.
    pub fn reap(&mut self, cx: &Context, steps: usize) -> usize {
        if cx.no_room.is_some() {
            return 0;
        }
        let time_ms = self.decision_time(cx.now_ms);
        for done in 0..steps {
            let Some(name) = self.expiries.first_expired(time_ms).cloned() else { return done };
            let hash = stdx::hash::hash64(self.seed, name.as_bytes());
            let value = self.peek(&name).value;
            let deletion = Effect::assign(value, None, ExpiryEffect::Clear);
            self.write_effect(hash, &name, &deletion, time_ms);
            self.expired += 1;
        }
        steps
    }

    /// Forgets up to `steps` tokens that are past their deadline.
    pub fn sweep(&mut self, now_ms: u64, steps: usize) {
        let time_ms = self.decision_time(now_ms);
        self.tokens.sweep(time_ms, steps);
    }

    /// Visits counters in scan order from `from`, about `count` of them, and returns where to go
    /// on. Expired ones are passed over.
    pub fn scan(
        &self,
        now_ms: u64,
        from: u64,
        count: usize,
        mut visit: impl FnMut(&str, i64),
    ) -> Option<u64> {
        let time_ms = self.decision_time(now_ms);
        self.counters.scan(from, count, |cell| {
            let expired =
                cell.expires() && self.expiries.get(&cell.name).is_some_and(|at| at <= time_ms);
            if cell.is_present() && !expired {
                visit(&cell.name, cell.value);
            }
        })
    }
}

/// Checks the name of a stream.
///
/// # Errors
/// It is empty or too long.
pub(crate) fn check_stream_name(name: &[u8]) -> Result<(), Refusal> {
    if name.is_empty() || name.len() > STREAM_BYTES_MAX {
        return Err(Refusal::BadStream { bytes: name.len() });
    }
    Ok(())
}

fn check_stream(name: &[u8], sequence: u64) -> Result<(), Refusal> {
    check_stream_name(name)?;
    if sequence == 0 {
        return Err(Refusal::BadSequence);
    }
    Ok(())
}

/// The batch that an answer without an effect depends on: the newest that it saw.
#[inline]
fn seen(touched: u64, action: &Action, decision: &Decision) -> u64 {
    let forgotten = canary::is(Bug::ReadNotHeld) && !action.is_write()
        || canary::is(Bug::RejectionNotHeld) && decision.verdict == Verdict::Rejected;
    if forgotten { 0 } else { touched }
}

/// A counter without expiry after an add, as it is answered.
#[inline]
fn added(before: Counter, effect: &Effect) -> Counter {
    let value = if canary::is(Bug::AnswerStale) { before.value } else { effect.after };
    Counter { value, expires_at: None }
}

#[inline]
fn outcome(before: Counter, after: Counter, decision: &Decision) -> Outcome {
    let is_delete = decision.verdict == Verdict::Done && after.value.is_none();
    Outcome {
        verdict: decision.verdict,
        value: if is_delete { None } else { after.value },
        previous: before.value,
        applied: decision.applied,
        expires_at: after.expires_at,
        repeat: Repeat::None,
    }
}
