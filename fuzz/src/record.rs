//! Records of the log: what any payload with a right checksum does to the folds.
//!
//! The first byte chooses: the rest is a payload as it is, or a script that writes records which
//! mostly follow each other, with some bytes spoiled afterwards. Reading and folding never panic;
//! what was read reads back when it is written again; the two folds, one into shards and one
//! into a change set, agree about every payload; a node goes on from what was folded.

use std::collections::BTreeMap;

use quipu_core::bytes::Reader;
use quipu_core::effect::{Before, Effect, ExpiryEffect};
use quipu_core::outcome::Verdict;
use quipu_core::record::{self, Header, Item, Kind, RecordError};
use quipu_core::replay::FoldError;
use quipu_core::shard::Shard;
use quipu_core::snapshot::{
    ChangeSet, ItemKey, ItemValue, Place, put_change, put_item, read_change, read_item,
};
use quipu_core::token::TokenRecord;

use crate::script::Script;
use crate::shards::{LIMITS, SEED, live, recovering};

/// Shards that scripts speak of.
const SHARDS: u16 = 4;

/// Counts beyond it cannot be told from the highest that a reader believes.
const FAR: u64 = 1 << 62;

const NAMES: [&str; 4] = ["a", "b", "user:1/likes", "caf\u{e9}"];

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
    let mut shards = recovering();
    let folded = shards.fold(payload);
    let mut set = ChangeSet::default();
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
    assert!(!has_room || reread(&next) == next, "a node goes on");
}

/// Reads record after record and writes each again, to the first that is not understood.
fn reread(mut payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len());
    while !payload.is_empty() {
        let mut items = Vec::new();
        let read = record::read(payload, |_, item| {
            items.push(item);
            Ok::<_, RecordError>(())
        });
        match read {
            Ok((header, length)) => {
                put(&mut out, &header, &items);
                payload = &payload[length..];
            }
            Err(error) => {
                assert!(error.at <= payload.len(), "{error}");
                break;
            }
        }
    }
    out
}

/// Writes one record.
fn put(out: &mut Vec<u8>, header: &Header, items: &[Item<'_>]) {
    record::put_header(out, header);
    let count = |is: fn(&Item<'_>) -> bool| items.iter().filter(|item| is(item)).count() as u32;
    if header.kind == Kind::Batch {
        let slots = count(|item| matches!(item, Item::Slot { .. }));
        let tokens = count(|item| matches!(item, Item::Token { .. }));
        for n in [slots, tokens, items.len() as u32 - slots - tokens] {
            out.extend_from_slice(&n.to_le_bytes());
        }
    }
    for item in items {
        match *item {
            Item::Slot { name, ops, ref effect } => {
                record::put_slot(out, name.as_bytes(), ops, effect);
            }
            Item::Token { name, token, item, ref record } => {
                record::put_token(out, (name.as_bytes(), token, item), record);
            }
            Item::Mark { stream, sequence } => record::put_stream(out, stream, sequence, false),
            Item::Checkpoint { stream, sequence } => {
                record::put_stream(out, stream, sequence, true);
            }
            Item::Window { window_ms } => out.extend_from_slice(&window_ms.to_le_bytes()),
        }
    }
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
pub(crate) fn write(script: &mut Script<'_>, payload: &mut Vec<u8>) -> bool {
    let mut values: BTreeMap<(u16, usize), i64> = BTreeMap::new();
    let mut heads = [(0, 0, 0); SHARDS as usize];
    let (mut spoils, mut is_readable) = (Vec::new(), true);
    while !script.is_done() && payload.len() < 4096 {
        let id = script.below(usize::from(SHARDS));
        let (epoch, batch, time) = &mut heads[id];
        *time += script.number() & 0xFF;
        let kind = match script.byte() {
            0..=20 => Kind::Epoch,
            21..=30 => Kind::Barrier,
            31..=50 => Kind::Config,
            51..=60 => {
                spoils.push((script.number(), script.byte()));
                continue;
            }
            _ => Kind::Batch,
        };
        *epoch += u64::from(kind == Kind::Epoch);
        *batch += u64::from(kind == Kind::Batch);
        let odd = script.chance(10);
        let mut twist = |n: u64| if odd { n.wrapping_add(script.signed() as u64) } else { n };
        let (epoch, batch, time_ms) = (twist(*epoch), twist(*batch), twist(*time));
        let header = Header { kind, shard: id as u16, epoch, batch, time_ms };
        is_readable &= [epoch, batch, time_ms].iter().all(|count| *count <= u64::MAX >> 1);
        let items = items(script, &header, &mut values);
        put(payload, &header, &items);
    }
    for (at, mask) in &spoils {
        let at = (*at as usize) % payload.len().max(1);
        payload.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= mask);
    }
    !spoils.is_empty() || !is_readable
}

fn items<'a>(
    script: &mut Script<'a>,
    header: &Header,
    values: &mut BTreeMap<(u16, usize), i64>,
) -> Vec<Item<'a>> {
    match header.kind {
        Kind::Config => return vec![Item::Window { window_ms: script.number() }],
        Kind::Epoch | Kind::Barrier => return Vec::new(),
        Kind::Batch => {}
    }
    let mut items = Vec::new();
    for _ in 0..script.below(4) {
        items.push(slot(script, header.shard, values));
    }
    for _ in 0..script.below(3) {
        let record = token(script, header);
        let name = NAMES[script.below(NAMES.len())];
        items.push(Item::Token {
            name,
            token: script.bytes(64),
            item: script.number() as u32,
            record,
        });
    }
    for _ in 0..script.below(3) {
        let (stream, sequence) = (script.bytes(3), script.number());
        items.push(if script.chance(128) {
            Item::Mark { stream, sequence }
        } else {
            Item::Checkpoint { stream, sequence }
        });
    }
    items
}

/// A slot that mostly fits what the counter was.
fn slot<'a>(
    script: &mut Script<'a>,
    shard: u16,
    values: &mut BTreeMap<(u16, usize), i64>,
) -> Item<'a> {
    let index = script.below(NAMES.len());
    let known = values.get(&(shard, index)).copied();
    let found = if script.chance(8) { Some(script.signed()) } else { known };
    let after = script.chance(210).then(|| script.signed());
    let before = if script.chance(128) && after.is_some() {
        Before::Sum(found.unwrap_or(0))
    } else {
        Before::Exact(found)
    };
    let expiry = match script.byte() {
        0..=150 => ExpiryEffect::Keep,
        151..=190 => ExpiryEffect::Clear,
        _ => ExpiryEffect::Set(script.number()),
    };
    match after {
        Some(value) => values.insert((shard, index), value),
        None => values.remove(&(shard, index)),
    };
    Item::Slot {
        name: NAMES[index],
        ops: script.number(),
        effect: Effect { before, after, expiry },
    }
}

fn token(script: &mut Script<'_>, header: &Header) -> TokenRecord {
    TokenRecord {
        key: u128::from(script.number()) << 64 | u128::from(script.byte()),
        fingerprint: u128::from(script.number()),
        verdict: Verdict::from_byte(script.byte() & 3).expect("two bits are a verdict"),
        value: script.chance(200).then(|| script.signed()),
        previous: script.chance(200).then(|| script.signed()),
        applied: script.signed(),
        expires_at: script.chance(60).then(|| script.number()),
        epoch: header.epoch,
        batch: header.batch,
        deadline_ms: script.number(),
    }
}
