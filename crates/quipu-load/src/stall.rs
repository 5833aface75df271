//! A target that answers at once and stalls once, so that the truth about its latencies is known.
//!
//! It speaks RESP and HTTP/1.1, told apart by the first byte of a connection, in one thread. The stall
//! is that thread asleep: the kernel goes on taking connections and bytes, as it does for a real
//! server that is held up by a lock, a collection of garbage or a disk.

mod listening;
mod request;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use stdx::units::Nanos;

use self::listening::Listening;

/// When a target stalls and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StallPlan {
    /// From the first request to the stall.
    pub after: Nanos,
    /// How long.
    pub lasting: Nanos,
}

/// What a target saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// How long it stalled, by its own clock, in nanoseconds; 0 if it did not.
    pub stall_ns: u64,
    /// When requests came, in nanoseconds, as long as there was room to note it.
    pub arrivals_ns: Vec<u64>,
    /// How many requests were answered.
    pub answered: u64,
}

/// A target that runs in a thread of its own.
#[derive(Debug)]
pub struct StallServer {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Seen>>,
}

impl StallServer {
    /// Starts a target at a port of loopback, 0 for any that is free. It notes when the first
    /// `arrivals_max` requests come.
    ///
    /// # Errors
    /// The port is taken, or the system gives no thread. Whatever goes wrong later is told by
    /// [`StallServer::finish`].
    pub fn start(port: u16, plan: Option<StallPlan>, arrivals_max: usize) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        let is_over = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&is_over);
        let thread = Builder::new()
            .name("stall".into())
            .spawn(move || Listening::open(listener, plan, arrivals_max, watched)?.run())?;
        Ok(Self { address, is_over, thread })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it and returns what it saw.
    ///
    /// # Errors
    /// It ended before, by an error of the system.
    pub fn finish(self) -> io::Result<Seen> {
        self.is_over.store(true, Ordering::Relaxed);
        // A connection wakes it. One that is refused finds it gone, which joining tells.
        drop(TcpStream::connect(self.address));
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the target panicked")))
    }
}

/// Does nothing for a while.
#[expect(
    clippy::disallowed_methods,
    reason = "a thread that sleeps is the stall that is wanted; its length is measured, not assumed"
)]
fn stall(lasting: Nanos) {
    std::thread::sleep(Duration::from_nanos(lasting.0));
}
