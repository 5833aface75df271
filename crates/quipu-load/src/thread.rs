//! The one loop: send what is due, read what is ready, wait.
//!
//! Every kind of test is this loop with another source of slots, late policy, pacing and driver. A
//! turn takes its time from one reading of the clock per socket that is read or written, so no request
//! is stamped with another's delay.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quipu_lab::backlog::{self, Step};
use quipu_lab::failure::Failure;
use quipu_lab::recording::{Latencies, latencies};
use quipu_lab::scenario::{Late, Pacing};
use quipu_lab::slot::Slot;

use crate::clock::Clock;
use crate::connection::{Connection, Landing, Progress, Queue, Standstill, State};
use crate::driver::Driver;
use crate::link::Endpoint;
use crate::notes::Notes;
use crate::punctuality::Punctuality;
use crate::resend::Resend;
use crate::source::Source;
use crate::stream::Moved;
use crate::wait::{Ready, Waiter};

/// How often connections are looked after: timeouts are met within this, and a stop is seen.
const CHORES_NS: u64 = 20_000_000;
/// How many slots are sent before answers are looked at again.
const SENDS_MAX: usize = 256;

/// How one thread sends.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) endpoint: Endpoint,
    /// The number of the first connection of this thread.
    pub(crate) first: u32,
    /// What is drawn for waits follows from it.
    pub(crate) seed: u64,
    pub(crate) late: Late,
    pub(crate) pacing: Pacing,
    /// Whether a connection is filled before the next one is used: in a closed loop requests that go
    /// together cost one write, while in an open one each is to find an idle connection.
    pub(crate) fills: bool,
    /// The most requests of this thread under way.
    pub(crate) in_flight_max: u64,
    /// For how many requests a connection is used.
    pub(crate) uses_max: u64,
    /// After how long a request or a connect has failed, in nanoseconds.
    pub(crate) timeout_ns: u64,
    /// When the plan ends, in nanoseconds from the start.
    pub(crate) end_ns: u64,
    /// Of each phase, whether it belongs to the result.
    pub(crate) recorded: Vec<bool>,
    pub(crate) stop: Arc<AtomicBool>,
}

/// What a thread found of itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lap {
    /// Turns of the loop: waits that ended.
    pub(crate) turns: u64,
    /// Connections that were given up because nothing came on them for a whole timeout.
    pub(crate) silent: u64,
    /// Connections that were not made within a timeout.
    pub(crate) unmade: u64,
    /// Requests that were under way when the time to drain was over, each for less than a timeout.
    pub(crate) cut_off: u64,
    /// When the loop ended, in nanoseconds from the start.
    pub(crate) end_ns: u64,
}

/// What a thread leaves when its plan has ended.
#[derive(Debug)]
pub(crate) struct Found<D> {
    pub(crate) lap: Lap,
    pub(crate) punctuality: Punctuality,
    /// How long the handshakes of encrypted connections took.
    pub(crate) handshakes: Option<Latencies>,
    /// What is still to be done, if books are kept.
    pub(crate) resend: Option<Resend<D>>,
}

/// One thread's share of a run.
#[derive(Debug)]
pub(crate) struct Lane<D> {
    plan: Plan,
    clock: Clock,
    waiter: Waiter,
    source: Source,
    notes: Notes,
    connections: Vec<Connection<D>>,
    /// Open connections without a request, the longest idle first.
    idle: VecDeque<u32>,
    /// Open connections with some requests and room for more.
    partial: VecDeque<u32>,
    dirty: Vec<u32>,
    ready: Vec<Ready>,
    landings: Vec<Landing>,
    /// Why no connection can be made, while that is so.
    outage: Option<Failure>,
    open: usize,
    chores_ns: u64,
    /// When a slot was last sent.
    sent_ns: u64,
    stopped_ns: Option<u64>,
    lap: Lap,
    punctuality: Punctuality,
    handshakes: Option<Latencies>,
}

impl<D: Driver> Lane<D> {
    /// Makes the lane and its connections, which are not connected yet.
    ///
    /// # Errors
    /// The process has too many open files.
    pub(crate) fn new(
        plan: Plan,
        source: Source,
        notes: Notes,
        drivers: Vec<D>,
    ) -> io::Result<Self> {
        let clock = Clock::starting_in(0);
        let (count, first) = (drivers.len(), plan.first);
        let punctuality = Punctuality::new(plan.recorded.clone());
        Ok(Self {
            plan,
            clock,
            waiter: Waiter::open(clock)?,
            source,
            notes,
            connections: (first..).zip(drivers).map(|(n, d)| Connection::new(n, d)).collect(),
            idle: VecDeque::with_capacity(count),
            partial: VecDeque::with_capacity(count),
            dirty: Vec::with_capacity(count),
            ready: Vec::new(),
            landings: Vec::new(),
            outage: None,
            open: 0,
            chores_ns: 0,
            sent_ns: 0,
            stopped_ns: None,
            lap: Lap::default(),
            punctuality,
            handshakes: None,
        })
    }

    /// Makes all connections before the run starts.
    ///
    /// # Errors
    /// The class of why one could not be made in time.
    pub(crate) fn connect(&mut self) -> Result<(), Failure> {
        let deadline_ns = self.clock.now_ns() + self.plan.timeout_ns;
        self.reconnect(self.clock.now_ns());
        while self.plan.uses_max == u64::MAX && self.open < self.connections.len() {
            if let Some(failure) = self.outage {
                return Err(failure);
            }
            if self.clock.now_ns() >= deadline_ns {
                return Err(Failure::ConnectTimeout);
            }
            self.wait(deadline_ns);
            self.receive();
        }
        Ok(())
    }

    /// Runs the plan, which starts when `clock` does, and returns what it found of itself.
    pub(crate) fn run(mut self, clock: Clock) -> Found<D> {
        self.clock = clock;
        self.waiter.restart(clock);
        while self.clock.now_ns() == 0 {
            self.wait(1);
            self.receive();
        }
        self.lap = Lap::default();
        self.punctuality.restart();
        (self.chores_ns, self.sent_ns) = (0, 0);
        loop {
            let now_ns = self.clock.now_ns();
            let wake_ns = self.send_due(now_ns);
            if self.is_over(now_ns) {
                break;
            }
            self.flush_dirty();
            let wake_ns = wake_ns.min(self.chores_ns).min(self.notes.window_end_ns());
            if wake_ns > now_ns {
                self.wait(wake_ns);
            } else {
                self.look();
            }
            self.receive();
            self.chores();
        }
        self.finish()
    }

    /// Sends what is due and returns when the next is.
    fn send_due(&mut self, now_ns: u64) -> u64 {
        let mut now_ns = now_ns;
        for _ in 0..SENDS_MAX {
            if self.stopped_ns.is_some() {
                return u64::MAX;
            }
            let Some(slot) = self.source.peek(now_ns, self.notes.in_flight()) else {
                return u64::MAX;
            };
            let has_room = self.outage.is_some() || self.has_room();
            if !has_room && slot.due_ns <= now_ns && self.notes.in_flight() > 0 {
                self.punctuality.full(now_ns);
            }
            match backlog::step(self.plan.late, &slot, now_ns, has_room) {
                Step::Send => now_ns = self.send(slot, now_ns),
                Step::Miss => {
                    self.notes.missed(&slot);
                    self.punctuality.left(&slot, now_ns);
                }
                Step::WaitUntil(due_ns) => return self.paced(due_ns),
                Step::WaitForRoom => return u64::MAX,
            }
            self.source.take();
        }
        now_ns
    }

    /// Moves a wake-up so that slots are sent together, as the pacing permits.
    fn paced(&self, due_ns: u64) -> u64 {
        let apart_ns = match self.plan.pacing {
            Pacing::Precise => 0,
            // As the scenario's documentation promises.
            Pacing::Balanced => 200_000,
            Pacing::Batch => 1_000_000,
        };
        due_ns.max((self.sent_ns + apart_ns).min(due_ns + apart_ns))
    }

    fn has_room(&self) -> bool {
        self.notes.in_flight() < self.plan.in_flight_max
            && !(self.idle.is_empty() && self.partial.is_empty())
    }

    /// Sends a slot on the connection that has been idle for longest, or else on one with room, and
    /// returns the time.
    fn send(&mut self, slot: Slot, now_ns: u64) -> u64 {
        self.sent_ns = now_ns;
        let Some(place) = self.next_place() else {
            let failure = self.outage.expect("there is room, or an outage");
            self.notes.unconnected(&slot, failure, now_ns);
            return now_ns;
        };
        let connection = self.connections.get_mut(place as usize).expect("a place of ours");
        connection.queue = Queue::None;
        let is_fresh = connection.state == State::Fresh;
        connection.send(slot, now_ns);
        if self.notes.in_flight() == 0 {
            self.punctuality.waits(now_ns);
        }
        self.notes.sent(&slot, now_ns);
        self.punctuality.left(&slot, now_ns);
        if is_fresh {
            self.begin(place, now_ns);
        } else if connection.has_room(self.plan.uses_max) {
            connection.queue = Queue::Partial;
            self.partial.push_front(place);
            if !connection.is_dirty {
                connection.is_dirty = true;
                self.dirty.push(place);
            }
            return now_ns;
        } else {
            self.flush(place);
        }
        self.clock.now_ns()
    }

    fn next_place(&mut self) -> Option<u32> {
        let (first, second) = if self.plan.fills {
            (&mut self.partial, &mut self.idle)
        } else {
            (&mut self.idle, &mut self.partial)
        };
        first.pop_front().or_else(|| second.pop_front())
    }

    fn flush_dirty(&mut self) {
        while let Some(place) = self.dirty.pop() {
            self.flush(place);
        }
    }

    fn flush(&mut self, place: u32) {
        let Some(connection) = self.connections.get_mut(place as usize) else { return };
        connection.is_dirty = false;
        if connection.state == State::Open {
            match connection.flush() {
                Ok(moved) => self.watch(place, moved == Moved::Later),
                Err(failure) => self.take_down(place, failure),
            }
        }
    }

    /// Asks to be told, or no longer, when a connection can be written.
    fn watch(&mut self, place: u32, writes: bool) {
        let Some(connection) = self.connections.get_mut(place as usize) else { return };
        if connection.is_watched_for_writing == writes {
            return;
        }
        let Some(stream) = &connection.stream else { return };
        connection.is_watched_for_writing = writes;
        if self.waiter.change(stream, place, writes).is_err() {
            self.take_down(place, Failure::Write);
        }
    }

    fn wait(&mut self, until_ns: u64) {
        self.ready.clear();
        self.waiter
            .wait(until_ns, &mut self.ready)
            .expect("waiting fails only for descriptors that are not ours");
        self.punctuality.woke(until_ns, self.clock.now_ns());
        self.lap.turns += 1;
    }

    /// Takes what is ready without waiting: there is more to send.
    fn look(&mut self) {
        self.ready.clear();
        self.waiter
            .look(&mut self.ready)
            .expect("looking fails only for descriptors that are not ours");
        self.lap.turns += 1;
    }

    fn receive(&mut self) {
        let ready = std::mem::take(&mut self.ready);
        for event in &ready {
            self.react(*event);
        }
        self.ready = ready;
    }

    fn react(&mut self, event: Ready) {
        let place = event.token;
        let Some(connection) = self.connections.get_mut(place as usize) else { return };
        if let State::Connecting(_) = connection.state {
            match connection.connected(self.clock.now_ns()) {
                Ok(Progress::WaitsToWrite(writes)) => self.watch(place, writes),
                Ok(Progress::Open { handshake_ns }) => self.opened(place, handshake_ns),
                Err(failure) => self.take_down(place, failure),
            }
        } else if event.is_readable {
            self.read(place, event.is_writable);
        } else {
            self.flush(place);
        }
    }

    /// Reads what has come on an open connection, and writes if that asks for it or `writes`.
    fn read(&mut self, place: u32, writes: bool) {
        let Some(connection) = self.connections.get_mut(place as usize) else { return };
        if connection.state != State::Open {
            return;
        }
        let result = connection.receive(&mut self.landings);
        let has_output = connection.has_output();
        self.land();
        match result {
            Ok(()) => self.freed(place),
            Err(failure) => self.take_down(place, failure),
        }
        if has_output || writes {
            self.flush(place);
        }
    }

    fn opened(&mut self, place: u32, handshake_ns: Option<u64>) {
        if let Some(handshake_ns) = handshake_ns {
            self.handshakes.get_or_insert_with(latencies).saturating_record(handshake_ns);
        }
        self.open += 1;
        self.outage = None;
        self.flush(place);
        self.freed(place);
        if handshake_ns.is_some() {
            // What came with the end of the handshake wakes nobody.
            self.read(place, false);
        }
    }

    /// Notes the requests that have ended, at one time.
    fn land(&mut self) {
        if self.landings.is_empty() {
            return;
        }
        let now_ns = self.clock.now_ns();
        if self.landings.iter().any(|landing| landing.outcome != Err(Failure::Timeout)) {
            self.punctuality.heard(now_ns);
        }
        for landing in self.landings.drain(..) {
            self.notes.ended(&landing, now_ns);
        }
    }

    /// Puts a connection where it belongs after answers came.
    fn freed(&mut self, place: u32) {
        let Some(connection) = self.connections.get_mut(place as usize) else { return };
        if connection.is_spent(self.plan.uses_max) {
            self.forget(place, Failure::Closed);
            return self.refresh(place);
        }
        let queue = match connection.under_way() {
            _ if !connection.has_room(self.plan.uses_max) => Queue::None,
            0 => Queue::Idle,
            _ => Queue::Partial,
        };
        if connection.queue == queue {
            return;
        }
        match std::mem::replace(&mut connection.queue, queue) {
            Queue::Partial => self.partial.retain(|other| *other != place),
            Queue::Idle => self.idle.retain(|other| *other != place),
            Queue::None => {}
        }
        match queue {
            Queue::Idle => self.idle.push_back(place),
            Queue::Partial => self.partial.push_back(place),
            Queue::None => {}
        }
    }

    /// Replaces a connection that is none any more: at once, or when a request asks for it if it is
    /// part of what is measured.
    fn refresh(&mut self, place: u32) {
        let now_ns = self.clock.now_ns();
        if self.plan.uses_max == u64::MAX {
            return self.begin(place, now_ns);
        }
        let Some(connection) = self.connections.get_mut(place as usize) else { return };
        connection.state = State::Fresh;
        connection.queue = Queue::Idle;
        self.idle.push_back(place);
    }

    /// Ends a connection that went wrong. It is tried again after a while; only when that fails too, and
    /// there is no other, is it an outage.
    fn take_down(&mut self, place: u32, failure: Failure) {
        let connection = self.connections.get(place as usize);
        let was_open = connection.is_some_and(|connection| connection.state == State::Open);
        self.forget(place, failure);
        let now_ns = self.clock.now_ns();
        if let Some(connection) = self.connections.get_mut(place as usize) {
            connection.back_off(now_ns);
        }
        if !was_open && self.open == 0 && self.plan.uses_max == u64::MAX {
            self.outage = Some(failure);
        }
        self.chores_ns = self.chores_ns.min(now_ns);
    }

    fn forget(&mut self, place: u32, failure: Failure) {
        let Some(connection) = self.connections.get_mut(place as usize) else { return };
        self.open -= usize::from(connection.state == State::Open);
        connection.end(failure, &mut self.landings);
        match std::mem::take(&mut connection.queue) {
            Queue::None => {}
            Queue::Idle => self.idle.retain(|other| *other != place),
            Queue::Partial => self.partial.retain(|other| *other != place),
        }
        self.land();
    }

    fn begin(&mut self, place: u32, now_ns: u64) {
        let Some(connection) = self.connections.get_mut(place as usize) else { return };
        let begun = connection.connect(&self.plan.endpoint, now_ns);
        connection.is_watched_for_writing = true;
        let watched = connection.stream.as_ref().map(|stream| self.waiter.add(stream, place, true));
        match (begun, watched) {
            (Ok(()), Some(Ok(()))) => {}
            (Err(failure), _) => self.take_down(place, failure),
            (Ok(()), _) => self.take_down(place, Failure::ConnectFailed),
        }
    }

    /// Looks after windows, timeouts and broken connections, from time to time.
    fn chores(&mut self) {
        let now_ns = self.clock.now_ns();
        if now_ns >= self.notes.window_end_ns() {
            let backlog = self.source.backlog(now_ns);
            self.notes.roll(now_ns, backlog);
        }
        if now_ns >= self.chores_ns {
            self.chores_ns = now_ns + CHORES_NS;
            self.time_out(now_ns);
            self.reconnect(now_ns);
            if self.stopped_ns.is_none() && self.plan.stop.load(Ordering::Relaxed) {
                self.stopped_ns = Some(now_ns);
            }
        }
    }

    fn time_out(&mut self, now_ns: u64) {
        let before_ns = now_ns.saturating_sub(self.plan.timeout_ns);
        for place in 0..self.connections.len() as u32 {
            let Some(connection) = self.connections.get(place as usize) else { return };
            match connection.state {
                State::Connecting(since_ns) if since_ns < before_ns => {
                    let failure = connection.late_class();
                    self.lap.unmade += 1;
                    self.take_down(place, failure);
                }
                State::Open if connection.is_overdue(before_ns) => {
                    self.give_up(place, before_ns);
                }
                _ => {}
            }
        }
    }

    /// Gives up the requests that are overdue, with their connection where nothing else is possible.
    fn give_up(&mut self, place: u32, before_ns: u64) {
        let Some(connection) = self.connections.get_mut(place as usize) else { return };
        let times_ns = (before_ns, before_ns.saturating_add(self.plan.timeout_ns));
        let given_up = connection.give_up(times_ns, &mut self.landings);
        self.land();
        if let Err(standstill) = given_up {
            self.lap.silent += u64::from(standstill == Standstill::Silent);
            return self.take_down(place, Failure::Timeout);
        }
        self.flush(place);
        self.freed(place);
    }

    fn reconnect(&mut self, now_ns: u64) {
        for place in 0..self.connections.len() as u32 {
            let Some(connection) = self.connections.get(place as usize) else { return };
            let State::Down(until_ns) = connection.state else { continue };
            if until_ns <= now_ns {
                self.refresh(place);
            } else {
                self.chores_ns = self.chores_ns.min(until_ns);
            }
        }
    }

    /// Whether nothing is left to do: the plan has ended and so have its requests, or the time to
    /// drain is over.
    fn is_over(&mut self, now_ns: u64) -> bool {
        let end_ns = self.stopped_ns.unwrap_or(self.plan.end_ns);
        if now_ns < end_ns {
            return false;
        }
        let is_drained = self.notes.in_flight() == 0
            && (self.stopped_ns.is_some() || self.source.peek(now_ns, u64::MAX).is_none());
        is_drained || now_ns >= end_ns.saturating_add(self.plan.timeout_ns)
    }

    /// Notes what was left over: slots that were due as missed, requests without an answer as timed
    /// out.
    fn finish(mut self) -> Found<D> {
        let now_ns = self.clock.now_ns();
        let due_ns = self.stopped_ns.unwrap_or(now_ns);
        while let Some(slot) =
            self.source.peek(due_ns, u64::MAX).filter(|slot| slot.due_ns <= due_ns)
        {
            self.notes.missed(&slot);
            self.source.take();
        }
        self.lap.cut_off = self.notes.in_flight();
        for place in 0..self.connections.len() as u32 {
            self.forget(place, Failure::Timeout);
        }
        self.notes.roll(now_ns, 0);
        self.lap.end_ns = now_ns;
        let ledger = self.notes.finish(now_ns);
        let drivers = self.connections.into_iter().map(Connection::into_driver);
        let resend = ledger.map(|ledger| Resend::new(self.plan, self.clock, ledger, drivers));
        Found { lap: self.lap, punctuality: self.punctuality, handshakes: self.handshakes, resend }
    }
}

#[cfg(test)]
mod tests;
