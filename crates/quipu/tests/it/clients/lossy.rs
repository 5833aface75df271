//! A network that loses answers, in front of a node that dies: what clients must survive.
//!
//! Requests are handed on; every few answers the connection ends instead, after the node has done
//! what was asked. Once, right after a request was handed on, the node is killed and started again.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use tempfile::TempDir;

use crate::node::{self, Node, Start};

/// Every so many answers one is lost. Guess: seldom enough that clients get on.
const LOSE_EVERY: usize = 4;

/// The request after which the node is killed. Guess: in the middle of what a test sends.
const KILL_AT: usize = 20;

/// What the requests that count have in them; connections begin with others.
const MARKS: [&[u8]; 3] = [b"TOKEN", b"dempotency-", b"INCR"];

/// A node behind such a network; dropping it ends both.
pub(crate) struct Lossy {
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
    _folder: TempDir,
}

struct Shared {
    start: Start,
    node: Mutex<Node>,
    /// `resp` or `http`.
    listener: &'static str,
    upstream: Mutex<SocketAddr>,
    asked: AtomicUsize,
    answered: AtomicUsize,
    lost: AtomicUsize,
    is_over: AtomicBool,
}

impl Lossy {
    /// Starts a node and the network in front of its listener `resp` or `http`.
    pub(crate) fn start(listener: &'static str) -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let start = node::start(&folder.path().join("data"));
        let node = start.run();
        let shared = Arc::new(Shared {
            upstream: Mutex::new(node.address(listener)),
            start,
            node: Mutex::new(node),
            listener,
            asked: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let socket = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = socket.local_addr().expect("a bound socket has an address");
        let accept = {
            let shared = Arc::clone(&shared);
            move || shared.accept(&socket)
        };
        let accepting = Some(thread::spawn(accept));
        Self { address, shared, accepting, _folder: folder }
    }

    /// Demands that answers were lost and the node was killed, and returns a counter's value.
    pub(crate) fn value(&self, counter: &str) -> Option<i64> {
        let lost = self.shared.lost.load(Ordering::SeqCst);
        assert!(lost > 5, "only {lost} answers were lost");
        let asked = self.shared.asked.load(Ordering::SeqCst);
        assert!(asked > KILL_AT, "the node was not killed within {asked} requests");
        let node = self.shared.node.lock().expect("no thread panics with it");
        node.resp().call(&format!("GET {counter}")).int()
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Wakes the accepting thread; an error means that it is gone already.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            accepting.join().expect("the accepting thread does not panic");
        }
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, socket: &TcpListener) {
        while let Ok((client, _)) = socket.accept() {
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            let upstream = *self.upstream.lock().expect("no thread panics with it");
            // A node that is down: the client's connection ends.
            let Ok(node) = TcpStream::connect(upstream) else { continue };
            self.relay(client, node);
        }
    }

    /// One thread for each direction; both end when either end closes.
    fn relay(self: &Arc<Self>, client: TcpStream, node: TcpStream) {
        let pending = Arc::new(AtomicBool::new(false));
        let copy = |socket: &TcpStream| socket.try_clone().expect("a socket can be shared");
        let (shared, asked) = (Arc::clone(self), Arc::clone(&pending));
        let (from, to) = (copy(&client), copy(&node));
        thread::spawn(move || shared.hand_on(from, to, &asked));
        let shared = Arc::clone(self);
        thread::spawn(move || shared.answer(node, client, &pending));
    }

    fn hand_on(&self, mut client: TcpStream, mut node: TcpStream, pending: &AtomicBool) {
        let mut buffer = [0; 4096];
        while let Ok(bytes @ 1..) = client.read(&mut buffer) {
            let counts =
                MARKS.iter().any(|mark| buffer[..bytes].windows(mark.len()).any(|w| w == *mark));
            if counts {
                pending.store(true, Ordering::SeqCst);
            }
            if node.write_all(&buffer[..bytes]).is_err() {
                break;
            }
            if counts && self.asked.fetch_add(1, Ordering::SeqCst) + 1 == KILL_AT {
                self.kill_and_start();
            }
        }
        end(&client, &node);
    }

    fn answer(&self, mut node: TcpStream, mut client: TcpStream, pending: &AtomicBool) {
        let mut buffer = [0; 4096];
        while let Ok(bytes @ 1..) = node.read(&mut buffer) {
            let is_due = pending.swap(false, Ordering::SeqCst)
                && self.answered.fetch_add(1, Ordering::SeqCst) % LOSE_EVERY == LOSE_EVERY - 1;
            if is_due {
                self.lost.fetch_add(1, Ordering::SeqCst);
                break;
            }
            if client.write_all(&buffer[..bytes]).is_err() {
                break;
            }
        }
        end(&client, &node);
    }

    fn kill_and_start(&self) {
        let mut node = self.node.lock().expect("no thread panics with it");
        node.kill();
        node.ended().expect("a killed process ends");
        *node = self.start.run();
        *self.upstream.lock().expect("no thread panics with it") = node.address(self.listener);
    }
}

fn end(client: &TcpStream, node: &TcpStream) {
    // Errors mean that they have ended already.
    drop(client.shutdown(Shutdown::Both));
    drop(node.shutdown(Shutdown::Both));
}
