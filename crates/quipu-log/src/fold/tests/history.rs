//! What is kept of the log: a chain of snapshots and the segments after them.

use quipu_core::effect::Counter;

use super::{MEMORY_BYTES, Node, clean};
use crate::{
    audit::audit,
    history::{Base, History, Retain},
    recount::{Told, recount, recount_live},
    snapshot,
    storage::{
        Storage, StorageFile,
        fault::Faulty,
        memory::{Keep, Memory},
    },
    wal::RecoverError,
};

const EVERYTHING: Retain = Retain { bytes: u64::MAX, time_ms: None, snapshots: usize::MAX };

fn open<S: Storage>(storage: &S, retain: Retain) -> Result<Node<S>, String> {
    let mut node = Node::open(storage)?;
    node.folder = node.folder.retaining(retain).map_err(|error| error.to_string())?;
    Ok(node)
}

/// A node that has worked long enough for many folds.
fn worked(memory: &Memory, retain: Retain) -> Node<Memory> {
    let mut node = open(memory, retain).unwrap();
    node.work(120, 3).unwrap();
    node
}

#[test]
fn without_a_bound_everything_is_kept_and_counted_again() {
    let memory = Memory::new();
    let node = worked(&memory, EVERYTHING);
    assert_eq!(node.folder.oldest(), Base::BEGINNING);
    let snapshots = snapshot::positions(&memory).unwrap();
    assert!(snapshots.len() > 8, "{snapshots:?}");
    drop(node);
    let audit = clean(&memory.power_cut(Keep::None));
    assert_eq!((audit.from, Some(&audit.snapshot)), (0, snapshots.last()));
    assert!(audit.compared > 10 * snapshots.len() as u64, "each snapshot is compared: {audit:?}");
}

#[test]
fn history_has_at_most_the_bytes_and_snapshots_that_are_to_be_kept() {
    let check = |retain: Retain, least: usize, most: usize| {
        let memory = Memory::new();
        let mut node = open(&memory, retain).unwrap();
        for seed in 0..12 {
            node.work(18, seed).unwrap();
            assert!(node.folder.history_bytes() <= retain.bytes, "{retain:?}");
        }
        let older = snapshot::positions(&memory).unwrap().len() - 1;
        assert!((least..=most).contains(&older), "{older} older snapshots: {retain:?}");
        let cut = memory.power_cut(Keep::None);
        let audit = clean(&cut);
        assert_eq!(audit.from, node.folder.oldest().position);
        assert_eq!(Node::open(&cut).unwrap().view(), node.view());
    };
    check(Retain { bytes: 0, ..EVERYTHING }, 0, 0);
    check(Retain { bytes: 60_000, ..EVERYTHING }, 1, 8);
    check(Retain { snapshots: 3, ..EVERYTHING }, 3, 3);
    check(Retain { snapshots: 0, ..EVERYTHING }, 0, 0);
    check(Retain::LAST_FOLD, 1, 1);
}

#[test]
fn history_older_than_is_to_be_kept_goes_also_without_a_fold() {
    let memory = Memory::new();
    let retain = Retain { time_ms: Some(2_000), ..EVERYTHING };
    let mut node = worked(&memory, retain);
    node.work(120, 4).unwrap();
    let now_ms = node.time_ms;
    node.folder.trim(now_ms).unwrap();
    let oldest_ms = u64::from(node.folder.oldest().time_s) * 1000;
    assert!(oldest_ms > 0 && oldest_ms + 3_500 > now_ms, "{oldest_ms} at {now_ms}");
    assert!(oldest_ms + 1_000 < now_ms, "what is young enough stays: {oldest_ms} at {now_ms}");
    assert_eq!(node.folder.trim(now_ms).unwrap(), 0, "nothing became older since");
    assert!(node.folder.trim(now_ms + 10_000).unwrap() > 0);
    assert_eq!(snapshot::positions(&memory).unwrap().len(), 1);
    clean(&memory.power_cut(Keep::None));
}

#[test]
fn a_chain_that_was_kept_is_found_by_the_next_start() {
    let memory = Memory::new();
    let mut node = worked(&memory, EVERYTHING);
    let (bytes, snapshots) = (node.folder.history_bytes(), snapshot::positions(&memory).unwrap());
    let mut again = open(&memory.power_cut(Keep::None), EVERYTHING).unwrap();
    assert_eq!(again.folder.oldest(), Base::BEGINNING);
    let found = again.folder.history_bytes();
    // A start counts a segment by its file, without the block of its header.
    assert!(found > bytes * 9 / 10, "{found} of {bytes} bytes");
    again.folder = again.folder.retaining(Retain { snapshots: 2, ..EVERYTHING }).unwrap();
    again.folder.trim(again.time_ms).unwrap();
    assert_eq!(again.folder.oldest().position, snapshots[snapshots.len() - 3]);
    node.folder.give_up_history().unwrap();
    assert_eq!(node.folder.oldest().position, *snapshots.last().unwrap());
}

#[test]
fn who_reads_holds_the_chain_and_a_full_disk_takes_it_all_the_same() {
    let memory = Memory::new();
    let mut node = worked(&memory, Retain { snapshots: 2, ..EVERYTHING });
    let history = History::of(&node.log.wal);
    let pin = history.pin();
    let oldest = pin.oldest();
    assert!(oldest.position > 0);
    node.work(60, 5).unwrap();
    assert_eq!(node.folder.oldest(), oldest, "the chain waits for its reader");
    let mut frames = 0;
    let mut count = |_, _: &[u8]| {
        frames += 1;
        true
    };
    pin.frames(oldest.position, history.durable(), &mut count).unwrap();
    assert!(frames > 60, "{frames} frames, those of the open segment included");
    node.folder.give_up_history().unwrap();
    node.work(60, 6).unwrap();
    let gone = pin.frames(oldest.position, history.durable(), &mut |_, _| true);
    assert!(matches!(gone, Err(RecoverError::GivenUp { .. })), "{gone:?}");
    assert!(matches!(pin.open(&oldest), Err(RecoverError::GivenUp { .. })));
    drop(pin);
    node.work(60, 7).unwrap();
    assert_eq!(snapshot::positions(&memory).unwrap().len(), 3);
}

#[test]
fn a_crash_at_any_call_of_a_node_that_keeps_history_loses_nothing() {
    let mut crashes = 0;
    for call in (0..).step_by(5) {
        let faulty = Faulty::new(Memory::new());
        faulty.crash_at(call);
        let retain = Retain { bytes: 40_000, snapshots: 2, ..EVERYTHING };
        let synced = super::run(&faulty, retain);
        for keep in [Keep::None, Keep::All, Keep::Random(call)] {
            let image = faulty.inner().power_cut(keep);
            let context = format!("call {call} {keep:?}");
            let mut node = open(&image, retain).unwrap_or_else(|e| panic!("{context}: {e}"));
            let view = node.view();
            assert!(synced.iter().rev().take(2).any(|known| *known == view), "{context}");
            node.work(9, 1).unwrap();
            drop(node);
            clean(&image);
        }
        crashes += 1;
        if !faulty.crashed() {
            break;
        }
    }
    assert!(crashes > 30, "{crashes} crashes are few");
}

#[test]
fn segments_that_were_closed_early_take_no_more_room_than_they_use() {
    let memory = Memory::new();
    let mut node = open(&memory, EVERYTHING).unwrap();
    let length = |name: &String| memory.open(name).unwrap().length().unwrap();
    for seed in 0..10 {
        node.work(2, seed).unwrap();
        node.log.preparer.run().unwrap();
        node.log.wal.seal().unwrap();
        node.fold().unwrap();
    }
    let names = memory.list().unwrap();
    let segments: Vec<u64> =
        names.iter().filter(|name| name.starts_with("segment-")).map(length).collect();
    let kept = node.folder.history_bytes();
    let whole = super::options().segment_bytes * 3;
    assert!(segments.len() > 10 && segments.iter().sum::<u64>() < kept + whole, "{segments:?}");
    drop(node);
    clean(&memory.power_cut(Keep::None));
    clean(&memory.power_cut(Keep::All));
}

#[test]
fn segments_of_short_lives_keep_every_frame_when_they_are_folded() {
    let memory = Memory::new();
    for life in 0..12 {
        let mut node = open(&memory, EVERYTHING).unwrap();
        node.work(1, life).unwrap();
        // By a later life than the one that took them over.
        if life % 3 == 2 {
            node.fold().unwrap();
        }
    }
    assert_eq!(clean(&memory.power_cut(Keep::None)).from, 0);
}

#[test]
fn a_missing_segment_of_history_is_refused() {
    let memory = Memory::new();
    let node = worked(&memory, EVERYTHING);
    let folded = node.log.wal.sealed();
    let file = crate::wal::segment::name(folded[folded.len() / 2].sequence);
    drop(node);
    let image = memory.power_cut(Keep::None);
    image.remove(&file).unwrap();
    let refused = Node::open(&image).err().expect("a gap in the numbers");
    assert!(refused.contains(&file) && refused.contains("missing"), "{refused}");
    assert!(audit(&image, MEMORY_BYTES).is_err());
}

/// All that is told of a counter.
fn tell<S: Storage>(node: &Node<S>, name: &str) -> Vec<Told> {
    let history = History::of(&node.log.wal);
    let mut told = Vec::new();
    let hear = &mut |one| {
        told.push(one);
        true
    };
    recount_live(&history.pin(), history.durable(), (name, super::SHARDS), hear).unwrap();
    told
}

/// Follows what is told from the oldest known value to the last one, which is returned.
fn follow(told: &[Told]) -> (Base, u64, Counter) {
    let [Told::Oldest { base, counter }, entries @ .., Told::End { upto, counter: end }] = told
    else {
        panic!("{told:?}");
    };
    let slots = entries.iter().flat_map(|told| match told {
        Told::Entry { entry, .. } => entry.slots.clone(),
        other => panic!("{other:?}"),
    });
    let last = slots.fold(*counter, |value, slot| {
        assert_eq!(slot.before, value);
        slot.after
    });
    assert_eq!(last, *end);
    (*base, *upto, last)
}

#[test]
fn a_counter_is_told_from_its_oldest_known_value_to_the_present_one() {
    let memory = Memory::new();
    for retain in [EVERYTHING, Retain::LAST_FOLD, Retain { bytes: 0, ..EVERYTHING }] {
        let mut node = open(&memory, retain).unwrap();
        node.work(80, 8).unwrap();
        for n in 0..23 {
            let name = format!("counter-{n}");
            let told = tell(&node, &name);
            let (base, upto, value) = follow(&told);
            assert_eq!((base, upto), (node.folder.oldest(), node.log.wal.position()));
            let lives = node.shards.iter().map(|shard| shard.peek(&name));
            let live = lives.max_by_key(|counter| counter.value.is_some());
            assert_eq!(live, Some(value), "{name}");
            assert_eq!(stopped(&memory.power_cut(Keep::None), &name), told, "{name}");
        }
    }
}

/// What is told of a counter of a store that no process has open.
fn stopped(storage: &Memory, name: &str) -> Vec<Told> {
    let mut told = Vec::new();
    recount(storage, name, &mut |one| {
        told.push(one);
        true
    })
    .unwrap();
    told
}
