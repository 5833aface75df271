//! The memory of tokens: what makes a retry harmless.
//!
//! An entry is found by a 128-bit hash of (counter, token, item) under the store's secret seed; it
//! keeps the whole outcome until its deadline. Deadlines are log times written in the record, so
//! every fold agrees on them.
//!
//! Records lie in the order in which they came, and a table with small entries says where: a fresh
//! token has to be searched for where its hash says, and no more memory than that is far away.

mod places;
mod rows;

use std::collections::BTreeMap;

use stdx::hash::hash128;

use crate::limits::{NAME_BYTES_MAX, TOKEN_BYTES_MAX, TOKEN_FUTURE_MS};
use crate::outcome::{Outcome, Refusal, Repeat, Verdict};
use crate::token::places::Places;
use crate::token::rows::Rows;

/// What is remembered of one tokened operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenRecord {
    /// Hash of counter, token and item.
    pub key: u128,
    /// Fingerprint of the operation.
    pub fingerprint: u128,
    /// How it ended.
    pub verdict: Verdict,
    /// The value after.
    pub value: Option<i64>,
    /// The value before.
    pub previous: Option<i64>,
    /// What was added.
    pub applied: i64,
    /// Expiry of the counter after it.
    pub expires_at: Option<u64>,
    /// The epoch it was decided in.
    pub epoch: u64,
    /// The batch that holds it.
    pub batch: u64,
    /// Log time after which it may be forgotten.
    pub deadline_ms: u64,
}

impl TokenRecord {
    /// Whether it is still remembered at `now_ms`.
    #[inline]
    pub fn is_remembered(&self, now_ms: u64) -> bool {
        now_ms <= self.deadline_ms
    }

    /// The outcome that a repeat gets.
    pub fn outcome(&self) -> Outcome {
        Outcome {
            verdict: self.verdict,
            value: self.value,
            previous: self.previous,
            applied: self.applied,
            expires_at: self.expires_at,
            repeat: Repeat::Token,
        }
    }
}

/// Bytes of the longest scope: name, separator, token, item.
const SCOPE_BYTES_MAX: usize = NAME_BYTES_MAX + 1 + TOKEN_BYTES_MAX + 4;

/// Bytes of nearly all scopes. Guess.
const SCOPE_BYTES_USUAL: usize = 96;

/// The scope of a token: this counter, this token, this item. Name and token are of admitted length.
pub fn scope_key(seed: u64, name: &[u8], token: &[u8], item: u32) -> u128 {
    // Nearly all are short, and less has to be cleared for those.
    if name.len() + token.len() + 5 <= SCOPE_BYTES_USUAL {
        hash_scope(seed, &mut [0; SCOPE_BYTES_USUAL], (name, token, item))
    } else {
        hash_scope(seed, &mut [0; SCOPE_BYTES_MAX], (name, token, item))
    }
}

#[inline]
fn hash_scope(seed: u64, scope: &mut [u8], (name, token, item): (&[u8], &[u8], u32)) -> u128 {
    let mut len = 0;
    // No UTF-8 text holds the byte FF, so names and tokens cannot run into each other.
    for part in [name, &[0xFF], token, &item.to_le_bytes()] {
        let place = scope.get_mut(len..len + part.len());
        place.expect("names and tokens are checked where they enter").copy_from_slice(part);
        len += part.len();
    }
    // All of a UUIDv7 is compared without regard to case, nothing of other tokens.
    if uuid_v7_ms(token).is_some() {
        let start = name.len() + 1;
        scope
            .get_mut(start..start + token.len())
            .into_iter()
            .for_each(<[u8]>::make_ascii_lowercase);
    }
    hash128(seed, scope.get(..len).unwrap_or(&[]))
}

/// The time of a UUIDv7 in canonical text form of any case, in Unix milliseconds.
pub fn uuid_v7_ms(token: &[u8]) -> Option<u64> {
    if token.len() != 36 || token.get(14) != Some(&b'7') {
        return None;
    }
    let mut ms = 0_u64;
    for (i, &byte) in token.iter().enumerate() {
        let is_dash = matches!(i, 8 | 13 | 18 | 23);
        match char::from(byte).to_digit(16) {
            None if is_dash && byte == b'-' => {}
            Some(digit) if !is_dash && i < 14 => ms = ms * 16 + u64::from(digit),
            Some(_) if !is_dash => {}
            _ => return None,
        }
    }
    Some(ms)
}

/// Says until when a token recorded at `now_ms` is remembered.
///
/// # Errors
/// A UUIDv7 that is too old, or from the future.
pub fn deadline(token: &[u8], now_ms: u64, window_ms: u64) -> Result<u64, Refusal> {
    let Some(own_ms) = uuid_v7_ms(token) else { return Ok(now_ms.saturating_add(window_ms)) };
    if own_ms > now_ms + TOKEN_FUTURE_MS {
        return Err(Refusal::FutureToken { ahead_ms: own_ms - now_ms });
    }
    if own_ms.saturating_add(window_ms) < now_ms {
        return Err(Refusal::Expired);
    }
    Ok(now_ms.max(own_ms).saturating_add(window_ms))
}

/// Rows that may go after the same second.
#[derive(Debug, Default)]
struct Due {
    second: u64,
    rows: Vec<u32>,
}

/// The tokens of one shard.
#[derive(Debug, Default)]
pub struct Tokens {
    places: Places,
    rows: Rows,
    /// Rows by the second after which they may go, but for those of `newest`.
    by_deadline: BTreeMap<u64, Vec<u32>>,
    /// The second of the newest row: that of most rows that come next.
    newest: Due,
    /// No row may go before this second.
    soonest: u64,
}

impl Tokens {
    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Asks for what [`Tokens::prefetch`] waits for.
    #[inline]
    pub fn prefetch_directory(&self, key: u128) {
        self.places.prefetch_directory(key as u64);
    }

    /// Asks for the memory in which a key will be looked for soon.
    #[inline]
    pub fn prefetch(&self, key: u128) {
        self.places.prefetch(key as u64);
    }

    #[inline]
    fn row(&self, key: u128) -> Option<u32> {
        self.places.find(key as u64, |row| self.rows.is_of(row, key))
    }

    /// The record of a token, which may be past its deadline.
    #[inline]
    pub fn find(&self, key: u128) -> Option<TokenRecord> {
        self.row(key).and_then(|row| self.rows.get(row))
    }

    /// Remembers a token. One that was there and is past its deadline gives way.
    pub fn remember(&mut self, record: &TokenRecord) {
        let Some(row) = self.row(record.key) else { return self.remember_fresh(record) };
        self.rows.replace(row, record);
        self.await_deadline(record, row);
    }

    /// Remembers a token that is not there.
    pub fn remember_fresh(&mut self, record: &TokenRecord) {
        debug_assert!(self.row(record.key).is_none(), "a key stands once");
        let row = self.rows.put(record);
        self.places.insert(record.key as u64, row);
        self.await_deadline(record, row);
    }

    fn await_deadline(&mut self, record: &TokenRecord, row: u32) {
        let second = record.deadline_ms / 1000 + 1;
        if self.newest.second != second {
            self.file_newest();
            self.newest.second = second;
        }
        self.soonest = self.soonest.min(second);
        self.newest.rows.push(row);
    }

    /// Files the rows of the newest second with the others.
    fn file_newest(&mut self) {
        let Due { second, rows } = &mut self.newest;
        if !rows.is_empty() {
            self.by_deadline.entry(*second).or_default().append(rows);
        }
    }

    /// Forgets a token whose record is taken back.
    pub fn forget(&mut self, key: u128) {
        if let Some(row) = self.row(key) {
            self.places.remove(key as u64, row);
            self.rows.give_back(row);
        }
    }

    /// Forgets the token that would be the next to go: only a deliberate bug does.
    #[cold]
    pub(crate) fn forget_oldest(&mut self) {
        self.file_newest();
        while let Some(mut bucket) = self.by_deadline.first_entry() {
            let Some(row) = bucket.get_mut().pop() else {
                bucket.remove();
                continue;
            };
            if let Some(record) = self.rows.get(row) {
                return self.forget(record.key);
            }
        }
    }

    /// Forgets up to `steps` tokens that are past their deadline; returns how many.
    pub fn sweep(&mut self, now_ms: u64, steps: usize) -> usize {
        if self.soonest.saturating_mul(1000) > now_ms {
            return 0;
        }
        let before = self.len();
        if self.newest.second.saturating_mul(1000) <= now_ms {
            self.file_newest();
        }
        for _ in 0..steps {
            let Some(mut bucket) = self.by_deadline.first_entry() else { break };
            if bucket.key().saturating_mul(1000) > now_ms {
                break;
            }
            match bucket.get_mut().pop() {
                None => {
                    bucket.remove();
                }
                // A row that was renewed since has another, later place in the queue.
                Some(row) => match self.rows.due(row) {
                    Some((key, deadline_ms)) if deadline_ms < now_ms => self.forget(key),
                    _ => {}
                },
            }
        }
        let filed = self.by_deadline.keys().next().copied().unwrap_or(u64::MAX);
        self.soonest =
            if self.newest.rows.is_empty() { filed } else { filed.min(self.newest.second) };
        before - self.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{TokenRecord, Tokens, deadline, scope_key, uuid_v7_ms};
    use crate::outcome::{Refusal, Verdict};

    const MS: u64 = 0x0199_0000_0000;
    const UUID: &[u8] = b"01990000-0000-7abc-8def-0123456789ab";

    #[test]
    fn a_uuid_v7_tells_its_time_and_other_tokens_do_not() {
        assert_eq!(uuid_v7_ms(UUID), Some(MS));
        assert_eq!(uuid_v7_ms(&UUID.to_ascii_uppercase()), Some(MS));
        assert_eq!(uuid_v7_ms(b"01990000-0000-4abc-8def-0123456789ab"), None);
        assert_eq!(uuid_v7_ms(b"01990000x0000-7abc-8def-0123456789ab"), None);
        assert_eq!(uuid_v7_ms(b"order-17"), None);
        // A digit where a dash should be, a dash and a letter where digits should be.
        assert_eq!(uuid_v7_ms(b"0199000000000-7abc-8def-0123456789ab"), None);
        assert_eq!(uuid_v7_ms(b"01990000-0000-7abc-8def-0123456789-b"), None);
        assert_eq!(uuid_v7_ms(b"01990000-0000-7abc-8def-0123456789ag"), None);
        assert_eq!(uuid_v7_ms(b"0199abcd-ef01-7abc-8def-0123456789ab"), Some(0x0199_abcd_ef01));
    }

    #[test]
    fn age_decides_and_the_later_of_both_times_counts() {
        let check = |now, expected| assert_eq!(deadline(UUID, now, 1000), expected, "{now}");
        check(MS, Ok(MS + 1000));
        check(MS + 1000, Ok(MS + 2000));
        check(MS + 1001, Err(Refusal::Expired));
        check(MS - 300_000, Ok(MS + 1000));
        check(MS - 300_001, Err(Refusal::FutureToken { ahead_ms: 300_001 }));
        assert_eq!(deadline(b"k", 5, 1000), Ok(1005));
    }

    #[test]
    fn the_scope_is_counter_token_and_item_and_ignores_the_case_of_a_uuid() {
        let key = scope_key(1, b"a", UUID, 0);
        assert_eq!(key, scope_key(1, b"a", &UUID.to_ascii_uppercase(), 0));
        assert_ne!(key, scope_key(1, b"b", UUID, 0));
        assert_ne!(key, scope_key(1, b"a", UUID, 1));
        assert_ne!(scope_key(1, b"a", b"k", 0), scope_key(1, b"a", b"K", 0));
    }

    fn record(key: u128, deadline_ms: u64) -> TokenRecord {
        TokenRecord {
            key,
            fingerprint: 0,
            verdict: Verdict::Done,
            value: Some(1),
            previous: None,
            applied: 1,
            expires_at: None,
            epoch: 1,
            batch: 1,
            deadline_ms,
        }
    }

    #[test]
    fn a_token_is_found_until_it_is_swept_in_the_second_after_its_deadline() {
        let mut tokens = Tokens::default();
        assert!(tokens.is_empty());
        tokens.remember(&record(7, 1500));
        assert!(!tokens.is_empty() && tokens.len() == 1);
        let found = tokens.find(7).expect("it is there");
        assert!(found.is_remembered(1500) && !found.is_remembered(1501));
        assert_eq!(tokens.sweep(1999, 9), 0, "tokens go by whole seconds");
        assert!(tokens.find(7).is_some());
        assert_eq!(tokens.sweep(2000, 9), 1);
        assert!(tokens.find(7).is_none() && tokens.is_empty());
    }

    #[test]
    fn a_token_in_the_place_of_a_forgotten_one_goes_by_its_own_deadline() {
        let mut tokens = Tokens::default();
        tokens.remember(&record(7, 1500));
        tokens.forget(7);
        tokens.forget(7);
        tokens.remember(&record(8, 2500));
        assert_eq!(tokens.sweep(2000, 9), 0, "the place was another's");
        assert_eq!(tokens.find(8), Some(record(8, 2500)));
        assert_eq!(tokens.sweep(3000, 9), 1);
        assert!(tokens.is_empty());
    }

    #[test]
    fn a_sweep_takes_no_more_steps_than_it_may_and_leaves_what_was_renewed() {
        let mut tokens = Tokens::default();
        (0..4).for_each(|key| tokens.remember(&record(key, 1500)));
        tokens.remember(&record(3, 2000));
        assert_eq!(tokens.sweep(2000, 1), 0, "the renewed one was the newest");
        assert_eq!(tokens.sweep(2000, 2), 2);
        assert_eq!(tokens.sweep(2000, 9), 1);
        assert!(tokens.find(3).is_some() && tokens.len() == 1);
        assert_eq!(tokens.sweep(2999, 9) + tokens.len(), 1);
        assert_eq!(tokens.sweep(3000, 9), 1);
    }
}
