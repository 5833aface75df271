//! What one shard appends at once, while it is open.

use crate::effect::{Before, Effect, Mismatch, compose};
use crate::limits::BATCH_LOG_BYTES;
use crate::record::token::{PlainAdd, ShortForm, Whose};
use crate::record::{Header, Kind, StreamKind, put_header, put_slot, put_stream};
use crate::token::TokenRecord;

/// Bytes of names, tokens and streams that an open batch may hold: offsets are 32 bits.
const TEXT_BYTES_MAX: usize = u32::MAX as usize;

/// The open batch: slots, tokens and streams in the order of their first operation.
#[derive(Debug, Default)]
pub struct Batch {
    slots: Vec<Slot>,
    tokens: Vec<TokenNote>,
    streams: Vec<StreamNote>,
    text: Vec<u8>,
    log_bytes: u64,
    /// The slot that was written to last: the one of a token that comes with it.
    written: u32,
}

/// One slot; a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Slot {
    effect: Effect,
    name: Span,
    ops: u32,
}

#[derive(Debug, Clone, Copy)]
struct TokenNote {
    record: TokenRecord,
    counter: CounterNote,
    token: Span,
    item: u32,
}

/// The counter of a token.
#[derive(Debug, Clone, Copy)]
enum CounterNote {
    /// That of a slot.
    Slot(u32),
    Name(Span),
}

#[derive(Debug, Clone, Copy)]
struct StreamNote {
    name: Span,
    sequence: u64,
    kind: StreamKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u32,
    len: u32,
}

/// The size of a batch at one moment, to return to.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    slots: usize,
    tokens: usize,
    streams: usize,
    text: usize,
    log_bytes: u64,
}

impl Mark {
    /// How many notes of streams there were.
    pub fn streams(&self) -> usize {
        self.streams
    }
}

impl Batch {
    /// Whether nothing is in it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.log_bytes == 0
    }

    /// An upper bound on the bytes of its record.
    #[inline]
    pub fn log_bytes(&self) -> u64 {
        self.log_bytes
    }

    /// The names of its slots, one for each slot.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let texts = self.slots.iter().map(|slot| slice(&self.text, slot.name));
        texts.filter_map(|text| str::from_utf8(text).ok())
    }

    /// How many slots it has.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    fn keep(&mut self, text: &[u8], fixed_bytes: u64) -> Span {
        debug_assert!(self.text.len() + text.len() <= TEXT_BYTES_MAX, "admission bounds a batch");
        let start = self.text.len() as u32;
        self.text.extend_from_slice(text);
        if self.log_bytes == 0 {
            self.log_bytes = BATCH_LOG_BYTES;
        }
        self.log_bytes += fixed_bytes + text.len() as u64;
        Span { start, len: text.len() as u32 }
    }

    /// Opens a slot and returns its number.
    #[inline]
    pub fn open_slot(&mut self, name: &str, effect: Effect) -> u32 {
        // Flags, name length, operations, two numbers and an expiry at their longest.
        let name = self.keep(name.as_bytes(), 37);
        self.written = self.slots.len() as u32;
        self.slots.push(Slot { effect, name, ops: 1 });
        self.written
    }

    /// Adds an effect to a slot that holds adds, if both are adds; false where it needs its own.
    ///
    /// # Errors
    /// The effect does not follow what the slot holds.
    #[inline]
    pub fn extend_slot(&mut self, number: u32, effect: &Effect) -> Result<bool, Mismatch> {
        let Some(slot) = self.slots.get_mut(number as usize) else { return Ok(false) };
        if !(slot.effect.is_add() && effect.is_add()) || slot.ops == u32::MAX {
            return Ok(false);
        }
        slot.effect = compose(&slot.effect, effect)?;
        slot.ops += 1;
        self.written = number;
        Ok(true)
    }

    /// The counter of each slot, in order, and what it was before.
    pub fn befores(&self) -> impl Iterator<Item = (&[u8], Before)> {
        self.slots.iter().map(|slot| (slice(&self.text, slot.name), slot.effect.before))
    }

    /// A slot's content, to return to.
    pub fn slot_content(&self, slot: u32) -> Option<(Effect, u32)> {
        self.slots.get(slot as usize).map(|s| (s.effect, s.ops))
    }

    /// Puts a slot's content back.
    pub fn restore_slot(&mut self, slot: u32, content: (Effect, u32)) {
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            (slot.effect, slot.ops) = content;
        }
    }

    /// Adds a token with its outcome. Where its operation has a slot, that slot is the one that was
    /// written to last.
    pub fn add_token(&mut self, name: &str, token: &[u8], item: u32, record: TokenRecord) {
        let written = self.slots.get(self.written as usize);
        let is_its = written.is_some_and(|slot| slice(&self.text, slot.name) == name.as_bytes());
        // Form, lengths, item, flags, fingerprint and five numbers at their longest.
        let token = self.keep(token, 75);
        let counter = if is_its {
            CounterNote::Slot(self.written)
        } else {
            CounterNote::Name(self.keep(name.as_bytes(), 0))
        };
        self.tokens.push(TokenNote { record, counter, token, item });
    }

    /// Says how far a stream has come, or that it ends. The last note of a stream counts; one after
    /// `kept` is changed, those before stay, so that a group can be taken back, and so does what
    /// was said before an end.
    pub fn note_stream(&mut self, name: &[u8], kind: StreamKind, sequence: u64, kept: usize) {
        let same = |text: &Vec<u8>, span: Span| slice(text, span) == name;
        let stands = |of: StreamKind| of == kind || of == StreamKind::End;
        let found = self
            .streams
            .iter()
            .rposition(|note| stands(note.kind) && same(&self.text, note.name))
            .filter(|found| *found >= kept);
        let note = found.and_then(|at| self.streams.get_mut(at));
        if let Some(note) = note.filter(|note| note.kind == kind && kind != StreamKind::End) {
            note.sequence = sequence;
            return;
        }
        let name = self.keep(name, 12);
        self.streams.push(StreamNote { name, sequence, kind });
    }

    /// The size now.
    pub fn mark(&self) -> Mark {
        Mark {
            slots: self.slots.len(),
            tokens: self.tokens.len(),
            streams: self.streams.len(),
            text: self.text.len(),
            log_bytes: self.log_bytes,
        }
    }

    /// Takes back all that came after `mark`. Extended slots are put back one by one.
    pub fn truncate(&mut self, mark: Mark) {
        self.slots.truncate(mark.slots);
        self.tokens.truncate(mark.tokens);
        self.streams.truncate(mark.streams);
        self.text.truncate(mark.text);
        self.log_bytes = mark.log_bytes;
    }

    /// Appends the record of this batch: `head`, whatever kind that is of, and what the batch holds.
    pub fn encode(&self, head: &Header, out: &mut Vec<u8>) {
        let start = out.len();
        // A batch without tokens is what every version understands.
        let kind = if self.tokens.is_empty() { Kind::Batch } else { Kind::Tokened };
        put_header(out, &Header { kind, ..*head });
        for count in [self.slots.len(), self.tokens.len(), self.streams.len()] {
            out.extend_from_slice(&(count as u32).to_le_bytes());
        }
        for slot in &self.slots {
            put_slot(out, slice(&self.text, slot.name), u64::from(slot.ops), &slot.effect);
        }
        self.encode_tokens(head, out);
        for note in &self.streams {
            put_stream(out, slice(&self.text, note.name), note.kind, note.sequence);
        }
        debug_assert!((out.len() - start) as u64 <= self.log_bytes, "the bound is a bound");
    }

    fn encode_tokens(&self, head: &Header, out: &mut Vec<u8>) {
        let mut form = ShortForm::new(head.time_ms);
        for note in &self.tokens {
            let whose = match note.counter {
                CounterNote::Name(name) => Whose::Name(slice(&self.text, name)),
                CounterNote::Slot(number) => {
                    let slot = self.slots.get(number as usize);
                    let add = slot.and_then(|s| PlainAdd::of(u64::from(s.ops), &s.effect));
                    Whose::Slot(number, add)
                }
            };
            form.put(out, whose, (slice(&self.text, note.token), note.item), &note.record);
        }
    }

    /// Empties it and keeps its room.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.tokens.clear();
        self.streams.clear();
        self.text.clear();
        self.log_bytes = 0;
    }
}

#[inline]
fn slice(text: &[u8], span: Span) -> &[u8] {
    let start = span.start as usize;
    text.get(start..start + span.len as usize).unwrap_or(&[])
}
