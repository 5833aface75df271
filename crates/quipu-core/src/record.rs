//! The records of the log, the same in every log: `Batch`, `Epoch`, `Barrier`, `Config`.
//!
//! ```text
//! record  = kind u8 | shard u16 | epoch u64 | batch u64 | time u64 | body      (little-endian)
//! Batch   : slots u32 | tokens u32 | streams u32 | slot* | token in full* | stream*
//! Tokened : the same with tokens in short
//! Epoch   : no body; batch is the last one before it
//! Barrier : no body
//! Config  : token window in ms u64
//! slot    = flags u8 | name | [ops varint] | add: delta, after zigzag | else: [before] [after] zigzag
//!           | [expiry varint]
//! token   : see [`token`]
//! stream  = kind u8 (1 mark, 2 checkpoint, 3 end) | name length u8 | name | number varint
//! name    = length - 1 u8 | bytes
//! ```

pub mod token;

use crate::bytes::{Reader, put_varint, put_zigzag};
use crate::effect::{Before, Effect, ExpiryEffect};
use crate::record::token::{PlainAdd, Seen, ShortForm, read_full, skip_short};
use crate::token::TokenRecord;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Effects and streams of one batch; its tokens, if it has some, in full.
    Batch = 1,
    /// A new life of the shard's owner.
    Epoch = 2,
    /// A place in the order, and nothing else.
    Barrier = 3,
    /// The settings that every fold must agree on.
    Config = 4,
    /// Effects, tokens and streams of one batch; the tokens in short.
    Tokened = 5,
}

impl Kind {
    /// Whether it is what one batch did.
    #[inline]
    pub fn is_batch(self) -> bool {
        matches!(self, Self::Batch | Self::Tokened)
    }
}

/// Bytes of a record before its body.
pub const HEADER_BYTES: usize = 27;

/// The head of every record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub kind: Kind,
    /// Whose it is.
    pub shard: u16,
    /// The life of the owner.
    pub epoch: u64,
    /// The batch; for other records the last batch before it.
    pub batch: u64,
    /// Log time in milliseconds.
    pub time_ms: u64,
}

/// One thing that a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// What happened to one counter, and by how many operations.
    Slot {
        /// The counter.
        name: &'a str,
        /// How many operations.
        ops: u64,
        /// What happened.
        effect: Effect,
    },
    /// A token and its outcome.
    Token {
        /// The counter.
        name: &'a str,
        /// The token as it was given.
        token: &'a [u8],
        /// Which of the items that carry it on this counter.
        item: u32,
        /// What is remembered.
        record: TokenRecord,
    },
    /// The highest sequence counted.
    Mark {
        /// The stream.
        stream: &'a [u8],
        /// The sequence.
        sequence: u64,
    },
    /// What the sender stored.
    Checkpoint {
        /// The stream.
        stream: &'a [u8],
        /// The sequence.
        sequence: u64,
    },
    /// An operator ended a stream: nothing of it is known any more.
    End {
        /// The stream.
        stream: &'a [u8],
        /// The mark that it had; 0 where nothing of it was counted here.
        mark: u64,
    },
    /// The time for which tokens are remembered.
    Window {
        /// Milliseconds.
        window_ms: u64,
    },
}

/// What an item of a stream says with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum StreamKind {
    /// The highest sequence counted.
    Mark = 1,
    /// What the sender stored.
    Checkpoint = 2,
    /// The mark that the stream had when it was ended.
    End = 3,
}

/// A record that cannot be read although its checksum was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a record is not understood at byte {at}: {what}; it was written by another version, or damaged before it was written"
)]
pub struct RecordError {
    /// Offset in the record.
    pub at: usize,
    /// What was being read.
    pub what: &'static str,
}

const ADD: u8 = 1;
const BEFORE: u8 = 1 << 1;
const AFTER: u8 = 1 << 2;
const EXPIRY_SHIFT: u8 = 3;
const EXPIRY: u8 = 3 << EXPIRY_SHIFT;
const ONE_OP: u8 = 1 << 5;
const SLOT_FLAGS: u8 = ADD | BEFORE | AFTER | EXPIRY | ONE_OP;

/// Appends a record head.
pub fn put_header(out: &mut Vec<u8>, header: &Header) {
    out.push(header.kind as u8);
    out.extend_from_slice(&header.shard.to_le_bytes());
    out.extend_from_slice(&header.epoch.to_le_bytes());
    out.extend_from_slice(&header.batch.to_le_bytes());
    out.extend_from_slice(&header.time_ms.to_le_bytes());
}

fn put_name(out: &mut Vec<u8>, name: &[u8]) {
    debug_assert!((1..=256).contains(&name.len()), "names are checked where they enter");
    out.push((name.len() - 1) as u8);
    out.extend_from_slice(name);
}

/// Appends one slot.
#[inline]
pub fn put_slot(out: &mut Vec<u8>, name: &[u8], ops: u64, effect: &Effect) {
    let (expiry, at) = match effect.expiry {
        ExpiryEffect::Keep => (0, None),
        ExpiryEffect::Clear => (1, None),
        ExpiryEffect::Set(at) => (2, Some(at)),
    };
    let mut flags = expiry << EXPIRY_SHIFT;
    flags |= if ops == 1 { ONE_OP } else { 0 };
    flags |= if effect.after.is_some() { AFTER } else { 0 };
    flags |= match effect.before {
        Before::Sum(_) => ADD,
        Before::Exact(Some(_)) => BEFORE,
        Before::Exact(None) => 0,
    };
    out.push(flags);
    put_name(out, name);
    if ops != 1 {
        put_varint(out, ops);
    }
    match (effect.before, effect.after) {
        (Before::Sum(_), Some(after)) => {
            put_zigzag(out, effect.delta());
            put_zigzag(out, after);
        }
        (Before::Sum(n), None) => put_zigzag(out, n),
        (Before::Exact(before), after) => {
            [before, after].into_iter().flatten().for_each(|n| put_zigzag(out, n));
        }
    }
    if let Some(at) = at {
        put_varint(out, at);
    }
}

/// Appends what is said of a stream.
pub fn put_stream(out: &mut Vec<u8>, stream: &[u8], kind: StreamKind, sequence: u64) {
    out.push(kind as u8);
    out.push(stream.len() as u8);
    out.extend_from_slice(stream);
    put_varint(out, sequence);
}

/// Appends a whole Epoch or Config record.
pub fn put_small(out: &mut Vec<u8>, header: &Header, window_ms: u64) {
    put_header(out, header);
    if header.kind == Kind::Config {
        out.extend_from_slice(&window_ms.to_le_bytes());
    }
}

/// Reads one record of the store with this hash seed from the front of `bytes` and visits its items;
/// returns its head and length. The visitor's own error passes through.
///
/// # Errors
/// The record is not understood.
pub fn read<'a, E: From<RecordError>>(
    bytes: &'a [u8],
    seed: u64,
    mut visit: impl FnMut(&Header, Item<'a>) -> Result<(), E>,
) -> Result<(Header, usize), E> {
    let mut r = Reader::new(bytes);
    let header = read_header(&mut r)?;
    match header.kind {
        Kind::Epoch | Kind::Barrier => {}
        Kind::Config => visit(&header, Item::Window { window_ms: r.u64("window")? })?,
        Kind::Batch => {
            let counts = read_counts(&mut r)?;
            for _ in 0..counts[0] {
                visit(&header, read_slot(&mut r)?)?;
            }
            for _ in 0..counts[1] {
                visit(&header, read_full(&mut r, &header)?)?;
            }
            for _ in 0..counts[2] {
                visit(&header, read_stream(&mut r)?)?;
            }
        }
        Kind::Tokened => {
            let counts = read_counts(&mut r)?;
            let mut slots = Vec::new();
            for _ in 0..counts[0] {
                let item = read_slot(&mut r)?;
                if let Item::Slot { name, ops, ref effect } = item {
                    slots.push(Seen { name, add: PlainAdd::of(ops, effect) });
                }
                visit(&header, item)?;
            }
            let mut form = ShortForm::new(header.time_ms);
            for _ in 0..counts[1] {
                visit(&header, form.read(&mut r, (&header, seed), &slots)?)?;
            }
            for _ in 0..counts[2] {
                visit(&header, read_stream(&mut r)?)?;
            }
        }
    }
    Ok((header, r.at()))
}

/// Whose record stands at the front of `bytes`.
///
/// # Errors
/// It is too short, or of no known kind.
pub fn shard_of(bytes: &[u8]) -> Result<u16, RecordError> {
    read_header(&mut Reader::new(bytes)).map(|header| header.shard)
}

/// Passes over one record at the front of `bytes`; returns its head and length. Lengths are checked,
/// what the items say is not: [`read`] does that.
///
/// # Errors
/// The record ends too early, or is of no known kind.
pub fn skip(bytes: &[u8]) -> Result<(Header, usize), RecordError> {
    let mut r = Reader::new(bytes);
    let header = read_header(&mut r)?;
    match header.kind {
        Kind::Epoch | Kind::Barrier => {}
        Kind::Config => _ = r.u64("window")?,
        Kind::Batch | Kind::Tokened => {
            let counts = read_counts(&mut r)?;
            for _ in 0..counts[0] {
                skip_slot(&mut r)?;
            }
            for _ in 0..counts[1] {
                match header.kind {
                    Kind::Tokened => skip_short(&mut r)?,
                    _ => _ = read_full(&mut r, &header)?,
                }
            }
            for _ in 0..counts[2] {
                read_stream(&mut r)?;
            }
        }
    }
    Ok((header, r.at()))
}

/// How many slots, tokens and streams a batch has.
fn read_counts(r: &mut Reader<'_>) -> Result<[u32; 3], RecordError> {
    Ok([r.u32("slots")?, r.u32("tokens")?, r.u32("streams")?])
}

fn skip_slot(r: &mut Reader<'_>) -> Result<(), RecordError> {
    let flags = r.flags(SLOT_FLAGS, "slot flags")?;
    let len = usize::from(r.u8("name length")?) + 1;
    r.take(len, "name")?;
    let is_add = flags & ADD != 0;
    let numbers = u8::from(flags & ONE_OP == 0)
        + u8::from(is_add || flags & BEFORE != 0)
        + u8::from(flags & AFTER != 0)
        + u8::from((flags & EXPIRY) >> EXPIRY_SHIFT == 2);
    for _ in 0..numbers {
        r.skip_varint("number")?;
    }
    Ok(())
}

/// Reads the head of a record alone.
///
/// # Errors
/// It is too short, or of no known kind.
pub fn read_header(r: &mut Reader<'_>) -> Result<Header, RecordError> {
    let kind = match r.u8("kind")? {
        1 => Kind::Batch,
        2 => Kind::Epoch,
        3 => Kind::Barrier,
        4 => Kind::Config,
        5 => Kind::Tokened,
        _ => return Err(r.error("kind")),
    };
    Ok(Header {
        kind,
        shard: r.u16("shard")?,
        epoch: r.count("epoch")?,
        batch: r.count("batch")?,
        time_ms: r.count("time")?,
    })
}

fn read_name<'a>(r: &mut Reader<'a>) -> Result<&'a str, RecordError> {
    let len = usize::from(r.u8("name length")?) + 1;
    let bytes = r.take(len, "name")?;
    std::str::from_utf8(bytes).map_err(|_| r.error("name is not UTF-8"))
}

pub(crate) fn read_slot<'a>(r: &mut Reader<'a>) -> Result<Item<'a>, RecordError> {
    let flags = r.flags(SLOT_FLAGS, "slot flags")?;
    let name = read_name(r)?;
    let ops = if flags & ONE_OP != 0 { 1 } else { r.varint("operations")? };
    let (before, after) = match (flags & ADD != 0, flags & AFTER != 0) {
        (true, true) => {
            let delta = r.zigzag("delta")?;
            let after = r.zigzag("after")?;
            (Before::Sum(after.wrapping_sub(delta)), Some(after))
        }
        (true, false) => (Before::Sum(r.zigzag("before")?), None),
        (false, has_after) => {
            let before = (flags & BEFORE != 0).then(|| r.zigzag("before")).transpose()?;
            (Before::Exact(before), has_after.then(|| r.zigzag("after")).transpose()?)
        }
    };
    let expiry = match (flags & EXPIRY) >> EXPIRY_SHIFT {
        0 => ExpiryEffect::Keep,
        1 => ExpiryEffect::Clear,
        2 => ExpiryEffect::Set(r.varint("expiry")?),
        _ => return Err(r.error("expiry kind")),
    };
    Ok(Item::Slot { name, ops, effect: Effect { before, after, expiry } })
}

fn read_stream<'a>(r: &mut Reader<'a>) -> Result<Item<'a>, RecordError> {
    let kind = r.u8("stream kind")?;
    let len = usize::from(r.u8("stream length")?);
    let stream = r.take(len, "stream")?;
    let sequence = r.varint("sequence")?;
    match kind {
        1 => Ok(Item::Mark { stream, sequence }),
        2 => Ok(Item::Checkpoint { stream, sequence }),
        3 => Ok(Item::End { stream, mark: sequence }),
        _ => Err(r.error("stream kind")),
    }
}
