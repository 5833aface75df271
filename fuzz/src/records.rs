//! Records that a script says, which mostly or always follow each other.

use std::collections::BTreeMap;

use quipu_core::effect::{Before, Effect, ExpiryEffect};
use quipu_core::op::{Action, Add};
use quipu_core::outcome::Verdict;
use quipu_core::record::token::{PlainAdd, ShortForm, Whose, put_full};
use quipu_core::record::{self, Header, Item, Kind, StreamKind};
use quipu_core::token::{TokenRecord, scope_key};

use crate::script::Script;
use crate::shards::SEED;

/// Shards that scripts speak of.
pub(crate) const SHARDS: u16 = 4;

/// Counters that scripts speak of.
pub(crate) const NAMES: [&str; 4] = ["a", "b", "user:1/likes", "caf\u{e9}"];

/// Writes records and knows what follows.
#[derive(Debug)]
pub(crate) struct Records {
    /// The value of each counter.
    values: BTreeMap<(u16, usize), i64>,
    marks: BTreeMap<(u16, Vec<u8>), u64>,
    /// Epoch, batch and time of each shard.
    heads: [(u64, u64, u64); SHARDS as usize],
    /// Whether some of what is written does not follow.
    wild: bool,
    /// Whether a reader believes every count so far.
    pub(crate) is_readable: bool,
}

impl Records {
    /// Begins where no record is; `wild` ones do not always follow.
    pub(crate) fn new(wild: bool) -> Self {
        let heads = [(0, 0, 0); SHARDS as usize];
        Self { values: BTreeMap::new(), marks: BTreeMap::new(), heads, wild, is_readable: true }
    }

    /// Says where a shard stands whose first records somebody else has written.
    pub(crate) fn stand_at(&mut self, shard: u16, head: (u64, u64, u64)) {
        self.heads[usize::from(shard)] = head;
    }

    /// Writes one record.
    pub(crate) fn put(&mut self, script: &mut Script<'_>, payload: &mut Vec<u8>) {
        let id = script.below(usize::from(SHARDS));
        let kind = match script.byte() {
            0..=20 => Kind::Epoch,
            21..=30 => Kind::Barrier,
            31..=50 => Kind::Config,
            51..=120 => Kind::Batch,
            _ => Kind::Tokened,
        };
        let (epoch, batch, time) = &mut self.heads[id];
        *time += script.number() & 0xFF;
        *epoch += u64::from(kind == Kind::Epoch);
        *batch += u64::from(kind.is_batch());
        let odd = self.wild && script.chance(10);
        let mut twist = |n: u64| if odd { n.wrapping_add(script.signed() as u64) } else { n };
        let (epoch, batch, time_ms) = (twist(*epoch), twist(*batch), twist(*time));
        self.is_readable &= [epoch, batch, time_ms].iter().all(|count| *count <= u64::MAX >> 1);
        let header = Header { kind, shard: id as u16, epoch, batch, time_ms };
        put(payload, &header, &self.items(script, &header));
    }

    fn items<'a>(&mut self, script: &mut Script<'a>, header: &Header) -> Vec<Item<'a>> {
        match header.kind {
            Kind::Config => return vec![Item::Window { window_ms: script.number() }],
            Kind::Epoch | Kind::Barrier => return Vec::new(),
            Kind::Batch | Kind::Tokened => {}
        }
        let mut items = Vec::new();
        for _ in 0..script.below(4) {
            items.push(self.slot(script, header.shard));
        }
        for _ in 0..script.below(3) {
            let name = NAMES[script.below(NAMES.len())];
            let (token, item) = (script.bytes(64), script.number() as u32);
            let mut record = record(script, header);
            if header.kind == Kind::Tokened {
                shorten(script, &items, name, &mut record);
                record.key = scope_key(SEED, name.as_bytes(), token, item);
            }
            items.push(Item::Token { name, token, item, record });
        }
        for _ in 0..script.below(3) {
            let (stream, sequence) = (script.bytes(3), script.number());
            items.push(match script.byte() {
                0..=110 => self.mark(header.shard, stream, sequence),
                111..=200 => Item::Checkpoint { stream, sequence },
                _ => self.end(script, header.shard, stream),
            });
        }
        items
    }

    fn mark<'a>(&mut self, shard: u16, stream: &'a [u8], sequence: u64) -> Item<'a> {
        self.marks.insert((shard, stream.to_vec()), sequence);
        Item::Mark { stream, sequence }
    }

    /// An end that mostly fits what the stream was.
    fn end<'a>(&mut self, script: &mut Script<'a>, shard: u16, stream: &'a [u8]) -> Item<'a> {
        let known = self.marks.remove(&(shard, stream.to_vec())).unwrap_or(0);
        let is_odd = self.wild && script.chance(8);
        Item::End { stream, mark: if is_odd { script.number() } else { known } }
    }

    /// A slot that mostly fits what the counter was.
    fn slot<'a>(&mut self, script: &mut Script<'a>, shard: u16) -> Item<'a> {
        let index = script.below(NAMES.len());
        let known = self.values.get(&(shard, index)).copied();
        let is_odd = self.wild && script.chance(8);
        let found = if is_odd { Some(script.signed()) } else { known };
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
            Some(value) => self.values.insert((shard, index), value),
            None => self.values.remove(&(shard, index)),
        };
        let effect = Effect { before, after, expiry };
        Item::Slot { name: NAMES[index], ops: script.number(), effect }
    }
}

fn record(script: &mut Script<'_>, header: &Header) -> TokenRecord {
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

/// Makes a record more like those that a slot tells.
fn shorten(script: &mut Script<'_>, items: &[Item<'_>], name: &str, record: &mut TokenRecord) {
    let told = whose(items, name).1;
    let told = told.filter(|_| script.chance(128)).map(|(effect, _)| effect);
    if let Some(Effect { before: Before::Sum(before), after: Some(after), .. }) = told {
        record.value = Some(after);
        record.previous = Some(before);
        record.applied = after.wrapping_sub(before);
    }
    if script.chance(128) {
        record.fingerprint = Action::Add(Add::plain(record.applied)).fingerprint();
    }
}

/// The newest slot of a counter and what it did, by how many operations.
fn whose(items: &[Item<'_>], counter: &str) -> (u32, Option<(Effect, u64)>) {
    let slots = items.iter().enumerate().rev();
    let found = slots.into_iter().find_map(|(number, item)| match *item {
        Item::Slot { name, ops, effect } if name == counter => Some((number, effect, ops)),
        _ => None,
    });
    found.map_or((0, None), |(number, effect, ops)| (number as u32, Some((effect, ops))))
}

/// Writes one record with its items, slots before tokens before streams.
pub(crate) fn put(out: &mut Vec<u8>, header: &Header, items: &[Item<'_>]) {
    record::put_header(out, header);
    let count = |is: fn(&Item<'_>) -> bool| items.iter().filter(|item| is(item)).count() as u32;
    if header.kind.is_batch() {
        let slots = count(|item| matches!(item, Item::Slot { .. }));
        let tokens = count(|item| matches!(item, Item::Token { .. }));
        for n in [slots, tokens, items.len() as u32 - slots - tokens] {
            out.extend_from_slice(&n.to_le_bytes());
        }
    }
    let mut form = ShortForm::new(header.time_ms);
    for item in items {
        match *item {
            Item::Slot { name, ops, ref effect } => {
                record::put_slot(out, name.as_bytes(), ops, effect);
            }
            Item::Token { name, token, item, ref record } if header.kind == Kind::Batch => {
                put_full(out, (name.as_bytes(), token, item), record);
            }
            Item::Token { name, token, item, ref record } => {
                let whose = match whose(items, name) {
                    (_, None) => Whose::Name(name.as_bytes()),
                    (slot, Some((effect, ops))) => Whose::Slot(slot, PlainAdd::of(ops, &effect)),
                };
                form.put(out, whose, (token, item), record);
            }
            Item::Mark { stream, sequence } => {
                record::put_stream(out, stream, StreamKind::Mark, sequence);
            }
            Item::Checkpoint { stream, sequence } => {
                record::put_stream(out, stream, StreamKind::Checkpoint, sequence);
            }
            Item::End { stream, mark } => {
                record::put_stream(out, stream, StreamKind::End, mark);
            }
            Item::Window { window_ms } => out.extend_from_slice(&window_ms.to_le_bytes()),
        }
    }
}
