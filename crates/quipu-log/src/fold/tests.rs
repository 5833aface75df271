//! Folding beside a running node: real shards write, folds and crashes happen, all must agree.

mod history;

use std::{convert::Infallible, sync::atomic::AtomicBool};

use quipu_core::{
    bytes::Reader,
    execute::Context,
    op::{Action, Add, Op, Presence, Set, Token, Ttl},
    record,
    replay::FoldError,
    shard::{Shard, ShardLimits},
    snapshot::{ItemValue, Place, put_item},
    table::shard_bits,
};
use stdx::hash::hash64;

use crate::{
    audit::{Audit, audit},
    fold::{Changes, FoldFailed, Folder, Outcome, changes::is_run, remove_leftovers},
    history::Retain,
    snapshot::{self, Newest, UNFINISHED},
    sorted_file::{Header, Kind, Writer},
    storage::{
        Storage, StorageFile,
        fault::{Faulty, Verdict},
        memory::{Keep, Memory},
    },
    wal::{Identity, Options, Recovered, recover},
};

pub(crate) const SHARDS: u16 = 4;
const SEED: u64 = 99;
pub(crate) const STORE_ID: u64 = SEED;
const WINDOW_MS: u64 = 500;

/// Small enough that most folds spill several runs.
pub(crate) const MEMORY_BYTES: usize = 2000;

pub(crate) fn options() -> Options {
    let mut drawn = 0_u64;
    let mut options = Options::new(Box::new(move || {
        drawn += 1;
        hash64(5, &drawn.to_le_bytes())
    }));
    options.segment_bytes = 16 << 10;
    options.frame_bytes_max = 4 << 10;
    options.identity = Identity { store_id: 99, shards: SHARDS };
    options
}

fn new_shards() -> Vec<Shard> {
    let limits = ShardLimits { streams_max: 100 };
    (0..SHARDS).map(|id| Shard::new(id, SEED, limits)).collect()
}

/// A node without a server: shards, their log and its folder.
pub(crate) struct Node<S: Storage> {
    pub(crate) shards: Vec<Shard>,
    pub(crate) log: Recovered<S>,
    pub(crate) folder: Folder<S>,
    pub(crate) time_ms: u64,
    step: u64,
}

fn fold_payload(shards: &mut [Shard], mut payload: &[u8]) -> Result<(), FoldError> {
    while !payload.is_empty() {
        let header = record::read_header(&mut Reader::new(payload))?;
        let shard = &mut shards[usize::from(header.shard)];
        shard.fold_header(&header)?;
        let (_, length) = record::read(payload, SEED, |_, item| shard.fold_item(&item))?;
        payload = &payload[length..];
    }
    Ok(())
}

impl<S: Storage> Node<S> {
    pub(crate) fn open(storage: &S) -> Result<Self, String> {
        let mut shards = new_shards();
        let text = |error: &dyn std::error::Error| format!("{error}: {error:?}");
        let Newest { snapshot, damaged } = snapshot::newest(storage, 99).map_err(|e| text(&e))?;
        assert!(damaged.is_empty(), "{damaged:?}");
        if let Some(snapshot) = &snapshot {
            snapshot::load(storage, snapshot, |(shard, key), value| {
                shards[usize::from(*shard)].load(key, value);
                Ok::<(), Infallible>(())
            })
            .map_err(|e| text(&e))?;
        }
        let start = snapshot.as_ref().map_or(0, |snapshot| snapshot.position) + 1;
        let visit = |_, payload: &[u8]| fold_payload(&mut shards, payload);
        let log = recover(storage, options(), start, visit).map_err(|e| text(&e))?;
        let folder = Folder::new(&log.wal, MEMORY_BYTES, snapshot);
        let time_ms = shards.iter().map(Shard::time_ms).max().unwrap_or(0);
        Ok(Self { shards, log, folder, time_ms, step: 0 })
    }

    /// Begins a life and runs `steps` batches of random operations, folding every now and then.
    pub(crate) fn work(&mut self, steps: u64, seed: u64) -> Result<(), String> {
        let mut payload = Vec::new();
        for shard in &mut self.shards {
            shard.begin_epoch(self.time_ms, WINDOW_MS, &mut payload);
        }
        self.write(&payload)?;
        self.steps(steps, seed)
    }

    /// Runs `steps` batches in the life that has begun.
    pub(crate) fn steps(&mut self, steps: u64, seed: u64) -> Result<(), String> {
        let mut payload = Vec::new();
        for step in 0..steps {
            self.step += 1;
            self.time_ms += 20;
            for n in 0..6 {
                self.operate(hash64(seed, &(step * 16 + n).to_le_bytes()));
            }
            payload.clear();
            for shard in &mut self.shards {
                shard.seal(u64::MAX, &mut payload);
            }
            self.write(&payload)?;
            if step % 9 == 8 {
                self.log.wal.seal().map_err(|e| e.to_string())?;
                self.fold().map_err(|e| e.to_string())?;
            }
        }
        Ok(())
    }

    fn write(&mut self, payload: &[u8]) -> Result<(), String> {
        self.log.preparer.run().map_err(|e| e.to_string())?;
        self.log.wal.write(&[payload]).map_err(|e| e.to_string())?;
        self.log.wal.sync().map_err(|e| e.to_string())?;
        Ok(())
    }

    pub(crate) fn fold(&mut self) -> Result<Outcome, FoldFailed> {
        self.folder.run(&AtomicBool::new(false))
    }

    pub(crate) fn operate(&mut self, draw: u64) {
        let name = format!("counter-{}", draw % 23);
        let key = (draw >> 8).to_le_bytes();
        let stream = format!("stream-{}", draw % 3);
        let token = match (draw >> 16) % 4 {
            0 => Token::Key { key: &key, item: 0 },
            1 => Token::Stream { name: stream.as_bytes(), sequence: self.time_ms * 8 + draw % 8 },
            _ => Token::None,
        };
        let ttl = if (draw >> 24).is_multiple_of(5) { Ttl::After(300) } else { Ttl::Keep };
        let action = match (draw >> 32) % 8 {
            0 => Action::Set(Set { value: draw as i64 % 1000, ttl, when: Presence::Any }),
            1 => Action::Delete,
            2 => Action::Take,
            _ => Action::Add(Add { ttl, ..Add::plain(draw as i64 % 10) }),
        };
        let hash = hash64(SEED, name.as_bytes());
        let shard = &mut self.shards[usize::from(shard_bits(hash) & (SHARDS - 1))];
        let context =
            Context { now_ms: self.time_ms, no_room: None, memory_full: false, tokens_full: false };
        let _reply = shard.execute(&context, hash, &Op { name: &name, action, token });
    }

    /// All that a user could see of the shards.
    pub(crate) fn view(&self) -> Vec<String> {
        let mut view = Vec::new();
        for shard in &self.shards {
            view.push(format!("{} {} {:?}", shard.id(), shard.epoch(), shard.meta()));
            for n in 0..23 {
                let name = format!("counter-{n}");
                view.push(format!("{name} {:?}", shard.peek(&name)));
            }
            for n in 0..3 {
                let name = format!("stream-{n}");
                let stream = shard.stream(name.as_bytes());
                view.push(format!("{name} {:?}", stream.map(|s| (s.mark, s.checkpoint))));
            }
        }
        view
    }
}

fn clean(storage: &impl Storage) -> Audit {
    let audit = audit(storage, MEMORY_BYTES).unwrap();
    assert!(audit.is_clean(), "{audit:?}");
    audit
}

#[test]
fn a_store_that_folds_reopens_as_it_was() {
    let mut memory = Memory::new();
    let mut runs = 0;
    for seed in 0..12 {
        let mut node = Node::open(&memory).unwrap();
        node.work(40, seed).unwrap();
        node.log.wal.seal().unwrap();
        if let Outcome::Folded(folded) = node.fold().unwrap() {
            runs += folded.runs;
        }
        let cut = memory.power_cut(Keep::None);
        let again = Node::open(&cut).unwrap();
        assert_eq!(again.view(), node.view(), "seed {seed}");
        let audit = clean(&cut);
        assert!(audit.from < audit.snapshot && audit.compared > 20, "{audit:?}");
        memory = cut;
    }
    assert!(runs > 20, "{runs} runs: folds must spill to show that merging works");
}

#[test]
fn history_is_kept_between_two_snapshots_and_no_longer() {
    let memory = Memory::new();
    let mut node = Node::open(&memory).unwrap();
    node.work(200, 3).unwrap();
    let positions = snapshot::positions(&memory).unwrap();
    assert_eq!(positions.len(), 2);
    let oldest = node.log.wal.sealed()[0].positions.clone();
    assert!(oldest.contains(&(positions[0] + 1)), "{oldest:?} {positions:?}");
    assert!(memory.list().unwrap().len() < 12, "{:?}", memory.list());
    let before = node.folder.segments();
    assert!(before.retained > 0 && node.folder.history_bytes() > 0, "{before:?}");
    assert!(node.folder.give_up_history().unwrap() > 0);
    let after = node.folder.segments();
    assert_eq!((after.retained, node.folder.history_bytes()), (0, 0));
    assert_eq!((after.live, after.prepared), (before.live, before.prepared));
    assert_eq!(snapshot::positions(&memory).unwrap(), positions[1..]);
    let cut = memory.power_cut(Keep::None);
    assert_eq!(Node::open(&cut).unwrap().view(), node.view());
    let audit = clean(&cut);
    assert_eq!(audit.from, audit.snapshot, "without history there is nothing to count again");
}

#[test]
fn a_fold_is_due_when_the_log_outgrows_the_snapshot() {
    let mut node = Node::open(&Memory::new()).unwrap();
    assert!(!node.folder.is_due(0));
    node.work(8, 1).unwrap();
    assert_eq!(node.folder.log_bytes(), 0, "nothing is sealed yet");
    node.log.wal.seal().unwrap();
    let bytes = node.folder.log_bytes();
    assert!(node.folder.is_due(bytes) && !node.folder.is_due(bytes + 1));
    assert!(matches!(node.fold().unwrap(), Outcome::Folded(_)));
    assert_eq!(node.folder.log_bytes(), 0);
    assert_eq!(node.fold().unwrap(), Outcome::Nothing);
}

#[test]
fn a_cancelled_fold_leaves_everything_as_it_was() {
    let memory = Memory::new();
    let mut node = Node::open(&memory).unwrap();
    node.work(8, 1).unwrap();
    node.log.wal.seal().unwrap();
    let before = memory.list().unwrap();
    assert_eq!(node.folder.run(&AtomicBool::new(true)).unwrap(), Outcome::Cancelled);
    assert_eq!(memory.list().unwrap(), before);
    assert!(matches!(node.fold().unwrap(), Outcome::Folded(_)));
}

#[test]
fn what_an_interrupted_fold_left_is_removed_and_nothing_else() {
    let disk = Memory::new();
    let kept = ["STORE", "segment-0000000000000001.wal", "segment-0000000000000002.spare"];
    for name in kept.into_iter().chain([UNFINISHED, "fold-0.run", "fold-17.run"]) {
        disk.create(name).expect("memory takes files");
    }
    remove_leftovers(&disk).expect("memory removes");
    let mut left = disk.list().expect("memory lists");
    left.sort();
    assert_eq!(left, kept);
}

#[test]
fn a_crash_at_any_call_of_a_folding_node_loses_nothing() {
    let mut crashes = 0;
    for call in (0..).step_by(3) {
        let faulty = Faulty::new(Memory::new());
        faulty.crash_at(call);
        let synced = run(&faulty, Retain::LAST_FOLD);
        for keep in [Keep::None, Keep::All, Keep::Random(call), Keep::Random(call + 1)] {
            let image = faulty.inner().power_cut(keep);
            let context = format!("call {call} {keep:?}");
            let node = Node::open(&image).unwrap_or_else(|error| panic!("{context}: {error}"));
            let view = node.view();
            // Exactly one frame may be there of which no sync was confirmed.
            assert!(synced.iter().rev().take(2).any(|known| *known == view), "{context}");
            drop(node);
            clean(&image);
            assert_eq!(Node::open(&image.power_cut(Keep::None)).unwrap().view(), view, "{context}");
        }
        crashes += 1;
        if !faulty.crashed() {
            break;
        }
    }
    assert!(crashes > 60, "{crashes} crashes are few");
}

/// Works and folds until the crash; returns the views after each frame, the last one unconfirmed.
fn run(faulty: &Faulty<Memory>, retain: Retain) -> Vec<Vec<String>> {
    let empty = Node::open(&Memory::new()).unwrap().view();
    let mut views = vec![empty];
    let Ok(mut node) = Node::open(faulty) else { return views };
    let Ok(folder) = node.folder.retaining(retain) else { return views };
    node.folder = folder;
    for step in 0..24_u64 {
        let mut payload = Vec::new();
        if step == 0 {
            node.shards.iter_mut().for_each(|s| s.begin_epoch(0, WINDOW_MS, &mut payload));
        }
        node.time_ms += 20;
        (0..6_u64).for_each(|n| node.operate(hash64(9, &(step * 16 + n).to_le_bytes())));
        for shard in &mut node.shards {
            shard.seal(u64::MAX, &mut payload);
        }
        views.push(node.view());
        if node.write(&payload).is_err() {
            return views;
        }
        if step % 7 == 6 && (node.log.wal.seal().is_err() || node.fold().is_err()) {
            return views;
        }
    }
    views
}

#[test]
fn a_failed_fold_leaves_the_node_running_and_is_made_up_for() {
    for failing in (0..).step_by(2) {
        let faulty = Faulty::new(Memory::new());
        let mut node = Node::open(&faulty).unwrap();
        node.work(17, 4).unwrap();
        node.log.preparer.run().unwrap();
        node.log.wal.seal().unwrap();
        let at = faulty.calls() + failing;
        faulty.set_hook(move |call| {
            let hit = call.operation.changes() && call.number == at;
            if hit { Verdict::Fail(std::io::ErrorKind::StorageFull) } else { Verdict::Go }
        });
        let failed = node.fold().is_err();
        faulty.set_hook(|_| Verdict::Go);
        node.work(12, 6).unwrap();
        node.log.wal.seal().unwrap();
        node.fold().unwrap();
        let cut = faulty.inner().power_cut(Keep::None);
        assert_eq!(Node::open(&cut).unwrap().view(), node.view(), "failing {failing}");
        clean(&cut);
        if !failed {
            assert!(failing > 10, "a fold takes more calls than {failing}");
            break;
        }
    }
}

#[test]
fn a_damaged_snapshot_gives_way_to_the_one_before() {
    let memory = Memory::new();
    let mut node = Node::open(&memory).unwrap();
    node.work(60, 3).unwrap();
    let newest = node.folder.newest().unwrap().clone();
    let length = memory.open(&newest.file).unwrap().length().unwrap() * 8;
    for bit in (0..length).step_by(61) {
        let damaged = memory.copy();
        assert!(damaged.flip_bit(&newest.file, bit));
        let found = snapshot::newest(&damaged, 99).unwrap();
        assert_eq!(found.damaged.len(), 1, "bit {bit} is not noticed");
        let older = found.snapshot.unwrap();
        assert!(older.position < newest.position);
        let mut shards = new_shards();
        snapshot::load(&damaged, &older, |(shard, key), value| {
            shards[usize::from(*shard)].load(key, value);
            Ok::<(), Infallible>(())
        })
        .unwrap();
        let visit = |_, payload: &[u8]| fold_payload(&mut shards, payload);
        let log = recover(&damaged, options(), older.position + 1, visit).unwrap();
        let folder = Folder::new(&log.wal, MEMORY_BYTES, Some(older));
        let again = Node { shards, log, folder, time_ms: 0, step: 0 };
        assert_eq!(again.view(), node.view(), "bit {bit}");
        assert!(!audit(&damaged, MEMORY_BYTES).unwrap().is_clean());
    }
}

#[test]
fn a_snapshot_damaged_under_a_running_node_does_not_stop_its_folds() {
    let memory = Memory::new();
    let mut node = Node::open(&memory).unwrap();
    node.work(60, 3).unwrap();
    let newest = node.folder.newest().unwrap().clone();
    assert!(memory.flip_bit(&newest.file, 999));
    node.work(12, 4).unwrap();
    assert!(node.folder.newest().unwrap().position > newest.position);
    let cut = memory.power_cut(Keep::None);
    clean(&cut);
    assert_eq!(Node::open(&cut).unwrap().view(), node.view());
}

#[test]
fn the_audit_finds_a_snapshot_that_says_something_else_than_the_log() {
    let memory = Memory::new();
    let mut node = Node::open(&memory).unwrap();
    node.work(60, 3).unwrap();
    let newest = node.folder.newest().unwrap().clone();
    drop(node);
    // A snapshot with good checksums and one counter changed.
    let mut items = Vec::new();
    snapshot::load(&memory, &newest, |place, value| {
        items.push((place.clone(), *value));
        Ok::<(), Infallible>(())
    })
    .unwrap();
    let changed = items.iter_mut().find_map(|(_, value)| match value {
        ItemValue::Counter(counter) => Some(counter),
        _ => None,
    });
    let counter = changed.unwrap();
    counter.value = counter.value.map(|value| value + 1);
    write_snapshot(&memory, newest.position, &items);
    let audit = audit(&memory, MEMORY_BYTES).unwrap();
    assert!(!audit.is_clean());
    assert_eq!((audit.different, audit.differences.len()), (1, 1), "{audit:?}");
    assert_eq!(audit.unfit.len(), 1, "what follows does not fit the changed counter either");
}

/// Writes a snapshot of these items, whatever they say.
pub(crate) fn write_snapshot(memory: &Memory, position: u64, items: &[(Place, ItemValue)]) {
    let header = Header { kind: Kind::Snapshot, store_id: STORE_ID, position, time_s: 0 };
    let mut writer = Writer::create(memory, &snapshot::name(position), &header).unwrap();
    for (place, value) in items {
        writer.put(|out| put_item(out, place, value)).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn changes_are_spilled_only_above_their_memory_and_leave_nothing() {
    let mut shard = Shard::new(0, SEED, ShardLimits { streams_max: 1 });
    let mut payload = Vec::new();
    shard.begin_epoch(1, WINDOW_MS, &mut payload);
    let context = Context { now_ms: 1, no_room: None, memory_full: false, tokens_full: false };
    for name in ["a", "b"] {
        let op = Op { name, action: Action::Add(Add::plain(1)), token: Token::None };
        shard.execute(&context, hash64(SEED, name.as_bytes()), &op).result.unwrap();
    }
    shard.seal(u64::MAX, &mut payload);
    let mut set = quipu_core::snapshot::ChangeSet::new(SEED);
    set.fold_payload(&payload).unwrap();
    let check = |memory_bytes: usize, expected: usize| {
        let memory = Memory::new();
        let header = Header { kind: Kind::Snapshot, store_id: 99, position: 1, time_s: 0 };
        let mut changes = Changes::new(memory.clone(), header, memory_bytes);
        changes.add(1, &payload).unwrap();
        let names = memory.list().unwrap();
        assert!(names.iter().all(|name| is_run(name)), "{names:?}");
        assert_eq!((names.len(), changes.runs()), (expected, expected), "{memory_bytes}");
        let length = |name: &String| memory.open(name).unwrap().length().unwrap();
        assert_eq!(changes.spilled_bytes(), names.iter().map(length).sum::<u64>());
        changes.remove_runs().unwrap();
        assert!(memory.list().unwrap().is_empty());
    };
    check(set.bytes(), 0);
    check(set.bytes() - 1, 1);
}
