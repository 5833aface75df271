//! One connection: its stream, its buffers, and the requests that are under way on it.

use std::collections::VecDeque;

use quipu_lab::failure::Failure;
use quipu_lab::request;
use quipu_lab::slot::Slot;

use crate::driver::{Done, Driver};
use crate::link::Endpoint;
use crate::stream::{Moved, Stream};

/// Room for replies at first: a few dozen small ones. It grows for a longer one.
const INPUT_BYTES: usize = 16 << 10;
/// The first wait before a connection is tried again; it doubles from try to try.
const BACKOFF_NS_MIN: u64 = 1_000_000;
/// The longest wait before a connection is tried again: a target that comes back is seen soon.
const BACKOFF_NS_MAX: u64 = 250_000_000;

/// A request that is under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flight {
    pub(crate) slot: Slot,
    pub(crate) sent_ns: u64,
    /// The stream of its token.
    pub(crate) tokens: request::Stream,
    tag: u64,
    /// Where it begins in all that was said on the connection.
    start: u64,
    /// How many bytes had come on its connection when it was sent.
    heard_bytes: u64,
}

/// A request that came to its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Landing {
    pub(crate) flight: Flight,
    pub(crate) outcome: Result<(), Failure>,
    /// Whether any of it went to the socket. What did not was never asked.
    pub(crate) is_written: bool,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// There is none; not to be tried before this moment.
    Down(u64),
    /// There is none, and the next request makes it.
    Fresh,
    /// It is being made, since this moment.
    Connecting(u64),
    /// Requests can be sent.
    Open,
}

/// What came of going on with connecting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More must come, and perhaps more must be written.
    WaitsToWrite(bool),
    /// Requests can be sent; the handshake of an encrypted one took so long.
    Open { handshake_ns: Option<u64> },
}

/// Why a connection ends with a request that is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standstill {
    /// Nothing has come on it for a whole timeout: no answer, nor a sign of life that was asked for.
    Silent,
    /// Answers come in order, so those of later requests wait for this one.
    InOrder,
}

/// Which queue a connection waits in for its next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Queue {
    #[default]
    None,
    Idle,
    Partial,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection<D> {
    pub(crate) state: State,
    pub(crate) stream: Option<Stream>,
    /// Whether the waiter was asked to tell when it can be written.
    pub(crate) is_watched_for_writing: bool,
    pub(crate) queue: Queue,
    /// Whether it is among those with bytes to write.
    pub(crate) is_dirty: bool,
    driver: D,
    /// The stream of tokens of what is sent next.
    tokens: request::Stream,
    flights: VecDeque<Flight>,
    input: Vec<u8>,
    start: usize,
    end: usize,
    output: Vec<u8>,
    written: usize,
    /// How much was said before what `output` holds.
    said: u64,
    done: Vec<Done>,
    /// Requests sent since it was opened.
    sent: u64,
    /// Bytes that came since it was opened.
    heard_bytes: u64,
    /// When the target was asked for a sign of life, and how many bytes had come then.
    asked: Option<(u64, u64)>,
    /// When its handshake began.
    reached_ns: Option<u64>,
    failures: u32,
}

impl<D: Driver> Connection<D> {
    /// Makes the connection of this number, which names its streams of tokens.
    pub(crate) fn new(number: u32, mut driver: D) -> Self {
        let depth = driver.depth();
        let mut output = Vec::new();
        driver.open(&mut output);
        Self {
            state: State::Down(0),
            stream: None,
            is_watched_for_writing: false,
            queue: Queue::None,
            is_dirty: false,
            driver,
            tokens: request::Stream::of(number),
            flights: VecDeque::with_capacity(depth),
            input: vec![0; INPUT_BYTES],
            start: 0,
            end: 0,
            output,
            written: 0,
            said: 0,
            done: Vec::new(),
            sent: 0,
            heard_bytes: 0,
            asked: None,
            reached_ns: None,
            failures: 0,
        }
    }

    /// Begins to connect.
    ///
    /// # Errors
    /// The class of what is known at once; the connection is down.
    pub(crate) fn connect(&mut self, endpoint: &Endpoint, now_ns: u64) -> Result<(), Failure> {
        match Stream::connect(endpoint) {
            Ok(stream) => {
                self.stream = Some(stream);
                self.state = State::Connecting(now_ns);
                Ok(())
            }
            Err(failure) => {
                self.back_off(now_ns);
                Err(failure)
            }
        }
    }

    /// Goes on with connecting.
    ///
    /// # Errors
    /// The class of why it failed; whoever asked takes the connection down.
    pub(crate) fn connected(&mut self, now_ns: u64) -> Result<Progress, Failure> {
        let Some(stream) = &mut self.stream else { return Err(Failure::ConnectFailed) };
        let reached_ns = *self.reached_ns.get_or_insert(now_ns);
        if !stream.connected()? {
            return Ok(Progress::WaitsToWrite(stream.has_unsent()));
        }
        let handshake_ns = stream.is_encrypted().then(|| now_ns.saturating_sub(reached_ns));
        if self.flights.is_empty() && !self.driver.is_ready() {
            let moved = self.flush()?;
            self.receive(&mut Vec::new())?;
            if !self.driver.is_ready() {
                return Ok(Progress::WaitsToWrite(moved == Moved::Later));
            }
        }
        self.state = State::Open;
        self.failures = 0;
        Ok(Progress::Open { handshake_ns })
    }

    /// Returns the class of a connection that is not made in time.
    pub(crate) fn late_class(&self) -> Failure {
        self.stream.as_ref().map_or(Failure::ConnectTimeout, Stream::late_class)
    }

    /// How many requests are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.flights.len()
    }

    /// Whether one more request can be sent, if it is used for `uses_max` requests.
    pub(crate) fn has_room(&self, uses_max: u64) -> bool {
        self.state == State::Open
            && self.flights.len() < self.driver.depth()
            && self.sent < uses_max
            && !self.driver.is_last()
    }

    /// Whether it has served its time.
    pub(crate) fn is_spent(&self, uses_max: u64) -> bool {
        self.flights.is_empty() && (self.sent >= uses_max || self.driver.is_last())
    }

    /// Appends the request of a slot to what is to be written.
    pub(crate) fn send(&mut self, slot: Slot, now_ns: u64) {
        let (tokens, start) = (self.tokens, self.said + self.output.len() as u64);
        let tag = self.driver.send(&slot, tokens, &mut self.output);
        let heard_bytes = self.heard_bytes;
        let flight = Flight { slot, sent_ns: now_ns, tokens, tag, start, heard_bytes };
        self.flights.push_back(flight);
        self.sent += 1;
    }

    /// Writes what it can.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn flush(&mut self) -> Result<Moved, Failure> {
        let Some(stream) = &mut self.stream else { return Ok(Moved::Later) };
        while let Some(rest) = self.output.get(self.written..).filter(|rest| !rest.is_empty()) {
            match stream.write(rest) {
                Moved::Bytes(count) => self.written += count,
                Moved::Later => return Ok(Moved::Later),
                Moved::End | Moved::Broken(_) => return Err(Failure::Write),
            }
        }
        self.said += self.written as u64;
        self.output.clear();
        self.written = 0;
        match stream.flush() {
            Moved::Broken(failure) => Err(failure),
            moved => Ok(moved),
        }
    }

    /// Whether there are bytes to write.
    pub(crate) fn has_output(&self) -> bool {
        self.written < self.output.len() || self.stream.as_ref().is_some_and(Stream::has_unsent)
    }

    /// Reads what has come and appends the requests that it ended.
    ///
    /// # Errors
    /// The connection has ended or what came is no answer; what ended before it is appended too.
    pub(crate) fn receive(&mut self, landings: &mut Vec<Landing>) -> Result<(), Failure> {
        loop {
            self.make_room();
            let Some(stream) = &mut self.stream else { return Ok(()) };
            let room = self.input.get_mut(self.end..).unwrap_or_default();
            let room_len = room.len();
            let moved = stream.read(room);
            let result = match moved {
                Moved::Bytes(count) => {
                    self.end += count;
                    self.heard_bytes += count as u64;
                    self.parse()
                }
                Moved::Later => return Ok(()),
                Moved::End => {
                    self.driver.end(&mut self.done);
                    Err(Failure::Closed)
                }
                Moved::Broken(failure) => Err(failure),
            };
            let has_unread = self.stream.as_ref().is_some_and(Stream::has_unread);
            self.land(landings);
            result?;
            // A read that did not fill the buffer has emptied the socket.
            if moved != Moved::Bytes(room_len) && !has_unread {
                return Ok(());
            }
        }
    }

    /// Moves what is left of the input to its beginning, and makes it longer if it is full.
    fn make_room(&mut self) {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        } else if self.end == self.input.len() {
            self.input.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.end == self.input.len() {
                // The driver bounds how long an answer may be.
                self.input.resize(self.end * 2, 0);
            }
        }
    }

    fn parse(&mut self) -> Result<(), Failure> {
        let input = self.input.get(self.start..self.end).unwrap_or_default();
        self.start += self.driver.receive(input, &mut self.output, &mut self.done)?;
        Ok(())
    }

    /// Matches ends with the requests under way: in order, or by their tags.
    fn land(&mut self, landings: &mut Vec<Landing>) {
        for done in self.done.drain(..) {
            let place = self.flights.iter().position(|flight| flight.tag == done.tag);
            if let Some(flight) = place.and_then(|place| self.flights.remove(place)) {
                leave(&mut self.tokens, &flight, done.outcome);
                landings.push(Landing { flight, outcome: done.outcome, is_written: true });
            }
        }
    }

    /// Whether the oldest request was sent before `before_ns`.
    pub(crate) fn is_overdue(&self, before_ns: u64) -> bool {
        self.flights.front().is_some_and(|flight| flight.sent_ns < before_ns)
    }

    /// Gives up the requests that were sent before `before_ns`, if the others can go on without them.
    /// Where nothing has come since, the target is asked for a sign of life: it may only be slow.
    pub(crate) fn give_up(
        &mut self,
        (before_ns, now_ns): (u64, u64),
        landings: &mut Vec<Landing>,
    ) -> Result<(), Standstill> {
        let is_late = |flight: &Flight| flight.sent_ns < before_ns;
        while let Some(flight) = self.flights.front().copied().filter(is_late) {
            self.cancel(&flight, before_ns, now_ns)?;
            self.flights.pop_front();
            let outcome = Err(Failure::Timeout);
            leave(&mut self.tokens, &flight, outcome);
            let is_written = flight.start < self.said + self.written as u64;
            landings.push(Landing { flight, outcome, is_written });
        }
        Ok(())
    }

    fn cancel(&mut self, flight: &Flight, before_ns: u64, now_ns: u64) -> Result<(), Standstill> {
        let is_silent = flight.heard_bytes == self.heard_bytes;
        let asked = self.asked.filter(|(_, heard_bytes)| *heard_bytes == self.heard_bytes);
        if asked.is_some_and(|(asked_ns, _)| asked_ns < before_ns) {
            return Err(Standstill::Silent);
        }
        if !self.driver.cancel(flight.tag, &mut self.output) {
            return Err(if is_silent { Standstill::Silent } else { Standstill::InOrder });
        }
        if is_silent && asked.is_none() && self.driver.ask(&mut self.output) {
            self.asked = Some((now_ns, self.heard_bytes));
        }
        Ok(())
    }

    /// Takes the connection down; all that is under way ends with `failure`.
    pub(crate) fn end(&mut self, failure: Failure, landings: &mut Vec<Landing>) {
        let (written, outcome) = (self.said + self.written as u64, Err(failure));
        for flight in self.flights.drain(..) {
            leave(&mut self.tokens, &flight, outcome);
            landings.push(Landing { flight, outcome, is_written: flight.start < written });
        }
        self.stream = None;
        self.reached_ns = None;
        self.is_watched_for_writing = false;
        (self.start, self.end, self.written, self.said) = (0, 0, 0, 0);
        self.output.clear();
        self.driver.open(&mut self.output);
        (self.sent, self.heard_bytes, self.asked) = (0, 0, None);
    }

    /// Returns what is said on it, for saying more of it elsewhere.
    pub(crate) fn into_driver(self) -> D {
        self.driver
    }

    /// Leaves the connection down for a while, longer from failure to failure.
    pub(crate) fn back_off(&mut self, now_ns: u64) {
        let wait_ns = (BACKOFF_NS_MIN << self.failures.min(10)).min(BACKOFF_NS_MAX);
        self.state = State::Down(now_ns + wait_ns);
        self.failures += 1;
    }
}

/// Leaves the stream of a request that failed: a later place in it would say that this one counted.
fn leave(tokens: &mut request::Stream, flight: &Flight, outcome: Result<(), Failure>) {
    if outcome.is_err() && flight.tokens == *tokens {
        tokens.turn += 1;
    }
}

#[cfg(test)]
mod tests;
