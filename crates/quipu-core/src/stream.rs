//! Streams: whatever is read or sent in order, remembered as one number.

use std::collections::BTreeMap;
use std::ops::Bound;

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

impl Stream {
    /// Whether the log knows it: one that is held and nothing else is in memory only.
    pub fn is_recorded(&self) -> bool {
        self.mark > 0 || self.checkpoint.is_some()
    }
}

/// The streams of one shard.
#[derive(Debug, Default)]
pub struct Streams {
    streams: BTreeMap<Box<[u8]>, Stream>,
    /// Streams that were ended, with the batch of the end: they stay until it is durable, so that
    /// who asks for one has something to wait for.
    ended: BTreeMap<Box<[u8]>, u64>,
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

    /// Ends a stream in a batch.
    pub fn end(&mut self, name: &[u8], batch: u64) {
        if self.streams.remove(name).is_some() {
            self.ended.insert(name.into(), batch);
        }
    }

    /// The newest batch that changed or ended a stream; 0 where that is durable since the start.
    pub fn touched(&self, name: &[u8]) -> u64 {
        let changed = self.streams.get(name).map_or(0, |stream| stream.touched);
        changed.max(self.ended.get(name).copied().unwrap_or(0))
    }

    /// Forgets ends that are durable.
    pub fn bury(&mut self, durable: u64) {
        if !self.ended.is_empty() {
            self.ended.retain(|_, batch| *batch > durable);
        }
    }

    /// The streams whose names follow `name`, in their order.
    pub fn after(&self, name: &[u8]) -> impl Iterator<Item = (&[u8], &Stream)> {
        let later = (Bound::Excluded(name), Bound::Unbounded);
        self.streams.range::<[u8], _>(later).map(|(name, stream)| (&**name, stream))
    }

    /// Puts a stream back as it was, or takes it away where there was none.
    pub fn restore(&mut self, name: &[u8], before: Option<Stream>) {
        match before {
            Some(before) => *self.entry(name) = before,
            None => _ = self.streams.remove(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Streams};
    use crate::outcome::Refusal;

    #[test]
    fn a_refusal_holds_what_is_later_until_its_sequence_comes_again() {
        let mut streams = Streams::default();
        assert!(streams.is_empty());
        streams.entry(b"s").mark = 10;
        assert!(!streams.is_empty() && streams.len() == 1);
        // What was counted cannot be held: its sender would wait for ever.
        for counted in [9, 10] {
            streams.hold(b"s", counted);
            assert_eq!(streams.place(b"s", counted), Ok(Place::Repeat));
            assert_eq!(streams.place(b"s", 11), Ok(Place::New));
        }
        for (refused, held) in [(13, 13), (12, 12), (14, 12)] {
            streams.hold(b"s", refused);
            for earlier in [11, held] {
                assert_eq!(streams.place(b"s", earlier), Ok(Place::New));
            }
            assert_eq!(streams.place(b"s", held + 1), Err(Refusal::Held { sequence: held }));
            assert_eq!(streams.place(b"s", 10), Ok(Place::Repeat));
        }
    }

    #[test]
    fn an_end_is_remembered_until_it_is_durable() {
        let mut streams = Streams::default();
        streams.end(b"s", 1);
        assert_eq!(streams.touched(b"s"), 0, "what was not there does not end");
        streams.entry(b"s").touched = 3;
        assert_eq!(streams.touched(b"s"), 3);
        streams.end(b"s", 5);
        assert!(streams.get(b"s").is_none() && streams.is_empty());
        for (durable, touched) in [(4, 5), (5, 0)] {
            streams.bury(durable);
            assert_eq!(streams.touched(b"s"), touched);
        }
    }

    #[test]
    fn streams_are_walked_in_the_order_of_their_names() {
        let mut streams = Streams::default();
        for name in [&b"b"[..], b"a", b"\xFF", b"ab"] {
            streams.entry(name);
        }
        let check = |after: &[u8], expected: &[&[u8]]| {
            let names: Vec<&[u8]> = streams.after(after).map(|(name, _)| name).collect();
            assert_eq!(names, expected);
        };
        check(b"", &[b"a", b"ab", b"b", b"\xFF"]);
        check(b"ab", &[b"b", b"\xFF"]);
        check(b"\xFF", &[]);
    }

    #[test]
    fn a_stream_is_put_back_as_it_was() {
        let mut streams = Streams::default();
        assert_eq!(streams.get(b"s"), None);
        streams.entry(b"s").mark = 1;
        let before = streams.get(b"s").copied();
        streams.entry(b"s").mark = 2;
        streams.restore(b"s", before);
        assert_eq!(streams.get(b"s").copied(), before);
        streams.restore(b"s", None);
        assert!(streams.get(b"s").is_none() && streams.is_empty());
    }
}
