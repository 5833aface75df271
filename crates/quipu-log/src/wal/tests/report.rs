//! What recovery says of what it found: the report, the place of damage, what does not fit.

use std::convert::Infallible;

use crate::{
    storage::{
        Storage, StorageFile,
        memory::{Keep, Memory},
    },
    wal::{
        Cut, RecoverError, recover, segment, store,
        tests::{Frames, numbers, open, open_from, options, payload},
    },
};

/// A log in one segment: a mark in block 1, frames 1 and 2 in blocks 2 and 3, each synced; frame 3
/// in blocks 4 and 5 and frame 4 in block 6, not synced.
fn log() -> Memory {
    let memory = Memory::new();
    let (mut recovered, _) = open(&memory, 1).unwrap();
    for number in 1..=4 {
        recovered.wal.write(&[&payload(number)]).unwrap();
        if number <= 2 {
            recovered.wal.sync().unwrap();
        }
    }
    memory.copy()
}

/// Flips a bit of the payload of the frame that begins in a block.
fn damage(memory: &Memory, block: u64) {
    assert!(memory.flip_bit(&segment::name(1), (block * 512 + 50) * 8));
}

#[test]
fn the_report_counts_what_was_found_and_what_was_written_again() {
    let (recovered, frames) = open(&log(), 2).unwrap();
    let report = recovered.report;
    assert_eq!((numbers(&frames), report.visited), (vec![1, 2, 3, 4], 4));
    assert_eq!((report.position, report.proven, report.rewritten), (5, 3, 2));
    assert_eq!((report.created, report.cut), (false, None));
}

#[test]
fn the_report_says_what_was_cut_off_and_where() {
    let memory = log();
    damage(&memory, 4);
    let (recovered, frames) = open(&memory, 2).unwrap();
    let report = recovered.report;
    assert_eq!((numbers(&frames), report.visited), (vec![1, 2], 2));
    assert_eq!((report.position, report.proven, report.rewritten), (3, 3, 0));
    let file = segment::name(1);
    let cut = Cut { file, offset: 4 * 512, position: 4, bytes: 3 * 512, frames: 2 };
    assert_eq!(report.cut, Some(cut));
}

#[test]
fn damage_is_told_with_the_first_frame_that_proves_it() {
    let memory = log();
    damage(&memory, 3);
    let error = open(&memory, 2).unwrap_err();
    let RecoverError::Damaged { file, offset, position, proof_file, proof_offset } = error else {
        panic!("{error}");
    };
    assert_eq!((file, offset, position), (segment::name(1), 3 * 512, 3));
    assert_eq!((proof_file, proof_offset), (segment::name(1), 4 * 512));
}

/// A log of three segments of which the first is full, all synced; and the first position of the
/// last segment.
fn three_segments() -> (Memory, u64) {
    let memory = Memory::new();
    let (mut recovered, _) = open(&memory, 1).unwrap();
    let mut first = 0;
    for number in 1..=3 {
        recovered.preparer.run().unwrap();
        first = recovered.wal.write(&[&payload(number)]).unwrap();
        recovered.wal.sync().unwrap();
        if number < 3 {
            assert!(recovered.wal.seal().unwrap());
        }
    }
    (memory.copy(), first)
}

#[test]
fn damage_is_told_where_it_is_also_where_later_segments_are_whole() {
    let (memory, _) = three_segments();
    damage(&memory, 2);
    let error = open(&memory, 2).unwrap_err();
    let RecoverError::Damaged { file, offset, position, .. } = error else { panic!("{error}") };
    assert_eq!((file, offset, position), (segment::name(1), 2 * 512, 2));
}

#[test]
fn a_missing_frame_is_told_at_the_first_segment_that_holds_anything() {
    let (memory, first) = three_segments();
    let name = segment::name(2);
    let file = memory.open(&name).unwrap();
    let length = file.length().unwrap();
    file.write_at(&vec![0; length as usize - 512], 512).unwrap();
    let error = open(&memory, 2).unwrap_err();
    let RecoverError::Damaged { file, offset, position, .. } = error else { panic!("{error}") };
    assert_eq!((file, offset), (segment::name(3), 512));
    assert!(position < first, "{position}");
}

/// A log whose second segment holds only a frame of which the first sector is on disk; and the
/// position of that frame.
fn torn_after_a_full_segment() -> (Memory, u64) {
    let memory = Memory::new();
    let (mut recovered, _) = open(&memory, 1).unwrap();
    recovered.preparer.run().unwrap();
    recovered.wal.write(&[&payload(1)]).unwrap();
    recovered.wal.sync().unwrap();
    assert!(recovered.wal.seal().unwrap());
    recovered.wal.write(&[&[5; 700]]).unwrap();
    let index = memory.unsynced() - 1;
    let keep = Keep::Sectors { chosen: u64::MAX, index, sectors: 1 };
    (memory.power_cut(keep), recovered.wal.position())
}

#[test]
fn a_torn_frame_at_the_begin_of_a_segment_is_told_there() {
    let (memory, position) = torn_after_a_full_segment();
    let (recovered, _) = open(&memory, 2).unwrap();
    let cut = recovered.report.cut.unwrap();
    assert_eq!((cut.file, cut.offset, cut.position), (segment::name(2), 512, position));
}

#[test]
fn a_torn_frame_after_a_snapshot_is_cut_off_also_where_the_log_before_it_is_gone() {
    let (memory, start) = torn_after_a_full_segment();
    memory.remove(&segment::name(1)).unwrap();
    let (mut recovered, frames) = open_from(&memory, 2, start).unwrap();
    assert_eq!((frames, recovered.report.position), (Frames::new(), start - 1));
    recovered.wal.write(&[&payload(1)]).unwrap();
    recovered.wal.sync().unwrap();
    let (_, frames) = open_from(&memory, 3, start).unwrap();
    assert_eq!(numbers(&frames), [1]);
}

#[test]
fn a_log_may_end_with_its_snapshot_and_not_before_it() {
    let end = 5;
    let (recovered, frames) = open_from(&log(), 2, end + 1).unwrap();
    assert_eq!((frames, recovered.report.position), (Frames::new(), end));
    let error = open_from(&log(), 2, end + 2).unwrap_err();
    let RecoverError::EndsEarly { file, offset, last, snapshot } = error else { panic!("{error}") };
    assert_eq!((file, offset), (segment::name(1), 7 * 512));
    assert_eq!((last, snapshot), (end, end + 1));
}

#[test]
fn only_a_log_without_any_data_may_lack_the_file_of_its_store() {
    let check = |memory: Memory, start: u64, is_refused: bool| {
        memory.remove(store::NAME).unwrap();
        match open_from(&memory, 2, start) {
            Ok(_) => assert!(!is_refused, "from {start}"),
            Err(RecoverError::MissingStore) => assert!(is_refused, "from {start}"),
            Err(error) => panic!("from {start}: {error}"),
        }
    };
    let begun = || {
        let memory = Memory::new();
        open(&memory, 1).unwrap();
        memory
    };
    check(begun(), 1, false);
    check(begun(), 2, true);
    check(log(), 1, true);
}

#[test]
fn a_segment_holds_its_header_a_mark_and_two_of_the_largest_frames_or_is_refused() {
    let check = |segment_bytes: u64, expected: Option<u64>| {
        let mut options = options(1);
        (options.segment_bytes, options.frame_bytes_max) = (segment_bytes, 900);
        let recovered = recover(&Memory::new(), options, 1, |_, _| Ok::<(), Infallible>(()));
        let refused = match recovered {
            Ok(_) => None,
            Err(RecoverError::SegmentTooSmall { segment_bytes, .. }) => Some(segment_bytes),
            Err(error) => panic!("{segment_bytes}: {error}"),
        };
        assert_eq!(refused, expected, "{segment_bytes}");
    };
    // A frame takes two blocks of 512 bytes, the others one.
    check(6 * 512, None);
    check(5 * 512 + 1, None);
    check(5 * 512, Some(5 * 512));
    check(1, Some(512));
}
