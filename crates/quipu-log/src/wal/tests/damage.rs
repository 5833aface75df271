//! Flipped bits, missing files, foreign files.

use crate::{
    storage::{
        Storage, StorageFile,
        memory::{Keep, Memory},
    },
    wal::{
        RecoverError,
        frame::{HEADER_BYTES, Header, Kind},
        segment,
        tests::{numbers, open, open_from, payload},
    },
};

const FRAMES: u64 = 7;

/// A closed log of a few segments, everything synced, with or without a mark at its end.
fn closed(mark: bool) -> Memory {
    let memory = Memory::new();
    let (mut recovered, _) = open(&memory, 1).unwrap();
    for number in 1..=FRAMES {
        recovered.preparer.run().unwrap();
        recovered.wal.write(&[&payload(number)]).unwrap();
        recovered.wal.sync().unwrap();
    }
    if mark {
        recovered.wal.mark().unwrap();
    }
    memory.copy()
}

fn length(memory: &Memory, name: &str) -> u64 {
    memory.open(name).unwrap().length().unwrap()
}

#[test]
fn a_flipped_bit_is_refused_or_harmless() {
    let log = closed(true);
    let (mut refused, mut harmless) = (0_u64, 0_u64);
    for name in log.list().unwrap() {
        for bit in interesting_bits(&log, &name) {
            let damaged = log.copy();
            assert!(damaged.flip_bit(&name, bit));
            match open(&damaged, 2) {
                Err(_) => refused += 1,
                Ok((_, frames)) => {
                    let found = numbers(&frames);
                    assert!(found.into_iter().eq(1..=FRAMES), "{name} bit {bit}: silent loss");
                    harmless += 1;
                }
            }
        }
    }
    // What counts is most of a payload and every header; padding and prepared zeros do not.
    assert!(refused > 10_000 && harmless > 1_000, "{refused} refused, {harmless} harmless");
}

/// Every bit of every line of 16 bytes that is not zero, and one bit of each that is.
fn interesting_bits(log: &Memory, name: &str) -> Vec<u64> {
    let mut bytes = vec![0; length(log, name) as usize];
    log.open(name).unwrap().read_at(&mut bytes, 0).unwrap();
    let lines = bytes.chunks(16).zip((0..).step_by(128));
    lines
        .flat_map(
            |(line, bit)| if line.iter().any(|b| *b != 0) { bit..bit + 128 } else { bit..bit + 1 },
        )
        .filter(|bit| *bit < bytes.len() as u64 * 8)
        .collect()
}

#[test]
fn without_a_mark_only_the_last_frame_can_pass_for_a_torn_end() {
    let log = closed(false);
    for name in log.list().unwrap() {
        for bit in (0..length(&log, &name) * 8).step_by(23) {
            let damaged = log.copy();
            damaged.flip_bit(&name, bit);
            if let Ok((recovered, frames)) = open(&damaged, 2) {
                let found = numbers(&frames).len() as u64;
                assert!(found >= FRAMES - 1, "{name} bit {bit}: {found} frames");
                assert_eq!(found < FRAMES, recovered.report.position < FRAMES + 1);
                assert!(found == FRAMES || recovered.report.cut.is_some(), "a cut is reported");
            }
        }
    }
}

#[test]
fn the_refusal_names_the_place_and_its_way_out_works() {
    let log = closed(true);
    let name = segment::name(2);
    let at = (0..length(&log, &name) * 8)
        .find(|bit| {
            let damaged = log.copy();
            damaged.flip_bit(&name, *bit);
            matches!(open(&damaged, 2), Err(RecoverError::Damaged { .. }))
        })
        .unwrap();
    log.flip_bit(&name, at);
    let error = open(&log, 2).unwrap_err();
    let text = error.to_string();
    let RecoverError::Damaged { file, offset, position, .. } = error else { panic!("{text}") };
    assert!(file == name && text.contains(&name) && text.contains(&format!("offset {offset}")));
    log.open(&file).unwrap().set_length(offset).unwrap();
    for other in log.list().unwrap() {
        if other.starts_with("segment-") && other > file {
            log.remove(&other).unwrap();
        }
    }
    let (recovered, frames) = open(&log, 2).unwrap();
    assert_eq!(recovered.report.position, position - 1);
    assert!(numbers(&frames).into_iter().eq(1..position - 1), "position 1 is a mark");
}

#[test]
fn a_missing_segment_is_refused() {
    let check = |remove: &[u64], start: u64, expected: fn(&RecoverError) -> bool| {
        let log = closed(true);
        for sequence in remove {
            log.remove(&segment::name(*sequence)).unwrap();
        }
        let error = open_from(&log, 2, start).unwrap_err();
        assert!(expected(&error), "{remove:?} {start}: {error}");
    };
    check(&[2], 1, |e| matches!(e, RecoverError::MissingSegment { .. }));
    check(&[1], 1, |e| matches!(e, RecoverError::Gap { start: 1, .. }));
    check(&[1], 3, |e| matches!(e, RecoverError::Gap { start: 3, .. }));
    check(&[], 99, |e| matches!(e, RecoverError::EndsEarly { snapshot: 98, .. }));
    let all: Vec<u64> = (1..closed(true).list().unwrap().len() as u64).collect();
    check(&all, 1, |e| matches!(e, RecoverError::MissingLog));
}

#[test]
fn segments_below_the_start_may_be_gone() {
    let log = closed(true);
    log.remove(&segment::name(1)).unwrap();
    let Err(RecoverError::Gap { first, .. }) = open(&log, 2) else { panic!("it is a gap") };
    let (_, frames) = open_from(&log, 2, first).unwrap();
    assert_eq!(numbers(&frames).last(), Some(&FRAMES));
}

#[test]
fn a_segment_of_another_store_is_refused() {
    let (log, other) = (closed(true), Memory::new());
    open(&other, 99).unwrap();
    let mut bytes = vec![0; length(&other, &segment::name(1)) as usize];
    other.open(&segment::name(1)).unwrap().read_at(&mut bytes, 0).unwrap();
    log.open(&segment::name(1)).unwrap().write_at(&bytes, 0).unwrap();
    let error = open(&log, 2).unwrap_err();
    assert!(matches!(error, RecoverError::Foreign { .. }), "{error}");
}

#[test]
fn an_unknown_version_is_refused_with_a_sentence() {
    let check = |offset: u64, length: usize| {
        let log = closed(true);
        let file = log.open(&segment::name(1)).unwrap();
        let mut header = vec![0; length];
        file.read_at(&mut header, offset).unwrap();
        let at = if offset == 0 { 8 } else { 4 };
        header[at] = 9;
        let checksum = stdx::checksum::crc32c(&header[..length - 4]);
        header[length - 4..].copy_from_slice(&checksum.to_le_bytes());
        file.write_at(&header, offset).unwrap();
        let error = open(&log, 2).unwrap_err();
        assert!(matches!(error, RecoverError::UnknownVersion { found: 9, .. }), "{error}");
        assert!(error.to_string().contains("format version 9, this program knows 1"));
    };
    check(0, segment::HEADER_BYTES);
    check(512, HEADER_BYTES);
}

#[test]
fn an_old_copy_of_a_segment_is_refused() {
    let memory = Memory::new();
    let (mut recovered, _) = open(&memory, 1).unwrap();
    recovered.wal.write(&[&payload(1)]).unwrap();
    recovered.wal.sync().unwrap();
    let old = memory.power_cut(Keep::None);
    recovered.wal.write(&[&payload(2)]).unwrap();
    recovered.wal.mark().unwrap();
    // Restored: the first segment as it was, then the log went on elsewhere.
    let (mut recovered, _) = open(&memory, 2).unwrap();
    recovered.wal.write(&[&payload(3)]).unwrap();
    recovered.wal.mark().unwrap();
    let mut bytes = vec![0; length(&old, &segment::name(1)) as usize];
    old.open(&segment::name(1)).unwrap().read_at(&mut bytes, 0).unwrap();
    memory.open(&segment::name(1)).unwrap().write_at(&bytes, 0).unwrap();
    let error = open(&memory, 3).unwrap_err();
    assert!(matches!(error, RecoverError::Damaged { position: 3, .. }), "{error}");
}

/// A log with one frame, and what a frame that follows it must say; where it must stand.
fn follower() -> (Memory, Header, u64) {
    let memory = Memory::new();
    let (mut recovered, _) = open(&memory, 1).unwrap();
    recovered.wal.write(&[&payload(1)]).unwrap();
    recovered.wal.sync().unwrap();
    let mut bytes = vec![0; 512];
    memory.open(&segment::name(1)).unwrap().read_at(&mut bytes, 1024).unwrap();
    let (last, link) = Header::decode(&bytes).unwrap();
    let body = payload(2);
    let header = Header {
        kind: Kind::Data,
        length: body.len() as u32,
        payload_crc: stdx::checksum::crc32c(&body),
        position: last.position + 1,
        durable_upto: 1,
        link,
        ..last
    };
    (memory, header, 1536)
}

#[test]
fn a_frame_counts_only_with_its_segment_position_and_link() {
    let check = |change: fn(&mut Header), expected: &[u64]| {
        let (memory, mut header, offset) = follower();
        change(&mut header);
        let mut bytes = header.encode().0[..HEADER_BYTES].to_vec();
        bytes.extend_from_slice(&payload(2));
        let file = memory.open(&segment::name(1)).unwrap();
        file.write_at(&bytes, offset).unwrap();
        let (_, frames) = open(&memory, 2).unwrap();
        assert_eq!(numbers(&frames), expected, "{header:?}");
    };
    check(|_| {}, &[1, 2]);
    check(|header| header.segment_id ^= 1, &[1]);
    check(|header| header.position += 1, &[1]);
    check(|header| header.link ^= 1, &[1]);
    check(|header| header.payload_crc ^= 1, &[1]);
}

/// Every place of a log where an intact frame header stands.
fn headers(log: &Memory) -> Vec<(String, u64)> {
    let names = log.list().unwrap().into_iter().filter(|name| name.starts_with("segment-"));
    let blocks = names.flat_map(|name| {
        let offsets = (512..length(log, &name)).step_by(512);
        offsets.map(move |offset| (name.clone(), offset))
    });
    blocks.filter(|(name, offset)| header(log, name, *offset).is_some()).collect()
}

fn header(log: &Memory, name: &str, offset: u64) -> Option<Header> {
    let mut bytes = [0; HEADER_BYTES];
    log.open(name).unwrap().read_at(&mut bytes, offset).unwrap();
    Header::decode(&bytes).ok().map(|(header, _)| header)
}

#[test]
fn a_header_that_no_writer_wrote_is_refused_or_cut_off_whatever_it_says() {
    let check = |change: fn(&mut Header)| {
        for (name, offset) in headers(&closed(false)) {
            let log = closed(false);
            let mut forged = header(&log, &name, offset).unwrap();
            change(&mut forged);
            log.open(&name).unwrap().write_at(&forged.encode().0, offset).unwrap();
            let opened = |log: &Memory| match open(log, 2) {
                Ok((_, frames)) => Ok(numbers(&frames)),
                Err(error) => Err(error.to_string()),
            };
            assert_eq!(opened(&log.copy()), opened(&log), "{name} at {offset}");
        }
    };
    check(|header| header.position = u64::MAX - 60);
    check(|header| header.position = u64::MAX);
    check(|header| header.position = 0);
    check(|header| header.durable_upto = header.position);
    check(|header| header.durable_upto = u64::MAX);
    check(|header| header.link ^= 1);
    check(|header| header.length = u32::MAX);
}
