//! The tokens of a record, in full and in short.
//!
//! The short form leaves out what the rest of the record tells, or what follows from it: counter
//! and outcome stand in the slot, the key is a hash of what is there, a plain add has a fingerprint
//! of its own, and tokens of one batch mostly share their deadline.
//!
//! ```text
//! in full  = name | length u8 | token | item varint | key u128 | fingerprint u128 | flags u8
//!          | [value] [previous] zigzag | applied zigzag | [expiry varint] | deadline varint
//! in short = form u8 | slot varint or name | length u8 | token | [item varint] | [outcome]
//!          | [deadline less the record's time, zigzag]
//! outcome  = flags u8 | [fingerprint u128] | [value] [previous] zigzag | applied zigzag
//!          | [expiry varint]
//! ```

use crate::bytes::{Reader, put_varint, put_zigzag};
use crate::effect::{Before, Effect, ExpiryEffect};
use crate::limits::TOKEN_BYTES_MAX;
use crate::op::{Action, Add};
use crate::outcome::Verdict;
use crate::record::{Header, Item, RecordError, put_name, read_name};
use crate::token::{TokenRecord, scope_key};

const VERDICT: u8 = 3;
const VALUE: u8 = 1 << 2;
const PREVIOUS: u8 = 1 << 3;
const EXPIRES: u8 = 1 << 4;
const FULL_FLAGS: u8 = VERDICT | VALUE | PREVIOUS | EXPIRES;
/// The fingerprint is that of a plain add of what was added.
const PLAIN: u8 = 1 << 5;
/// The value before is the value less what was added.
const CHAINED: u8 = 1 << 6;
const SHORT_FLAGS: u8 = FULL_FLAGS | PLAIN | CHAINED;

/// The counter is that of a slot.
const BY_SLOT: u8 = 1;
/// It is not the first item with this token.
const LATER_ITEM: u8 = 1 << 1;
/// A plain add, and its slot tells the outcome.
const AS_SLOT: u8 = 1 << 2;
/// The deadline is that of the token before.
const SAME_DEADLINE: u8 = 1 << 3;
const FORM: u8 = BY_SLOT | LATER_ITEM | AS_SLOT | SAME_DEADLINE;

/// What a plain add answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlainAdd {
    before: i64,
    after: i64,
}

impl PlainAdd {
    /// What the only operation of a slot answered, if it can have been a plain add to a counter
    /// that was there.
    #[inline]
    pub fn of(ops: u64, effect: &Effect) -> Option<Self> {
        match *effect {
            Effect { before: Before::Sum(before), after: Some(after), expiry }
                if ops == 1 && expiry == ExpiryEffect::Keep =>
            {
                Some(Self { before, after })
            }
            _ => None,
        }
    }

    fn applied(self) -> i64 {
        self.after.wrapping_sub(self.before)
    }

    /// Whether this is all that a record says of the outcome.
    fn is_outcome_of(self, record: &TokenRecord) -> bool {
        record.verdict == Verdict::Done
            && record.value == Some(self.after)
            && record.previous == Some(self.before)
            && record.applied == self.applied()
            && record.expires_at.is_none()
    }
}

/// The counter of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose<'a> {
    /// That of a slot of the same record, by its number, and what the slot tells of a plain add.
    Slot(u32, Option<PlainAdd>),
    /// No slot speaks of it.
    Name(&'a [u8]),
}

/// A slot that a record has, for the tokens after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) name: &'a str,
    pub(crate) add: Option<PlainAdd>,
}

/// The fingerprints of plain adds; the last one is kept, because most adds are alike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fingerprints {
    delta: i64,
    fingerprint: u128,
}

/// The fingerprint of an add of 1, with which most begin: part of the format like all of them.
const OF_ONE: u128 = 0x9e33_32b6_6c08_8a73_233c_d1a7_562f_434b;

impl Default for Fingerprints {
    fn default() -> Self {
        Self { delta: 1, fingerprint: OF_ONE }
    }
}

impl Fingerprints {
    /// The fingerprint of a plain add of `delta`.
    #[inline]
    pub(crate) fn of(&mut self, delta: i64) -> u128 {
        if self.delta != delta {
            *self = Self { delta, fingerprint: Action::Add(Add::plain(delta)).fingerprint() };
        }
        self.fingerprint
    }

    /// The fingerprint of an operation.
    #[inline]
    pub(crate) fn of_action(&mut self, action: &Action) -> u128 {
        match action {
            Action::Add(add) if *add == Add::plain(add.delta) => self.of(add.delta),
            other => other.fingerprint(),
        }
    }
}

/// Writes or reads the tokens of one record in short, in their order.
#[derive(Debug)]
pub struct ShortForm {
    time_ms: u64,
    /// Of the token before.
    deadline_ms: Option<u64>,
    fingerprints: Fingerprints,
}

impl ShortForm {
    /// Begins with the first token of a record of this log time.
    pub fn new(time_ms: u64) -> Self {
        Self { time_ms, deadline_ms: None, fingerprints: Fingerprints::default() }
    }

    /// Appends one token, as given, and which of its items it is.
    pub fn put(
        &mut self,
        out: &mut Vec<u8>,
        whose: Whose<'_>,
        (token, item): (&[u8], u32),
        record: &TokenRecord,
    ) {
        let start = out.len();
        out.push(0);
        let mut form = self.put_whose(out, whose, record);
        out.push(token.len() as u8);
        out.extend_from_slice(token);
        if item != 0 {
            form |= LATER_ITEM;
            put_varint(out, u64::from(item));
        }
        if form & AS_SLOT == 0 {
            put_outcome(out, record, &mut self.fingerprints);
        }
        if self.deadline_ms.replace(record.deadline_ms) == Some(record.deadline_ms) {
            form |= SAME_DEADLINE;
        } else {
            put_zigzag(out, record.deadline_ms.wrapping_sub(self.time_ms) as i64);
        }
        if let Some(place) = out.get_mut(start) {
            *place = form;
        }
    }

    /// Appends whose token it is; returns what that says of the form.
    fn put_whose(&mut self, out: &mut Vec<u8>, whose: Whose<'_>, record: &TokenRecord) -> u8 {
        match whose {
            Whose::Name(name) => {
                put_name(out, name);
                0
            }
            Whose::Slot(slot, add) => {
                put_varint(out, u64::from(slot));
                let is_told = add.is_some_and(|add| add.is_outcome_of(record))
                    && self.fingerprints.of(record.applied) == record.fingerprint;
                if is_told { BY_SLOT | AS_SLOT } else { BY_SLOT }
            }
        }
    }

    /// Reads one token of a record with these slots; its key is derived under the store's seed.
    pub(crate) fn read<'a>(
        &mut self,
        r: &mut Reader<'a>,
        (header, seed): (&Header, u64),
        slots: &[Seen<'a>],
    ) -> Result<Item<'a>, RecordError> {
        let form = r.flags(FORM, "token form")?;
        let (name, add) = if form & BY_SLOT != 0 {
            let slot = usize::try_from(r.varint("slot of a token")?).ok();
            let seen = slot.and_then(|slot| slots.get(slot));
            let seen = seen.ok_or_else(|| r.error("slot of a token"))?;
            (seen.name, seen.add)
        } else {
            (read_name(r)?, None)
        };
        let token = read_text(r)?;
        let is_later = form & LATER_ITEM != 0;
        let item = if is_later { read_item(r)? } else { 0 };
        let mut record = if form & AS_SLOT != 0 {
            let add = add.ok_or_else(|| r.error("slot of a plain add"))?;
            self.plain(add)
        } else {
            read_outcome(r, &mut self.fingerprints)?
        };
        record.deadline_ms = self.read_deadline(r, form)?;
        record.key = scope_key(seed, name.as_bytes(), token, item);
        (record.epoch, record.batch) = (header.epoch, header.batch);
        Ok(Item::Token { name, token, item, record })
    }

    /// What is remembered of a plain add, less its key and its place.
    fn plain(&mut self, add: PlainAdd) -> TokenRecord {
        TokenRecord {
            fingerprint: self.fingerprints.of(add.applied()),
            value: Some(add.after),
            previous: Some(add.before),
            applied: add.applied(),
            ..BLANK
        }
    }

    fn read_deadline(&mut self, r: &mut Reader<'_>, form: u8) -> Result<u64, RecordError> {
        let deadline_ms = if form & SAME_DEADLINE != 0 {
            self.deadline_ms.ok_or_else(|| r.error("deadline of the token before"))?
        } else {
            self.time_ms.wrapping_add(r.zigzag("deadline")? as u64)
        };
        self.deadline_ms = Some(deadline_ms);
        Ok(deadline_ms)
    }
}

/// Passes over one token in short.
pub(crate) fn skip_short(r: &mut Reader<'_>) -> Result<(), RecordError> {
    let form = r.flags(FORM, "token form")?;
    if form & BY_SLOT != 0 {
        r.skip_varint("slot of a token")?;
    } else {
        let len = usize::from(r.u8("name length")?) + 1;
        r.take(len, "name")?;
    }
    read_text(r)?;
    if form & LATER_ITEM != 0 {
        r.skip_varint("item")?;
    }
    if form & AS_SLOT == 0 {
        skip_outcome(r)?;
    }
    if form & SAME_DEADLINE == 0 {
        r.skip_varint("deadline")?;
    }
    Ok(())
}

fn skip_outcome(r: &mut Reader<'_>) -> Result<(), RecordError> {
    let flags = r.flags(SHORT_FLAGS, "token flags")?;
    if flags & PLAIN == 0 {
        r.take(16, "fingerprint")?;
    }
    let numbers = 1 + (flags & (VALUE | PREVIOUS | EXPIRES)).count_ones();
    (0..numbers).try_for_each(|_| r.skip_varint("number"))
}

fn read_text<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], RecordError> {
    let len = usize::from(r.u8("token length")?);
    if len > TOKEN_BYTES_MAX {
        return Err(r.error("token length"));
    }
    r.take(len, "token")
}

fn read_item(r: &mut Reader<'_>) -> Result<u32, RecordError> {
    u32::try_from(r.varint("item")?).map_err(|_| r.error("item"))
}

/// A record of which nothing is known.
const BLANK: TokenRecord = TokenRecord {
    key: 0,
    fingerprint: 0,
    verdict: Verdict::Done,
    value: None,
    previous: None,
    applied: 0,
    expires_at: None,
    epoch: 0,
    batch: 0,
    deadline_ms: 0,
};

/// The flags that both forms have.
fn flags(record: &TokenRecord) -> u8 {
    let flag = |is_there, flag| if is_there { flag } else { 0 };
    record.verdict as u8
        | flag(record.value.is_some(), VALUE)
        | flag(record.previous.is_some(), PREVIOUS)
        | flag(record.expires_at.is_some(), EXPIRES)
}

/// Appends an outcome and its fingerprint in short.
pub(crate) fn put_outcome(
    out: &mut Vec<u8>,
    record: &TokenRecord,
    fingerprints: &mut Fingerprints,
) {
    let mut flags = flags(record);
    let is_chained = record.previous.is_some()
        && record.value.map(|value| value.wrapping_sub(record.applied)) == record.previous;
    if is_chained {
        flags = flags & !PREVIOUS | CHAINED;
    }
    let is_plain = fingerprints.of(record.applied) == record.fingerprint;
    out.push(flags | if is_plain { PLAIN } else { 0 });
    if !is_plain {
        out.extend_from_slice(&record.fingerprint.to_le_bytes());
    }
    let previous = record.previous.filter(|_| !is_chained);
    [record.value, previous].into_iter().flatten().for_each(|n| put_zigzag(out, n));
    put_zigzag(out, record.applied);
    if let Some(at) = record.expires_at {
        put_varint(out, at);
    }
}

/// Reads an outcome and its fingerprint in short; the rest of the record is blank.
pub(crate) fn read_outcome(
    r: &mut Reader<'_>,
    fingerprints: &mut Fingerprints,
) -> Result<TokenRecord, RecordError> {
    let flags = r.flags(SHORT_FLAGS, "token flags")?;
    let has = |flag| flags & flag != 0;
    if has(CHAINED) && (has(PREVIOUS) || !has(VALUE)) {
        return Err(r.error("token flags"));
    }
    let verdict = Verdict::from_byte(flags & VERDICT).ok_or_else(|| r.error("verdict"))?;
    let told = (!has(PLAIN)).then(|| r.u128("fingerprint")).transpose()?;
    let value = has(VALUE).then(|| r.zigzag("value")).transpose()?;
    let previous = has(PREVIOUS).then(|| r.zigzag("previous")).transpose()?;
    let applied = r.zigzag("applied")?;
    let chained = value.filter(|_| has(CHAINED)).map(|value| value.wrapping_sub(applied));
    Ok(TokenRecord {
        fingerprint: told.unwrap_or_else(|| fingerprints.of(applied)),
        verdict,
        value,
        previous: previous.or(chained),
        applied,
        expires_at: has(EXPIRES).then(|| r.varint("expiry")).transpose()?,
        ..BLANK
    })
}

/// Appends one token in full; `text` is the counter, the token as given, and the item.
pub fn put_full(out: &mut Vec<u8>, text: (&[u8], &[u8], u32), record: &TokenRecord) {
    let (name, token, item) = text;
    put_name(out, name);
    out.push(token.len() as u8);
    out.extend_from_slice(token);
    put_varint(out, u64::from(item));
    put_full_record(out, record);
}

/// Appends what is remembered of a token in full, less its epoch and batch.
pub(crate) fn put_full_record(out: &mut Vec<u8>, record: &TokenRecord) {
    out.extend_from_slice(&record.key.to_le_bytes());
    out.extend_from_slice(&record.fingerprint.to_le_bytes());
    out.push(flags(record));
    [record.value, record.previous].into_iter().flatten().for_each(|n| put_zigzag(out, n));
    put_zigzag(out, record.applied);
    if let Some(at) = record.expires_at {
        put_varint(out, at);
    }
    put_varint(out, record.deadline_ms);
}

/// Reads one token in full.
pub(crate) fn read_full<'a>(r: &mut Reader<'a>, header: &Header) -> Result<Item<'a>, RecordError> {
    let name = read_name(r)?;
    let token_len = usize::from(r.u8("token length")?);
    let token = r.take(token_len, "token")?;
    let item = read_item(r)?;
    let record = read_full_record(r, header.epoch, header.batch)?;
    Ok(Item::Token { name, token, item, record })
}

/// Reads what is remembered of a token in full.
pub(crate) fn read_full_record(
    r: &mut Reader<'_>,
    epoch: u64,
    batch: u64,
) -> Result<TokenRecord, RecordError> {
    let key = r.u128("token key")?;
    let fingerprint = r.u128("fingerprint")?;
    let flags = r.flags(FULL_FLAGS, "token flags")?;
    let verdict = Verdict::from_byte(flags & VERDICT).ok_or_else(|| r.error("verdict"))?;
    Ok(TokenRecord {
        key,
        fingerprint,
        verdict,
        value: (flags & VALUE != 0).then(|| r.zigzag("value")).transpose()?,
        previous: (flags & PREVIOUS != 0).then(|| r.zigzag("previous")).transpose()?,
        applied: r.zigzag("applied")?,
        expires_at: (flags & EXPIRES != 0).then(|| r.varint("expiry")).transpose()?,
        epoch,
        batch,
        deadline_ms: r.varint("deadline")?,
    })
}

#[cfg(test)]
mod tests {
    use super::Fingerprints;
    use crate::op::{Action, Add};

    #[test]
    fn the_fingerprints_of_plain_adds_are_those_of_the_operation() {
        let mut fingerprints = Fingerprints::default();
        for delta in [1, 1, -7, -7, 1, i64::MIN, 0] {
            let action = Action::Add(Add::plain(delta));
            assert_eq!(fingerprints.of(delta), action.fingerprint(), "{delta}");
            assert_eq!(fingerprints.of_action(&action), action.fingerprint(), "{delta}");
            let bounded = Action::Add(Add { max: Some(9), ..Add::plain(delta) });
            assert_eq!(fingerprints.of_action(&bounded), bounded.fingerprint(), "{delta}");
        }
    }
}
