//! The wiring of one run: clients, network, nodes, disks, clocks and troubles in one heap of
//! events.
//!
//! `serve` is what a node does with a request, `life` its starts, commits and ends, `trouble` what
//! goes wrong, `sending` the clients' side, `ending` the healing and the last audit.

mod ending;
mod life;
mod sending;
mod serve;
mod trouble;

use std::collections::BTreeMap;

use quipu_core::table::shard_bits;
use stdx::hash::hash64;
use stdx::prng::Prng;

use crate::checks::Checked;
use crate::clients::Clients;
use crate::coverage::{Coverage, Met};
use crate::event::{Event, NodeId};
use crate::histories::{Figures, Histories};
use crate::machine::Machine;
use crate::options::Options;
use crate::request::Names;
use crate::schedule::Schedule;
use crate::senders::Sender;
use crate::tally::Tally;
use crate::trace::{Sink, Trace};
use crate::workload::Workload;

/// The one node of a world so far.
const NODE: NodeId = NodeId(0);

/// How often a sender looks whether it gets on, in microseconds. Guess.
const LOOK_US: u64 = 300_000;

/// Everything.
#[derive(Debug)]
pub struct World {
    options: Options,
    schedule: Schedule<Event>,
    trace: Trace,
    coverage: Coverage,
    names: Names,
    machines: Vec<Machine>,
    workload: Workload,
    clients: Clients,
    senders: Vec<Sender>,
    tally: Tally,
    histories: Histories,
    network: Prng,
    chaos: Prng,
    /// Operations sent for the first time.
    ops: u64,
    connections: u64,
    /// Which places of streams a request on its way holds.
    in_flight: BTreeMap<u64, Vec<u64>>,
    is_network_bad: bool,
    is_healed: bool,
}

/// Names that sort as their numbers do, as long as the options say.
fn names(options: &Options) -> Names {
    let (layout, workload) = (&options.layout, &options.workload);
    let home =
        |name: &str| shard_bits(hash64(layout.store_id, name.as_bytes())) & (layout.shards - 1);
    let count = workload.sum_counters + workload.free_counters;
    let longest = workload.name_bytes;
    let counters: Vec<String> = (0..count)
        .map(|id| {
            let bytes = 8 + (id as usize * 7) % longest.max(9).saturating_sub(7);
            format!("{:.<bytes$}", format!("c{id:06}"))
        })
        .collect();
    let streams: Vec<String> = (0..workload.streams).map(|id| format!("stream-{id}")).collect();
    let shards = counters.iter().map(|name| home(name)).collect();
    let homes = streams.iter().map(|name| home(name)).collect();
    Names { counters, shards, streams, homes }
}

impl World {
    /// A world at its beginning; lines of its trace go to `sink`.
    pub fn new(options: Options, sink: Option<Sink>) -> Self {
        let mut root = Prng::new(options.seed ^ 0xA11_0CA7E);
        let mut split = || root.next_u64();
        let names = names(&options);
        // Clients may rely on tokens where no jump of the clock makes them expire early. Two jumps in opposite directions lie between two readings at most.
        let is_exact = 8 * options.faults.jump_ms < options.node.window_ms;
        let patience_us = options.node.window_ms * 1000 / 3;
        let machine = Machine::new(&options, &names, split());
        let senders = (0..options.workload.streams).map(Sender::new).collect();
        let workload = Workload::new(options.workload.clone(), split());
        let mut clients = Clients::new(split(), patience_us, is_exact);
        if options.is_outside {
            clients.leave_reads();
        }
        Self {
            schedule: Schedule::default(),
            trace: Trace::new(sink),
            coverage: Coverage::default(),
            machines: vec![machine],
            workload,
            clients,
            senders,
            tally: Tally::new(options.workload.sum_counters),
            network: Prng::new(split()),
            chaos: Prng::new(split()),
            ops: 0,
            connections: 0,
            in_flight: BTreeMap::new(),
            is_network_bad: false,
            is_healed: false,
            histories: Histories::new(names.counters.len(), split()),
            names,
            options,
        }
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// A promise was broken.
    pub fn run(&mut self) -> Checked {
        self.schedule.at(0, Event::Start(NODE));
        self.schedule.at(1_000, Event::Arrive);
        self.schedule.at(2_000, Event::Fault);
        for stream in 0..self.senders.len() as u32 {
            self.schedule.at(3_000 + u64::from(stream), Event::Look { stream });
        }
        let end = self.options.duration_us();
        while self.schedule.now_us() < end && self.step()? {}
        self.heal();
        self.settle()?;
        self.audit()
    }

    /// What happened, by name.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// What was judged of histories.
    pub fn histories(&self) -> Figures {
        self.histories.figures()
    }

    /// Adds what happened on the disks.
    pub fn note_disk(&self, coverage: &mut Coverage) {
        for machine in &self.machines {
            let facts = machine.disk.facts();
            coverage.add(Met::SyncFailures, facts.sync_failures);
            coverage.add(Met::WriteFailures, facts.write_failures);
            coverage.add(Met::DirFailures, facts.dir_failures);
            coverage.add(Met::TornWrites, facts.torn);
            coverage.add(Met::LostWrites, facts.lost);
            coverage.add(Met::LostNames, facts.names_lost);
        }
    }

    /// All that happened as one number.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Simulated time in microseconds.
    pub fn now_us(&self) -> u64 {
        self.schedule.now_us()
    }

    fn machine(&mut self, node: NodeId) -> &mut Machine {
        self.machines.get_mut(usize::from(node.0)).expect("events name nodes of this world")
    }

    fn note(&mut self, what: &'static str, numbers: [u64; 3]) {
        self.trace.note(self.schedule.now_us(), what, numbers);
    }

    /// Lets the next event happen; false where there is none.
    fn step(&mut self) -> Checked<bool> {
        let Some(event) = self.schedule.pop() else { return Ok(false) };
        match event {
            Event::Arrive => self.arrive()?,
            Event::Deliver(delivery) => self.deliver(&delivery)?,
            Event::Respond(route, response) => self.respond(route, &response)?,
            Event::Timeout { request, attempt } => self.time_out(request, attempt)?,
            Event::Look { stream } => self.look(stream)?,
            Event::Synced(node, life) => self.synced(node, life)?,
            Event::Prepared(node, life) => self.prepared(node, life)?,
            Event::Folded(node, life) => self.folded(node, life)?,
            Event::Flush(node, life) => self.flush(node, life)?,
            Event::Tick(node, life) => self.tick(node, life)?,
            Event::Start(node) => self.start(node)?,
            Event::Shoot(node, life) => self.shoot(node, life),
            Event::Doom(node, life, end) => self.doom(node, life, end),
            Event::Fault => self.fault()?,
            Event::Over(node, what) => self.over(node, what),
        }
        Ok(true)
    }
}
