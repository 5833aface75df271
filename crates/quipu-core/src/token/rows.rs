//! The records of a shard's tokens, side by side, known by number.
//!
//! Those that come one after the other lie one after the other, so that what is remembered is
//! written as a stream, whatever its hash is. A number that is given back is used again first.
//!
//! Nearly all records of a shard are of a few operations, and those of a chunk are of one time: a
//! row says what a record does not share with others, in 40 bytes. A record of which that is not
//! enough, such as one with an expiry, is kept whole beside them.

use super::TokenRecord;
use crate::limits::TOKEN_FUTURE_MS;
use crate::outcome::Verdict;

/// Rows that are allocated at once, 20 KiB: a shard takes them about once in as many tokens. Guess.
const CHUNK_ROWS: usize = 512;

/// Fingerprints that rows know by number. Guess: more than the operations that a program knows, if
/// their bounds and expiries are constants, and they are searched one by one.
const FINGERPRINTS_MAX: usize = 64;

/// Of a row that holds something; without any flag it is empty.
const FILLED: u8 = 1;
/// The record is kept whole; the value of the row is its number.
const WHOLE: u8 = 1 << 1;
/// There is a value after.
const VALUE: u8 = 1 << 2;
/// There was a value before: the value after less what was added.
const CHAINED: u8 = 1 << 3;
/// Where the verdict stands.
const VERDICT_SHIFT: u8 = 4;

/// What is remembered of one token and not known from its chunk.
#[derive(Debug, Clone, Copy)]
struct Row {
    key: [u64; 2],
    value: i64,
    applied: i32,
    /// Batches since the chunk's first.
    batch: u32,
    /// Milliseconds since the chunk's first deadline.
    deadline_ms: u32,
    /// The number of its fingerprint.
    fingerprint: u8,
    flags: u8,
}

const EMPTY: Row =
    Row { key: [0; 2], value: 0, applied: 0, batch: 0, deadline_ms: 0, fingerprint: 0, flags: 0 };

/// Rows that were begun at one time.
#[derive(Debug)]
struct Chunk {
    rows: Vec<Row>,
    /// Rows that hold something.
    used: u32,
    epoch: u64,
    batch: u64,
    deadline_ms: u64,
}

/// The two halves of a number, which need no more alignment than others.
fn halves(n: u128) -> [u64; 2] {
    [n as u64, (n >> 64) as u64]
}

fn whole([low, high]: [u64; 2]) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

impl Chunk {
    fn new(record: &TokenRecord) -> Self {
        let mut chunk = Self {
            rows: Vec::with_capacity(CHUNK_ROWS),
            used: 0,
            epoch: 0,
            batch: 0,
            deadline_ms: 0,
        };
        chunk.begin(record);
        chunk
    }

    /// Takes the first record of an empty chunk as what the others are told from.
    fn begin(&mut self, record: &TokenRecord) {
        (self.epoch, self.batch) = (record.epoch, record.batch);
        // A token may have put its own deadline so far ahead of the next ones.
        self.deadline_ms = record.deadline_ms.saturating_sub(TOKEN_FUTURE_MS);
    }

    /// The row of a record, or none where it must be kept whole.
    fn row(&self, record: &TokenRecord, fingerprint: u8) -> Option<Row> {
        let chained = record.value.map(|value| value.wrapping_sub(record.applied));
        let is_told = record.previous.is_none() || record.previous == chained;
        if !is_told || record.expires_at.is_some() || record.epoch != self.epoch {
            return None;
        }
        let flag = |is_there, flag| if is_there { flag } else { 0 };
        Some(Row {
            key: halves(record.key),
            value: record.value.unwrap_or(0),
            applied: i32::try_from(record.applied).ok()?,
            batch: u32::try_from(record.batch.checked_sub(self.batch)?).ok()?,
            deadline_ms: u32::try_from(record.deadline_ms.checked_sub(self.deadline_ms)?).ok()?,
            fingerprint,
            flags: FILLED
                | flag(record.value.is_some(), VALUE)
                | flag(record.previous.is_some(), CHAINED)
                | (record.verdict as u8) << VERDICT_SHIFT,
        })
    }

    /// The record of a row that is not whole.
    fn record(&self, row: &Row, fingerprint: u128) -> Option<TokenRecord> {
        let (applied, has) = (i64::from(row.applied), |flag| row.flags & flag != 0);
        Some(TokenRecord {
            key: whole(row.key),
            fingerprint,
            verdict: Verdict::from_byte(row.flags >> VERDICT_SHIFT)?,
            value: has(VALUE).then_some(row.value),
            previous: has(CHAINED).then_some(row.value.wrapping_sub(applied)),
            applied,
            expires_at: None,
            epoch: self.epoch,
            batch: self.batch + u64::from(row.batch),
            deadline_ms: self.deadline_ms + u64::from(row.deadline_ms),
        })
    }
}

/// The records of one shard.
#[derive(Debug, Default)]
pub(super) struct Rows {
    chunks: Vec<Chunk>,
    free: Vec<u32>,
    wholes: Vec<TokenRecord>,
    free_wholes: Vec<u32>,
    /// The fingerprints of operations that came, the first of them.
    fingerprints: Vec<u128>,
}

impl Rows {
    /// Files a record and returns its number.
    pub(super) fn put(&mut self, record: &TokenRecord) -> u32 {
        let number = self.take(record);
        self.write(number, record);
        number
    }

    /// Takes the number of a row that holds nothing.
    fn take(&mut self, record: &TokenRecord) -> u32 {
        if let Some(number) = self.free.pop() {
            return number;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.rows.len() == CHUNK_ROWS) {
            self.chunks.push(Chunk::new(record));
        }
        let before = (self.chunks.len() - 1) * CHUNK_ROWS;
        let chunk = self.chunks.last_mut().expect("one was just seen to be there");
        chunk.rows.push(EMPTY);
        let number = u32::try_from(before + chunk.rows.len() - 1);
        number.expect("a shard of as many tokens is far larger than any memory")
    }

    /// Writes a record into a row that holds nothing.
    fn write(&mut self, number: u32, record: &TokenRecord) {
        let fingerprint = self.fingerprint(record.fingerprint);
        let (chunk, at) = place(number);
        let Some(chunk) = self.chunks.get_mut(chunk) else { return };
        if chunk.used == 0 {
            chunk.begin(record);
        }
        chunk.used += 1;
        let row = fingerprint.and_then(|fingerprint| chunk.row(record, fingerprint));
        let row = row.unwrap_or_else(|| {
            let whole = self.free_wholes.pop().unwrap_or(self.wholes.len() as u32);
            match self.wholes.get_mut(whole as usize) {
                Some(place) => *place = *record,
                None => self.wholes.push(*record),
            }
            let flags = FILLED | WHOLE;
            Row { key: halves(record.key), value: i64::from(whole), flags, ..EMPTY }
        });
        if let Some(place) = chunk.rows.get_mut(at) {
            *place = row;
        }
    }

    /// The number of a fingerprint; none where there are too many others.
    fn fingerprint(&mut self, fingerprint: u128) -> Option<u8> {
        let known = self.fingerprints.iter().position(|known| *known == fingerprint);
        if known.is_none() && self.fingerprints.len() < FINGERPRINTS_MAX {
            self.fingerprints.push(fingerprint);
            return Some((self.fingerprints.len() - 1) as u8);
        }
        known.map(|number| number as u8)
    }

    /// Puts another record in the place of one.
    pub(super) fn replace(&mut self, number: u32, record: &TokenRecord) {
        self.empty(number);
        self.write(number, record);
    }

    fn row(&self, number: u32) -> Option<(&Chunk, &Row)> {
        let (chunk, at) = place(number);
        let chunk = self.chunks.get(chunk)?;
        chunk.rows.get(at).filter(|row| row.flags != 0).map(|row| (chunk, row))
    }

    /// The record with a number, or none where nothing is filed.
    pub(super) fn get(&self, number: u32) -> Option<TokenRecord> {
        let (chunk, row) = self.row(number)?;
        if row.flags & WHOLE != 0 {
            return self.wholes.get(row.value as usize).copied();
        }
        let fingerprint = self.fingerprints.get(usize::from(row.fingerprint))?;
        chunk.record(row, *fingerprint)
    }

    /// The key and the deadline of the record with a number.
    pub(super) fn due(&self, number: u32) -> Option<(u128, u64)> {
        let (chunk, row) = self.row(number)?;
        if row.flags & WHOLE != 0 {
            let record = self.wholes.get(row.value as usize)?;
            return Some((record.key, record.deadline_ms));
        }
        Some((whole(row.key), chunk.deadline_ms + u64::from(row.deadline_ms)))
    }

    /// Whether the record with a number is that of `key`.
    #[inline]
    pub(super) fn is_of(&self, number: u32, key: u128) -> bool {
        self.row(number).is_some_and(|(_, row)| row.key == halves(key))
    }

    /// Empties a place, which may be used again.
    pub(super) fn give_back(&mut self, number: u32) {
        if self.empty(number) {
            self.free.push(number);
        }
    }

    /// Empties a row; says whether it held something.
    fn empty(&mut self, number: u32) -> bool {
        let (chunk, at) = place(number);
        let Some(chunk) = self.chunks.get_mut(chunk) else { return false };
        let Some(row) = chunk.rows.get_mut(at).filter(|row| row.flags != 0) else {
            return false;
        };
        if row.flags & WHOLE != 0 {
            self.free_wholes.push(row.value as u32);
        }
        row.flags = 0;
        chunk.used -= 1;
        true
    }
}

#[inline]
fn place(number: u32) -> (usize, usize) {
    let number = number as usize;
    (number / CHUNK_ROWS, number % CHUNK_ROWS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CHUNK_ROWS, FINGERPRINTS_MAX, Row, Rows};
    use crate::limits::TOKEN_FUTURE_MS;
    use crate::outcome::Verdict;
    use crate::token::TokenRecord;

    const FULL: TokenRecord = TokenRecord {
        key: u128::MAX - 1,
        fingerprint: 1 << 127 | 5,
        verdict: Verdict::Unmet,
        value: Some(i64::MIN),
        previous: Some(0),
        applied: -1,
        expires_at: Some(u64::MAX),
        epoch: u64::MAX,
        batch: u64::MAX - 2,
        deadline_ms: u64::MAX - 3,
    };

    fn plain(key: u128, applied: i64) -> TokenRecord {
        TokenRecord {
            key,
            fingerprint: applied as u128,
            verdict: Verdict::Done,
            value: Some(7),
            previous: Some(7_i64.wrapping_sub(applied)),
            applied,
            expires_at: None,
            epoch: 3,
            batch: 9,
            deadline_ms: 1 << 40,
        }
    }

    /// Files records one after the other and compares them, and how many are kept whole.
    fn check(records: &[TokenRecord], wholes: usize) {
        let mut rows = Rows::default();
        for (number, record) in records.iter().enumerate() {
            assert_eq!(rows.put(record) as usize, number);
        }
        for (number, record) in records.iter().enumerate() {
            assert_eq!(rows.get(number as u32), Some(*record), "{number}");
            assert!(rows.is_of(number as u32, record.key));
        }
        assert_eq!(rows.wholes.len() - rows.free_wholes.len(), wholes);
    }

    #[test]
    fn a_row_takes_40_bytes_and_holds_most_records_of_one_time() {
        assert_eq!(size_of::<Row>(), 40);
        let first = plain(1, 1);
        let others = [
            plain(2, -5),
            plain(3, i64::from(i32::MIN)),
            TokenRecord { verdict: Verdict::Unmet, value: None, previous: None, ..first },
            TokenRecord { verdict: Verdict::Rejected, previous: Some(7), applied: 0, ..first },
            TokenRecord { previous: None, verdict: Verdict::Overflow, ..first },
            TokenRecord { batch: 8 + (1 << 32), ..first },
            TokenRecord { deadline_ms: first.deadline_ms - TOKEN_FUTURE_MS, ..first },
            TokenRecord { deadline_ms: first.deadline_ms + (1 << 31), ..first },
        ];
        for other in others {
            check(&[first, other], 0);
        }
    }

    #[test]
    fn any_other_record_is_kept_whole() {
        let first = plain(1, 1);
        let others = [
            FULL,
            plain(2, i64::MIN),
            TokenRecord { value: None, ..first },
            TokenRecord { previous: Some(1), ..first },
            TokenRecord { expires_at: Some(0), ..first },
            TokenRecord { epoch: 4, ..first },
            TokenRecord { batch: 8, ..first },
            TokenRecord { batch: 9 + (1 << 32), ..first },
            TokenRecord { deadline_ms: first.deadline_ms - TOKEN_FUTURE_MS - 1, ..first },
            TokenRecord { deadline_ms: first.deadline_ms + (1 << 32), ..first },
        ];
        for other in others {
            check(&[first, other], 1);
        }
    }

    #[test]
    fn of_more_operations_than_rows_know_the_records_are_kept_whole() {
        let operations = FINGERPRINTS_MAX as u128 + 2;
        let of = |fingerprint| TokenRecord { fingerprint, ..plain(fingerprint, 1) };
        let records: Vec<_> = (0..operations).chain(0..operations).map(of).collect();
        check(&records, 4);
    }

    #[test]
    fn a_place_that_was_given_back_is_empty_and_used_again() {
        let mut rows = Rows::default();
        let numbered = |key| TokenRecord { key, ..FULL };
        for key in 0..CHUNK_ROWS + 2 {
            assert_eq!(rows.put(&numbered(key as u128)) as usize, key);
        }
        let last = CHUNK_ROWS as u32 + 1;
        assert!(rows.is_of(last, u128::from(last)) && !rows.is_of(last, 0));
        rows.give_back(7);
        rows.give_back(7);
        assert!(rows.get(7).is_none() && !rows.is_of(7, 7));
        assert_eq!(rows.put(&numbered(99)), 7);
        assert_eq!(rows.get(7), Some(numbered(99)));
        assert_eq!(rows.wholes.len(), CHUNK_ROWS + 2, "what is kept whole is used again too");
        assert!(rows.get(last + 1).is_none() && !rows.is_of(u32::MAX, 7));
    }

    #[test]
    fn an_emptied_chunk_takes_the_time_of_what_comes_next() {
        let mut rows = Rows::default();
        rows.put(&plain(1, 1));
        rows.give_back(0);
        rows.put(&TokenRecord { epoch: 4, batch: 1, deadline_ms: 5, ..plain(2, 1) });
        assert!(rows.wholes.is_empty());
    }

    proptest! {
        #[test]
        fn records_come_back_as_they_were(
            records in prop::collection::vec((0_u128..8, -3_i64..3, 0_u64..4, 0_u8..4), 1..40),
        ) {
            let mut rows = Rows::default();
            let mut known = Vec::new();
            for (key, applied, batch, odd) in records {
                let epoch = 3 + u64::from(odd == 1);
                let record = TokenRecord { epoch, batch, ..plain(key, applied) };
                match odd {
                    2 if !known.is_empty() => {
                        let (number, _) = known.swap_remove(key as usize % known.len());
                        rows.give_back(number);
                    }
                    3 if !known.is_empty() => {
                        let at = key as usize % known.len();
                        rows.replace(known[at].0, &record);
                        known[at].1 = record;
                    }
                    _ => known.push((rows.put(&record), record)),
                }
                for (number, record) in &known {
                    prop_assert_eq!(rows.get(*number), Some(*record));
                }
            }
        }
    }
}
