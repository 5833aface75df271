//! The thread of the target: connections, answers, and the one stall.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::request::Spoken;
use super::{Seen, StallPlan, stall};
use crate::clock::Clock;
use crate::pin;
use crate::wait::{Ready, Waiter};

/// The name of the listener among the sockets; connections count up from 1.
const LISTENER: u32 = 0;
/// Room for requests at first: a pipeline of small ones. It grows for a longer one.
const INPUT_BYTES: usize = 16 << 10;
/// The most bytes of answers that a client may leave unread: it is gone then.
const OUTPUT_BYTES_MAX: usize = 8 << 20;
/// Which thread of the program this is for pinning: the generator's first is 0, and the self-test has
/// one.
const PIN: u32 = 1;

/// The target.
#[derive(Debug)]
pub(super) struct Listening {
    listener: TcpListener,
    waiter: Waiter,
    clock: Clock,
    clients: BTreeMap<u32, Client>,
    next: u32,
    plan: Option<StallPlan>,
    /// When to stall, once a request has come.
    stall_ns: u64,
    arrivals_max: usize,
    seen: Seen,
    is_over: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Client {
    stream: TcpStream,
    spoken: Option<Spoken>,
    input: Vec<u8>,
    len: usize,
    output: Vec<u8>,
    is_watched_for_writing: bool,
    /// Whether it ends when all is written.
    is_last: bool,
}

/// The client is gone, or said what is no request.
struct Gone;

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl Listening {
    /// Prepares to listen.
    ///
    /// # Errors
    /// The process has too many open files.
    pub(super) fn open(
        listener: TcpListener,
        plan: Option<StallPlan>,
        arrivals_max: usize,
        is_over: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let clock = Clock::starting_in(0);
        let waiter = Waiter::open(clock)?;
        listener.set_nonblocking(true)?;
        waiter.add(&listener, LISTENER, false)?;
        Ok(Self {
            listener,
            waiter,
            clock,
            clients: BTreeMap::new(),
            next: LISTENER + 1,
            plan,
            stall_ns: u64::MAX,
            arrivals_max,
            seen: Seen { arrivals_ns: Vec::with_capacity(arrivals_max), ..Seen::default() },
            is_over,
        })
    }

    /// Answers until it is over, and returns what was seen.
    ///
    /// # Errors
    /// The system gives no more descriptors.
    pub(super) fn run(mut self) -> io::Result<Seen> {
        pin::pin(PIN, &pin::allowed_cpus());
        let mut ready = Vec::new();
        while !self.is_over.load(Ordering::Relaxed) {
            ready.clear();
            self.waiter.wait(self.stall_ns, &mut ready)?;
            let now_ns = self.clock.now_ns();
            if now_ns >= self.stall_ns {
                self.stall();
            }
            for event in &ready {
                self.react(*event)?;
            }
        }
        Ok(self.seen)
    }

    fn stall(&mut self) {
        self.stall_ns = u64::MAX;
        let Some(plan) = self.plan.take() else { return };
        let before_ns = self.clock.now_ns();
        stall(plan.lasting);
        self.seen.stall_ns = self.clock.now_ns() - before_ns;
    }

    fn react(&mut self, event: Ready) -> io::Result<()> {
        if event.token == LISTENER {
            return self.accept();
        }
        let Some(client) = self.clients.get_mut(&event.token) else { return Ok(()) };
        let now_ns = self.clock.now_ns();
        match client.serve() {
            Ok(requests) => {
                let writes = !client.output.is_empty();
                if client.is_watched_for_writing != writes {
                    client.is_watched_for_writing = writes;
                    self.waiter.change(&client.stream, event.token, writes)?;
                }
                if client.is_last && !writes {
                    self.clients.remove(&event.token);
                }
                self.note(requests, now_ns);
            }
            Err(Gone) => drop(self.clients.remove(&event.token)),
        }
        Ok(())
    }

    /// Notes requests that came together, and when to stall after the first.
    fn note(&mut self, requests: u64, now_ns: u64) {
        if requests == 0 {
            return;
        }
        if let Some(plan) = self.plan.filter(|_| self.seen.answered == 0) {
            self.stall_ns = now_ns.saturating_add(plan.after.0);
        }
        self.seen.answered += requests;
        let room = self.arrivals_max.saturating_sub(self.seen.arrivals_ns.len());
        let noted = room.min(requests as usize);
        self.seen.arrivals_ns.extend(std::iter::repeat_n(now_ns, noted));
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // A client that has gone again.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            self.waiter.add(&stream, self.next, false)?;
            let client = Client {
                stream,
                spoken: None,
                input: vec![0; INPUT_BYTES],
                len: 0,
                output: Vec::new(),
                is_watched_for_writing: false,
                is_last: false,
            };
            self.clients.insert(self.next, client);
            self.next = self.next.wrapping_add(1).max(LISTENER + 1);
        }
    }
}

impl Client {
    /// Reads what has come, writes the answers, and returns how many requests it was.
    fn serve(&mut self) -> Result<u64, Gone> {
        let mut requests = 0;
        while self.read()? {
            requests += self.answer()?;
        }
        self.flush()?;
        Ok(requests)
    }

    /// Reads what has come; false if nothing has.
    fn read(&mut self) -> Result<bool, Gone> {
        let room = self.input.get_mut(self.len..).unwrap_or_default();
        match self.stream.read(room) {
            Ok(0) => Err(Gone),
            Ok(count) => {
                self.len += count;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Appends the answers to all requests that are complete, and keeps the rest.
    fn answer(&mut self) -> Result<u64, Gone> {
        let (mut taken, mut requests) = (0, 0);
        while let Some(rest) = self.input.get(taken..self.len).filter(|rest| !rest.is_empty()) {
            let first = rest.first().copied().unwrap_or_default();
            let spoken = *self.spoken.get_or_insert_with(|| Spoken::of(first));
            let Some(request) = spoken.request(rest).map_err(|_| Gone)? else { break };
            self.output.extend_from_slice(request.answer);
            self.is_last |= request.is_last;
            taken += request.len;
            requests += 1;
        }
        self.input.copy_within(taken..self.len, 0);
        self.len -= taken;
        if self.len == self.input.len() {
            // The longest request is bounded.
            self.input.resize(self.len * 2, 0);
        }
        Ok(requests)
    }

    fn flush(&mut self) -> Result<(), Gone> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(0) => return Err(Gone),
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        if self.output.len() > OUTPUT_BYTES_MAX { Err(Gone) } else { Ok(()) }
    }
}
