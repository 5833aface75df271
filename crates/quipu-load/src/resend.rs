//! After the plan: requests without an answer are sent again, and nothing of it is measured.
//!
//! A round goes out over a few connections at once, then all of its answers are awaited. What is sent
//! and what an answer means is decided by [`quipu_lab::settle`].

use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::park_timeout;
use std::time::Duration;

use quipu_lab::failure::Failure;
use quipu_lab::settle::{Limits, Open, Settle, Step};

use crate::clock::Clock;
use crate::driver::{Done, Driver};
use crate::ledger::{Account, Ledger};
use crate::link::{Endpoint, Link};
use crate::thread::Plan;

/// The most connections of one thread: enough for a group commit to be shared (guess).
const LINKS_MAX: usize = 16;
/// The most requests of a round on one connection: all of a round fit into socket buffers, so that
/// writing it before reading cannot block for ever (256 of some hundred bytes).
const ROUND_MAX: usize = 256;
/// How long a target may be silent, if the scenario has more patience.
const SILENCE_NS: u64 = 5_000_000_000;
/// How much is read at once.
const READ_BYTES: usize = 16 << 10;
/// How often it is looked whether somebody waits for the result.
const LOOK_NS: u64 = 20_000_000;

/// What is left to be done when the plan of a thread has ended.
#[derive(Debug)]
pub(crate) struct Resend<D> {
    endpoint: Endpoint,
    clock: Clock,
    stop: Arc<AtomicBool>,
    silence: Duration,
    ledger: Ledger,
    talks: Vec<Talk<D>>,
    seed: u64,
}

/// One connection and what is said on it.
#[derive(Debug)]
struct Talk<D> {
    driver: D,
    link: Option<Link>,
    output: Vec<u8>,
    input: Vec<u8>,
    /// What is under way, by the tags of the driver.
    under_way: Vec<(u64, Open)>,
    done: Vec<Done>,
    ended: Vec<(Open, Result<(), Failure>)>,
}

impl<D: Driver> Resend<D> {
    /// Goes on where a plan has ended, with some of its drivers.
    pub(crate) fn new(
        plan: Plan,
        clock: Clock,
        ledger: Ledger,
        drivers: impl Iterator<Item = D>,
    ) -> Self {
        Self {
            silence: Duration::from_nanos(plan.timeout_ns.min(SILENCE_NS)),
            endpoint: plan.endpoint,
            clock,
            stop: plan.stop,
            ledger,
            talks: drivers.take(LINKS_MAX).map(Talk::new).collect(),
            seed: plan.seed.wrapping_add(u64::from(plan.first)),
        }
    }

    /// Sends again what has no answer, until it has one or the time is over.
    pub(crate) fn run(mut self) -> Account {
        let unanswered = self.ledger.take_unanswered();
        let now_ns = self.clock.now_ns();
        let mut settle = Settle::new(unanswered, Limits::ENDED, self.seed, now_ns);
        loop {
            if self.stop.load(Ordering::Relaxed) {
                settle.hurry();
            }
            match self.send_round(&mut settle) {
                Step::Over => break,
                Step::WaitUntil(until_ns) => {
                    let wait_ns = until_ns.saturating_sub(self.clock.now_ns()).min(LOOK_NS);
                    park_timeout(Duration::from_nanos(wait_ns));
                }
                Step::Receive | Step::Send(_) => self.receive_round(&mut settle),
            }
        }
        self.ledger.close(&settle.finish())
    }

    /// Hands out what can go at once, and returns what is to be done then.
    fn send_round(&mut self, settle: &mut Settle) -> Step {
        let mut place = 0;
        while let Some(talk) = self.talks.get_mut(place) {
            if talk.is_full() {
                place += 1;
                continue;
            }
            let open = match settle.step(self.clock.now_ns()) {
                Step::Send(open) => open,
                other => return other,
            };
            if talk.send(open, &self.endpoint, self.silence).is_err() {
                settle.unsent(open.number, self.clock.now_ns());
            }
        }
        Step::Receive
    }

    /// Writes all of a round, then waits for its answers.
    fn receive_round(&mut self, settle: &mut Settle) {
        for talk in &mut self.talks {
            // What could not be written has no answer either.
            match talk.flush() {
                Ok(()) | Err(_) => {}
            }
        }
        for talk in &mut self.talks {
            while !talk.under_way.is_empty() {
                let is_late = self.clock.now_ns() >= settle.deadline_ns();
                talk.wait(is_late);
                let now_ns = self.clock.now_ns();
                self.ledger.settle(talk.ended.drain(..), settle, now_ns);
            }
        }
    }
}

impl<D: Driver> Talk<D> {
    fn new(driver: D) -> Self {
        Self {
            driver,
            link: None,
            output: Vec::new(),
            input: Vec::new(),
            under_way: Vec::new(),
            done: Vec::new(),
            ended: Vec::new(),
        }
    }

    /// Whether nothing more can be sent before answers come. One at a time can always be tried.
    fn is_full(&self) -> bool {
        let room = self.driver.depth().min(ROUND_MAX);
        let is_closing = self.driver.is_last();
        !self.under_way.is_empty() && (is_closing || self.under_way.len() >= room)
    }

    /// Appends a request to what is to be written, on a new connection if there is none.
    ///
    /// # Errors
    /// The connection could not be made.
    fn send(&mut self, open: Open, endpoint: &Endpoint, silence: Duration) -> Result<(), Failure> {
        if self.link.is_none() {
            self.output.clear();
            self.input.clear();
            self.driver.open(&mut self.output);
            self.link = Some(endpoint.open(silence).map_err(|_| Failure::ConnectFailed)?);
        }
        while !self.driver.is_ready() {
            self.receive().inspect_err(|_| self.link = None)?;
        }
        let tag = self.driver.send(&open.slot(), open.stream, &mut self.output);
        self.under_way.push((tag, open));
        Ok(())
    }

    /// Writes what is to be written.
    ///
    /// # Errors
    /// The connection is broken.
    fn flush(&mut self) -> Result<(), Failure> {
        let Some(link) = &mut self.link else { return Err(Failure::Closed) };
        let written = link.write_all(&self.output).and_then(|()| link.flush());
        self.output.clear();
        written.map_err(|_| Failure::Write)
    }

    /// Reads once, and finds the ends of requests in it.
    ///
    /// # Errors
    /// The connection has ended, nothing came for too long, or what came is no answer.
    fn receive(&mut self) -> Result<(), Failure> {
        self.flush()?;
        let Some(link) = &mut self.link else { return Err(Failure::Closed) };
        let start = self.input.len();
        self.input.resize(start + READ_BYTES, 0);
        let read = link.read(self.input.get_mut(start..).unwrap_or_default());
        self.input.truncate(start + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => {
                self.driver.end(&mut self.done);
                Err(Failure::Closed)
            }
            Ok(_) => {
                let taken = self.driver.receive(&self.input, &mut self.output, &mut self.done)?;
                self.input.drain(..taken);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Failure::Timeout),
            Err(_) => Err(Failure::Closed),
        }
    }

    /// Waits for answers and finds what has ended by them: all, if the connection has or it is too
    /// late.
    fn wait(&mut self, is_late: bool) {
        let received = if is_late { Err(Failure::Timeout) } else { self.receive() };
        for done in self.done.drain(..) {
            let place = self.under_way.iter().position(|(tag, _)| *tag == done.tag);
            let open = place.map(|place| self.under_way.swap_remove(place).1);
            self.ended.extend(open.map(|open| (open, done.outcome)));
        }
        if let Err(failure) = received {
            let lost = self.under_way.drain(..).map(|(_, open)| (open, Err(failure)));
            self.ended.extend(lost);
            self.link = None;
        } else if self.under_way.is_empty() && self.driver.is_last() {
            self.link = None;
        }
    }
}
