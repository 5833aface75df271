//! The folds of the log: replay, change sets and snapshots agree with each other and the model.

use std::collections::BTreeMap;

use quipu_core::effect::Counter;
use quipu_core::node::{Cells, Node};
use quipu_core::op::{Op, Token};
use quipu_core::outcome::Repeat;
use quipu_core::record::{self, RecordError};
use quipu_core::shard::Shard;
use quipu_core::snapshot::{
    Change, ChangeSet, ItemValue, Place, Taken, put_change, put_item, read_change, read_item,
};
use stdx::prng::Prng;

use crate::cells::LocalShards;
use crate::world::{SEED, World, empty, nature};
use quipu_model::model::{Limits, Model, Progress, Scope};

/// Empty shards.
pub(crate) fn fresh(count: u16, limits: &Limits) -> LocalShards {
    LocalShards::new((0..count).map(|id| empty(id, limits)).collect())
}

/// Folds frames into empty shards.
pub(crate) fn replay(count: u16, limits: &Limits, log: &[Vec<u8>]) -> Vec<Shard> {
    let mut shards: Vec<Shard> = (0..count).map(|id| empty(id, limits)).collect();
    for frame in log {
        fold_frame(&mut shards, frame);
    }
    shards
}

fn fold_frame(shards: &mut [Shard], mut frame: &[u8]) {
    while !frame.is_empty() {
        let mut items = Vec::new();
        let read = record::read(frame, SEED, |_, item| {
            items.push(item);
            Ok::<_, RecordError>(())
        });
        let (header, length) = read.expect("the owner's records are understood");
        let shard = &mut shards[usize::from(header.shard)];
        shard.fold_header(&header).expect("the owner's records follow");
        for item in &items {
            shard.fold_item(item).expect("its effects fit");
        }
        frame = &frame[length..];
    }
}

/// Compares shards at `now` with the model: counters, expiries, tokens with their outcomes,
/// streams, place.
pub(crate) fn agrees(model: &Model, node: &Node<LocalShards>, now: u64) {
    for (name, entry) in &model.counters {
        let found = node.cells().shard(node.shard_of(name.as_bytes())).peek(name);
        let expected = entry.live.map_or(Counter::ABSENT, |(value, expires_at)| Counter {
            value: Some(value as i64),
            expires_at,
        });
        assert_eq!(found, expected, "{name}");
    }
    let live = model.counters.values().filter(|entry| entry.live.is_some()).count();
    let shards = 0..node.cells().count();
    assert_eq!(shards.clone().map(|id| node.cells().shard(id).counters()).sum::<usize>(), live);
    for id in shards {
        agrees_in_shard(model, node, id);
    }
    model.tokens.keys().for_each(|scope| agrees_on_token(model, node, scope, now));
}

fn agrees_in_shard(model: &Model, node: &Node<LocalShards>, id: u16) {
    let shard = node.cells().shard(id);
    let tail = model.tails[usize::from(id)];
    let meta = shard.meta();
    assert_eq!((meta.epoch, meta.batch), (tail.epoch, tail.sealed), "shard {id}");
    let known = model.streams.iter().filter(|((s, _), _)| *s == id);
    let is_recorded = |s: &Progress| s.mark > 0 || s.checkpoint.is_some();
    let found = shard.streams_after(b"").filter(|(_, stream)| stream.is_recorded()).count();
    assert_eq!(found, known.clone().filter(|(_, s)| is_recorded(s)).count(), "shard {id}");
    for ((_, name), expected) in known {
        let Some(stream) = shard.stream(name) else {
            assert_eq!((expected.mark, expected.checkpoint), (0, None), "{name:?}");
            continue;
        };
        let (mark, checkpoint) = (expected.mark, expected.checkpoint);
        assert_eq!((stream.mark, stream.checkpoint), (mark, checkpoint), "{name:?}");
    }
}

/// A repeat of every remembered token, on a node that has no room for anything else, gets the
/// original outcome.
fn agrees_on_token(model: &Model, node: &Node<LocalShards>, scope: &Scope, now: u64) {
    let (name, key, item) = scope;
    let known = &model.tokens[scope];
    let time = node.cells().shard(known.shard).time_ms().max(now);
    if known.until < time {
        return;
    }
    let op = Op { name, action: known.action, token: Token::Key { key, item: *item } };
    let reply = node.execute(time, &op);
    let outcome = reply.result.expect("a remembered token is answered");
    assert_eq!(outcome.repeat, Repeat::Token);
    assert_eq!(quipu_core::outcome::Outcome { repeat: Repeat::None, ..outcome }, known.outcome);
    let position = (reply.position.epoch, reply.position.batch);
    assert_eq!(position, (known.epoch, known.batch), "the original's position");
}

/// Folds the whole log in both ways and compares; the owner agrees as of its last cut.
pub(crate) fn check_log(world: &mut World, random: &mut Prng) {
    world.cut();
    let limits = world.model.limits;
    agrees(&world.model, &world.node, world.now);
    let count = world.node.cells().count();
    let replayed = replay(count, &limits, &world.log);
    for shard in &replayed {
        let owner = world.node.cells().shard(shard.id()).meta();
        let found = shard.meta();
        assert!(found.time_ms <= owner.time_ms);
        assert_eq!(found, quipu_core::snapshot::ShardMeta { time_ms: found.time_ms, ..owner });
    }
    let snapshot = snapshot(&world.log, random);
    let mut loaded: Vec<Shard> = (0..count).map(|id| empty(id, &limits)).collect();
    for ((id, key), value) in &snapshot {
        loaded[usize::from(*id)].load(key, value);
    }
    for (a, b) in replayed.iter().zip(&loaded) {
        assert_eq!(a.meta(), b.meta());
        assert_eq!(a.counters(), b.counters());
        assert_eq!(a.streams(), b.streams());
    }
    agrees(
        &world.model,
        &Node::new(LocalShards::new(replayed), SEED, nature(&world.model.limits)),
        0,
    );
    agrees(
        &world.model,
        &Node::new(LocalShards::new(loaded), SEED, nature(&world.model.limits)),
        0,
    );
}

type Items = BTreeMap<Place, ItemValue>;

/// Makes snapshots of a log in several folds, each with spills, all at random places.
fn snapshot(log: &[Vec<u8>], random: &mut Prng) -> Items {
    let mut items = Items::new();
    let mut rest = log;
    while !rest.is_empty() {
        let (part, later) = rest.split_at(1 + random.below(rest.len() as u64) as usize);
        items = merge(items, part, random);
        rest = later;
    }
    items
}

/// Composes a part of a log into runs and merges them, in order, into the last snapshot.
fn merge(mut items: Items, part: &[Vec<u8>], random: &mut Prng) -> Items {
    let mut set = ChangeSet::new(SEED);
    for ((shard, _), value) in &items {
        if let ItemValue::Shard(meta) = value {
            set.set_base(*shard, *meta);
        }
    }
    let mut runs = Vec::new();
    for frame in part {
        set.fold_payload(frame).expect("the owner's log composes");
        if random.chance(1, 5) {
            runs.push(spill(set.take()));
            assert!(set.is_empty() && set.bytes() == 0);
        }
    }
    runs.push(spill(set.take()));
    for run in runs {
        for (place, change) in run {
            match change.apply(items.get(&place)).expect("the change fits its base") {
                Some(value) => items.insert(place, value),
                None => items.remove(&place),
            };
        }
    }
    store(&without_the_forgotten(items))
}

fn without_the_forgotten(mut items: Items) -> Items {
    let times: BTreeMap<u16, u64> = items
        .iter()
        .filter_map(|((shard, _), value)| match value {
            ItemValue::Shard(meta) => Some((*shard, meta.time_ms)),
            _ => None,
        })
        .collect();
    items.retain(|(shard, _), value| !value.is_forgotten(times[shard]));
    items
}

/// Writes a run and reads it back.
fn spill(run: Taken) -> Vec<(Place, Change)> {
    let run: Vec<_> = run.collect();
    assert!(run.is_sorted_by(|(a, _), (b, _)| a < b), "each place once, in order");
    let mut bytes = Vec::new();
    for (place, change) in &run {
        put_change(&mut bytes, place, change);
    }
    let found: Vec<_> = bodies(&bytes).map(|b| read_change(b).expect("written so")).collect();
    assert_eq!(found, run, "a run comes back as it was");
    found
}

/// Writes a snapshot and reads it back.
fn store(items: &Items) -> Items {
    let mut bytes = Vec::new();
    for (place, value) in items {
        put_item(&mut bytes, place, value);
    }
    let found: Items = bodies(&bytes).map(|b| read_item(b).expect("written so")).collect();
    assert_eq!(found, *items, "a snapshot comes back as it was");
    found
}

/// The bodies of items that stand one after the other.
fn bodies(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let mut reader = quipu_core::bytes::Reader::new(bytes);
        let length = reader.varint("length").ok()? as usize;
        let (body, rest) = bytes[reader.at()..].split_at(length);
        bytes = rest;
        Some(body)
    })
}
