//! One machine: a disk, clocks, and a node's process while it runs.

use quipu_core::clock::Clocks;
use stdx::prng::Prng;

use crate::clock::MachineClock;
use crate::disk::{Disk, Facts};
use crate::event::{End, Route};
use crate::options::Options;
use crate::process::{Process, Settings};
use crate::request::Names;
use crate::shadow::{Bounds, Shadow};
use crate::store::{LocalMedium, Medium};
use crate::witness::Witness;

/// A machine on which a node runs or will run again.
#[derive(Debug)]
pub struct Machine {
    /// Its disk.
    pub disk: Disk,
    /// Where the node's log is.
    pub medium: Box<dyn Medium>,
    /// Its clocks.
    pub clock: MachineClock,
    /// The node, while it runs.
    pub process: Option<Process<Route>>,
    /// How often a start was tried.
    pub life: u64,
    /// What the node must answer and recover.
    pub witness: Witness,
    /// What the node is told.
    pub settings: Settings,
    /// Whether an operator has said that the clock is right.
    pub clock_accepted: bool,
    /// What had happened on the disk when the present life began.
    pub facts: Facts,
    /// When log time was last read.
    pub read_us: u64,
    /// How many times longer than usual a sync takes.
    pub slowness: u64,
    /// Whether the next sync never returns.
    pub is_stuck: bool,
    /// How the node ends during its next sync.
    pub doom: Option<End>,
    /// Tokens that the present life began with.
    pub recovered_tokens: u64,
    /// Its surprises.
    pub prng: Prng,
}

impl Machine {
    /// A machine with an empty disk.
    pub fn new(options: &Options, names: &Names, seed: u64) -> Self {
        let disk = Disk::new(seed, options.block_bytes);
        let layout = options.layout;
        let bounds = Bounds { window_ms: options.node.window_ms, streams: layout.streams_max };
        let shadow = Shadow::new(names.shards.clone(), layout.shards, bounds);
        let settings = Settings {
            store_id: layout.store_id,
            tokens_max: options.node.tokens_max,
            window_ms: options.node.window_ms,
            streams_max: layout.streams_max,
            held_max: options.node.held_max,
        };
        Self {
            medium: Box::new(LocalMedium { disk: disk.clone(), layout }),
            facts: disk.facts(),
            disk,
            clock: MachineClock::new(0),
            process: None,
            life: 0,
            witness: Witness::new(shadow, LocalMedium::fresh(&layout)),
            settings,
            clock_accepted: false,
            read_us: 0,
            slowness: 1,
            is_stuck: false,
            doom: None,
            recovered_tokens: 0,
            prng: Prng::new(seed ^ 0x5EED),
        }
    }

    /// What its clocks show.
    pub fn clocks(&self, now_us: u64) -> Clocks {
        self.clock.read(now_us)
    }

    /// Whether a write or sync of a segment has failed in this life.
    pub fn has_failed(&self) -> bool {
        self.disk.facts().segment_failures > self.facts.segment_failures
    }

    /// Whether this life of the node still runs.
    pub fn runs(&self, life: u64) -> bool {
        self.process.as_ref().is_some_and(|process| process.life == life)
    }
}
