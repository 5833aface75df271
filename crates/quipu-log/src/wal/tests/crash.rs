//! A crash at every call of the storage, several images of each, recovery checked, and on again.

use crate::{
    storage::{
        Storage,
        fault::Faulty,
        memory::{Keep, Memory},
    },
    wal::{
        Recovered,
        tests::{Frames, numbers, open, open_from, payload},
    },
};

/// What a run of the workload has promised when the machine stopped.
#[derive(Debug, Default, Clone, Copy)]
struct Promise {
    /// The newest frame of which a sync was confirmed.
    synced: u64,
    /// The newest frame that was handed to the log.
    written: u64,
}

/// How often the workload syncs and marks.
#[derive(Debug, Clone, Copy)]
struct Plan {
    frames: u64,
    sync_every: u64,
    mark_every: u64,
}

const PLANS: [Plan; 4] = [
    Plan { frames: 14, sync_every: 1, mark_every: 5 },
    Plan { frames: 14, sync_every: 3, mark_every: u64::MAX },
    Plan { frames: 20, sync_every: 6, mark_every: u64::MAX },
    Plan { frames: 20, sync_every: 2, mark_every: 7 },
];

/// Writes frames `from + 1` and on until the plan ends or the machine stops.
fn work<S: Storage>(recovered: &mut Recovered<S>, from: u64, plan: Plan) -> Promise {
    let mut promise = Promise { synced: from, written: from };
    for number in from + 1..=from + plan.frames {
        if recovered.preparer.run().is_err() {
            return promise;
        }
        promise.written = number;
        if recovered.wal.write(&[&payload(number)]).is_err() {
            return promise;
        }
        if number % plan.sync_every == 0 {
            if recovered.wal.sync().is_err() {
                return promise;
            }
            promise.synced = number;
        }
        if number % plan.mark_every == 0 {
            if recovered.wal.mark().is_err() {
                return promise;
            }
            promise.synced = number;
        }
    }
    promise
}

/// Opens the log and checks it against the promise; returns it with the newest frame found.
fn check_opens<S: Storage>(storage: &S, promise: Promise, context: &str) -> (Recovered<S>, u64) {
    let (recovered, frames) =
        open(storage, 77).unwrap_or_else(|error| panic!("{context}: {error}: {error:?}"));
    let found = numbers(&frames);
    let newest = found.last().copied().unwrap_or(0);
    assert!(found.iter().copied().eq(1..=newest), "{context}: {found:?}");
    assert!(newest >= promise.synced, "{context}: {newest} of {promise:?}");
    assert!(newest <= promise.written, "{context}: {newest} of {promise:?}");
    assert_eq!(recovered.wal.durable(), recovered.wal.position());
    (recovered, newest)
}

/// The images that a power cut may leave: none, all, each alone, each missing, some torn.
fn images(memory: &Memory) -> Vec<Keep> {
    let mut keeps = vec![Keep::None, Keep::All];
    for index in 0..memory.unsynced() {
        keeps.push(Keep::Only(index));
        keeps.push(Keep::AllBut(index));
        for (seed, others) in [(1, true), (2, false), (3, true)] {
            keeps.push(Keep::Torn { index, others, seed });
        }
    }
    keeps.extend((0..12).map(Keep::Random));
    keeps
}

/// After a crash during recovery, the next recovery must find as much: what the first one saw
/// may not be less than what it would have served.
fn check_image(image: &Memory, promise: Promise, plan: Plan, context: &str) -> u64 {
    let (mut recovered, newest) = check_opens(image, promise, context);
    // Everything served is durable now, whatever the device does with the rest.
    let served = Promise { synced: newest, written: newest };
    check_opens(&image.power_cut(Keep::None), served, context);
    let again = work(&mut recovered, newest, Plan { frames: 4, ..plan });
    check_opens(&image.power_cut(Keep::None), again, context);
    3
}

/// Runs the plan on `base` with a crash at the given call; returns the promise and whether the
/// crash came.
fn run_to_crash(base: &Memory, promise: Promise, plan: Plan, call: u64) -> (Promise, bool) {
    let faulty = Faulty::new(base.clone());
    faulty.crash_at(call);
    let promise = match open(&faulty, 5) {
        Err(_) => promise,
        Ok((mut recovered, frames)) => {
            let newest = frames.len() as u64;
            work(&mut recovered, newest, plan)
        }
    };
    (promise, faulty.crashed())
}

#[test]
fn a_crash_at_any_call_loses_nothing_that_was_synced() {
    let mut recoveries = 0;
    for plan in PLANS {
        for call in 0.. {
            let memory = Memory::new();
            let (promise, crashed) = run_to_crash(&memory, Promise::default(), plan, call);
            for keep in images(&memory) {
                let context = format!("{plan:?} call {call} {keep:?}");
                recoveries += check_image(&memory.power_cut(keep), promise, plan, &context);
            }
            if !crashed {
                break;
            }
        }
    }
    assert!(recoveries > 10_000, "{recoveries} recoveries are few");
}

#[test]
fn a_second_crash_at_any_call_after_the_first_loses_nothing_either() {
    let plan = PLANS[1];
    for first in (0..40).step_by(3) {
        let memory = Memory::new();
        let (before, _) = run_to_crash(&memory, Promise::default(), plan, first);
        for keep in [Keep::None, Keep::All, Keep::Random(first)] {
            let image = memory.power_cut(keep);
            check_second_crash(&image, before, plan, &format!("first {first} {keep:?}"));
        }
    }
}

fn check_second_crash(image: &Memory, before: Promise, plan: Plan, context: &str) {
    for call in 0.. {
        let base = image.copy();
        let (after, crashed) = run_to_crash(&base, before, Plan { frames: 3, ..plan }, call);
        let promise = Promise {
            synced: before.synced.max(after.synced),
            written: before.written.max(after.written),
        };
        for keep in [Keep::None, Keep::All, Keep::Random(call), Keep::Random(call + 1000)] {
            let context = format!("{context}, second {call} {keep:?}");
            check_opens(&base.power_cut(keep), promise, &context);
        }
        if !crashed {
            return;
        }
    }
}

#[test]
fn what_a_killed_process_left_in_the_page_cache_is_durable_once_served() {
    for plan in PLANS {
        for call in 0.. {
            let memory = Memory::new();
            let (promise, crashed) = run_to_crash(&memory, Promise::default(), plan, call);
            // The process dies, the machine does not: the next one reads the cache.
            let (_, newest) = check_opens(&memory, promise, &format!("{plan:?} kill {call}"));
            let served = Promise { synced: newest, written: newest };
            check_opens(&memory.power_cut(Keep::None), served, &format!("{plan:?} cut {call}"));
            if !crashed {
                break;
            }
        }
    }
}

/// Writes and syncs 12 frames, then gives up the oldest segment and goes on in what became of it.
/// Returns the promise and from which position on it holds.
fn recycle(storage: &Faulty<Memory>) -> (Promise, u64) {
    let (mut promise, mut start) = (Promise::default(), 1);
    let Ok((mut recovered, _)) = open(storage, 5) else { return (promise, start) };
    for number in 1..=24 {
        if number == 12 {
            let oldest = recovered.wal.sealed().first().cloned().unwrap();
            start = oldest.positions.end;
            if recovered.preparer.pool.retire_oldest().is_err() {
                break;
            }
        }
        let plan = Plan { frames: 1, sync_every: 1, mark_every: u64::MAX };
        let now = work(&mut recovered, number - 1, plan);
        promise = Promise { synced: promise.synced.max(now.synced), written: now.written };
        if now.synced < number {
            break;
        }
    }
    (promise, start)
}

#[test]
fn a_crash_while_segments_are_recycled_loses_nothing_after_the_start() {
    for call in 0.. {
        let faulty = Faulty::new(Memory::new());
        faulty.crash_at(call);
        let (promise, start) = recycle(&faulty);
        for keep in images(faulty.inner()) {
            let context = format!("call {call} {keep:?}");
            let image = faulty.inner().power_cut(keep);
            let (_, frames) =
                open_from(&image, 7, start).unwrap_or_else(|error| panic!("{context}: {error}"));
            let found = numbers(&frames);
            let newest = found.last().copied().unwrap_or(0);
            assert!(newest >= promise.synced && newest <= promise.written, "{context}: {found:?}");
            assert!(found.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{context}: {found:?}");
        }
        if !faulty.crashed() {
            break;
        }
    }
}

/// A log whose second segment holds only a torn frame, of which the first sector is on disk; and
/// the position of that frame.
fn torn_at_the_begin_of_a_segment() -> (Memory, u64) {
    let memory = Memory::new();
    let (mut recovered, _) = open(&memory, 1).unwrap();
    for number in 1..=4 {
        recovered.preparer.run().unwrap();
        recovered.wal.write(&[&payload(number)]).unwrap();
        recovered.wal.sync().unwrap();
    }
    assert!(recovered.wal.seal().unwrap());
    recovered.wal.write(&[&[5; 700]]).unwrap();
    let torn = memory.unsynced() - 1;
    let keep = Keep::Sectors { chosen: u64::MAX, index: torn, sectors: 1 };
    (memory.power_cut(keep), recovered.wal.position())
}

#[test]
fn what_follows_a_snapshot_links_to_the_frame_before_it() {
    let (memory, start) = torn_at_the_begin_of_a_segment();
    let (mut recovered, frames) = open_from(&memory, 2, start).unwrap();
    assert_eq!(frames, Frames::new());
    recovered.wal.write(&[&payload(5)]).unwrap();
    recovered.wal.sync().unwrap();
    drop(recovered);
    // The history is read from its beginning: by an audit, or where the snapshot was damaged.
    let (_, frames) = open(&memory, 3).unwrap();
    assert_eq!(numbers(&frames), [1, 2, 3, 4, 5]);
}

#[test]
fn a_long_end_leaves_room_for_the_first_frame_of_a_life() {
    let memory = Memory::new();
    let (mut recovered, _) = open(&memory, 1).unwrap();
    recovered.preparer.run().unwrap();
    // The segment is full of frames that nothing proves durable.
    for _ in 0..6 {
        recovered.wal.write(&[&payload(1)]).unwrap();
    }
    drop(recovered);
    let (mut recovered, frames) = open(&memory, 2).unwrap();
    assert_eq!(frames.len(), 6);
    recovered.wal.write(&[&[7; 900]]).unwrap();
}
