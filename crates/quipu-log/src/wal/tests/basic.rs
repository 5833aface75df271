//! A log without faults.

use crate::{
    storage::{
        Storage, StorageFile,
        memory::{Keep, Memory},
    },
    wal::{
        Options, WriteError, segment,
        tests::{SEGMENT_BYTES, numbers, open, open_from, payload},
    },
};

#[test]
fn a_new_log_is_empty_and_says_that_it_is_new() {
    let memory = Memory::new();
    let (recovered, frames) = open(&memory, 1).unwrap();
    assert!(frames.is_empty() && recovered.report.created);
    assert_eq!((recovered.wal.position(), recovered.wal.durable()), (1, 1));
    let (again, _) = open(&memory, 2).unwrap();
    assert!(!again.report.created);
    assert_eq!(again.report.identity, recovered.report.identity);
}

#[test]
fn synced_frames_come_back_over_many_segments() {
    let memory = Memory::new();
    let (mut recovered, _) = open(&memory, 1).unwrap();
    let mut positions = Vec::new();
    for number in 1..=40 {
        recovered.preparer.run().unwrap();
        let bytes = payload(number);
        let (head, rest) = bytes.split_at(5);
        positions.push(recovered.wal.write(&[head, rest]).unwrap());
        assert_eq!(recovered.wal.sync().unwrap(), *positions.last().unwrap());
    }
    assert!(recovered.wal.sealed().len() > 5);
    assert!(positions.windows(2).all(|pair| pair[0] + 1 == pair[1]), "positions are dense");
    let (again, frames) = open(&memory.power_cut(Keep::None), 2).unwrap();
    assert!(numbers(&frames).into_iter().eq(1..=40));
    assert_eq!(again.report.cut, None);
    let (_, frames) = open_from(&memory.power_cut(Keep::None), 2, positions[29]).unwrap();
    assert!(numbers(&frames).into_iter().eq(30..=40));
}

#[test]
fn a_mark_proves_all_before_it() {
    let memory = Memory::new();
    let (mut recovered, _) = open(&memory, 1).unwrap();
    let position = recovered.wal.write(&[&payload(1)]).unwrap();
    recovered.wal.mark().unwrap();
    let after = recovered.wal.position();
    recovered.wal.mark().unwrap();
    assert_eq!(recovered.wal.position(), after, "a second mark has nothing to say");
    let report = open(&memory.power_cut(Keep::None), 2).unwrap().0.report;
    assert_eq!((report.proven, report.position), (position, after));
}

#[test]
fn the_room_that_is_promised_is_there() {
    let memory = Memory::new();
    let (mut recovered, _) = open(&memory, 1).unwrap();
    recovered.preparer.run().unwrap();
    assert!(!recovered.preparer.needed() && !recovered.wal.needs_segment());
    let mut written = 0;
    while recovered.wal.room() > 0 {
        let room = recovered.wal.room();
        if written % 2 == 0 {
            recovered.wal.mark().unwrap();
            assert!(recovered.wal.room() >= room, "a mark does not shrink the room");
        }
        recovered.wal.write(&[&vec![7; room as usize]]).unwrap();
        written += 1;
    }
    assert!(written >= 4, "two segments hold some large frames");
    let refused = recovered.wal.write(&[&[7; 800]]);
    assert!(matches!(refused, Err(WriteError::NoRoom { length: 800 })), "{refused:?}");
    assert!(recovered.wal.needs_segment());
    recovered.preparer.run().unwrap();
    recovered.wal.write(&[&[7; 800]]).unwrap();
    recovered.wal.sync().unwrap();
    let (_, frames) = open(&memory.power_cut(Keep::None), 2).unwrap();
    assert_eq!(frames.len(), written + 1);
}

#[test]
fn a_frame_above_the_limit_is_refused_and_the_log_goes_on() {
    let (mut recovered, _) = open(&Memory::new(), 1).unwrap();
    let refused = recovered.wal.write(&[&[0; 901]]);
    assert!(matches!(refused, Err(WriteError::TooLarge { length: 901, limit: 900 })));
    recovered.wal.write(&[&[0; 900]]).unwrap();
}

#[test]
fn a_recycled_segment_never_shows_its_earlier_frames() {
    let memory = Memory::new();
    let (mut recovered, _) = open(&memory, 1).unwrap();
    let mut number = 0;
    let mut next = |recovered: &mut crate::wal::Recovered<Memory>| {
        number += 1;
        recovered.preparer.run().unwrap();
        recovered.wal.write(&[&payload(number)]).unwrap();
        recovered.wal.sync().unwrap();
        number
    };
    while recovered.wal.sealed().len() < 3 {
        next(&mut recovered);
    }
    let gone = recovered.preparer.pool.retire_oldest().unwrap().unwrap();
    assert!(gone.bytes <= SEGMENT_BYTES);
    let names = memory.list().unwrap();
    assert!(names.iter().any(|name| name.contains("spare")), "{names:?}");
    let sealed = recovered.wal.sealed().len();
    let mut last = 0;
    while recovered.wal.sealed().len() < sealed + 2 {
        last = next(&mut recovered);
        recovered.preparer.run().unwrap();
        assert_prepared_is_zero(&memory);
    }
    let names = memory.list().unwrap();
    assert!(!names.iter().any(|name| name.contains("spare")), "{names:?}");
    let start = gone.positions.end;
    let (_, frames) = open_from(&memory.power_cut(Keep::None), 2, start).unwrap();
    let numbers = numbers(&frames);
    assert_eq!(numbers.last(), Some(&last));
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]));
}

/// The newest segment is the one prepared ahead.
fn assert_prepared_is_zero(memory: &Memory) {
    let mut names = memory.list().unwrap();
    names.retain(|name| matches!(segment::parse(name), segment::Name::Segment(_)));
    let file = memory.open(names.last().unwrap()).unwrap();
    let mut bytes = vec![1; SEGMENT_BYTES as usize];
    file.read_at(&mut bytes, 0).unwrap();
    assert!(bytes[512..].iter().all(|byte| *byte == 0), "a prepared segment holds only zeros");
}

#[test]
fn restarts_do_not_grow_the_disk() {
    let mut memory = Memory::new();
    for seed in 1..100 {
        let (mut recovered, frames) = open(&memory, seed).unwrap();
        assert!(numbers(&frames).into_iter().eq(1..seed));
        recovered.preparer.run().unwrap();
        recovered.wal.write(&[&payload(seed)]).unwrap();
        recovered.wal.sync().unwrap();
        memory = memory.power_cut(Keep::None);
    }
    let names = memory.list().unwrap();
    memory.limit(Some(u64::MAX));
    let used = u64::MAX - memory.free_bytes().unwrap();
    assert!(used < 2 * SEGMENT_BYTES + names.len() as u64 * 4 * 512, "{used} {}", names.len());
}

#[test]
fn options_are_told_without_their_source_of_randomness() {
    let told = format!("{:?}", Options::new(Box::new(|| 7)));
    assert!(told.contains("segment_bytes: 67108864") && told.contains("store_id: 7"), "{told}");
}
