//! Tokens in short say what tokens in full say: random batches are written in both forms, read to the
//! same items, and folded to the same shards and change sets.

use proptest::prelude::*;
use quipu_core::effect::{Before, Effect, ExpiryEffect};
use quipu_core::op::{Action, Add};
use quipu_core::outcome::Verdict;
use quipu_core::record::token::{PlainAdd, ShortForm, Whose, put_full};
use quipu_core::record::{self, Header, Item, Kind, RecordError};
use quipu_core::shard::{Shard, ShardLimits};
use quipu_core::snapshot::ChangeSet;
use quipu_core::token::{TokenRecord, scope_key};

const SEED: u64 = 7;

const NAMES: [&str; 3] = ["a", "user:1/likes", "caf\u{e9}"];

const HEADER: Header =
    Header { kind: Kind::Tokened, shard: 0, epoch: 0, batch: 1, time_ms: 1_000_000 };

/// What is drawn of one token, and whether its slot tells the rest.
#[derive(Debug, Clone)]
struct Drawn {
    name: usize,
    token: Vec<u8>,
    item: u32,
    record: TokenRecord,
    as_slot: bool,
    plain: bool,
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![-3_i64..3, any::<i64>()]
}

prop_compose! {
    fn record()(
        fingerprint in any::<u128>(),
        verdict in 0_u8..4,
        value in prop::option::of(number()),
        previous in prop::option::of(number()),
        applied in number(),
        expires_at in prop::option::of(any::<u64>()),
        deadline_ms in prop_oneof![Just(4_600_000_u64), any::<u64>()],
    ) -> TokenRecord {
        let verdict = Verdict::from_byte(verdict).expect("two bits are a verdict");
        TokenRecord {
            key: 0, fingerprint, verdict, value, previous, applied, expires_at,
            epoch: HEADER.epoch, batch: HEADER.batch, deadline_ms,
        }
    }
}

prop_compose! {
    fn drawn()(
        name in 0..NAMES.len(),
        token in prop::collection::vec(any::<u8>(), 1..=64),
        item in prop_oneof![Just(0_u32), any::<u32>()],
        record in record(),
        as_slot in any::<bool>(),
        plain in any::<bool>(),
    ) -> Drawn {
        Drawn { name, token, item, record, as_slot, plain }
    }
}

/// One slot of each of the first names: operations and what they did.
fn slots() -> impl Strategy<Value = Vec<(u64, Effect)>> {
    let expiry = prop_oneof![Just(ExpiryEffect::Keep), Just(ExpiryEffect::Set(2_000_000))];
    let slot = (1_u64..3, number(), expiry).prop_map(|(ops, after, expiry)| {
        (ops, Effect { before: Before::Sum(0), after: Some(after), expiry })
    });
    prop::collection::vec(slot, 0..=NAMES.len())
}

/// Completes a record by what its slot says.
fn complete(drawn: &Drawn, slots: &[(u64, Effect)]) -> TokenRecord {
    let name = NAMES[drawn.name].as_bytes();
    let mut record =
        TokenRecord { key: scope_key(SEED, name, &drawn.token, drawn.item), ..drawn.record };
    if let (Some((_, effect)), true) = (slots.get(drawn.name), drawn.as_slot) {
        record.verdict = Verdict::Done;
        (record.value, record.previous, record.expires_at) = (effect.after, Some(0), None);
        record.applied = effect.after.unwrap_or(0);
    }
    if drawn.plain {
        record.fingerprint = Action::Add(Add::plain(record.applied)).fingerprint();
    }
    record
}

/// Writes a batch with its tokens in the form of `kind`.
fn write(kind: Kind, slots: &[(u64, Effect)], tokens: &[Drawn]) -> Vec<u8> {
    let mut out = Vec::new();
    record::put_header(&mut out, &Header { kind, ..HEADER });
    for count in [slots.len(), tokens.len(), 0] {
        out.extend_from_slice(&(count as u32).to_le_bytes());
    }
    for (name, (ops, effect)) in NAMES.iter().zip(slots) {
        record::put_slot(&mut out, name.as_bytes(), *ops, effect);
    }
    let mut form = ShortForm::new(HEADER.time_ms);
    for drawn in tokens {
        let (name, record) = (NAMES[drawn.name].as_bytes(), complete(drawn, slots));
        if kind == Kind::Batch {
            put_full(&mut out, (name, &drawn.token, drawn.item), &record);
            continue;
        }
        let slot = slots.get(drawn.name).map(|(ops, effect)| PlainAdd::of(*ops, effect));
        let by_slot = |add| Whose::Slot(drawn.name as u32, add);
        let whose = slot.map_or(Whose::Name(name), by_slot);
        form.put(&mut out, whose, (&drawn.token, drawn.item), &record);
    }
    out
}

fn items(bytes: &[u8]) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    let read = record::read(bytes, SEED, |_, item| {
        items.push(item);
        Ok::<_, RecordError>(())
    });
    assert_eq!(read.map(|(_, length)| length), Ok(bytes.len()));
    assert_eq!(record::skip(bytes).map(|(_, length)| length), Ok(bytes.len()));
    items
}

/// What a fold into a shard and a fold into a change set make of a record.
fn folded(bytes: &[u8], items: &[Item<'_>]) -> (Vec<String>, usize) {
    let mut shard = Shard::new(0, SEED, ShardLimits { streams_max: 1 });
    shard.fold_header(&HEADER).expect("the first batch");
    shard.fold_items(items).expect("nothing was there before");
    let mut set = ChangeSet::new(SEED);
    set.fold_payload(bytes).expect("the first batch");
    (set.take().map(|change| format!("{change:?}")).collect(), shard.tokens())
}

proptest! {
    #[test]
    fn both_forms_say_the_same(slots in slots(), tokens in prop::collection::vec(drawn(), 0..8)) {
        let [full, short] = [Kind::Batch, Kind::Tokened].map(|kind| write(kind, &slots, &tokens));
        prop_assert_eq!(items(&full), items(&short));
        prop_assert_eq!(folded(&full, &items(&full)), folded(&short, &items(&short)));
        prop_assert!(short.len() <= full.len() + tokens.len() * 5);
    }

    #[test]
    fn a_record_that_is_cut_or_spoiled_is_refused_or_read_and_never_panics(
        slots in slots(),
        tokens in prop::collection::vec(drawn(), 1..4),
        at in any::<prop::sample::Index>(),
        mask in 1_u8..,
    ) {
        let short = write(Kind::Tokened, &slots, &tokens);
        let ignore = |_: &Header, _: Item<'_>| Ok::<_, RecordError>(());
        let cut = at.index(short.len());
        prop_assert!(record::read(&short[..cut], SEED, ignore).is_err());
        prop_assert!(record::skip(&short[..cut]).is_err());
        let mut spoiled = short;
        spoiled[cut] ^= mask;
        _ = record::read(&spoiled, SEED, ignore);
        _ = record::skip(&spoiled);
    }
}

#[test]
fn a_plain_add_takes_no_more_than_its_token_and_three_bytes() {
    let effect = Effect { before: Before::Sum(0), after: Some(9), expiry: ExpiryEffect::Keep };
    let record = TokenRecord {
        key: scope_key(SEED, b"a", b"k", 0),
        fingerprint: Action::Add(Add::plain(9)).fingerprint(),
        verdict: Verdict::Done,
        value: Some(9),
        previous: Some(0),
        applied: 9,
        expires_at: None,
        epoch: 0,
        batch: 1,
        deadline_ms: 4_600_000,
    };
    let mut form = ShortForm::new(HEADER.time_ms);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let whose = Whose::Slot(0, PlainAdd::of(1, &effect));
    form.put(&mut first, whose, (b"k", 0), &record);
    form.put(&mut second, whose, (b"l", 0), &record);
    // Its form, its slot, its length, itself; the first says until when.
    assert_eq!((first.len(), second.len()), (8, 4));
}
