//! Records of the log: what any payload with a right checksum does to the folds.
//!
//! The first byte chooses: the rest is a payload as it is, or a script that writes records which
//! mostly follow each other, with some bytes spoiled afterwards. Reading and folding never panic;
//! what was read reads back the same when it is written again; the two folds, one into shards and
//! one into a change set, agree about every payload; a node goes on from what was folded.

use std::collections::BTreeMap;

use quipu_core::bytes::Reader;
use quipu_core::record::{self, Header, Item, RecordError};
use quipu_core::replay::FoldError;
use quipu_core::shard::Shard;
use quipu_core::snapshot::{
    ChangeSet, ItemKey, ItemValue, Place, put_change, put_item, read_change, read_item,
};

use crate::records::{NAMES, Records, SHARDS, put};
use crate::script::Script;
use crate::shards::{LIMITS, SEED, live, recovering};

/// Counts beyond it cannot be told from the highest that a reader believes.
const FAR: u64 = 1 << 62;

/// Tries one input.
pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    if script.byte() & 1 == 0 {
        return check(script.rest());
    }
    let mut payload = Vec::new();
    let spoiled = write(&mut script, &mut payload);
    if !spoiled {
        assert_eq!(reread(&payload), payload, "what the writer wrote is canonical");
    }
    check(&payload);
}

/// What all readers and folds do with a payload.
fn check(payload: &[u8]) {
    let again = reread(payload);
    assert_eq!(reread(&again), again, "what was read reads back");
    assert_eq!(said(&again).0, said(payload).0, "and says the same");
    let mut shards = recovering();
    let folded = shards.fold(payload);
    let mut set = ChangeSet::new(SEED);
    for id in 0..SHARDS {
        set.set_base(id, Shard::new(id, SEED, LIMITS).meta());
    }
    let composed = set.fold_payload(payload).map_err(|error| error.to_string());
    let merged = composed.and_then(|()| merge(&mut set));
    let is_base_known = shards.count().is_none_or(|count| count <= usize::from(SHARDS));
    if is_base_known && !matches!(folded, Err(FoldError::NoShard { .. })) {
        assert_eq!(folded.is_ok(), merged.is_ok(), "{folded:?} {merged:?}");
    }
    let (Ok(()), Ok(items)) = (folded, merged) else { return };
    let shards = shards.finish(1);
    if shards.len() <= usize::from(SHARDS) {
        agree(&shards, &items);
    }
    let is_far = |shard: &Shard| shard.epoch().max(shard.sealed()).max(shard.time_ms()) > FAR;
    let has_room = !shards.iter().any(is_far);
    let next = live(shards, &NAMES);
    assert!(!has_room || said(&next).1.is_empty(), "a node goes on");
    assert_eq!(said(&reread(&next)).0, said(&next).0, "and what it says reads back");
}

/// Writes again what is understood of a payload. A token may come back in another form, by its slot
/// or by its name: the log of a node names the counter where the token's operation left no slot.
fn reread(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len());
    said(payload).0.iter().for_each(|(header, items)| put(&mut out, header, items));
    out
}

/// Reads record after record, to the first that is not understood; returns what is left from it on.
fn said(mut payload: &[u8]) -> (Vec<(Header, Vec<Item<'_>>)>, &[u8]) {
    let mut records = Vec::new();
    while !payload.is_empty() {
        let mut items = Vec::new();
        let read = record::read(payload, SEED, |_, item| {
            items.push(item);
            Ok::<_, RecordError>(())
        });
        match read {
            Ok((header, length)) => {
                records.push((header, items));
                payload = &payload[length..];
            }
            Err(error) => {
                assert!(error.at <= payload.len(), "{error}");
                break;
            }
        }
    }
    (records, payload)
}

type Items = BTreeMap<Place, ItemValue>;

/// Makes a snapshot of a change set without a base; changes and items come back as they were.
fn merge(set: &mut ChangeSet) -> Result<Items, String> {
    let mut items = Items::new();
    for (place, change) in set.take() {
        let mut bytes = Vec::new();
        put_change(&mut bytes, &place, &change);
        let read = read_change(body(&bytes)).expect("what is written is understood");
        assert_eq!(read, (place.clone(), change));
        let value = change.apply(None).map_err(|mismatch| mismatch.to_string())?;
        if let Some(value) = value {
            bytes.clear();
            put_item(&mut bytes, &place, &value);
            let read = read_item(body(&bytes)).expect("what is written is understood");
            assert_eq!(read, (place.clone(), value));
            items.insert(place, value);
        }
    }
    Ok(items)
}

/// The body of an item, without its length.
fn body(bytes: &[u8]) -> &[u8] {
    let mut reader = Reader::new(bytes);
    let length = reader.varint("length").expect("a length stands first");
    let body = &bytes[reader.at()..];
    assert_eq!(body.len() as u64, length);
    body
}

/// Shards and snapshot say the same, and so do shards that are loaded from it.
fn agree(shards: &[Shard], items: &Items) {
    let mut loaded = recovering();
    for (place, value) in items {
        loaded.load(place, value).expect("its shard was folded");
        let shard = &shards[usize::from(place.0)];
        match (&place.1, value) {
            (ItemKey::Counter(name), ItemValue::Counter(counter)) => {
                assert_eq!(shard.peek(name), *counter);
            }
            (ItemKey::Stream(name), ItemValue::Stream { mark, checkpoint }) => {
                let stream = shard.stream(name).expect("a stream that the snapshot knows");
                assert_eq!((stream.mark, stream.checkpoint), (*mark, *checkpoint));
            }
            _ => {}
        }
    }
    for (shard, loaded) in shards.iter().zip(loaded.finish(1)) {
        assert_eq!(shard.meta(), loaded.meta());
        assert_eq!(shard.counters(), loaded.counters());
        assert_eq!(shard.expiring(), loaded.expiring());
        assert_eq!(shard.streams(), loaded.streams());
        assert!(shard.tokens() <= loaded.tokens(), "only the forgotten are missing");
    }
}

/// Writes what a script says; returns whether bytes were spoiled, or no reader believes a count.
fn write(script: &mut Script<'_>, payload: &mut Vec<u8>) -> bool {
    let (mut records, mut spoils) = (Records::new(true), Vec::new());
    while !script.is_done() && payload.len() < 4096 {
        if script.chance(12) {
            spoils.push((script.number(), script.byte()));
        } else {
            records.put(script, payload);
        }
    }
    for (at, mask) in &spoils {
        let at = (*at as usize) % payload.len().max(1);
        payload.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= mask);
    }
    !spoils.is_empty() || !records.is_readable
}
