//! The audit of a node that goes on working while its counters are shown.

use quipu_core::{
    effect::Counter,
    snapshot::{ItemKey, ItemValue},
};

use super::{Arriving, LiveAudit, LiveFound};
use crate::{
    audit::AuditError,
    fold::tests::{MEMORY_BYTES, Node, SHARDS, STORE_ID},
    history::{self, History, Pin, Retain},
    storage::{Storage, memory::Memory},
};

/// Sends the base that a node keeps.
fn base(pin: &Pin<Memory>, scratch: &Memory, audit: &mut LiveAudit<Memory>) {
    let oldest = pin.oldest();
    let Some(file) = pin.open(&oldest).unwrap() else { return };
    let mut arriving = Arriving::snapshot(scratch, oldest.position).unwrap();
    let mut put = |part: &[u8]| arriving.put(part).is_ok();
    history::copy(&file, "base", &mut put).unwrap();
    audit.base(oldest.position).unwrap();
}

/// Audits a node that does `between` after each page; `spoil` may change what is shown.
fn audited(
    node: &mut Node<Memory>,
    mut between: impl FnMut(&mut Node<Memory>),
    mut spoil: impl FnMut(&mut quipu_core::page::Page),
) -> Result<LiveFound, AuditError> {
    let scratch = Memory::new();
    let history = History::of(&node.log.wal);
    let pin = history.pin();
    let mut audit = LiveAudit::new(scratch.clone(), (STORE_ID, SHARDS), MEMORY_BYTES)?;
    base(&pin, &scratch, &mut audit);
    for shard in 0..SHARDS {
        let mut next = Some(0);
        while let Some(from) = next {
            let mut page = node.shards[usize::from(shard)].page(from, 3);
            next = page.next;
            spoil(&mut page);
            audit.page(page)?;
            between(node);
        }
    }
    let mut folded = Ok(());
    pin.frames(pin.oldest().position, history.durable(), &mut |position, payload| {
        folded = audit.frame(position, payload);
        folded.is_ok()
    })
    .unwrap();
    match folded {
        Err(AuditError::Unfit) | Ok(()) => audit.finish(),
        Err(other) => Err(other),
    }
}

/// A node that has worked, with the history that `retain` keeps.
fn worked(retain: Retain) -> Node<Memory> {
    let mut node = Node::open(&Memory::new()).unwrap();
    node.folder = node.folder.retaining(retain).unwrap();
    node.work(60, 3).unwrap();
    node
}

const RETAINS: [Retain; 3] = [
    Retain { bytes: u64::MAX, time_ms: None, snapshots: usize::MAX },
    Retain::LAST_FOLD,
    Retain { bytes: 0, time_ms: None, snapshots: 0 },
];

#[test]
fn a_node_that_stands_still_agrees_with_its_log() {
    for retain in RETAINS {
        let mut node = worked(retain);
        let found = audited(&mut node, |_| {}, |_| {}).unwrap();
        assert!(found.is_clean(), "{found:?}");
        assert_eq!(found.from, node.folder.oldest().position);
        let live = node.shards.iter().map(|shard| shard.counters() as u64).sum::<u64>();
        assert_eq!(found.counters, live);
    }
}

#[test]
fn a_node_that_works_and_folds_between_all_pages_agrees_with_its_log() {
    for (seed, retain) in (20..).zip(RETAINS) {
        let mut node = worked(retain);
        let mut steps = seed;
        let between = |node: &mut Node<Memory>| {
            steps += 1;
            node.steps(10, steps).unwrap();
        };
        let found = audited(&mut node, between, |_| {}).unwrap();
        assert!(found.is_clean() && found.frames > 60, "{found:?}");
    }
}

#[test]
fn operations_in_the_open_batch_are_left_out() {
    let mut node = worked(Retain::LAST_FOLD);
    let mut drawn = 0_u64;
    let between = |node: &mut Node<Memory>| {
        for _ in 0..9 {
            drawn += 1;
            node.operate(stdx::hash::hash64(7, &drawn.to_le_bytes()));
        }
    };
    let found = audited(&mut node, between, |_| {}).unwrap();
    assert!(found.is_clean(), "{found:?}");
}

#[test]
fn what_a_node_shows_and_its_log_does_not_say_is_found() {
    let check = |spoil: fn(&mut quipu_core::page::Page), what: &str| {
        let mut node = worked(Retain::LAST_FOLD);
        let mut left = 1;
        let spoil = |page: &mut quipu_core::page::Page| {
            if left > 0 && !page.counters.is_empty() {
                left -= 1;
                spoil(page);
            }
        };
        let found = audited(&mut node, |_| {}, spoil).unwrap();
        assert_eq!((found.different, found.differences.len()), (1, 1), "{what}: {found:?}");
        let (difference, position) = &found.differences[0];
        assert!(matches!(difference.item, ItemKey::Counter(_)), "{what}");
        assert_eq!(position.split(':').count(), 3, "{position}");
    };
    check(|page| page.counters[0].value += 1, "another value");
    check(|page| page.counters[0].expires_at = Some(1), "another expiry");
    check(|page| page.counters.truncate(page.counters.len() - 1), "a lost counter");
}

#[test]
fn a_snapshot_that_says_something_else_than_the_log_is_found() {
    let mut node = worked(Retain::LAST_FOLD);
    let scratch = Memory::new();
    let mut audit = LiveAudit::new(scratch.clone(), (STORE_ID, SHARDS), MEMORY_BYTES).unwrap();
    let pin = History::of(&node.log.wal).pin();
    // A base with good checksums and one counter changed.
    let mut items = Vec::new();
    pin.items(|place, value| {
        items.push((place.clone(), *value));
        true
    })
    .unwrap();
    let counters = items.iter_mut().filter_map(|(_, value)| match value {
        ItemValue::Counter(counter) => Some(counter),
        _ => None,
    });
    counters.for_each(|counter| {
        *counter = Counter { value: counter.value.map(|value| value + 1), ..*counter };
    });
    let position = pin.oldest().position;
    crate::fold::tests::write_snapshot(&scratch, position, &items);
    audit.base(position).unwrap();
    for shard in &mut node.shards {
        audit.page(shard.page(0, 1000)).unwrap();
    }
    pin.frames(position, u64::MAX, &mut |at, payload| audit.frame(at, payload).is_ok()).unwrap();
    assert!(!audit.finish().unwrap().is_clean());
    assert!(scratch.list().unwrap().len() > 1);
}
