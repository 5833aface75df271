//! A disk that fails, is full or never answers.

use std::{io::ErrorKind, sync::mpsc::sync_channel, thread};

use crate::{
    log::{Cut, Log, local::WalLog},
    storage::{
        fault::{Call, Faulty, Gate, Operation, Verdict},
        memory::{Keep, Memory},
    },
    wal::{
        PrepareError, WriteError,
        tests::{numbers, open, payload},
    },
};

/// Fails calls of one kind on segments that are in use.
fn fail(operation: Operation, verdict: Verdict) -> impl Fn(&Call<'_>) -> Verdict {
    move |call| if call.operation == operation { verdict } else { Verdict::Go }
}

fn is_final<T: std::fmt::Debug>(result: Result<T, WriteError>, operation: &str) {
    match result {
        Err(WriteError::Failed { operation: failed, .. }) => assert_eq!(failed, operation),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_failed_sync_is_final_and_never_tried_again() {
    let faulty = Faulty::new(Memory::new());
    let (mut recovered, _) = open(&faulty, 1).unwrap();
    recovered.wal.write(&[&payload(1)]).unwrap();
    recovered.wal.sync().unwrap();
    recovered.wal.write(&[&payload(2)]).unwrap();
    faulty.lose_next_sync();
    is_final(recovered.wal.sync(), "sync");
    let calls = faulty.calls();
    is_final(recovered.wal.sync(), "sync");
    is_final(recovered.wal.write(&[&payload(3)]), "sync");
    is_final(recovered.wal.mark(), "sync");
    assert_eq!(faulty.calls(), calls, "the disk is not asked again");
    assert_eq!(recovered.wal.durable(), 2, "frame 1 is at position 2, after the first mark");
    // The pages are clean and readable but not on disk. The next start must not be fooled.
    let (_, frames) = open(&faulty, 2).unwrap();
    assert_eq!(numbers(&frames), [1, 2]);
    let (_, frames) = open(&faulty.inner().power_cut(Keep::None), 3).unwrap();
    assert_eq!(numbers(&frames), [1, 2], "what was served once stays");
}

#[test]
fn a_failed_or_short_write_is_final() {
    let check = |verdict| {
        let faulty = Faulty::new(Memory::new());
        let (mut recovered, _) = open(&faulty, 1).unwrap();
        recovered.wal.write(&[&payload(1)]).unwrap();
        recovered.wal.sync().unwrap();
        faulty.set_hook(fail(Operation::Write, verdict));
        is_final(recovered.wal.write(&[&payload(3)]), "write");
        faulty.set_hook(|_| Verdict::Go);
        is_final(recovered.wal.write(&[&payload(3)]), "write");
        let (_, frames) = open(&faulty, 2).unwrap();
        assert_eq!(numbers(&frames), [1]);
    };
    check(Verdict::Fail(ErrorKind::Other));
    check(Verdict::Fail(ErrorKind::StorageFull));
    check(Verdict::Short(0));
    check(Verdict::Short(100));
    check(Verdict::Short(600));
}

#[test]
fn a_full_disk_stops_the_next_segment_and_not_the_current_one() {
    let memory = Memory::new();
    let (mut recovered, _) = open(&memory, 1).unwrap();
    memory.limit(Some(5000));
    let refused = recovered.preparer.run();
    assert!(matches!(refused, Err(PrepareError::NoSpace { bytes: 4096 })), "{refused:?}");
    let mut number = 0;
    let refused = loop {
        let room = recovered.wal.room();
        let bytes = payload(number + 1);
        match recovered.wal.write(&[&bytes]) {
            Ok(_) => number += 1,
            Err(error) => break (error, room < bytes.len() as u64),
        }
        recovered.wal.sync().unwrap();
    };
    assert!(matches!(refused, (WriteError::NoRoom { .. }, true)), "{refused:?}");
    assert!(number > 1 && !refused.0.is_final());
    memory.limit(None);
    recovered.preparer.run().unwrap();
    recovered.wal.write(&[&payload(number + 1)]).unwrap();
    recovered.wal.sync().unwrap();
    let (_, frames) = open(&memory.power_cut(Keep::None), 2).unwrap();
    assert!(numbers(&frames).into_iter().eq(1..=number + 1));
}

#[test]
fn any_failure_while_preparing_leaves_the_writer_alone() {
    for failing in 0.. {
        let faulty = Faulty::new(Memory::new());
        let (mut recovered, _) = open(&faulty, 1).unwrap();
        let at = faulty.calls() + failing;
        faulty.set_hook(move |call| {
            if call.operation.changes() && call.number == at {
                Verdict::Fail(ErrorKind::Other)
            } else {
                Verdict::Go
            }
        });
        let prepared = recovered.preparer.run();
        faulty.set_hook(|_| Verdict::Go);
        recovered.wal.write(&[&payload(1)]).unwrap();
        recovered.wal.mark().unwrap();
        let (_, frames) = open(&faulty.inner().power_cut(Keep::None), 2).unwrap();
        assert_eq!(numbers(&frames), [1], "failing call {failing}");
        let (_, frames) = open(&faulty, 3).unwrap();
        assert_eq!(numbers(&frames), [1], "failing call {failing}");
        if prepared.is_ok() {
            assert!(failing > 4, "creating, writing, syncing, naming can each fail");
            break;
        }
    }
}

#[test]
fn a_failure_at_any_call_while_opening_is_reported_and_harmless() {
    let memory = Memory::new();
    let (mut recovered, _) = open(&memory, 1).unwrap();
    for number in 1..=9 {
        recovered.preparer.run().unwrap();
        recovered.wal.write(&[&payload(number)]).unwrap();
    }
    recovered.wal.sync().unwrap();
    for failing in 0.. {
        let faulty = Faulty::new(memory.copy());
        let seen = std::sync::atomic::AtomicU64::new(0);
        faulty.set_hook(move |_| {
            if seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == failing {
                Verdict::Fail(ErrorKind::Other)
            } else {
                Verdict::Go
            }
        });
        let opened = open(&faulty, 2).is_ok();
        let (_, frames) = open(&faulty.inner().power_cut(Keep::None), 3).unwrap();
        assert!(numbers(&frames).into_iter().eq(1..=9), "failing call {failing}");
        if opened {
            assert!(failing > 20, "opening takes more calls than {failing}");
            break;
        }
    }
}

#[test]
fn a_sync_that_never_returns_makes_nothing_durable() {
    let faulty = Faulty::new(Memory::new());
    let mut log = WalLog::new(open(&faulty, 1).unwrap().0.wal);
    let gate = Gate::new();
    gate.close();
    let disk = gate.clone();
    faulty.set_hook(move |call| {
        if call.operation == Operation::Sync {
            disk.wait();
        }
        Verdict::Go
    });
    let (sender, receiver) = sync_channel(1);
    let writer = thread::spawn(move || {
        let mut cut = Cut::default();
        cut.push(3, 1, b"batch");
        log.append(&cut).unwrap();
        let mut durable = Vec::new();
        log.flush(&mut durable).unwrap();
        sender.send(durable).unwrap();
    });
    gate.until_reached();
    assert!(receiver.try_recv().is_err(), "nothing is durable while the disk is silent");
    assert!(open(&faulty.inner().power_cut(Keep::None), 2).unwrap().1.is_empty());
    gate.open();
    assert_eq!(receiver.recv().unwrap(), [(3, 1)]);
    writer.join().unwrap();
}
