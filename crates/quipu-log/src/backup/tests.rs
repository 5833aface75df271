//! Backups of small stores: taken, damaged, interrupted, restored.

use crate::{
    audit::audit,
    backup::{BackupError, MANIFEST, Receiver, restore, verify},
    fold::tests::{MEMORY_BYTES, Node, STORE_ID, options},
    history,
    storage::{
        Storage, StorageFile,
        fault::Faulty,
        memory::{Keep, Memory},
    },
};

/// Later than any life of the stores of these tests.
const EPOCH: u64 = 1 << 40;

const TAKEN_S: u64 = 1_790_000_000;

/// A store that has folded everything, and its newest snapshot as bytes.
fn store() -> (Node<Memory>, Memory, Vec<u8>) {
    let memory = Memory::new();
    let mut node = Node::open(&memory).unwrap();
    node.work(40, 3).unwrap();
    node.log.preparer.run().unwrap();
    node.log.wal.seal().unwrap();
    node.fold().unwrap();
    let snapshot = node.folder.newest().unwrap().file.clone();
    let mut bytes = Vec::new();
    let mut take = |part: &[u8]| {
        bytes.extend_from_slice(part);
        true
    };
    history::copy(&memory.open(&snapshot).unwrap(), &snapshot, &mut take).unwrap();
    (node, memory, bytes)
}

fn back_up<S: Storage>(bytes: &[u8], to: &S) -> Result<(), BackupError> {
    let mut receiver = Receiver::begin(to)?;
    bytes.chunks(1000).try_for_each(|part| receiver.put(part))?;
    receiver.finish(TAKEN_S).map(drop)
}

/// What a user can see of a node, less the life of each shard.
fn view(node: &Node<Memory>) -> Vec<String> {
    let life = |line: &String| !line.contains("ShardMeta");
    node.view().into_iter().filter(life).collect()
}

#[test]
fn a_restored_store_is_as_it_was_and_lives_a_life_of_its_own() {
    let (node, _, bytes) = store();
    let (backup, restored) = (Memory::new(), Memory::new());
    back_up(&bytes, &backup).unwrap();
    let manifest = verify(&backup).unwrap();
    assert_eq!((manifest.store_id, manifest.taken_s), (STORE_ID, TAKEN_S));
    assert_eq!(manifest.position, node.folder.newest().unwrap().position);
    assert!(manifest.counters > 5 && manifest.tokens > 0 && manifest.streams > 0, "{manifest:?}");
    let found = restore(&backup, &restored, EPOCH, options()).unwrap();
    assert_eq!((found.manifest, found.epoch), (manifest, EPOCH));
    let mut again = Node::open(&restored.power_cut(Keep::None)).unwrap();
    assert_eq!(view(&again), view(&node));
    again.time_ms = node.time_ms;
    again.work(40, 9).unwrap();
    assert!(again.shards.iter().all(|shard| shard.epoch() == EPOCH + 1));
    assert!(audit(&restored.power_cut(Keep::None), MEMORY_BYTES).is_ok_and(|a| a.is_clean()));
}

#[test]
fn a_life_is_never_given_twice_even_by_a_clock_that_went_back() {
    let (node, _, bytes) = store();
    let (backup, restored) = (Memory::new(), Memory::new());
    back_up(&bytes, &backup).unwrap();
    let found = restore(&backup, &restored, 0, options()).unwrap();
    assert_eq!(found.epoch, node.shards[0].epoch() + 1);
}

#[test]
fn every_flipped_bit_of_a_backup_is_refused_and_told_where() {
    let (_, _, bytes) = store();
    let backup = Memory::new();
    back_up(&bytes, &backup).unwrap();
    for file in backup.list().unwrap() {
        let bits = backup.open(&file).unwrap().length().unwrap() * 8;
        let step = if file == MANIFEST { 1 } else { 37 };
        for bit in (0..bits).step_by(step) {
            let damaged = backup.copy();
            assert!(damaged.flip_bit(&file, bit));
            let to = Memory::new();
            let refused = restore(&damaged, &to, EPOCH, options()).expect_err("it is damaged");
            let text = refused.to_string();
            let version = matches!(refused, BackupError::UnknownVersion { .. });
            assert!(text.contains(&file) && (text.contains("offset") || version), "{text}");
            assert!(to.list().unwrap().is_empty(), "nothing is written before all is verified");
        }
        for length in [0, 1, bits / 16, bits / 8 - 1] {
            let damaged = backup.copy();
            damaged.open(&file).unwrap().set_length(length).unwrap();
            assert!(verify(&damaged).is_err(), "{file} cut to {length} bytes");
        }
    }
}

#[test]
fn an_interrupted_backup_is_none_and_gives_way_to_the_next() {
    let (_, _, bytes) = store();
    for call in 0.. {
        let faulty = Faulty::new(Memory::new());
        faulty.crash_at(call);
        let done = back_up(&bytes, &faulty).is_ok();
        for keep in [Keep::None, Keep::All, Keep::Random(call), Keep::Random(call + 7)] {
            let image = faulty.inner().power_cut(keep);
            let found = verify(&image);
            if done {
                found.unwrap();
                assert!(matches!(back_up(&bytes, &image), Err(BackupError::Taken)));
                continue;
            }
            match found {
                // The last step may have become durable before the crash.
                Ok(_) => assert!(back_up(&bytes, &image).is_err(), "call {call} {keep:?}"),
                Err(error) => {
                    assert!(matches!(error, BackupError::Missing), "call {call} {keep:?}: {error}");
                    back_up(&bytes, &image).unwrap();
                    verify(&image.power_cut(Keep::None)).unwrap();
                }
            }
        }
        if !faulty.crashed() {
            assert!(call > 8, "a backup takes more calls than {call}");
            break;
        }
    }
}

#[test]
fn a_broken_transfer_is_no_backup() {
    let (_, _, bytes) = store();
    for length in [0, 1, 39, 40, bytes.len() / 2, bytes.len() - 1] {
        let memory = Memory::new();
        let error = back_up(&bytes[..length], &memory).expect_err("it is cut short");
        assert!(matches!(error, BackupError::File(_)), "{length} bytes: {error}");
        assert!(matches!(verify(&memory), Err(BackupError::Missing)));
        back_up(&bytes, &memory).unwrap();
    }
}

#[test]
fn a_restore_that_a_crash_ended_is_no_store() {
    let (node, _, bytes) = store();
    let backup = Memory::new();
    back_up(&bytes, &backup).unwrap();
    for call in 0.. {
        let faulty = Faulty::new(Memory::new());
        faulty.crash_at(call);
        let done = restore(&backup, &faulty, EPOCH, options()).is_ok();
        for keep in [Keep::None, Keep::All, Keep::Random(call), Keep::Random(call + 7)] {
            let image = faulty.inner().power_cut(keep);
            let is_empty = image.list().unwrap().is_empty();
            match Node::open(&image) {
                Ok(again) if is_empty => assert!(!done && again.shards[0].epoch() == 0),
                Ok(again) => assert_eq!(view(&again), view(&node), "call {call} {keep:?}"),
                Err(text) => assert!(!done && text.contains("restore"), "call {call}: {text}"),
            }
        }
        if !faulty.crashed() {
            assert!(call > 12, "a restore takes more calls than {call}");
            break;
        }
    }
}

#[test]
fn directories_that_hold_something_are_left_alone() {
    let (_, memory, bytes) = store();
    assert!(matches!(back_up(&bytes, &memory), Err(BackupError::NotEmpty { .. })));
    let backup = Memory::new();
    back_up(&bytes, &backup).unwrap();
    let taken = restore(&backup, &memory, EPOCH, options());
    assert!(matches!(taken, Err(BackupError::NotEmpty { .. })));
    assert!(matches!(verify(&memory), Err(BackupError::Missing)));
    let strangers = Memory::new();
    strangers.create("snapshot-00000000000000000001.items").unwrap();
    assert!(matches!(back_up(&bytes, &strangers), Err(BackupError::NotEmpty { .. })));
}
