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
        }
    }

    /// Whether all that the source has was answered.
    pub fn is_done(&self) -> bool {
        self.is_refused || (self.answered >= self.wanted && !self.is_new)
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
    }

    /// Loses the connection.
    pub fn disconnect(&mut self) {
        self.life = None;
    }

    /// Another process takes over and knows nothing but what the node stored.
    pub fn forget(&mut self) {
        self.life = None;
        self.is_new = true;
        (self.answered, self.sent, self.looked) = (0, 0, 0);
        self.scattered.clear();
    }

    /// What to do next, if anything. `fits` says whether several may go as one.
    pub fn next(&mut self, prng: &mut Prng, fits: bool) -> Option<Step> {
        if self.life.is_none() || self.is_refused {
            return None;
        }
        if self.is_new {
            return Some(Step::Resume);
        }
        if self.answered >= self.checkpoint + CHECKPOINT_EVERY {
            self.checkpoint = self.answered;
            return Some(Step::Checkpoint(self.answered));
        }
        let left = self.wanted.min(self.answered + WINDOW).saturating_sub(self.sent);
        if left == 0 {
            return None;
        }
        let count = if fits && left > 1 && prng.chance(1, 8) { 2 } else { 1 };
        let places: Vec<u64> = (self.sent + 1..=self.sent + count).collect();
        self.sent += count;
        Some(Step::Send(places))
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

    /// A place that was answered before is recognised as a repeat.
    ///
    /// # Errors
    /// It was counted again.
    pub fn check_repeat(&self, place: u64, answer: &Answer) -> Checked {
        let Ok(outcome) = answer.result else { return Ok(()) };
        let was = place <= self.settled || self.settled_beyond.contains(&place);
        ensure(!was || outcome.repeat == Repeat::Stream, Check::StreamOnce, || {
            format!("place {place} of stream {} counted again: {answer:?}", self.stream)
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
        let stalled =
            self.answered == self.looked && (!self.is_done() || self.sent > self.answered);
        self.looked = self.answered;
        stalled
    }
}
