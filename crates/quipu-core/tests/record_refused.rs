//! Records that no shard can have written are refused, before they could stop the next one.

use quipu_core::outcome::Verdict;
use quipu_core::record::{self, Header, Item, Kind, RecordError};
use quipu_core::token::TokenRecord;

const HEADER: Header = Header { kind: Kind::Epoch, shard: 3, epoch: 1, batch: 2, time_ms: 5 };

/// Reads a record and compares what it was not understood at.
fn check(bytes: &[u8], expected: Option<&str>) {
    let read = record::read(bytes, |_, _: Item<'_>| Ok::<_, RecordError>(()));
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

#[test]
fn the_item_of_a_token_is_read_whole_or_not_at_all() {
    let token = TokenRecord {
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
    let mut bytes = Vec::new();
    record::put_header(&mut bytes, &Header { kind: Kind::Batch, ..HEADER });
    bytes.extend_from_slice(&[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    let at = bytes.len();
    record::put_token(&mut bytes, (b"a", b"k", u32::MAX), &token);
    check(&bytes, None);
    // Name and token take four bytes; the fifth byte of the number holds its highest bits.
    bytes[at + 8] |= 0x10;
    check(&bytes, Some("item"));
}
