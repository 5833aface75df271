//! Folds: a log that becomes snapshots while it grows, then is spoiled, audited and opened.
//!
//! The script writes batches of four shards into small segments, seals and folds them, starts
//! again from snapshot and log, and at the end spoils files. What a start finds is always what
//! folding every record gives; an audit of what nobody touched finds nothing; with spoiled
//! files neither audit nor start panics, both say the same every time, and what an audit
//! calls right a start serves as it was.

use std::sync::atomic::AtomicBool;

use quipu_core::shard::Shard;
use quipu_log::audit::{Audit, audit};
use quipu_log::fold::Folder;
use quipu_log::snapshot::{Newest, Snapshot, load, newest};
use quipu_log::storage::memory::{Keep, Memory};
use quipu_log::wal::{Identity, Options, Recovered, recover};
use stdx::hash::hash64;

use crate::disk::{Spoiled, spoil};
use crate::records::{NAMES, Records, SHARDS};
use crate::script::Script;
use crate::shards::{LIMITS, SEED, recovering};

const STORE_ID: u64 = 7;

/// Largest payload in bytes: some frames take several blocks.
const PAYLOAD_BYTES_MAX: usize = 1500;

/// Two largest frames and more.
const SEGMENT_BYTES: u64 = 6144;

/// Memory of a change set: so little that most folds spill.
const MEMORY_BYTES: usize = 1000;

/// Most steps of writing: keeps logs small and executions many.
const STEPS_MAX: usize = 12;

/// Most things that are spoiled: one alone says most.
const SPOILS_MAX: usize = 3;

/// A node's disk, what is open on it, and every payload so far.
struct Store {
    disk: Memory,
    open: Open,
    records: Records,
    payloads: Vec<Vec<u8>>,
}

/// A life: the log, its folder, and the shards as they were at its start.
struct Open {
    log: Recovered<Memory>,
    folder: Folder<Memory>,
    shards: Vec<Shard>,
}

/// Tries one input.
pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let disk = Memory::new();
    let open = open(&disk, 1).expect("an empty disk opens");
    let mut store = Store { disk, open, records: Records::new(false), payloads: Vec::new() };
    store.begin();
    for life in 0..STEPS_MAX as u64 {
        if script.is_done() || !store.step(&mut script, 2 + life) {
            break;
        }
    }
    store.open.log.wal.sync().expect("memory syncs");
    let (disk, payloads) = (store.disk, store.payloads);
    let upto = store.open.log.wal.position();
    judge(&disk, &payloads, (upto, Spoiled::default()));
    let mut spoiled = Spoiled::default();
    for _ in 0..SPOILS_MAX {
        if !script.is_done() {
            spoil(&disk, &mut script, &mut spoiled);
        }
    }
    if spoiled != Spoiled::default() {
        judge(&disk, &payloads, (upto, spoiled));
    }
}

fn options(seed: u64) -> Options {
    let mut drawn = 0_u64;
    let mut options = Options::new(Box::new(move || {
        drawn += 1;
        hash64(seed, &drawn.to_le_bytes())
    }));
    options.segment_bytes = SEGMENT_BYTES;
    options.frame_bytes_max = PAYLOAD_BYTES_MAX as u32;
    options.identity = Identity { store_id: STORE_ID, shards: SHARDS };
    options
}

/// Opens a store as a node does: the newest snapshot, and the log after it.
fn open(disk: &Memory, life: u64) -> Result<Open, String> {
    let Newest { snapshot, .. } = newest(disk, STORE_ID).map_err(|error| format!("{error:?}"))?;
    let mut shards = recovering();
    if let Some(snapshot) = &snapshot {
        let visit = |place: &_, value: &_| shards.load(place, value);
        load(disk, snapshot, visit).map_err(|error| format!("{error:?}"))?;
    }
    let start = snapshot.as_ref().map_or(0, |snapshot: &Snapshot| snapshot.position) + 1;
    let log = recover(disk, options(life), start, |_, payload| shards.fold(payload));
    let log = log.map_err(|error| format!("{error:?}"))?;
    let folder = Folder::new(&log.wal, MEMORY_BYTES, snapshot);
    Ok(Open { log, folder, shards: shards.finish(SHARDS) })
}

impl Store {
    /// The first records of the owners of all shards.
    fn begin(&mut self) {
        let mut payload = Vec::new();
        for id in 0..SHARDS {
            Shard::new(id, SEED, LIMITS).begin_epoch(1, 1000, &mut payload);
            self.records.stand_at(id, (1, 0, 1));
        }
        self.write(payload);
    }

    fn write(&mut self, payload: Vec<u8>) {
        let Recovered { wal, preparer, .. } = &mut self.open.log;
        preparer.run().expect("memory has no limit");
        if payload.len() <= PAYLOAD_BYTES_MAX {
            wal.write(&[&payload]).expect("there is a prepared segment");
            self.payloads.push(payload);
        }
    }

    /// One step of a life; false ends the writing.
    fn step(&mut self, script: &mut Script<'_>, life: u64) -> bool {
        match script.byte() {
            0..=139 => {
                let mut payload = Vec::new();
                for _ in 0..=script.below(3) {
                    self.records.put(script, &mut payload);
                }
                assert!(payload.len() <= PAYLOAD_BYTES_MAX, "records here are short");
                self.write(payload);
            }
            140..=219 => {
                let Open { log, folder, .. } = &mut self.open;
                log.wal.seal().expect("memory syncs");
                folder.run(&AtomicBool::new(false)).expect("what a node wrote folds");
            }
            220..=229 => self.open.log.wal.mark().expect("memory syncs"),
            230..=249 => {
                self.open.log.wal.sync().expect("memory syncs");
                self.disk = self.disk.power_cut(Keep::None);
                self.open = open(&self.disk, life).expect("nothing is damaged");
            }
            _ => return false,
        }
        true
    }
}

/// Audits and opens copies of the disk, whose log ended at `upto` before it was spoiled.
fn judge(disk: &Memory, payloads: &[Vec<u8>], (upto, spoiled): (u64, Spoiled)) {
    let audited = audit(&disk.copy(), MEMORY_BYTES);
    let opened = open(&disk.copy(), 90);
    if spoiled != Spoiled::default() {
        let again = audit(&disk.copy(), MEMORY_BYTES);
        assert_eq!(format!("{audited:?}"), format!("{again:?}"), "every time");
        let again = open(&disk.copy(), 90);
        assert_eq!(opened.as_ref().err(), again.as_ref().err(), "every time");
    }
    let is_right = |audit: &Audit| audit.is_clean() && audit.cut.is_none() && audit.upto == upto;
    if spoiled == Spoiled::default() {
        assert!(audited.as_ref().is_ok_and(is_right), "{audited:?}");
    }
    let Ok(audited) = audited else { return };
    if spoiled.forged > 0 || !is_right(&audited) {
        return;
    }
    let mut whole = recovering();
    for payload in payloads {
        whole.fold(payload).expect("records here follow");
    }
    let found = opened.unwrap_or_else(|error| panic!("{error}")).shards;
    assert_eq!(audited.counters as usize, found.iter().map(Shard::counters).sum::<usize>());
    for (found, whole) in found.iter().zip(whole.finish(SHARDS)) {
        same(found, &whole);
    }
}

/// Two shards say the same of everything but tokens past their deadline.
fn same(found: &Shard, whole: &Shard) {
    assert_eq!(found.meta(), whole.meta());
    assert_eq!((found.counters(), found.expiring()), (whole.counters(), whole.expiring()));
    assert_eq!(found.streams(), whole.streams());
    for name in NAMES {
        assert_eq!(found.peek(name), whole.peek(name), "{name}");
    }
    for stream in [&b""[..], b"s", b"t"] {
        let known = |shard: &Shard| shard.stream(stream).map(|s| (s.mark, s.checkpoint));
        assert_eq!(known(found), known(whole));
    }
}
