//! Streams: whatever is read or sent in order, remembered as one number.

use std::collections::BTreeMap;

use crate::outcome::Refusal;

/// What one shard knows of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stream {
    /// The highest sequence counted on this shard; 0 before the first.
    pub mark: u64,
    /// What its sender stored: all up to here was answered. Kept on the stream's home shard.
    pub checkpoint: Option<u64>,
    /// The newest batch that changed it; 0 where that was before this start.
    pub touched: u64,
    /// A sequence that was refused and must come again first. Not in the log: a sender whose
    /// connection ended starts again from its checkpoint, in order.
    pub held: Option<u64>,
}

/// The streams of one shard.
#[derive(Debug, Default)]
pub struct Streams {
    streams: BTreeMap<Box<[u8]>, Stream>,
}

/// What a place in a stream means for an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Counted already.
    Repeat,
    /// Next.
    New,
}

impl Streams {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// One stream.
    pub fn get(&self, name: &[u8]) -> Option<&Stream> {
        self.streams.get(name)
    }

    /// One stream to change, made where it is new.
    pub fn entry(&mut self, name: &[u8]) -> &mut Stream {
        if !self.streams.contains_key(name) {
            self.streams.insert(name.into(), Stream::default());
        }
        self.streams.get_mut(name).expect("it was there or was just inserted")
    }

    /// Judges a place in a stream. Repeats come before holds.
    ///
    /// # Errors
    /// An earlier sequence must come first.
    pub fn place(&self, name: &[u8], sequence: u64) -> Result<Place, Refusal> {
        match self.streams.get(name) {
            Some(stream) if sequence <= stream.mark => Ok(Place::Repeat),
            Some(Stream { held: Some(held), .. }) if sequence > *held => {
                Err(Refusal::Held { sequence: *held })
            }
            _ => Ok(Place::New),
        }
    }

    /// Holds a stream because `sequence` was refused. The earliest refusal stands.
    pub fn hold(&mut self, name: &[u8], sequence: u64) {
        let stream = self.entry(name);
        if sequence > stream.mark {
            stream.held = Some(stream.held.map_or(sequence, |held| held.min(sequence)));
        }
    }

    /// Puts a stream back as it was, or takes it away where there was none.
    pub fn restore(&mut self, name: &[u8], before: Option<Stream>) {
        match before {
            Some(before) => *self.entry(name) = before,
            None => _ = self.streams.remove(name),
        }
    }

    /// Every stream in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Stream)> {
        self.streams.iter().map(|(name, stream)| (&**name, stream))
    }
}
