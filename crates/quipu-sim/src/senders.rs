//! Streams and who sends them: in order, from the first unanswered place again after any doubt,
//! and sometimes elsewhere from the stored checkpoint.

use std::collections::BTreeSet;

use quipu_core::outcome::Repeat;
use stdx::prng::Prng;

use crate::checks::{Check, Checked, ensure};
use crate::request::{Answer, Response};

/// Most places in flight. Guess.
const WINDOW: u64 = 32;

/// How many answered places make a checkpoint. Guess.
const CHECKPOINT_EVERY: u64 = 40;

/// One stream.
#[derive(Debug)]
pub struct Sender {
    /// Which one.
    pub stream: u32,
    /// Its connection; a new one after every doubt.
    pub connection: u64,
    /// The life of the node to which it leads; none while it is not connected.
    pub life: Option<u64>,
    /// When the last message of the connection arrives: none overtakes another.
    pub last_us: u64,
    /// Whether the connection broke: nothing more arrives on it.
    pub is_cut: bool,
    /// How many places the source has so far.
    pub wanted: u64,
    /// All up to here was answered.
    answered: u64,
    /// Places beyond it that were answered, too.
    scattered: BTreeSet<u64>,
    /// The last place that was sent on this connection.
    sent: u64,
    /// The farthest that was ever sent.
    farthest: u64,
    /// Where the sender was at its last look.
    looked: u64,
    /// The newest checkpoint that was asked for.
    checkpoint: u64,
    /// The newest checkpoint that was answered.
    stored: u64,
    /// Whether it must hear where to go on.
    is_new: bool,
    /// Whether the node has no memory for another stream.
    pub is_refused: bool,
    /// The truth about all that was ever answered, for the one who counts.
    settled: u64,
    settled_beyond: BTreeSet<u64>,
    /// Places up to here may have been sent more than once.
    doubtful: u64,
    /// When the last message of any connection has arrived.
    quiet_us: u64,
    /// Whether the stream is to end.
    ending: Ending,
    /// How often its operator has said so.
    asks: u64,
    /// Nothing is sent up to this moment, so that nothing from before an end comes after it.
    pause_us: u64,
}

/// How far the end of a stream is: first all that was sent is answered, then its operator says so,
/// and then it begins again at its first place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Nobody wants it.
    No,
    /// It is wanted.
    Wanted,
    /// The operator has said so on this connection.
    Asked,
}

/// What a sender does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Sends these places as one request.
    Send(Vec<u64>),
    /// Stores this checkpoint.
    Checkpoint(u64),
    /// Asks where to go on.
    Resume,
    /// Says that the stream ends.
    End,
}

/// Adds a place to all up to which everything is there.
fn advance(upto: &mut u64, beyond: &mut BTreeSet<u64>, place: u64) {
    if place > *upto {
        beyond.insert(place);
    }
    while beyond.remove(&(*upto + 1)) {
        *upto += 1;
    }
}

impl Sender {
    /// A stream that has not begun.
    pub fn new(stream: u32) -> Self {
        Self {
            stream,
            connection: 0,
            life: None,
            last_us: 0,
            is_cut: false,
            wanted: 0,
            answered: 0,
            scattered: BTreeSet::new(),
            sent: 0,
            farthest: 0,
            looked: 0,
            checkpoint: 0,
            stored: 0,
            is_new: false,
            is_refused: false,
            settled: 0,
            settled_beyond: BTreeSet::new(),
            doubtful: 0,
            quiet_us: 0,
            ending: Ending::No,
            asks: 0,
            pause_us: 0,
        }
    }

    /// Whether all that the source has was answered.
    pub fn is_done(&self) -> bool {
        self.is_refused
            || (self.answered >= self.wanted && !self.is_new && self.ending == Ending::No)
    }

    /// All up to here was answered.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Connects to this life of the node, to send again from the first unanswered place.
    pub fn connect(&mut self, life: u64, connection: u64) {
        (self.connection, self.life, self.is_cut) = (connection, Some(life), false);
        self.last_us = 0;
        self.sent = self.answered;
        self.scattered.clear();
        self.looked = self.answered;
        self.doubtful = self.farthest;
        if self.ending == Ending::Asked {
            self.ending = Ending::Wanted;
        }
    }

    /// When a message may arrive on its connection that leaves now: after those before it.
    pub fn arrival_us(&mut self, earliest_us: u64) -> u64 {
        self.last_us = earliest_us.max(self.last_us + 1);
        self.quiet_us = self.quiet_us.max(self.last_us);
        self.last_us
    }

    /// An operator wants the stream to end.
    pub fn want_end(&mut self) {
        if !self.is_refused && self.ending == Ending::No {
            self.ending = Ending::Wanted;
        }
    }

    /// Whether the operator had to say again that the stream ends.
    pub fn repeats_end(&self) -> bool {
        self.asks > 1
    }

    /// The stream has ended: what is still to come begins at its first place again.
    pub fn note_ended(&mut self) -> bool {
        if self.ending == Ending::No {
            return false;
        }
        let left = self.wanted.saturating_sub(self.answered);
        let (stream, connection, quiet_us) = (self.stream, self.connection, self.quiet_us);
        *self = Self { connection, wanted: left, quiet_us, ..Self::new(stream) };
        self.pause_us = quiet_us;
        true
    }

    /// There may be room for a stream that was refused.
    pub fn try_again(&mut self) {
        if std::mem::take(&mut self.is_refused) {
            self.disconnect();
        }
    }

    /// Loses the connection.
    pub fn disconnect(&mut self) {
        self.life = None;
    }

    /// Another process takes over and knows nothing but what the node stored. Not while nobody knows
    /// whether the stream has ended: it would count again what counted before.
    pub fn forget(&mut self) {
        if self.asks > 0 {
            return;
        }
        self.life = None;
        self.is_new = true;
        (self.answered, self.sent, self.looked) = (0, 0, 0);
        self.scattered.clear();
    }

    /// What to do next, if anything. `fits` says whether several may go as one.
    pub fn next(&mut self, now_us: u64, prng: &mut Prng, fits: bool) -> Option<Step> {
        if self.life.is_none() || self.is_refused || now_us <= self.pause_us {
            return None;
        }
        if self.is_new {
            return Some(Step::Resume);
        }
        if self.answered >= self.checkpoint + CHECKPOINT_EVERY {
            self.checkpoint = self.answered;
            return Some(Step::Checkpoint(self.answered));
        }
        let upto = if self.ending == Ending::No { self.wanted } else { self.farthest };
        let left = upto.min(self.answered + WINDOW).saturating_sub(self.sent);
        if left == 0 {
            return self.next_end(now_us);
        }
        let count = if fits && left > 1 && prng.chance(1, 8) { 2 } else { 1 };
        let places: Vec<u64> = (self.sent + 1..=self.sent + count).collect();
        self.sent += count;
        Some(Step::Send(places))
    }

    /// The end of the stream, once all that was ever sent has arrived and was answered.
    fn next_end(&mut self, now_us: u64) -> Option<Step> {
        let is_quiet = self.answered >= self.farthest && now_us > self.quiet_us;
        if self.ending != Ending::Wanted || !is_quiet {
            return None;
        }
        self.ending = Ending::Asked;
        self.asks += 1;
        Some(Step::End)
    }

    /// Those of the places that leave for the first time ever.
    pub fn note_sent(&mut self, places: &[u64]) -> Vec<u64> {
        let fresh = places.iter().copied().filter(|place| *place > self.farthest).collect();
        self.farthest = self.farthest.max(places.last().copied().unwrap_or(0));
        fresh
    }

    /// Answers to places: those that are now known to have counted for the first time, and
    /// whether all went well.
    pub fn respond(&mut self, places: &[u64], answers: &[Answer]) -> (Vec<u64>, bool) {
        let mut fresh = Vec::new();
        let is_whole = places.len() == answers.len();
        let is_fine = is_whole && answers.iter().all(|answer| answer.result.is_ok());
        for (place, answer) in places.iter().zip(answers).filter(|_| is_whole) {
            if answer.result.is_err() {
                continue;
            }
            if *place > self.settled && !self.settled_beyond.contains(place) {
                fresh.push(*place);
            }
            advance(&mut self.settled, &mut self.settled_beyond, *place);
            advance(&mut self.answered, &mut self.scattered, *place);
        }
        (fresh, is_fine)
    }

    /// A place that was answered before is recognised as a repeat, and one that was sent once since
    /// the stream began is none.
    ///
    /// # Errors
    /// It was counted again, or not at all.
    pub fn check_repeat(&self, place: u64, answer: &Answer) -> Checked {
        let Ok(outcome) = answer.result else { return Ok(()) };
        let was = place <= self.settled || self.settled_beyond.contains(&place);
        ensure(!was || outcome.repeat == Repeat::Stream, Check::StreamOnce, || {
            format!("place {place} of stream {} counted again: {answer:?}", self.stream)
        })?;
        let is_first = place > self.doubtful;
        ensure(!is_first || outcome.repeat != Repeat::Stream, Check::StreamOnce, || {
            format!("place {place} of stream {} never counted: {answer:?}", self.stream)
        })
    }

    /// A checkpoint was stored.
    pub fn note_stored(&mut self, checkpoint: u64) {
        self.stored = self.stored.max(checkpoint);
    }

    /// The node says where to go on.
    ///
    /// # Errors
    /// It forgot a checkpoint that was acknowledged, or a place.
    pub fn resume(&mut self, response: &Response) -> Checked<bool> {
        let Response::Stream { checkpoint, newest } = response else { return Ok(false) };
        // What was asked twice is answered twice, and the second answer may be the older one.
        if !self.is_new {
            return Ok(false);
        }
        let from = checkpoint.unwrap_or(0);
        ensure(from >= self.stored, Check::StreamOnce, || {
            let stored = self.stored;
            format!("stream {} resumes at {from}, stored was {stored}", self.stream)
        })?;
        // Everything that was answered is at or below some shard's mark.
        ensure(*newest >= self.settled, Check::StreamOnce, || {
            format!(
                "stream {} is marked up to {newest}, answered was {}",
                self.stream, self.settled
            )
        })?;
        self.is_new = false;
        (self.answered, self.sent, self.checkpoint) = (from, from, from);
        self.looked = from;
        Ok(true)
    }

    /// Whether nothing was answered since the last look although something should have been.
    pub fn is_stalled(&mut self) -> bool {
        // Before an end there is a time in which nothing is sent.
        let pauses = self.ending == Ending::Wanted
            && !self.is_new
            && self.answered >= self.farthest.max(self.sent);
        let stalled = self.answered == self.looked
            && (!self.is_done() && !pauses || self.sent > self.answered);
        self.looked = self.answered;
        stalled
    }
}
