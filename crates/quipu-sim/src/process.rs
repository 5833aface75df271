//! One life of a node: the real core, the real log, and replies that are held until what they
//! depend on is durable. It does what the server's hub does, one step at a time.

use quipu_core::clock::{Clocks, LogClock};
use quipu_core::limits::OP_LOG_BYTES_MAX;
use quipu_core::node::{Cells, Nature, Node};
use quipu_core::outcome::{Dependency, Refusal};
use quipu_core::shard::Shard;
use quipu_log::log::{Cut, LogError};

use crate::request::Response;
use crate::shards::LocalShards;
use crate::store::Store;

/// Log bytes beyond a cut that the server keeps free. Spec of the server's hub.
const FRAME_OVERHEAD_BYTES: u64 = 64 * 1024 + 256;

/// Operations that the node lets pass its check at the same moment. Spec of `quipu_core::node`.
const ADMISSION_SLACK: u64 = 64 * OP_LOG_BYTES_MAX;

/// What a node is told at its start.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The store's identity, which is also the seed of names' hashes.
    pub store_id: u64,
    /// Most tokens remembered.
    pub tokens_max: u64,
    /// For how long, in milliseconds.
    pub window_ms: u64,
    /// Most streams of a shard.
    pub streams_max: usize,
    /// Most replies held at once; beyond it writes are refused.
    pub held_max: usize,
}

/// A reply that waits.
#[derive(Debug)]
pub struct Held<R> {
    /// Where it goes.
    pub route: R,
    /// What it says.
    pub response: Response,
    /// What it depends on.
    pub depends: Vec<Dependency>,
}

/// A frame that is written and not yet synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flight {
    /// Its position in the log.
    pub position: u64,
    /// The batches that it holds.
    pub batches: Vec<(u16, u64)>,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// What is under way beside the requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnderWay {
    /// A commit.
    pub committing: bool,
    /// The preparation of segments.
    pub preparing: bool,
    /// A fold.
    pub folding: bool,
}

/// What the node was told of its circumstances.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    no_space: bool,
    overloaded: bool,
}

/// A node that runs.
#[derive(Debug)]
pub struct Process<R> {
    /// The shards.
    pub node: Node<LocalShards>,
    /// The log.
    pub store: Box<dyn Store>,
    /// Which start of the machine this is.
    pub life: u64,
    /// What is under way.
    pub at: UnderWay,
    /// Why the log failed, once it has.
    pub failure: Option<String>,
    /// Whether new counters are refused.
    pub memory_full: bool,
    clock: LogClock,
    settings: Settings,
    held: Vec<Held<R>>,
    room: u64,
    told: Told,
    unmarked: bool,
    frames: u64,
    frames_at_tick: u64,
    cut: Cut,
    durable: Vec<(u16, u64)>,
}

/// What a start needs.
#[derive(Debug)]
pub struct Parts {
    /// The log, whose epoch is durable.
    pub store: Box<dyn Store>,
    /// The shards, in that epoch.
    pub shards: Vec<Shard>,
    /// Log time.
    pub clock: LogClock,
    /// Which start this is.
    pub life: u64,
}

impl<R> Process<R> {
    /// Starts to serve.
    pub fn new(parts: Parts, settings: Settings) -> Self {
        let Parts { mut store, shards, clock, life } = parts;
        let nature = Nature { groups: store.log().groups(), tokens_max: settings.tokens_max };
        let node = Node::new(LocalShards::new(shards), settings.store_id, nature);
        Self {
            node,
            store,
            life,
            at: UnderWay::default(),
            failure: None,
            memory_full: false,
            clock,
            settings,
            held: Vec::new(),
            room: 0,
            told: Told::default(),
            unmarked: true,
            frames: 0,
            frames_at_tick: 0,
            cut: Cut::default(),
            durable: Vec::new(),
        }
    }

    /// Log time now.
    pub fn now_ms(&mut self, clocks: Clocks) -> u64 {
        self.clock.advance(clocks)
    }

    /// Takes the room that the log has now.
    pub fn note_room(&mut self) {
        self.room = self.store.log().room();
        self.node.set_room(self.room, self.told.no_space);
    }

    /// Says whether the disk has no room for the next segment.
    pub fn set_no_space(&mut self, no_space: bool) {
        self.told.no_space = no_space;
        self.note_room();
    }

    /// Says whether new counters are refused.
    pub fn set_memory_full(&mut self, full: bool) {
        self.memory_full = full;
        self.node.set_memory_full(full);
    }

    /// Why `ops` more operations must be refused now, if they must: from what a node is told.
    pub fn admission(&self, ops: usize) -> Option<Refusal> {
        if self.failure.is_some() {
            return Some(Refusal::Stopping);
        }
        let needed = self.node.open_bytes() + ADMISSION_SLACK + ops as u64 * OP_LOG_BYTES_MAX;
        let fits = needed <= self.room;
        match (fits, self.told.overloaded) {
            (true, false) => None,
            (false, _) if self.told.no_space => Some(Refusal::NoSpace),
            _ => Some(Refusal::Busy),
        }
    }

    /// Log bytes that may be open.
    pub fn room(&self) -> u64 {
        self.room
    }

    /// Whether a reply must wait for this.
    pub fn must_wait(&self, depends: Dependency) -> bool {
        !self.node.is_durable(depends)
    }

    /// Holds a reply.
    pub fn hold(&mut self, held: Held<R>) {
        self.held.push(held);
        self.note_load();
    }

    fn note_load(&mut self) {
        self.told.overloaded = self.held.len() > self.settings.held_max;
        self.node.set_overloaded(self.told.overloaded);
    }

    /// Beyond so many replies that wait, nobody new is listened to.
    pub fn held_most(&self) -> usize {
        2 * self.settings.held_max
    }

    /// How many replies wait.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Lets those replies leave that wait for nothing.
    pub fn release(&mut self) -> Vec<Held<R>> {
        let node = &self.node;
        let is_free = |held: &mut Held<R>| held.depends.iter().all(|d| node.is_durable(*d));
        let free: Vec<Held<R>> = self.held.extract_if(.., is_free).collect();
        self.note_load();
        free
    }

    /// Gives up all replies that wait: the log failed.
    pub fn give_up(&mut self) -> Vec<Held<R>> {
        std::mem::take(&mut self.held)
    }

    /// Whether a commit should begin: somebody waits, or open batches fill up.
    pub fn wants_commit(&self) -> bool {
        let is_wanted = !self.held.is_empty() || self.node.is_pressed();
        !self.at.committing && self.failure.is_none() && is_wanted && self.node.is_dirty()
    }

    /// Cuts and writes one frame. None where nothing was open.
    pub fn write(&mut self) -> Option<(Flight, Result<(), LogError>)> {
        self.cut.clear();
        let room = self.store.log().room();
        let mut left = 0;
        self.node.cut(&mut self.cut.payload, &mut self.cut.batches, |bytes| {
            left = room.saturating_sub(bytes + FRAME_OVERHEAD_BYTES);
            left
        });
        self.room = left;
        if self.cut.batches.is_empty() {
            self.note_room();
            return None;
        }
        let position = self.store.position() + 1;
        let written = self.store.log().append(&self.cut);
        self.at.committing = true;
        let batches = self.cut.batches.iter().map(|batch| (batch.shard, batch.batch)).collect();
        let payload = self.cut.payload.clone();
        Some((Flight { position, batches, payload }, written))
    }

    /// Syncs what was written; says what became durable.
    ///
    /// # Errors
    /// The log failed.
    pub fn sync(&mut self) -> Result<&[(u16, u64)], String> {
        self.at.committing = false;
        self.durable.clear();
        let flushed = self.store.log().flush(&mut self.durable);
        flushed.map_err(|error| error.to_string())?;
        for (shard, batch) in &self.durable {
            self.node.set_durable(*shard, *batch);
        }
        (self.unmarked, self.frames) = (true, self.frames + 1);
        self.note_room();
        Ok(&self.durable)
    }

    /// The log failed: nothing more is admitted or answered.
    pub fn fail(&mut self, why: String) {
        self.failure = Some(why);
        self.node.stop();
    }

    /// Says in the log what is durable, if nothing was written since the last look.
    ///
    /// # Errors
    /// The log failed.
    pub fn mark_if_idle(&mut self) -> Result<bool, String> {
        let is_idle = self.frames == self.frames_at_tick && !self.at.committing;
        self.frames_at_tick = self.frames;
        if !is_idle || !std::mem::take(&mut self.unmarked) {
            return Ok(false);
        }
        self.store.log().mark().map_err(|error| error.to_string())?;
        Ok(true)
    }

    /// Closes the segment that is written to if that makes a fold due.
    ///
    /// # Errors
    /// The log failed.
    pub fn seal_if_wanted(&mut self) -> Result<bool, String> {
        if self.at.committing || self.told.no_space || !self.store.wants_seal() {
            return Ok(false);
        }
        let sealed = self.store.log().seal().map_err(|error| error.to_string())?;
        self.note_room();
        Ok(sealed)
    }

    /// One shard.
    pub fn shard(&self, id: u16) -> std::cell::RefMut<'_, Shard> {
        self.node.cells().shard(id)
    }
}
