//! Snapshots and change sets: the log made smaller.
//!
//! A snapshot is a sorted run of items (shard, key, value). A change set is a log composed without
//! its base: for each key one change. Merging a change set into a snapshot gives the next one, with
//! the law of [`crate::effect`] for each key.
//!
//! ```text
//! item = length varint | shard u16 | kind u8 | key | value                     (little-endian)
//! kind 0, shard  : no key; epoch u64, batch u64, time u64, window u64
//! kind 1, counter: name; flags u8 (1 expires); value zigzag; [expiry varint]
//! kind 2, token  : key u128 (big-endian: sorts as bytes); epoch varint, batch varint, key u128 and
//!                  the rest of the record as in a token in full; written by earlier versions
//! kind 3, stream : name; mark varint; flags u8 (1 checkpoint); [checkpoint varint]
//! kind 4, token  : key u128 (big-endian); epoch varint, batch varint; outcome as in a token in
//!                  short; deadline varint
//! ```

mod change_set;
mod gathered;

pub use self::change_set::ChangeSet;
pub use self::gathered::Taken;
use crate::bytes::{Reader, put_varint, put_zigzag};
use crate::canary::{self, Bug};
use crate::effect::{Before, Counter, Effect, Mismatch, compose, fold};
use crate::name::Name;
use crate::record::token::{Fingerprints, put_outcome, read_full_record, read_outcome};
use crate::record::{self, Item, RecordError};
use crate::token::TokenRecord;

/// The kind of a token's item that repeats its key and always has a fingerprint.
const TOKEN_IN_FULL: u8 = 2;

/// The kind of a token's item.
const TOKEN: u8 = 4;

/// What is known of a shard as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShardMeta {
    /// The life of its owner.
    pub epoch: u64,
    /// The newest batch.
    pub batch: u64,
    /// The newest log time.
    pub time_ms: u64,
    /// For how long tokens are remembered.
    pub window_ms: u64,
}

/// What an item is about; items sort by shard, then by this.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ItemKey {
    /// The shard as a whole; always its first item.
    Shard,
    /// A counter.
    Counter(Name),
    /// A token's scope.
    Token(u128),
    /// A stream.
    Stream(Box<[u8]>),
}

/// What is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemValue {
    /// The shard as a whole.
    Shard(ShardMeta),
    /// A counter that exists.
    Counter(Counter),
    /// A remembered token.
    Token(TokenRecord),
    /// A stream.
    Stream {
        /// The highest sequence counted.
        mark: u64,
        /// What its sender stored.
        checkpoint: Option<u64>,
    },
}

/// What happened to one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The shard is now so.
    Shard(ShardMeta),
    /// A counter changed.
    Counter(Effect),
    /// A token was used.
    Token(TokenRecord),
    /// A stream went on, or ended and perhaps began again.
    Stream {
        /// Whether it ended; mark and checkpoint are of the time after that.
        ended: Ended,
        /// The new mark.
        mark: Option<u64>,
        /// The new checkpoint.
        checkpoint: Option<u64>,
    },
}

/// Whether a stream ended in a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It went on.
    No,
    /// It ended, whatever it was before the change.
    Yes,
    /// It ended, and its mark before the change was this one.
    At(u64),
}

impl Ended {
    /// Checks what was there before.
    ///
    /// # Errors
    /// The mark was another.
    pub(crate) fn check(self, found: u64) -> Result<(), Mismatch> {
        let as_value = |mark: u64| Some(mark as i64);
        match self {
            Self::At(mark) if mark != found => {
                Err(Mismatch { expected: Before::Exact(as_value(mark)), found: as_value(found) })
            }
            _ => Ok(()),
        }
    }

    /// Whether it ended in two changes of which the second has an end; the first left `mark` if it
    /// said one.
    fn then(self, mark: Option<u64>, later: Self) -> Result<Self, Mismatch> {
        let left = mark.or((self != Self::No).then_some(0));
        let Some(left) = left else { return Ok(later) };
        later.check(left)?;
        Ok(if self == Self::No { Self::Yes } else { self })
    }
}

/// The place of an item in a snapshot.
pub type Place = (u16, ItemKey);

impl Change {
    /// Makes one change of two that follow each other.
    ///
    /// # Errors
    /// The later one does not fit what the earlier left.
    pub fn compose(&self, later: &Self) -> Result<Self, Mismatch> {
        let swapped = canary::is(Bug::ComposeSwapped);
        let (first, second) = if swapped { (later, self) } else { (self, later) };
        Ok(match (*first, *second) {
            (Self::Counter(a), Self::Counter(b)) => Self::Counter(compose(&a, &b)?),
            (
                Self::Stream { ended, mark, checkpoint },
                Self::Stream { ended: Ended::No, mark: m, checkpoint: c },
            ) => Self::Stream { ended, mark: m.or(mark), checkpoint: c.or(checkpoint) },
            (
                Self::Stream { ended: first, mark: left, .. },
                Self::Stream { ended, mark, checkpoint },
            ) => Self::Stream { ended: first.then(left, ended)?, mark, checkpoint },
            (_, later) => later,
        })
    }

    /// Folds the change into what was known.
    ///
    /// # Errors
    /// It does not fit.
    pub fn apply(&self, base: Option<&ItemValue>) -> Result<Option<ItemValue>, Mismatch> {
        Ok(match (*self, base) {
            (Self::Shard(meta), _) => Some(ItemValue::Shard(meta)),
            (Self::Token(record), _) => Some(ItemValue::Token(record)),
            (Self::Counter(effect), base) => {
                let counter = match base {
                    Some(ItemValue::Counter(counter)) => *counter,
                    _ => Counter::ABSENT,
                };
                let after = fold(counter, &effect)?;
                if after.value.is_none() && canary::is(Bug::DeleteForgotten) {
                    return Ok(base.copied());
                }
                after.value.map(|_| ItemValue::Counter(after))
            }
            (Self::Stream { ended, mark, checkpoint }, base) => {
                let known = match base {
                    Some(ItemValue::Stream { mark, checkpoint }) => (*mark, *checkpoint),
                    _ => (0, None),
                };
                apply_to_stream(known, ended, (mark, checkpoint))?
            }
        })
    }
}

/// What a change leaves of a stream that had this mark and checkpoint.
fn apply_to_stream(
    known: (u64, Option<u64>),
    ended: Ended,
    changed: (Option<u64>, Option<u64>),
) -> Result<Option<ItemValue>, Mismatch> {
    ended.check(known.0)?;
    let has_ended = ended != Ended::No && !canary::is(Bug::EndForgotten);
    let (mark, checkpoint) = if has_ended { (0, None) } else { known };
    Ok(match changed {
        (None, None) if has_ended => None,
        (new_mark, new_checkpoint) => Some(ItemValue::Stream {
            mark: new_mark.unwrap_or(mark),
            checkpoint: new_checkpoint.or(checkpoint),
        }),
    })
}

impl ItemValue {
    /// Whether it may be left out of a snapshot whose shard stands at `time_ms`: a token past its
    /// deadline.
    pub fn is_forgotten(&self, time_ms: u64) -> bool {
        let lost = canary::is(Bug::TokenLostInSnapshot);
        matches!(self, Self::Token(record) if lost || record.deadline_ms < time_ms)
    }
}

impl ItemKey {
    /// The place of its kind, by which items sort within a shard.
    fn kind(&self) -> u8 {
        match self {
            Self::Shard => 0,
            Self::Counter(_) => 1,
            Self::Token(_) => 2,
            Self::Stream(_) => 3,
        }
    }
}

/// Appends one item of a snapshot.
pub fn put_item(out: &mut Vec<u8>, place: &Place, value: &ItemValue) {
    put_lengthed(out, |body| {
        put_key(body, place);
        put_value(body, value);
    });
}

/// Appends what `put` appends, with its length before it.
fn put_lengthed(out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    // The room of the length: one byte for nearly all bodies.
    out.push(0);
    put(out);
    let length = out.len() - start - 1;
    if length < 0x80 {
        out[start] = length as u8;
        return;
    }
    let mut bytes = Vec::new();
    put_varint(&mut bytes, length as u64);
    out.splice(start..=start, bytes);
}

fn put_value(body: &mut Vec<u8>, value: &ItemValue) {
    match value {
        ItemValue::Shard(meta) => put_meta(body, meta),
        ItemValue::Counter(counter) => {
            body.push(u8::from(counter.expires_at.is_some()));
            put_zigzag(body, counter.value.unwrap_or(0));
            if let Some(at) = counter.expires_at {
                put_varint(body, at);
            }
        }
        ItemValue::Token(record) => put_token_item(body, record),
        ItemValue::Stream { mark, checkpoint } => {
            put_varint(body, *mark);
            body.push(u8::from(checkpoint.is_some()));
            if let Some(sequence) = checkpoint {
                put_varint(body, *sequence);
            }
        }
    }
}

/// Appends one change of a spilled run: the same keys, other values.
pub fn put_change(out: &mut Vec<u8>, place: &Place, change: &Change) {
    put_lengthed(out, |body| {
        put_key(body, place);
        match change {
            Change::Shard(meta) => put_meta(body, meta),
            Change::Counter(effect) => record::put_slot(body, b"-", 1, effect),
            Change::Token(record) => put_token_item(body, record),
            Change::Stream { ended, mark, checkpoint } => {
                let at = if let Ended::At(mark) = *ended { Some(mark) } else { None };
                let has_ended = *ended != Ended::No;
                let flags = [mark.is_some(), checkpoint.is_some(), has_ended, at.is_some()];
                body.push((0..).zip(flags).map(|(bit, is)| u8::from(is) << bit).sum());
                [mark, checkpoint, &at].into_iter().flatten().for_each(|n| put_varint(body, *n));
            }
        }
    });
}

fn put_key(body: &mut Vec<u8>, (shard, key): &Place) {
    body.extend_from_slice(&shard.to_le_bytes());
    // Tokens keep their place; their items are written as another kind since they are short.
    body.push(if matches!(key, ItemKey::Token(_)) { TOKEN } else { key.kind() });
    match key {
        ItemKey::Shard => {}
        ItemKey::Counter(name) => {
            body.push((name.len() - 1) as u8);
            body.extend_from_slice(name.as_bytes());
        }
        ItemKey::Token(token) => body.extend_from_slice(&token.to_be_bytes()),
        ItemKey::Stream(name) => {
            body.push(name.len() as u8);
            body.extend_from_slice(name);
        }
    }
}

fn put_meta(body: &mut Vec<u8>, meta: &ShardMeta) {
    for n in [meta.epoch, meta.batch, meta.time_ms, meta.window_ms] {
        body.extend_from_slice(&n.to_le_bytes());
    }
}

fn put_token_item(body: &mut Vec<u8>, record: &TokenRecord) {
    put_varint(body, record.epoch);
    put_varint(body, record.batch);
    put_outcome(body, record, &mut Fingerprints::default());
    put_varint(body, record.deadline_ms);
}

/// Reads one item body (without its length).
///
/// # Errors
/// It is not understood.
pub fn read_item(body: &[u8]) -> Result<(Place, ItemValue), RecordError> {
    let mut r = Reader::new(body);
    let (kind, place) = read_key(&mut r)?;
    let value = match &place.1 {
        ItemKey::Shard => ItemValue::Shard(read_meta(&mut r)?),
        ItemKey::Counter(_) => {
            let expires = r.flags(1, "counter flags")? != 0;
            let value = Some(r.zigzag("value")?);
            let expires_at = expires.then(|| r.varint("expiry")).transpose()?;
            ItemValue::Counter(Counter { value, expires_at })
        }
        ItemKey::Token(key) => ItemValue::Token(read_token_item(&mut r, kind, *key)?),
        ItemKey::Stream(_) => {
            let mark = r.varint("mark")?;
            let has_checkpoint = r.flags(1, "stream flags")? != 0;
            let checkpoint = has_checkpoint.then(|| r.varint("checkpoint")).transpose()?;
            ItemValue::Stream { mark, checkpoint }
        }
    };
    if r.is_done() { Ok((place, value)) } else { Err(r.error("bytes after the item")) }
}

/// Reads items that follow each other, each with its length before it, and checks that they rise
/// from `last` on, which is brought up to the last of them.
///
/// # Errors
/// One is not understood, or out of order.
pub fn read_items(
    items: &[u8],
    last: &mut Option<Place>,
    mut visit: impl FnMut(&Place, ItemValue),
) -> Result<(), RecordError> {
    let mut r = Reader::new(items);
    while !r.is_done() {
        let length = r.varint("item length")? as usize;
        let (place, value) = read_item(r.take(length, "item")?)?;
        if last.as_ref().is_some_and(|last| *last >= place) {
            return Err(r.error("the order of the items"));
        }
        visit(&place, value);
        *last = Some(place);
    }
    Ok(())
}

/// Reads one change body (without its length).
///
/// # Errors
/// It is not understood.
pub fn read_change(body: &[u8]) -> Result<(Place, Change), RecordError> {
    let mut r = Reader::new(body);
    let (kind, place) = read_key(&mut r)?;
    let change = match &place.1 {
        ItemKey::Shard => Change::Shard(read_meta(&mut r)?),
        ItemKey::Counter(_) => match record::read_slot(&mut r)? {
            Item::Slot { effect, .. } => Change::Counter(effect),
            _ => return Err(r.error("slot")),
        },
        ItemKey::Token(key) => Change::Token(read_token_item(&mut r, kind, *key)?),
        ItemKey::Stream(_) => {
            let flags = r.flags(15, "stream flags")?;
            let mark = (flags & 1 != 0).then(|| r.varint("mark")).transpose()?;
            let checkpoint = (flags & 2 != 0).then(|| r.varint("checkpoint")).transpose()?;
            let ended = match flags >> 2 {
                0 => Ended::No,
                1 => Ended::Yes,
                3 => Ended::At(r.varint("mark at the end")?),
                _ => return Err(r.error("stream flags")),
            };
            Change::Stream { ended, mark, checkpoint }
        }
    };
    if r.is_done() { Ok((place, change)) } else { Err(r.error("bytes after the change")) }
}

/// Reads the kind of an item and its place.
fn read_key(r: &mut Reader<'_>) -> Result<(u8, Place), RecordError> {
    let shard = r.u16("shard")?;
    let kind = r.u8("item kind")?;
    let key = match kind {
        0 => ItemKey::Shard,
        1 => {
            let len = usize::from(r.u8("name length")?) + 1;
            let text = std::str::from_utf8(r.take(len, "name")?);
            ItemKey::Counter(Name::new(text.map_err(|_| r.error("name is not UTF-8"))?))
        }
        TOKEN_IN_FULL | TOKEN => ItemKey::Token(r.u128("token key")?.swap_bytes()),
        3 => {
            let len = usize::from(r.u8("stream length")?);
            ItemKey::Stream(r.take(len, "stream")?.into())
        }
        _ => return Err(r.error("item kind")),
    };
    Ok((kind, (shard, key)))
}

fn read_meta(r: &mut Reader<'_>) -> Result<ShardMeta, RecordError> {
    Ok(ShardMeta {
        epoch: r.count("epoch")?,
        batch: r.count("batch")?,
        time_ms: r.count("time")?,
        window_ms: r.u64("window")?,
    })
}

fn read_token_item(r: &mut Reader<'_>, kind: u8, key: u128) -> Result<TokenRecord, RecordError> {
    let epoch = r.varint("epoch")?;
    let batch = r.varint("batch")?;
    if kind == TOKEN_IN_FULL {
        let record = read_full_record(r, epoch, batch)?;
        // It would be remembered under one key and be found under the other.
        return if record.key == key { Ok(record) } else { Err(r.error("token key")) };
    }
    let outcome = read_outcome(r, &mut Fingerprints::default())?;
    Ok(TokenRecord { key, epoch, batch, deadline_ms: r.varint("deadline")?, ..outcome })
}

#[cfg(test)]
mod tests {
    use super::{Change, Ended, ItemValue};
    use crate::effect::Counter;
    use crate::outcome::Verdict;
    use crate::token::TokenRecord;

    const TOKEN: TokenRecord = TokenRecord {
        key: 1,
        fingerprint: 2,
        verdict: Verdict::Done,
        value: Some(1),
        previous: None,
        applied: 1,
        expires_at: None,
        epoch: 1,
        batch: 1,
        deadline_ms: 50,
    };

    #[test]
    fn a_snapshot_forgets_tokens_after_their_deadline_and_nothing_else() {
        let check = |value: ItemValue, time_ms, expected| {
            assert_eq!(value.is_forgotten(time_ms), expected, "{value:?} at {time_ms}");
        };
        check(ItemValue::Token(TOKEN), 50, false);
        check(ItemValue::Token(TOKEN), 51, true);
        check(ItemValue::Counter(Counter { value: Some(1), expires_at: Some(50) }), 51, false);
        check(ItemValue::Stream { mark: 1, checkpoint: None }, u64::MAX, false);
    }
    /// Changes of a stream that has ended in it or not, with and without numbers.
    fn stream_changes() -> Vec<Change> {
        let numbers = |of: u64| [None, Some(of), Some(of + 1)];
        let mut all = Vec::new();
        for ended in [Ended::No, Ended::Yes, Ended::At(0), Ended::At(1), Ended::At(5)] {
            for mark in numbers(1) {
                all.extend(numbers(7).map(|checkpoint| Change::Stream { ended, mark, checkpoint }));
            }
        }
        // A change says something.
        let nothing = Change::Stream { ended: Ended::No, mark: None, checkpoint: None };
        all.retain(|change| *change != nothing);
        all
    }

    fn one_after_the_other_is_at_once(first: &Change, second: &Change) {
        let stream = |mark, checkpoint| Some(ItemValue::Stream { mark, checkpoint });
        for base in [None, stream(1, None), stream(0, Some(6)), stream(5, Some(6))] {
            let between = first.apply(base.as_ref());
            let after = between.and_then(|between| second.apply(between.as_ref()));
            let at_once = first.compose(second).and_then(|both| both.apply(base.as_ref()));
            assert_eq!(at_once.ok(), after.ok(), "{first:?}, {second:?} on {base:?}");
        }
    }

    #[test]
    fn the_changes_of_a_stream_compose_to_what_they_do_one_after_the_other() {
        for first in stream_changes() {
            for second in stream_changes() {
                one_after_the_other_is_at_once(&first, &second);
            }
        }
    }

    #[test]
    fn a_stream_that_ended_is_in_no_snapshot_until_it_begins_again() {
        let base = ItemValue::Stream { mark: 5, checkpoint: Some(6) };
        let check = |mark, expected| {
            let change = Change::Stream { ended: Ended::At(5), mark, checkpoint: None };
            assert_eq!(change.apply(Some(&base)).unwrap(), expected);
        };
        check(None, None);
        check(Some(1), Some(ItemValue::Stream { mark: 1, checkpoint: None }));
    }
}
