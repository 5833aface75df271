//! One event loop: reads what is ready, decides it, commits once, answers.
//!
//! A turn takes all sockets that are ready, runs their commands to completion, then commits if some
//! reply waits: in this loop where a sync is short, by the committer where it is long.

use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use quipu_metrics::label::{ConnectionCut, ConnectionRefusal, Surface};
use quipu_metrics::name::{Counter, Gauge};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::Timespec;

use crate::clock::Stopwatch;
use crate::complaint::Complaint;
use crate::hub::Hub;
use crate::resp::connection::{Books, Connection, Progress};
use crate::resp::peers::Peers;
use crate::resp::pipeline::Pipeline;
use crate::resp::session::Turn;

/// Most sockets handled in one turn: a turn stays bounded, and 512 commands fill a commit well.
/// Guess.
const EVENTS_MAX: usize = 512;

/// Bytes read from one socket in one turn. Measured elsewhere: deep pipelines of small commands
/// fill 16 KiB to 64 KiB; one buffer serves all connections of a loop.
const READ_BYTES: usize = 64 * 1024;

/// How often a loop looks at idle connections.
const TICK: Duration = Duration::from_secs(1);

/// How long to wait where accepting fails, mostly for want of file descriptors. Guess.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const LISTENER: u64 = u64::MAX;
const WAKER: u64 = u64::MAX - 1;

/// One event loop and its connections.
#[derive(Debug)]
pub(crate) struct Worker {
    hub: Arc<Hub>,
    peers: Arc<Peers>,
    index: usize,
    epoll: OwnedFd,
    listener: Arc<TcpListener>,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    scratch: Vec<u8>,
    pipeline: Pipeline,
    /// Connections that had something to do in this turn.
    touched: Vec<usize>,
    /// Connections that hold replies from earlier turns.
    waiting: Vec<usize>,
    /// Connections whose next command waits for a ranking.
    awaiting: Vec<usize>,
    /// Changes that the node's books do not have yet.
    rebooked: Books,
    /// Since when the loop does not listen, because it could accept nobody.
    deaf: Option<Stopwatch>,
    complaint: Complaint,
}

impl Worker {
    /// Makes the loop with this number; it shares the listener with the others.
    ///
    /// # Errors
    /// The process has no descriptor left.
    pub(crate) fn new(
        hub: Arc<Hub>,
        peers: Arc<Peers>,
        index: usize,
        listener: Arc<TcpListener>,
    ) -> std::io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let wake = hub.waker(index).descriptor();
        epoll::add(&epoll, wake, EventData::new_u64(WAKER), EventFlags::IN)?;
        listen(&epoll, &listener)?;
        Ok(Self {
            hub,
            peers,
            index,
            epoll,
            listener,
            connections: Vec::new(),
            free: Vec::new(),
            scratch: vec![0; READ_BYTES],
            pipeline: Pipeline::default(),
            touched: Vec::new(),
            waiting: Vec::new(),
            awaiting: Vec::new(),
            rebooked: Books::default(),
            deaf: None,
            complaint: Complaint::default(),
        })
    }

    /// Runs until the node stops and all that was promised is sent.
    pub(crate) fn run(mut self) {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS_MAX);
        let mut looked = Stopwatch::start();
        loop {
            events.clear();
            let tick = if self.deaf.is_some() { ACCEPT_PAUSE } else { TICK };
            let tick =
                Timespec { tv_sec: tick.as_secs() as i64, tv_nsec: i64::from(tick.subsec_nanos()) };
            let room = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.epoll, room, Some(&tick)) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => {
                    tracing::error!(%error, "the event loop cannot wait for its sockets");
                    self.hub.stop();
                    return;
                }
            }
            self.turn(&events);
            self.listen_again();
            if looked.elapsed() >= TICK {
                looked = Stopwatch::start();
                self.close_idle();
            }
            if self.hub.is_stopping() {
                self.drain();
                return;
            }
        }
    }

    fn turn(&mut self, events: &[Event]) {
        let (hub, peers) = (Arc::clone(&self.hub), Arc::clone(&self.peers));
        let mut turn = Turn::begin(&hub, &peers, std::mem::take(&mut self.pipeline));
        for event in events {
            match event.data.u64() {
                LISTENER => self.accept(),
                WAKER => {
                    self.hub.waker(self.index).settle();
                    self.touch_awaiting();
                }
                id => self.ready(id as usize, event.flags, &mut turn),
            }
        }
        self.pipeline = turn.end();
        let held = self.touched.iter().any(|&id| self.is_held(id)) || !self.waiting.is_empty();
        if held {
            self.commit();
        } else {
            self.hub.relieve();
        }
        self.answer();
    }

    /// Looks in this turn at those who wait for a ranking: it may be there.
    fn touch_awaiting(&mut self) {
        for id in std::mem::take(&mut self.awaiting) {
            if let Some(connection) = self.connections.get_mut(id).and_then(Option::as_mut)
                && !connection.marked
            {
                connection.marked = true;
                self.touched.push(id);
            }
        }
    }

    fn is_held(&self, id: usize) -> bool {
        self.connection(id).is_some_and(|c| c.output.is_held())
    }

    fn connection(&self, id: usize) -> Option<&Connection> {
        self.connections.get(id).and_then(Option::as_ref)
    }

    /// Sees to it that what is held becomes durable.
    fn commit(&self) {
        let hub = &self.hub;
        hub.waker(self.index).set_waiting(true);
        if !hub.loop_commits() {
            hub.commit_bell.ring();
        } else if hub.node.is_dirty() {
            // Where another thread commits right now, it wakes this loop when it is done.
            let _other = hub.try_commit(self.index);
        }
    }

    /// Lets go what is durable and sends what can be sent, then goes on with what had to wait.
    fn answer(&mut self) {
        let mut ids = std::mem::take(&mut self.touched);
        ids.append(&mut self.waiting);
        let now = Stopwatch::start();
        for id in ids.drain(..) {
            self.answer_one(id, now);
        }
        self.publish_books();
        self.touched = ids;
        let waiting = !self.waiting.is_empty();
        self.hub.waker(self.index).set_waiting(waiting);
        if waiting {
            self.catch_up();
        }
    }

    fn publish_books(&mut self) {
        let Books { bytes, held } = std::mem::take(&mut self.rebooked);
        if held != 0 {
            self.hub.registry.shift(Gauge::HeldReplies, held);
        }
        self.hub.note_inflight(bytes);
    }

    /// A commit may have ended between the look at a reply and the word that it waits: look again.
    fn catch_up(&mut self) {
        let hub = Arc::clone(&self.hub);
        let overdue = self.waiting.iter().any(|&id| {
            self.connection(id).is_some_and(|c| c.output.front_is_free(|d| hub.must_wait(d)))
        });
        let unclaimed = hub.loop_commits() && hub.node.is_dirty();
        if overdue || unclaimed || hub.has_failed() {
            hub.waker(self.index).wake();
        }
    }

    fn answer_one(&mut self, id: usize, now: Stopwatch) {
        let Some(connection) = self.connections.get_mut(id).and_then(Option::as_mut) else {
            return;
        };
        connection.marked = false;
        let hub = &self.hub;
        if hub.has_failed() {
            connection.fail();
        }
        connection.release(hub, now);
        loop {
            match connection.send(hub) {
                Progress::Close => return self.close(id),
                Progress::Stalled | Progress::Done => {}
            }
            if !connection.can_resume(hub) {
                break;
            }
            // Commands that had to wait go on now.
            let pipeline = std::mem::take(&mut self.pipeline);
            let mut turn = Turn::begin(hub, &self.peers, pipeline);
            connection.resume(&mut turn);
            self.pipeline = turn.end();
            connection.release(hub, now);
        }
        let change = connection.rebook();
        self.rebooked.bytes += change.bytes;
        self.rebooked.held += change.held;
        if connection.output.is_held() {
            connection.marked = true;
            self.waiting.push(id);
        }
        if connection.is_awaiting() && !self.awaiting.contains(&id) {
            self.awaiting.push(id);
        }
        if connection.update_interest(&self.epoll, id as u64).is_err() {
            self.close(id);
        }
    }

    fn ready(&mut self, id: usize, flags: EventFlags, turn: &mut Turn<'_>) {
        let Some(connection) = self.connections.get_mut(id).and_then(Option::as_mut) else {
            return;
        };
        if !connection.marked {
            connection.marked = true;
            self.touched.push(id);
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            connection.read(&mut self.scratch, turn);
        }
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.admit(stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.pause_accepting(&error),
            }
        }
    }

    fn pause_accepting(&mut self, error: &std::io::Error) {
        self.hub.registry.add(Counter::ConnectionsRefused(ConnectionRefusal::Accept), 1);
        if self.complaint.is_due() {
            tracing::warn!(%error, "connections cannot be accepted");
        }
        // Who waits stays in the kernel's queue. Were the loop told of it all the time, it would do
        // nothing else.
        if epoll::delete(&self.epoll, &self.listener).is_ok() {
            self.deaf = Some(Stopwatch::start());
        }
    }

    /// Listens again some time after nobody could be accepted.
    fn listen_again(&mut self) {
        if self.deaf.is_some_and(|since| since.elapsed() >= ACCEPT_PAUSE)
            && listen(&self.epoll, &self.listener).is_ok()
        {
            self.deaf = None;
        }
    }

    fn admit(&mut self, stream: TcpStream) {
        if !self.hub.enter() {
            self.hub.registry.add(Counter::ConnectionsRefused(ConnectionRefusal::Limit), 1);
            // The answer is a courtesy: the connection is closed either way.
            let _sent = (&stream).write_all(b"-ERR max number of clients reached\r\n").is_ok();
            return;
        }
        let peer = self.peers.join(&stream);
        let id = self.free.last().copied().unwrap_or(self.connections.len());
        let connection = Connection::new(stream, peer, &self.hub.settings);
        let Ok(connection) = connection.register(&self.epoll, id as u64) else {
            self.peers.leave(peer);
            self.hub.leave();
            return;
        };
        self.free.pop();
        self.hub.registry.add(Counter::ConnectionsAccepted(Surface::Resp), 1);
        self.hub.registry.shift(Gauge::ConnectionsOpen(Surface::Resp), 1);
        match self.connections.get_mut(id) {
            Some(slot) => *slot = Some(connection),
            None => self.connections.push(Some(connection)),
        }
    }

    fn close(&mut self, id: usize) {
        let Some(slot) = self.connections.get_mut(id) else { return };
        if let Some(connection) = slot.take() {
            let gone = connection.booked();
            self.rebooked.bytes -= gone.bytes;
            self.rebooked.held -= gone.held;
            self.peers.leave(connection.peer());
            self.hub.leave();
            self.hub.registry.shift(Gauge::ConnectionsOpen(Surface::Resp), -1);
            self.free.push(id);
        }
    }

    fn close_idle(&mut self) {
        let Some(timeout) = self.hub.settings.resp.idle_timeout else { return };
        let timeout = Duration::from_nanos(timeout.0);
        for id in 0..self.connections.len() {
            if self.connection(id).is_some_and(|c| c.is_idle(timeout)) {
                self.hub.registry.add(Counter::ConnectionsCut(ConnectionCut::Idle), 1);
                self.close(id);
            }
        }
    }

    /// Answers what was asked before the stop, as far as clients take it.
    fn drain(&mut self) {
        // A failed log is answered as unknown; all else becomes durable here.
        let _failed = self.hub.commit().is_err();
        self.touched = (0..self.connections.len()).collect();
        self.waiting.clear();
        self.answer();
        for id in 0..self.connections.len() {
            self.close(id);
        }
    }
}

/// Has `epoll` tell one of the loops that share the listener of each connection.
fn listen(epoll: &OwnedFd, listener: &TcpListener) -> std::io::Result<()> {
    let shared = EventFlags::IN | EventFlags::EXCLUSIVE;
    Ok(epoll::add(epoll, listener, EventData::new_u64(LISTENER), shared)?)
}

/// Reads once; none at the end of the stream or on a broken one. The raw call spares what the C
/// library does around each of its own in a process of several threads: about 2 % of the CPU of an
/// unpipelined INCR (perf).
pub(crate) fn read_some(stream: &TcpStream, buffer: &mut [u8]) -> Option<usize> {
    loop {
        match rustix::io::read(stream, &mut *buffer) {
            Ok(0) => return None,
            Ok(n) => return Some(n),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => return Some(0),
            Err(_) => return None,
        }
    }
}
