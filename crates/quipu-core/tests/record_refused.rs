//! Records and items that no shard can have written are refused: before they could stop the next one,
//! or be taken for something else than a later version means by them.

use quipu_core::effect::{Before, Counter, Effect, ExpiryEffect};
use quipu_core::outcome::Verdict;
use quipu_core::record::token::put_full;
use quipu_core::record::{self, Header, Item, Kind, RecordError};
use quipu_core::snapshot::{self, Change, Ended, ItemKey, ItemValue};

use quipu_core::token::TokenRecord;

const HEADER: Header = Header { kind: Kind::Epoch, shard: 3, epoch: 1, batch: 2, time_ms: 5 };

/// Reads a record and compares what it was not understood at.
fn check(bytes: &[u8], expected: Option<&str>) {
    let read = record::read(bytes, 0, |_, _: Item<'_>| Ok::<_, RecordError>(()));
    assert_eq!(read.err().map(|error| error.what), expected, "{}", bytes.escape_ascii());
}

fn check_header(header: &Header, expected: Option<&str>) {
    let mut bytes = Vec::new();
    record::put_header(&mut bytes, header);
    check(&bytes, expected);
}

#[test]
fn counts_that_leave_no_room_for_the_next_are_refused() {
    check_header(&HEADER, None);
    check_header(&Header { epoch: u64::MAX >> 1, ..HEADER }, None);
    check_header(&Header { epoch: u64::MAX, ..HEADER }, Some("epoch"));
    check_header(&Header { batch: u64::MAX, ..HEADER }, Some("batch"));
    check_header(&Header { time_ms: 1 << 63, ..HEADER }, Some("time"));
}

const TOKEN: TokenRecord = TokenRecord {
    key: 1,
    fingerprint: 2,
    verdict: Verdict::Done,
    value: None,
    previous: None,
    applied: 1,
    expires_at: None,
    epoch: 1,
    batch: 3,
    deadline_ms: 9,
};

/// The head of a batch of so many slots and tokens, and its length.
fn batch(slots: u8, tokens: u8) -> (Vec<u8>, usize) {
    let mut bytes = Vec::new();
    record::put_header(&mut bytes, &Header { kind: Kind::Batch, ..HEADER });
    bytes.extend_from_slice(&[slots, 0, 0, 0, tokens, 0, 0, 0, 0, 0, 0, 0]);
    let length = bytes.len();
    (bytes, length)
}

#[test]
fn the_item_of_a_token_is_read_whole_or_not_at_all() {
    let (mut bytes, at) = batch(0, 1);
    put_full(&mut bytes, (b"a", b"k", u32::MAX), &TOKEN);
    check(&bytes, None);
    // Name and token take four bytes; the fifth byte of the number holds its highest bits.
    bytes[at + 8] |= 0x10;
    check(&bytes, Some("item"));
}

/// Sets every bit of the flags at `at` that has no meaning, one at a time.
fn check_flags(
    bytes: &mut [u8],
    at: usize,
    known: u8,
    read: impl Fn(&[u8]) -> Option<&'static str>,
) {
    assert_eq!(read(bytes), None, "{}", bytes.escape_ascii());
    for bit in (0..8).map(|shift| 1 << shift).filter(|bit| bit & known == 0) {
        bytes[at] ^= bit;
        let what = read(bytes).unwrap_or_default();
        assert!(what.ends_with("flags"), "bit {bit:#x}: {what:?}");
        bytes[at] ^= bit;
    }
}

#[test]
fn flags_without_a_meaning_are_refused() {
    let of_record = |bytes: &[u8]| {
        record::read(bytes, 0, |_, _| Ok::<_, RecordError>(())).err().map(|error| error.what)
    };
    let effect = Effect { before: Before::Sum(1), after: Some(2), expiry: ExpiryEffect::Keep };
    let (mut bytes, at) = batch(1, 0);
    record::put_slot(&mut bytes, b"a", 1, &effect);
    check_flags(&mut bytes, at, 0b11_1111, of_record);
    let (mut bytes, at) = batch(0, 1);
    put_full(&mut bytes, (b"a", b"k", 0), &TOKEN);
    // Two names of one byte, the number, and two words of 16 bytes come before.
    check_flags(&mut bytes, at + 5 + 32, 0b1_1111, of_record);

    let of_item = |body: &[u8]| snapshot::read_item(&body[1..]).err().map(|error| error.what);
    let of_change = |body: &[u8]| snapshot::read_change(&body[1..]).err().map(|error| error.what);
    let counter = (3, ItemKey::Counter("a".into()));
    let stream = (3, ItemKey::Stream((*b"s").into()));
    let mut bytes = Vec::new();
    let value = Counter { value: Some(7), expires_at: None };
    snapshot::put_item(&mut bytes, &counter, &ItemValue::Counter(value));
    // Length, shard, kind and a name of one byte come before.
    check_flags(&mut bytes, 6, 1, of_item);
    let mut bytes = Vec::new();
    snapshot::put_item(&mut bytes, &stream, &ItemValue::Stream { mark: 1, checkpoint: None });
    check_flags(&mut bytes, 7, 1, of_item);
    let mut bytes = Vec::new();
    let change = Change::Stream { ended: Ended::At(3), mark: Some(1), checkpoint: Some(2) };
    snapshot::put_change(&mut bytes, &stream, &change);
    check_flags(&mut bytes, 6, 15, of_change);
}

#[test]
fn a_token_in_full_of_two_keys_is_refused() {
    let check = |second: u128, expected: Result<(), &str>| {
        let mut body = vec![3, 0, 2];
        body.extend_from_slice(&TOKEN.key.to_be_bytes());
        body.extend_from_slice(b"\x01\x03");
        body.extend_from_slice(&second.to_le_bytes());
        body.extend_from_slice(&TOKEN.fingerprint.to_le_bytes());
        // Flags, what was applied, deadline.
        body.extend_from_slice(b"\0\x02\x09");
        let place = (3, ItemKey::Token(TOKEN.key));
        let item = snapshot::read_item(&body).map_err(|error| error.what);
        assert_eq!(item, expected.map(|()| (place.clone(), ItemValue::Token(TOKEN))));
        let change = snapshot::read_change(&body).map_err(|error| error.what);
        assert_eq!(change, expected.map(|()| (place, Change::Token(TOKEN))));
    };
    check(TOKEN.key, Ok(()));
    check(TOKEN.key + 1, Err("token key"));
}

/// A batch of one slot, an assignment, and a token in short of these bytes.
fn short(token: &[u8]) -> Vec<u8> {
    let (mut bytes, _) = batch(1, 1);
    bytes[0] = Kind::Tokened as u8;
    let effect = Effect { before: Before::Exact(None), after: Some(2), expiry: ExpiryEffect::Keep };
    record::put_slot(&mut bytes, b"a", 1, &effect);
    bytes.extend_from_slice(token);
    bytes
}

#[test]
fn a_token_in_short_that_leans_on_what_is_not_there_is_refused() {
    let check = |token: &[u8], expected| check(&short(token), expected);
    // Form, slot, token "k"; flags, what was applied; deadline.
    check(b"\x01\0\x01k\x20\x02\0", None);
    check(b"\x01\x01\x01k\x20\x02\0", Some("slot of a token"));
    check(b"\x05\0\x01k\0", Some("slot of a plain add"));
    check(b"\0\0a\x01k\x20\x02\0", None);
    check(b"\x04\0a\x01k\0", Some("slot of a plain add"));
    check(b"\x09\0\x01k\x20\x02", Some("deadline of the token before"));
    let long = [b"\x01\0\x41".as_slice(), &[b'k'; 65], b"\x20\x02\0"].concat();
    check(&long, Some("token length"));
    // A value before that follows from one after that is not there, or is there twice.
    check(b"\x01\0\x01k\x60\x02\0", Some("token flags"));
    check(b"\x01\0\x01k\x6c\x02\x02\x02\0", Some("token flags"));
    check(b"\x01\0\x01k\x64\x02\x02\0", None);
}

#[test]
fn forms_and_flags_of_a_token_in_short_without_a_meaning_are_refused() {
    let of_record = |bytes: &[u8]| {
        let read = record::read(bytes, 0, |_, _| Ok::<_, RecordError>(()));
        let skipped = record::skip(bytes).err().map(|error| error.what);
        assert_eq!(read.err().map(|error| error.what), skipped);
        skipped
    };
    let mut bytes = short(b"\x01\0\x01k\x20\x02\0");
    let at = bytes.len() - 7;
    for bit in (4..8).map(|shift| 1 << shift) {
        bytes[at] ^= bit;
        assert_eq!(of_record(&bytes), Some("token form"));
        bytes[at] ^= bit;
    }
    bytes[at + 4] |= 0x80;
    assert_eq!(of_record(&bytes), Some("token flags"));
}
