//! History read beside the node: for a counter's history, an audit, and backups.
//!
//! Each request is a job of one of few threads of low priority; what it reads leaves through a
//! bounded channel, so a client that takes nothing makes its job wait and nothing else. A job holds
//! the history that it reads ([`Pin`]) and no lock, but for the short looks at a shard.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use hyper::body::Bytes;
use parking_lot::Mutex;
use quipu_core::node::Cells;
use quipu_log::fold::{Folder, Outcome};
use quipu_log::history::{self, History, Pin};
use quipu_log::recount::{Told, recount_live};
use quipu_log::storage::os::Os;
use quipu_wire::archive::{self, Chunk, Hello};
use quipu_wire::http::problem::{Kind, Problem};
use quipu_wire::json::history::{Line, MEDIA_TYPE};
use stdx::units::Bytes as Size;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Stopwatch;
use crate::hub::Hub;

/// Threads that read: an audit or a backup does not keep a person's question waiting. Guess.
pub(crate) const READERS: usize = 2;

/// How long a reader waits before it looks whether the node stops. Guess.
const PATIENCE: Duration = Duration::from_millis(100);

/// How far reading stands back behind those who answer clients, as folding does. Guess.
const NICENESS: i32 = 10;

/// Parts that wait for a client that is slow. Guess: with their size, 256 KiB.
const PARTS: usize = 4;

/// Bytes that are gathered before they are handed on. Guess: a socket buffer's worth.
const PART_BYTES: usize = 64 * 1024;

/// Counters that are looked at under the lock of their shard: some 0.1 ms. Guess.
const PAGE_COUNTERS: usize = 512;

/// How long a backup waits for a segment to go on in. Guess: making one takes a second.
const SEAL_PATIENCE: Duration = Duration::from_secs(30);

/// The media type of chunks and of snapshots.
const BINARY: &str = "application/octet-stream";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// All that is known of a counter.
    History {
        /// Its name.
        name: String,
    },
    /// What an audit needs.
    Audit,
    /// A snapshot of everything that is durable now.
    Backup,
}

/// How an answer begins.
#[derive(Debug)]
pub struct Opening {
    /// What its bytes are.
    pub media_type: &'static str,
    /// How many there are, where that is known.
    pub bytes: Option<u64>,
}

/// An answer that comes in parts.
#[derive(Debug)]
pub struct Answering {
    /// How it begins, or why it does not.
    pub opening: oneshot::Receiver<Result<Opening, Problem>>,
    /// The parts.
    pub parts: mpsc::Receiver<Bytes>,
}

#[derive(Debug)]
struct Job {
    ask: Ask,
    opening: oneshot::Sender<Result<Opening, Problem>>,
    parts: mpsc::Sender<Bytes>,
}

/// Where jobs are handed in.
#[derive(Debug, Clone)]
pub(crate) struct Desk(SyncSender<Job>);

/// Where they are taken out; shared by the readers.
#[derive(Debug)]
pub(crate) struct Queue(Mutex<Receiver<Job>>);

/// A desk and its queue.
pub(crate) fn open() -> (Desk, Arc<Queue>) {
    let (jobs, queue) = sync_channel(1);
    (Desk(jobs), Arc::new(Queue(Mutex::new(queue))))
}

impl Desk {
    /// Hands a job in.
    ///
    /// # Errors
    /// All readers are at work and one more job waits, or the node stops.
    pub(crate) fn ask(&self, ask: Ask) -> Result<Answering, Problem> {
        let (opening, opened) = oneshot::channel();
        let (parts, received) = mpsc::channel(PARTS);
        match self.0.try_send(Job { ask, opening, parts }) {
            Ok(()) => Ok(Answering { opening: opened, parts: received }),
            Err(TrySendError::Full(_)) => {
                Err(Problem::new(Kind::Busy, "other readings of the history are under way"))
            }
            Err(TrySendError::Disconnected(_)) => {
                Err(Problem::new(Kind::Unready, "the node is stopping"))
            }
        }
    }
}

/// What a reader works with.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    pub(crate) hub: Arc<Hub>,
    pub(crate) history: History<Os>,
    pub(crate) folder: Arc<Mutex<Folder<Os>>>,
}

/// Does jobs until the node stops.
pub(crate) fn read_loop(shelf: &Shelf, queue: &Queue) {
    // On Linux this is the thread's own. A kernel that refuses leaves it at the common priority.
    let _refused = rustix::process::nice(NICENESS).is_err();
    while !shelf.hub.is_stopping() {
        let job = queue.0.lock().recv_timeout(PATIENCE);
        if let Ok(Job { ask, opening, parts }) = job {
            match ask {
                Ask::History { name } => shelf.tell_history(&name, Out::new(opening, parts)),
                Ask::Audit => shelf.send_audit(Out::new(opening, parts)),
                Ask::Backup => shelf.send_backup(Out::new(opening, parts)),
            }
        }
    }
}

/// The way to one client.
struct Out {
    opening: Option<oneshot::Sender<Result<Opening, Problem>>>,
    parts: mpsc::Sender<Bytes>,
    gathered: Vec<u8>,
    is_there: bool,
}

impl Out {
    fn new(opening: oneshot::Sender<Result<Opening, Problem>>, parts: mpsc::Sender<Bytes>) -> Self {
        Self { opening: Some(opening), parts, gathered: Vec::new(), is_there: true }
    }

    fn open(&mut self, opening: Result<Opening, Problem>) {
        if let Some(sender) = self.opening.take() {
            self.is_there = sender.send(opening).is_ok();
        }
    }

    /// Hands on what was gathered; false where the client is gone.
    fn flush(&mut self) -> bool {
        let part = std::mem::take(&mut self.gathered);
        if !part.is_empty() && self.is_there {
            self.is_there = self.parts.blocking_send(Bytes::from(part)).is_ok();
        }
        self.is_there
    }

    fn relieve(&mut self) -> bool {
        if self.gathered.len() >= PART_BYTES { self.flush() } else { self.is_there }
    }

    fn line(&mut self, line: &Line) -> bool {
        line.put(&mut self.gathered);
        // A person who waits sees that something happens.
        if matches!(line, Line::Passed { .. }) { self.flush() } else { self.relieve() }
    }

    fn chunk(&mut self, chunk: &Chunk<'_>) -> bool {
        archive::put(chunk, &mut self.gathered);
        self.relieve()
    }
}

/// An error and its causes as one sentence.
fn sentence(error: &dyn std::error::Error) -> String {
    crate::hub::with_causes(error)
}

fn broken(error: &dyn std::error::Error) -> Problem {
    Problem::new(Kind::Unready, sentence(error))
}

fn log_failed() -> Problem {
    Problem::log_failed(false)
}

impl Shelf {
    /// Holds what is kept, and says up to where all is durable that was decided before.
    fn hold(&self) -> Result<(Pin<Os>, u64), Problem> {
        let pin = self.history.pin();
        self.hub.commit().map_err(|_| log_failed())?;
        Ok((pin, self.history.durable()))
    }

    fn tell_history(&self, name: &str, mut out: Out) {
        let (pin, upto) = match self.hold() {
            Ok(held) => held,
            Err(problem) => return out.open(Err(problem)),
        };
        out.open(Ok(Opening { media_type: MEDIA_TYPE, bytes: None }));
        let shards = self.hub.node.cells().count();
        let hear = &mut |told: Told| out.line(&line(&told));
        if let Err(error) = recount_live(&pin, upto, (name, shards), hear) {
            out.line(&Line::Broken { reason: sentence(&error) });
        }
        out.flush();
    }

    fn send_audit(&self, mut out: Out) {
        let pin = self.history.pin();
        let hello = self.hello(&pin);
        let base = match pin.open(&pin.oldest()) {
            Ok(base) => base,
            Err(error) => return out.open(Err(broken(&error))),
        };
        out.open(Ok(Opening { media_type: BINARY, bytes: None }));
        out.chunk(&Chunk::Hello(hello));
        match base.map_or(Ok(()), |file| send_base(&pin, &file, &mut out)) {
            Ok(()) => {
                self.send_pages(&mut out);
                self.send_frames(&pin, &mut out);
            }
            Err(why) => _ = out.chunk(&Chunk::Broken(&why)),
        }
        out.flush();
    }

    fn hello(&self, pin: &Pin<Os>) -> Hello {
        let (base, cells) = (pin.oldest(), self.hub.node.cells());
        let counters = (0..cells.count()).map(|id| cells.shard(id).counters() as u64).sum();
        Hello {
            store_id: pin.store_id(),
            shards: cells.count(),
            base_position: base.position,
            base_time_s: base.time_s,
            base_bytes: base.bytes,
            log_bytes: pin.log_bytes() + self.hub.open_segment_bytes(),
            counters,
        }
    }

    /// Sends all counters, page by page; nobody waits longer than for one page.
    fn send_pages(&self, out: &mut Out) {
        let shards = 0..self.hub.node.cells().count();
        for shard in shards {
            let mut next = Some(0);
            while let Some(from) = next {
                next = self.send_page(shard, from, out);
            }
        }
    }

    /// Sends one page and returns where the next one begins; nowhere when the node stops or the
    /// client is gone.
    fn send_page(&self, shard: u16, from: u64, out: &mut Out) -> Option<u64> {
        let page = self.hub.node.cells().shard(shard).page(from, PAGE_COUNTERS);
        let next = page.next;
        let goes_on = out.chunk(&Chunk::Page(page)) && !self.hub.is_stopping();
        next.filter(|_| goes_on)
    }

    /// Sends the log up to where all batches are that pages were as of.
    fn send_frames(&self, pin: &Pin<Os>, out: &mut Out) {
        if self.hub.commit().is_err() {
            out.chunk(&Chunk::Broken("the log has failed"));
            return;
        }
        let upto = self.history.durable();
        let visit = &mut |position, payload: &[u8]| {
            out.chunk(&Chunk::Frame { position, payload }) && !self.hub.is_stopping()
        };
        match pin.frames(pin.oldest().position, upto, visit) {
            Ok(()) if self.hub.is_stopping() => out.chunk(&Chunk::Broken("the node is stopping")),
            Ok(()) => out.chunk(&Chunk::End { upto }),
            Err(error) => out.chunk(&Chunk::Broken(&sentence(&error))),
        };
    }

    fn send_backup(&self, mut out: Out) {
        let (pin, upto) = match self.fold_all() {
            Ok(folded) => folded,
            Err(problem) => return out.open(Err(problem)),
        };
        let newest = pin.newest();
        let name = newest.file().unwrap_or_default();
        let file = match pin.open(&newest) {
            Ok(Some(file)) if newest.position >= upto => file,
            Ok(_) => return out.open(Err(Problem::new(Kind::Unready, "there is no snapshot"))),
            Err(error) => return out.open(Err(broken(&error))),
        };
        out.open(Ok(Opening { media_type: BINARY, bytes: Some(newest.bytes) }));
        let sent = history::copy(&file, &name, &mut |part| {
            out.gathered.extend_from_slice(part);
            out.relieve() && pin.is_kept(&newest)
        });
        if let Err(error) = sent {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "a backup broke off");
        }
        out.flush();
    }

    /// Folds all that is durable now into a snapshot and holds it; says up to where that is.
    fn fold_all(&self) -> Result<(Pin<Os>, u64), Problem> {
        self.hub.commit().map_err(|_| log_failed())?;
        let upto = self.history.durable();
        self.seal(upto)?;
        let mut folder = self.folder.lock();
        let watch = Stopwatch::start();
        match folder.run(self.hub.stop_flag()) {
            Ok(Outcome::Cancelled) => Err(Problem::new(Kind::Unready, "the node is stopping")),
            Ok(outcome) => {
                crate::upkeep::note_fold(&self.hub, &outcome, watch.elapsed());
                Ok((self.history.pin(), upto))
            }
            Err(error) => Err(broken(&error)),
        }
    }

    /// Closes the segment that holds `upto`, if it is still written to.
    fn seal(&self, upto: u64) -> Result<(), Problem> {
        let watch = Stopwatch::start();
        while self.history.sealed() < upto {
            if self.hub.seal() {
                break;
            }
            if watch.elapsed() > SEAL_PATIENCE || self.hub.is_stopping() {
                let room = Size(self.hub.settings.log.segment_bytes.0);
                let detail = format!("the log has no room for its next file of {room}");
                return Err(Problem::new(Kind::NoSpace, detail));
            }
            self.hub.upkeep_bell.ring();
            std::thread::park_timeout(PATIENCE);
        }
        Ok(())
    }
}

/// Sends the oldest snapshot.
///
/// # Errors
/// Says why it cannot be sent whole.
fn send_base(pin: &Pin<Os>, file: &std::fs::File, out: &mut Out) -> Result<(), String> {
    let base = pin.oldest();
    let name = base.file().unwrap_or_default();
    let mut send = |part: &[u8]| out.chunk(&Chunk::Base(part)) && pin.is_kept(&base);
    history::copy(file, &name, &mut send).map_err(|error| sentence(&error))?;
    if pin.is_kept(&base) { Ok(()) } else { Err("history was given up for its room".to_owned()) }
}

/// Returns what is sent of a thing that is told of a counter.
pub fn line(told: &Told) -> Line {
    match told {
        Told::Oldest { base, counter } => Line::Oldest {
            frame: base.position,
            time_s: u64::from(base.time_s),
            state: (*counter).into(),
        },
        Told::Entry { frame, entry } => Line::change(*frame, entry),
        Told::Passed { frame } => Line::Passed { frame: *frame },
        Told::End { upto, counter } => Line::End { frame: *upto, state: (*counter).into() },
    }
}
