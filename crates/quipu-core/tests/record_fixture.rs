//! The examples of `docs/formats.md` are what a shard writes: records of the log, items of a
//! snapshot. A change of these bytes is a change of the format and needs a new version.

use quipu_core::effect::Counter;
use quipu_core::execute::Context;
use quipu_core::name::Name;
use quipu_core::op::{Action, Add, Op, Presence, Set, Token, Ttl};
use quipu_core::record::{self, Item, RecordError};
use quipu_core::shard::{Shard, ShardLimits};
use quipu_core::snapshot::{ItemKey, ItemValue, ShardMeta, put_item, read_item};
use quipu_core::token::TokenRecord;

/// The page that shows the bytes to people.
const PAGE: &str = include_str!("../../../docs/formats.md");

/// The seed of the example store.
const SEED: u64 = 7;

/// A log time: 2023-11-14 22:13:20 UTC.
const NOW_MS: u64 = 1_700_000_000_000;

const CX: Context =
    Context { now_ms: NOW_MS, no_room: None, memory_full: false, tokens_full: false };

/// The bytes of the fenced block after the line `<!-- NAME -->`; `|` begins a comment.
fn example(name: &str) -> Vec<u8> {
    let (_, after) = PAGE.split_once(&format!("<!-- {name} -->")).expect("the page has it");
    let block = after.split("```").nth(1).expect("a fenced block follows");
    let lines = block.lines().map(|line| line.split('|').next().unwrap_or_default());
    let digits: String = lines.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect();
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("ASCII");
            u8::from_str_radix(pair, 16).unwrap_or_else(|_| panic!("{name}: {pair:?} is no byte"))
        })
        .collect()
}

fn check(name: &str, written: &[u8]) {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
    assert_eq!(hex(&example(name)), hex(written), "{name}");
}

fn execute(shard: &mut Shard, name: &str, action: Action, token: Token<'_>) {
    let hash = stdx::hash::hash64(SEED, name.as_bytes());
    let reply = shard.execute(&CX, hash, &Op { name, action, token });
    assert!(reply.result.is_ok(), "{reply:?}");
}

/// Shard 5 of a new store, in its first life.
fn begun(out: &mut Vec<u8>) -> Shard {
    let mut shard = Shard::new(5, SEED, ShardLimits { streams_max: 10 });
    shard.begin_epoch(NOW_MS, 3_600_000, out);
    shard
}

/// Two adds that share a slot, an assignment with an expiry, a tokened add, a streamed one, and a
/// checkpoint.
fn batch(shard: &mut Shard) -> Vec<u8> {
    execute(shard, "likes", Action::Add(Add::plain(2)), Token::None);
    execute(shard, "likes", Action::Add(Add::plain(-3)), Token::None);
    let set = Set { value: 7, ttl: Ttl::After(60_000), when: Presence::Any };
    execute(shard, "quota", Action::Set(set), Token::None);
    let token = Token::Key { key: b"order-17", item: 0 };
    execute(shard, "paid", Action::Add(Add::plain(1)), token);
    let token = Token::Stream { name: b"s", sequence: 300 };
    execute(shard, "lines", Action::Add(Add::plain(1)), token);
    shard.checkpoint(&CX, b"s", 256).expect("there is room");
    let mut out = Vec::new();
    assert_eq!(shard.seal(0, &mut out), Some(1));
    out
}

/// Two tokens of a counter that was there: one that its slot tells all of, and a rejection.
fn next_batch(shard: &mut Shard) -> Vec<u8> {
    let token = |key| Token::Key { key, item: 0 };
    execute(shard, "paid", Action::Add(Add::plain(1)), token(b"order-18"));
    let bounded = Add { max: Some(5), ..Add::plain(9) };
    execute(shard, "paid", Action::Add(bounded), token(b"order-19"));
    let mut out = Vec::new();
    assert_eq!(shard.seal(0, &mut out), Some(2));
    out
}

/// The items of a record.
fn items(bytes: &[u8]) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    let read = record::read(bytes, SEED, |_, item| {
        items.push(item);
        Ok::<_, RecordError>(())
    });
    let (_, length) = read.expect("it is understood");
    assert_eq!(length, bytes.len(), "all of it is read");
    assert_eq!(record::skip(bytes).map(|(_, length)| length), Ok(length));
    items
}

/// The token that the batch records.
fn token_record(bytes: &[u8]) -> TokenRecord {
    let mut records = items(bytes).into_iter().filter_map(|item| match item {
        Item::Token { record, .. } => Some(record),
        _ => None,
    });
    records.next().expect("it has a token")
}

#[test]
fn a_start_writes_the_records_that_the_page_shows() {
    let mut out = Vec::new();
    begun(&mut out);
    check("epoch and config", &out);
}

#[test]
fn a_batch_is_written_as_the_page_shows() {
    let mut shard = begun(&mut Vec::new());
    check("batch", &batch(&mut shard));
    check("next batch", &next_batch(&mut shard));
}

#[test]
fn what_earlier_versions_wrote_is_read_as_the_same() {
    let written = batch(&mut begun(&mut Vec::new()));
    assert_eq!(items(&example("batch in full")), items(&written));
    let record = token_record(&written);
    let body = &example("token item in full")[1..];
    let expected = ((5, ItemKey::Token(record.key)), ItemValue::Token(record));
    assert_eq!(read_item(body), Ok(expected));
}

#[test]
fn an_end_of_a_stream_is_written_as_the_page_shows() {
    let mut shard = begun(&mut Vec::new());
    batch(&mut shard);
    shard.end_stream(NOW_MS, b"s");
    let mut out = Vec::new();
    assert_eq!(shard.seal(1, &mut out), Some(2));
    check("end", &out);
}

#[test]
fn the_items_of_a_snapshot_are_written_as_the_page_shows() {
    let mut shard = begun(&mut Vec::new());
    let record = token_record(&batch(&mut shard));
    let meta = ShardMeta { epoch: 1, batch: 1, time_ms: NOW_MS, window_ms: 3_600_000 };
    let quota = Counter { value: Some(7), expires_at: Some(NOW_MS + 60_000) };
    let items = [
        (ItemKey::Shard, ItemValue::Shard(meta)),
        (ItemKey::Counter(Name::new("quota")), ItemValue::Counter(quota)),
        (ItemKey::Token(record.key), ItemValue::Token(record)),
        (ItemKey::Stream((*b"s").into()), ItemValue::Stream { mark: 300, checkpoint: Some(256) }),
    ];
    let mut out = Vec::new();
    for (key, value) in items {
        let from = out.len();
        let place = (5, key);
        put_item(&mut out, &place, &value);
        // Each is shorter than 128 bytes, so that its length is one byte.
        let body = out.get(from + 1..).expect("an item was written");
        assert_eq!(read_item(body), Ok((place, value)));
    }
    check("items", &out);
}
