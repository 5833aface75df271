//! The records of a shard's tokens, side by side, known by number.
//!
//! Those that come one after the other lie one after the other, so that what is remembered is
//! written as a stream, whatever its hash is. A number that is given back is used again first.

use super::TokenRecord;
use crate::outcome::Verdict;

/// Rows that are allocated at once, 48 KiB: a shard takes them about once in as many tokens. Guess.
const CHUNK_ROWS: usize = 512;

const VALUE: u8 = 1 << 2;
const PREVIOUS: u8 = 1 << 3;
const EXPIRES: u8 = 1 << 4;
const VERDICT: u8 = 3;
/// Of a row that holds nothing.
const EMPTY: u8 = 1 << 7;

/// A record without gaps: what an option lacks is told by a flag.
#[derive(Debug, Clone, Copy)]
struct Row {
    key: [u64; 2],
    fingerprint: [u64; 2],
    value: i64,
    previous: i64,
    applied: i64,
    expires_at: u64,
    epoch: u64,
    batch: u64,
    deadline_ms: u64,
    flags: u8,
}

/// The two halves of a number, which need no more alignment than others.
fn halves(n: u128) -> [u64; 2] {
    [n as u64, (n >> 64) as u64]
}

fn whole([low, high]: [u64; 2]) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

impl Row {
    fn new(record: &TokenRecord) -> Self {
        let flag = |is_there, flag| if is_there { flag } else { 0 };
        Self {
            key: halves(record.key),
            fingerprint: halves(record.fingerprint),
            value: record.value.unwrap_or(0),
            previous: record.previous.unwrap_or(0),
            applied: record.applied,
            expires_at: record.expires_at.unwrap_or(0),
            epoch: record.epoch,
            batch: record.batch,
            deadline_ms: record.deadline_ms,
            flags: record.verdict as u8
                | flag(record.value.is_some(), VALUE)
                | flag(record.previous.is_some(), PREVIOUS)
                | flag(record.expires_at.is_some(), EXPIRES),
        }
    }

    /// The record, or none where the row is empty.
    fn record(&self) -> Option<TokenRecord> {
        let has = |flag| self.flags & flag != 0;
        let verdict = Verdict::from_byte(self.flags & VERDICT).filter(|_| !has(EMPTY))?;
        Some(TokenRecord {
            key: whole(self.key),
            fingerprint: whole(self.fingerprint),
            verdict,
            value: has(VALUE).then_some(self.value),
            previous: has(PREVIOUS).then_some(self.previous),
            applied: self.applied,
            expires_at: has(EXPIRES).then_some(self.expires_at),
            epoch: self.epoch,
            batch: self.batch,
            deadline_ms: self.deadline_ms,
        })
    }
}

/// The records of one shard.
#[derive(Debug, Default)]
pub(super) struct Rows {
    chunks: Vec<Vec<Row>>,
    free: Vec<u32>,
}

impl Rows {
    /// Files a record and returns its number.
    pub(super) fn put(&mut self, record: &TokenRecord) -> u32 {
        if let Some(number) = self.free.pop() {
            self.replace(number, record);
            return number;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK_ROWS) {
            self.chunks.push(Vec::with_capacity(CHUNK_ROWS));
        }
        let before = (self.chunks.len() - 1) * CHUNK_ROWS;
        let chunk = self.chunks.last_mut().expect("one was just seen to be there");
        chunk.push(Row::new(record));
        (before + chunk.len() - 1) as u32
    }

    /// Puts another record in the place of one.
    pub(super) fn replace(&mut self, number: u32, record: &TokenRecord) {
        if let Some(row) = self.row_mut(number) {
            *row = Row::new(record);
        }
    }

    /// The record with a number, or none where nothing is filed.
    pub(super) fn get(&self, number: u32) -> Option<TokenRecord> {
        let (chunk, at) = place(number);
        self.chunks.get(chunk)?.get(at)?.record()
    }

    /// Whether the record with a number is that of `key`.
    #[inline]
    pub(super) fn is_of(&self, number: u32, key: u128) -> bool {
        let (chunk, at) = place(number);
        let row = self.chunks.get(chunk).and_then(|chunk| chunk.get(at));
        row.is_some_and(|row| row.key == halves(key) && row.flags & EMPTY == 0)
    }

    /// Empties a place, which may be used again.
    pub(super) fn give_back(&mut self, number: u32) {
        if let Some(row) = self.row_mut(number) {
            row.flags = EMPTY;
            self.free.push(number);
        }
    }

    fn row_mut(&mut self, number: u32) -> Option<&mut Row> {
        let (chunk, at) = place(number);
        self.chunks.get_mut(chunk)?.get_mut(at)
    }
}

#[inline]
fn place(number: u32) -> (usize, usize) {
    let number = number as usize;
    (number / CHUNK_ROWS, number % CHUNK_ROWS)
}

#[cfg(test)]
mod tests {
    use super::{CHUNK_ROWS, Row, Rows};
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

    #[test]
    fn a_row_takes_96_bytes_and_holds_every_record() {
        assert_eq!(size_of::<Row>(), 96);
        let check = |record: TokenRecord| assert_eq!(Row::new(&record).record(), Some(record));
        check(FULL);
        check(TokenRecord { value: None, verdict: Verdict::Done, ..FULL });
        check(TokenRecord { previous: None, verdict: Verdict::Rejected, ..FULL });
        check(TokenRecord { expires_at: None, verdict: Verdict::Overflow, ..FULL });
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
        assert!(rows.get(7).is_none() && !rows.is_of(7, 7));
        assert_eq!(rows.put(&numbered(99)), 7);
        assert_eq!(rows.get(7), Some(numbered(99)));
        assert!(rows.get(last + 1).is_none() && !rows.is_of(u32::MAX, 7));
    }
}
