//! A start on several lanes, of a log that real shards wrote.

use std::cell::RefCell;
use std::sync::atomic::AtomicBool;

use quipu_core::execute::Context;
use quipu_core::op::{Action, Add, Op, Presence, Set, Token, Ttl};
use quipu_core::shard::{Shard, ShardLimits};
use quipu_core::table::shard_bits;
use quipu_log::fold::Folder;
use quipu_log::snapshot;
use quipu_log::storage::memory::{Keep, Memory};
use quipu_log::wal::{Identity, Options, Recovered, recover, recover_then};
use stdx::hash::hash64;

use super::{RECORDS_BYTES, Recovering, RecoveryError, fresh, load};

const SHARDS: u16 = 5;
const SEED: u64 = 31;
const LIMITS: ShardLimits = ShardLimits { streams_max: 100 };

fn options() -> Options {
    let mut drawn = 0_u64;
    let mut options = Options::new(Box::new(move || {
        drawn += 1;
        hash64(5, &drawn.to_le_bytes())
    }));
    options.segment_bytes = 16 << 10;
    options.frame_bytes_max = 4 << 10;
    options.identity = Identity { store_id: SEED, shards: SHARDS };
    options
}

/// Does something to one of the counters, as `draw` says.
fn operate(shards: &mut [Shard], now_ms: u64, draw: u64) {
    let name = format!("counter-{}", draw % 29);
    let (key, stream) = ((draw >> 8).to_le_bytes(), format!("stream-{}", draw % 3));
    let token = match (draw >> 16) % 3 {
        0 => Token::Key { key: &key, item: 0 },
        1 => Token::Stream { name: stream.as_bytes(), sequence: now_ms * 8 + draw % 8 },
        _ => Token::None,
    };
    let ttl = if (draw >> 24).is_multiple_of(5) { Ttl::After(400) } else { Ttl::Keep };
    let action = match (draw >> 32) % 7 {
        0 => Action::Set(Set { value: draw as i64 % 1000, ttl, when: Presence::Any }),
        1 => Action::Delete,
        _ => Action::Add(Add { ttl, ..Add::plain(draw as i64 % 10) }),
    };
    let hash = hash64(SEED, name.as_bytes());
    let shard = &mut shards[usize::from(shard_bits(hash) % SHARDS)];
    let cx = Context { now_ms, no_room: None, memory_full: false, tokens_full: false };
    let _reply = shard.execute(&cx, hash, &Op { name: &name, action, token });
}

/// What a user could see of the shards.
fn view(shards: &[Shard]) -> Vec<String> {
    let seen = |shard: &Shard| {
        let counters = (0..29).map(|n| shard.peek(&format!("counter-{n}")));
        let stream = |n: u64| shard.stream(format!("stream-{n}").as_bytes());
        let streams = (0..3).map(|n| stream(n).map(|stream| (stream.mark, stream.checkpoint)));
        let (counters, streams): (Vec<_>, Vec<_>) = (counters.collect(), streams.collect());
        let own = (shard.id(), shard.epoch(), shard.time_ms(), shard.tokens(), shard.counters());
        format!("{own:?} {counters:?} {streams:?}")
    };
    shards.iter().map(seen).collect()
}

/// Writes 80 batches with a fold among them and returns what the shards were at the end.
fn write(storage: &Memory) -> Vec<String> {
    let mut shards = fresh(SHARDS, SEED, LIMITS);
    let opened = recover(storage, options(), 1, |_, _| Ok::<(), std::io::Error>(()));
    let Recovered { mut wal, mut preparer, .. } = opened.expect("an empty directory");
    let mut folder = Folder::new(&wal, 4096, None);
    let mut payload = Vec::new();
    for shard in &mut shards {
        shard.begin_epoch(0, 500, &mut payload);
    }
    for step in 0..80 {
        let now_ms = step * 20;
        (0..6)
            .for_each(|n| operate(&mut shards, now_ms, hash64(9, &(step * 16 + n).to_le_bytes())));
        for shard in &mut shards {
            shard.seal(u64::MAX, &mut payload);
        }
        preparer.run().expect("memory has room");
        wal.write(&[&payload]).expect("memory takes it");
        wal.sync().expect("memory syncs");
        payload.clear();
        if step == 50 {
            wal.seal().expect("memory takes it");
            folder.run(&AtomicBool::new(false)).expect("a fold");
        }
    }
    view(&shards)
}

/// Reads as a start does: the newest snapshot, then the log after it, each frame as `spoil` makes it.
fn read(
    storage: &Memory,
    from_snapshot: bool,
    spoil: impl Fn(u64, &[u8]) -> Vec<u8>,
) -> Result<Vec<String>, String> {
    let newest = snapshot::positions(storage).expect("memory lists").pop().expect("one fold");
    let (start, shards) = if from_snapshot {
        let loaded = load(storage, SEED, newest, fresh(SHARDS, SEED, LIMITS));
        (newest + 1, loaded.expect("an intact snapshot").1)
    } else {
        (1, fresh(SHARDS, SEED, LIMITS))
    };
    let recovering = RefCell::new(Some(Recovering::over(shards).expect("threads")));
    let mut folded = Vec::new();
    let fold = |position, payload: &[u8]| match recovering.borrow_mut().as_mut() {
        Some(recovering) => recovering.fold(position, &spoil(position, payload)),
        None => Ok(()),
    };
    let end = || {
        folded = recovering.take().map_or(Ok(Vec::new()), Recovering::finish)?;
        Ok::<(), RecoveryError>(())
    };
    let recovered = recover_then(storage, options(), start, fold, end);
    recovered.map(|_| view(&folded)).map_err(|error| format!("{error:?}"))
}

#[test]
fn lanes_fold_a_snapshot_and_the_log_after_it_to_what_was_there() {
    let storage = Memory::new();
    let written = write(&storage);
    let as_it_is = |_, payload: &[u8]| payload.to_vec();
    for from_snapshot in [true, false] {
        let image = storage.power_cut(Keep::None);
        assert_eq!(read(&image, from_snapshot, as_it_is), Ok(written.clone()), "{from_snapshot}");
    }
}

#[test]
fn a_frame_that_does_not_follow_is_named_whichever_lane_finds_it() {
    let storage = Memory::new();
    write(&storage);
    let twice = |position, payload: &[u8]| match position {
        40 => [payload, payload].concat(),
        _ => payload.to_vec(),
    };
    let refused = read(&storage.power_cut(Keep::None), false, twice).expect_err("folded twice");
    assert!(refused.contains("position: 40"), "{refused}");
}

/// Adds to 64 counters with long names and returns the payload that says so.
fn add_to_all(shards: &mut [Shard], now_ms: u64) -> Vec<u8> {
    for n in 0..64 {
        let name = format!("{n:0>256}");
        let hash = hash64(SEED, name.as_bytes());
        let cx = Context { now_ms, no_room: None, memory_full: false, tokens_full: false };
        let add = Action::Add(Add::plain(now_ms as i64));
        let op = Op { name: &name, action: add, token: Token::None };
        let _reply = shards[usize::from(shard_bits(hash) % SHARDS)].execute(&cx, hash, &op);
    }
    let mut payload = Vec::new();
    for shard in shards {
        shard.seal(u64::MAX, &mut payload);
    }
    payload
}

#[test]
fn a_log_longer_than_lanes_get_at_a_time_is_folded_in_its_order() {
    let mut shards = fresh(SHARDS, SEED, LIMITS);
    let mut recovering = Recovering::over(fresh(SHARDS, SEED, LIMITS)).expect("threads");
    let mut payload = Vec::new();
    for shard in &mut shards {
        shard.begin_epoch(0, 500, &mut payload);
    }
    let (mut position, mut bytes) = (0, 0);
    while bytes < 2 * RECORDS_BYTES {
        position += 1;
        payload.extend(add_to_all(&mut shards, position));
        recovering.fold(position, &payload).expect("it follows");
        bytes += payload.len();
        payload.clear();
    }
    let folded = recovering.finish().expect("it follows");
    let values = |shards: &[Shard]| {
        let names = (0..64).map(|n| format!("{n:0>256}"));
        let of = |name: &str| shards.iter().map(|shard| shard.peek(name)).collect::<Vec<_>>();
        names.map(|name| of(&name)).collect::<Vec<_>>()
    };
    assert_eq!(values(&folded), values(&shards));
    assert_eq!(view(&folded), view(&shards));
}
