//! What an ingest knows about the lines in flight.
//!
//! Requests leave in the order of the lines and answers come in the order of the requests, so a
//! queue of places is enough. Three places matter, each at or before the next:
//!
//! - **confirmed**: the node has stored a checkpoint here; earlier lines are forgotten;
//! - **answered**: every increment of every earlier line was answered, durably;
//! - **read**: every increment of every earlier line was sent.
//!
//! A refusal that asks for patience (busy, held, no room) stops the sending; when all answers
//! are in, sending starts again at the line refused first. What later lines had counted in
//! between is answered as a repeat by the stream's mark: nothing is lost, nothing counts twice.
//! A lost connection is the same, from the node's checkpoint.

use std::collections::VecDeque;

use crate::lines::Position;

/// A request whose answer is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// One increment of the line that begins here.
    Add(Position),
    /// The checkpoint of one stream.
    Checkpoint,
}

/// One checkpoint for all streams, on its way.
#[derive(Debug, Clone, Copy)]
struct Round {
    upto: Position,
    open: usize,
    refused: bool,
}

/// The lines in flight.
#[derive(Debug)]
pub struct Window {
    flying: VecDeque<Request>,
    limit: usize,
    read: Position,
    refused: Option<Position>,
    confirmed: Position,
    round: Option<Round>,
}

impl Window {
    /// Starts at `from`, which counts as confirmed, with at most `limit` increments in flight.
    pub fn new(from: Position, limit: usize) -> Window {
        let flying = VecDeque::with_capacity(limit);
        Window { flying, limit, read: from, refused: None, confirmed: from, round: None }
    }

    /// Returns how many more increments may be sent now: none after a refusal.
    pub fn free(&self) -> usize {
        if self.refused.is_some() { 0 } else { self.limit.saturating_sub(self.flying.len()) }
    }

    /// Says whether no answer is awaited.
    pub fn idle(&self) -> bool {
        self.flying.is_empty()
    }

    /// Notes that one increment of the line that begins at `line` was sent.
    pub fn sent(&mut self, line: Position) {
        self.flying.push_back(Request::Add(line));
    }

    /// Notes that every increment of every line before `upto` was sent.
    pub fn read_to(&mut self, upto: Position) {
        assert!(upto >= self.read, "reading only goes forward");
        self.read = upto;
    }

    /// Returns up to where every line was answered.
    pub fn answered(&self) -> Position {
        let first = self.flying.iter().find_map(|request| match request {
            Request::Add(line) => Some(*line),
            Request::Checkpoint => None,
        });
        self.refused.or(first).unwrap_or(self.read)
    }

    /// Returns up to where the node has stored a checkpoint.
    pub fn confirmed(&self) -> Position {
        self.confirmed
    }

    /// Begins a checkpoint of `streams` streams and returns its sequence; `None` while another
    /// is on its way or there is nothing new to confirm.
    pub fn begin_checkpoint(&mut self, streams: usize) -> Option<u64> {
        let upto = self.answered();
        if self.round.is_some() || upto <= self.confirmed || streams == 0 {
            return None;
        }
        self.round = Some(Round { upto, open: streams, refused: false });
        self.flying.extend(std::iter::repeat_n(Request::Checkpoint, streams));
        Some(upto.lines)
    }

    /// Returns the request that the next answer belongs to.
    pub fn front(&self) -> Option<Request> {
        self.flying.front().copied()
    }

    /// Notes the next answer: whether the node asked to send the request again later.
    pub fn answer(&mut self, again: bool) {
        match self.flying.pop_front() {
            Some(Request::Add(line)) if again => {
                self.refused.get_or_insert(line);
            }
            Some(Request::Checkpoint) => self.answer_checkpoint(again),
            Some(Request::Add(_)) | None => {}
        }
    }

    fn answer_checkpoint(&mut self, again: bool) {
        let Some(mut round) = self.round.take() else { return };
        round.open -= 1;
        round.refused |= again;
        if round.open > 0 {
            self.round = Some(round);
        } else if !round.refused {
            self.confirmed = round.upto;
        }
    }

    /// Returns, once, where to send again after a refusal, as soon as all answers are in.
    pub fn resend_from(&mut self) -> Option<Position> {
        if !self.idle() {
            return None;
        }
        let from = self.refused.take()?;
        self.read = from;
        Some(from)
    }

    /// Forgets what is in flight after a lost connection and returns where to go on, given the
    /// smallest checkpoint of the node; `None` if that lies before what it had confirmed.
    pub fn resume(&mut self, checkpoint: u64) -> Option<Position> {
        if checkpoint < self.confirmed.lines {
            return None;
        }
        // The answer to a checkpoint may have been lost while the checkpoint was not.
        let pending = self.round.take().map(|round| round.upto);
        if let Some(upto) = pending.filter(|upto| upto.lines <= checkpoint) {
            self.confirmed = upto;
        }
        self.flying.clear();
        self.refused = None;
        self.read = self.confirmed;
        Some(self.confirmed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Position, Request, Window};

    fn at(lines: u64) -> Position {
        Position { lines, offset: lines * 10 }
    }

    /// A window from `from` with one increment in flight for each line up to `to`.
    fn flying(from: u64, to: u64) -> Window {
        let mut window = Window::new(at(from), 100);
        for line in from..to {
            window.sent(at(line));
            window.read_to(at(line + 1));
        }
        window
    }

    #[test]
    fn answered_is_the_line_before_the_oldest_in_flight() {
        let mut window = flying(0, 3);
        assert_eq!(window.answered(), at(0));
        window.answer(false);
        assert_eq!(window.answered(), at(1));
        window.answer(false);
        window.answer(false);
        assert_eq!(window.answered(), at(3));
        window.read_to(at(9));
        assert_eq!(window.answered(), at(9), "lines without increments are answered when read");
    }

    #[test]
    fn a_line_is_answered_when_all_its_increments_are() {
        let mut window = Window::new(at(0), 100);
        window.sent(at(0));
        window.sent(at(0));
        window.read_to(at(1));
        window.answer(false);
        assert_eq!(window.answered(), at(0));
        window.answer(false);
        assert_eq!(window.answered(), at(1));
    }

    #[test]
    fn a_refusal_stops_the_sending_and_goes_back_when_all_answers_are_in() {
        let mut window = flying(0, 4);
        window.answer(false);
        window.answer(true);
        assert_eq!((window.free(), window.resend_from()), (0, None));
        window.answer(true);
        window.answer(false);
        assert_eq!(window.answered(), at(1));
        assert_eq!(window.resend_from(), Some(at(1)));
        assert_eq!((window.free(), window.resend_from()), (100, None));
        assert_eq!(window.answered(), at(1));
    }

    #[test]
    fn a_checkpoint_is_confirmed_when_every_stream_stored_it() {
        let mut window = flying(0, 4);
        window.answer(false);
        window.answer(false);
        assert_eq!(window.begin_checkpoint(2), Some(2));
        assert_eq!(window.begin_checkpoint(2), None, "one at a time");
        window.answer(false);
        window.answer(false);
        assert_eq!(window.front(), Some(Request::Checkpoint));
        assert_eq!(window.answered(), at(4));
        window.answer(false);
        assert_eq!(window.confirmed(), at(0));
        window.answer(false);
        assert_eq!(window.confirmed(), at(2));
    }

    #[test]
    fn a_checkpoint_that_one_stream_refused_is_not_confirmed_and_comes_again() {
        let mut window = flying(0, 1);
        window.answer(false);
        assert_eq!(window.begin_checkpoint(2), Some(1));
        window.answer(true);
        window.answer(false);
        assert_eq!(window.confirmed(), at(0));
        assert_eq!(window.begin_checkpoint(2), Some(1));
    }

    #[test]
    fn a_checkpoint_never_passes_a_refused_line() {
        let mut window = flying(0, 3);
        window.answer(false);
        window.answer(true);
        window.answer(false);
        assert_eq!(window.begin_checkpoint(1), Some(1));
    }

    #[test]
    fn after_a_lost_connection_all_unconfirmed_lines_come_again() {
        let mut window = flying(0, 4);
        window.answer(false);
        assert_eq!(window.resume(0), Some(at(0)));
        assert!(window.idle());
        assert_eq!(window.answered(), at(0));
    }

    #[test]
    fn a_checkpoint_whose_answer_was_lost_is_found_at_the_node() {
        let mut window = flying(0, 4);
        window.answer(false);
        window.answer(false);
        assert_eq!(window.begin_checkpoint(1), Some(2));
        assert_eq!(window.resume(2), Some(at(2)));
    }

    #[test]
    fn a_node_that_lost_a_confirmed_checkpoint_is_noticed() {
        let mut window = Window::new(at(5), 10);
        assert_eq!(window.resume(4), None);
    }
}
