//! One Redis client: its bytes in, its replies out, and what it has told about itself.

use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::Duration;

use quipu_metrics::label::{ConnectionCut, Surface};
use quipu_metrics::name::{Counter, Timing};
use quipu_metrics::settings::Settings;
use rustix::event::epoll::{self, EventData, EventFlags};
use stdx::units::Nanos;

use crate::clock::Stopwatch;
use crate::hub::Hub;
use crate::resp::output::Output;
use crate::resp::session::{Flow, Session, Turn};
use crate::resp::worker::read_some;

/// Output memory that an idle connection keeps. Guess: a deep pipeline's worth.
const IDLE_OUTPUT_BYTES: usize = 64 * 1024;

/// The answer to what was in flight when the log failed.
const UNKNOWN: &[u8] =
    b"-UNKNOWN the log failed: it may have been counted; retry with the same token\r\n";

/// One client.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// Received and not yet run: the start of a command, or commands that wait for room.
    input: Vec<u8>,
    pub(crate) output: Output,
    session: Session,
    /// Whether the loop has it on a list for this turn.
    pub(crate) marked: bool,
    interest: EventFlags,
    /// No more commands are read; it closes when all is sent.
    ending: bool,
    /// Commands wait in `input` until output has left.
    stalled: bool,
    output_bytes_max: usize,
    stall_bytes: usize,
    active: Stopwatch,
    /// When the turn began whose replies are the oldest that wait.
    asked: Option<Stopwatch>,
    /// Commands since then.
    commands: u64,
    /// What the node's books have for it.
    booked: Books,
}

/// What connections hold, or a change of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Books {
    /// Bytes of requests and replies.
    pub(crate) bytes: i64,
    /// Replies that wait for the log.
    pub(crate) held: i64,
}

/// How far sending came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// All that may leave has left.
    Done,
    /// The client does not take more now.
    Stalled,
    /// The connection is over.
    Close,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, peer: u64, settings: &Settings) -> Self {
        Self {
            stream,
            input: Vec::new(),
            output: Output::default(),
            session: Session::new(peer, settings),
            marked: false,
            interest: EventFlags::empty(),
            ending: false,
            stalled: false,
            output_bytes_max: settings.limits.output_bytes.0 as usize,
            stall_bytes: settings.limits.pipeline_bytes.0 as usize,
            active: Stopwatch::start(),
            asked: None,
            commands: 0,
            booked: Books::default(),
        }
    }

    /// Puts a new connection under the loop's eyes.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn register(mut self, epoll: &OwnedFd, id: u64) -> std::io::Result<Self> {
        self.stream.set_nonblocking(true)?;
        self.stream.set_nodelay(true)?;
        self.interest = EventFlags::IN;
        epoll::add(epoll, &self.stream, EventData::new_u64(id), self.interest)?;
        Ok(self)
    }

    /// Which peer it is.
    pub(crate) fn peer(&self) -> u64 {
        self.session.peer()
    }

    /// Reads once and runs what is complete.
    pub(crate) fn read(&mut self, scratch: &mut [u8], turn: &mut Turn<'_>) {
        if self.ending || self.stalled {
            return;
        }
        let Some(n) = read_some(&self.stream, scratch) else {
            self.ending = true;
            return;
        };
        if n == 0 {
            return;
        }
        self.active = turn.watch;
        self.asked = self.asked.or(Some(turn.watch));
        turn.note_input(n);
        let bytes = scratch.get(..n).unwrap_or(&[]);
        if self.input.is_empty() {
            let taken = self.run(bytes, turn);
            self.input.extend_from_slice(bytes.get(taken..).unwrap_or(&[]));
        } else {
            self.input.extend_from_slice(bytes);
            self.run_input(turn);
        }
    }

    fn run_input(&mut self, turn: &mut Turn<'_>) {
        let input = std::mem::take(&mut self.input);
        let taken = self.run(&input, turn);
        self.input = input;
        self.input.drain(..taken);
    }

    /// Runs complete commands; returns how many bytes they took.
    fn run(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> usize {
        let before = turn.tally.commands();
        let (taken, flow) = self.session.run(bytes, self.stall_bytes, turn, &mut self.output);
        self.commands += turn.tally.commands() - before;
        self.stalled = matches!(flow, Flow::Full | Flow::Wait);
        self.ending |= flow == Flow::End;
        taken
    }

    /// Whether commands wait for room in the output or for a ranking, and it is there.
    pub(crate) fn can_resume(&self, hub: &Hub) -> bool {
        let has_room = self.output.pending() <= self.stall_bytes / 2;
        self.stalled && has_room && !self.session.must_await(hub)
    }

    /// Whether a command waits for a ranking.
    pub(crate) fn is_awaiting(&self) -> bool {
        self.session.is_awaiting()
    }

    /// Goes on with commands that had to wait.
    pub(crate) fn resume(&mut self, turn: &mut Turn<'_>) {
        self.stalled = false;
        self.run_input(turn);
    }

    /// Lets go what is durable and records how long it took. Commands that came in one turn are
    /// recorded with the last of them.
    pub(crate) fn release(&mut self, hub: &Hub, now: Stopwatch) {
        let was_held = self.output.is_held();
        let released = self.output.release(|depends| hub.must_wait(depends));
        if self.output.is_held() || self.is_awaiting() {
            return;
        }
        let Some(asked) = self.asked.take() else { return };
        let took = Nanos((now.since(asked)).as_nanos() as u64);
        let commands = std::mem::take(&mut self.commands);
        hub.registry.record_many(Timing::RequestDuration(Surface::Resp), took, commands);
        if was_held {
            hub.registry.record_many(Timing::CommitWait, took, u64::from(released));
        }
    }

    /// Brings the node's books up to what it holds; returns the change.
    pub(crate) fn rebook(&mut self) -> Books {
        let bytes = (self.input.len() + self.output.pending()) as i64;
        let now = Books { bytes, held: i64::from(self.output.held()) };
        let before = std::mem::replace(&mut self.booked, now);
        Books { bytes: now.bytes - before.bytes, held: now.held - before.held }
    }

    /// What the node's books have for it.
    pub(crate) fn booked(&self) -> Books {
        self.booked
    }

    /// The log failed: what waits is answered as unknown, and nothing more is read.
    pub(crate) fn fail(&mut self) {
        self.output.fail(UNKNOWN);
        self.ending = true;
    }

    /// Sends what may leave.
    pub(crate) fn send(&mut self, hub: &Hub) -> Progress {
        let progress = self.send_all(hub);
        if progress == Progress::Close {
            return Progress::Close;
        }
        if self.output.pending() > self.output_bytes_max {
            hub.registry.add(Counter::ConnectionsCut(ConnectionCut::Unread), 1);
            return Progress::Close;
        }
        if self.ending && self.output.pending() == 0 {
            return Progress::Close;
        }
        self.output.shrink(IDLE_OUTPUT_BYTES);
        progress
    }

    fn send_all(&mut self, hub: &Hub) -> Progress {
        loop {
            let bytes = self.output.sendable();
            if bytes.is_empty() {
                return Progress::Done;
            }
            match rustix::io::write(&self.stream, bytes) {
                Ok(n) => {
                    hub.registry.add(Counter::OutputBytes(Surface::Resp), n as u64);
                    self.output.note_sent(n);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Progress::Stalled,
                Err(_) => return Progress::Close,
            }
        }
    }

    /// Tells the kernel what the loop waits for on this connection.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn update_interest(&mut self, epoll: &OwnedFd, id: u64) -> std::io::Result<()> {
        let mut wanted = EventFlags::empty();
        if !self.stalled && !self.ending {
            wanted |= EventFlags::IN;
        }
        if !self.output.sendable().is_empty() {
            wanted |= EventFlags::OUT;
        }
        if wanted != self.interest {
            self.interest = wanted;
            epoll::modify(epoll, &self.stream, EventData::new_u64(id), wanted)?;
        }
        Ok(())
    }

    /// Whether it has been silent for `timeout` with nothing under way.
    pub(crate) fn is_idle(&self, timeout: Duration) -> bool {
        self.output.pending() == 0 && self.active.elapsed() >= timeout
    }
}
