//! Streams: whatever is read or sent in order, remembered as one number.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::outcome::Refusal;

/// Streams of a shard that are held beyond those that have places: each is a sender that was turned
/// away, and must not go on at a later sequence when a place is free. Guess: 64 shards take 10 MiB.
pub const HELD_WITHOUT_PLACE_MAX: usize = 1_024;

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
    known: BTreeMap<Box<[u8]>, Stream>,
    /// How many of them the log knows: those have a place.
    recorded: usize,
    /// Whether a stream could not be held for which there was no place: until the next start no
    /// other begins, because nobody knows what of it did not count.
    is_shut: bool,
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
        self.known.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// One stream.
    pub fn get(&self, name: &[u8]) -> Option<&Stream> {
        self.known.get(name)
    }

    /// Changes one stream, which is made where it is new.
    pub fn change(&mut self, name: &[u8], change: impl FnOnce(&mut Stream)) {
        if !self.known.contains_key(name) {
            self.known.insert(name.into(), Stream::default());
        }
        let stream = self.known.get_mut(name).expect("it was there or was just inserted");
        let was_recorded = stream.is_recorded();
        change(stream);
        self.recorded -= usize::from(was_recorded);
        self.recorded += usize::from(stream.is_recorded());
    }

    fn remove(&mut self, name: &[u8]) -> Option<Stream> {
        let stream = self.known.remove(name)?;
        self.recorded -= usize::from(stream.is_recorded());
        Some(stream)
    }

    /// Judges a place in a stream. Repeats come before holds.
    ///
    /// # Errors
    /// An earlier sequence must come first.
    pub fn place(&self, name: &[u8], sequence: u64) -> Result<Place, Refusal> {
        match self.known.get(name) {
            Some(stream) if sequence <= stream.mark => Ok(Place::Repeat),
            Some(Stream { held: Some(held), .. }) if sequence > *held => {
                Err(Refusal::Held { sequence: *held })
            }
            _ => Ok(Place::New),
        }
    }

    /// Whether a stream has a place among `most`, or may have one. One that is only held has none.
    pub fn has_place(&self, name: &[u8], most: usize) -> bool {
        let known = self.known.get(name);
        let may_begin = known.is_some() || !self.is_shut;
        known.is_some_and(Stream::is_recorded) || may_begin && self.recorded < most
    }

    /// Holds a stream because `sequence` was refused. The earliest refusal stands. Of those that have
    /// no place among `most` so many are held as [`HELD_WITHOUT_PLACE_MAX`] says.
    pub fn hold(&mut self, name: &[u8], sequence: u64, most: usize) {
        if !self.known.contains_key(name)
            && self.known.len() >= most.saturating_add(HELD_WITHOUT_PLACE_MAX)
        {
            self.is_shut = true;
            return;
        }
        self.change(name, |stream| {
            if sequence > stream.mark {
                stream.held = Some(stream.held.map_or(sequence, |held| held.min(sequence)));
            }
        });
    }

    /// Ends a stream in a batch.
    pub fn end(&mut self, name: &[u8], batch: u64) {
        if self.remove(name).is_some() {
            self.ended.insert(name.into(), batch);
        }
    }

    /// The newest batch that changed or ended a stream; 0 where that is durable since the start.
    pub fn touched(&self, name: &[u8]) -> u64 {
        let changed = self.known.get(name).map_or(0, |stream| stream.touched);
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
        self.known.range::<[u8], _>(later).map(|(name, stream)| (&**name, stream))
    }

    /// Puts a stream back as it was, or takes it away where there was none.
    pub fn restore(&mut self, name: &[u8], before: Option<Stream>) {
        match before {
            Some(before) => self.change(name, |stream| *stream = before),
            None => _ = self.remove(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{HELD_WITHOUT_PLACE_MAX, Place, Streams};
    use crate::outcome::Refusal;

    #[test]
    fn a_refusal_holds_what_is_later_until_its_sequence_comes_again() {
        let mut streams = Streams::default();
        assert!(streams.is_empty());
        streams.change(b"s", |stream| stream.mark = 10);
        assert!(!streams.is_empty() && streams.len() == 1);
        // What was counted cannot be held: its sender would wait for ever.
        for counted in [9, 10] {
            streams.hold(b"s", counted, 1);
            assert_eq!(streams.place(b"s", counted), Ok(Place::Repeat));
            assert_eq!(streams.place(b"s", 11), Ok(Place::New));
        }
        for (refused, held) in [(13, 13), (12, 12), (14, 12)] {
            streams.hold(b"s", refused, 1);
            for earlier in [11, held] {
                assert_eq!(streams.place(b"s", earlier), Ok(Place::New));
            }
            assert_eq!(streams.place(b"s", held + 1), Err(Refusal::Held { sequence: held }));
            assert_eq!(streams.place(b"s", 10), Ok(Place::Repeat));
        }
    }

    #[test]
    fn a_stream_that_was_turned_away_begins_where_it_was_turned_away() {
        let mut streams = Streams::default();
        streams.change(b"a", |stream| stream.mark = 1);
        assert!(streams.has_place(b"a", 1) && !streams.has_place(b"s", 1));
        streams.hold(b"s", 7, 1);
        assert!(!streams.has_place(b"s", 1));
        assert_eq!(streams.place(b"s", 8), Err(Refusal::Held { sequence: 7 }));
        streams.end(b"a", 1);
        assert!(streams.has_place(b"s", 1) && streams.has_place(b"t", 1));
        assert_eq!(streams.place(b"s", 8), Err(Refusal::Held { sequence: 7 }));
        assert_eq!(streams.place(b"s", 7), Ok(Place::New));
    }

    #[test]
    fn where_one_could_not_be_held_no_other_begins() {
        let mut streams = Streams::default();
        streams.change(b"a", |stream| stream.mark = 1);
        let name = |number: usize| number.to_le_bytes();
        (0..HELD_WITHOUT_PLACE_MAX).for_each(|number| streams.hold(&name(number), 5, 1));
        streams.hold(b"s", 5, 1);
        streams.end(b"a", 1);
        assert!(!streams.has_place(b"s", 1) && !streams.has_place(b"t", 1));
        assert!(streams.has_place(&name(3), 1), "this one is held");
    }

    #[test]
    fn an_end_is_remembered_until_it_is_durable() {
        let mut streams = Streams::default();
        streams.end(b"s", 1);
        assert_eq!(streams.touched(b"s"), 0, "what was not there does not end");
        streams.change(b"s", |stream| stream.touched = 3);
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
            streams.change(name, |_| {});
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
        streams.change(b"s", |stream| stream.mark = 1);
        let before = streams.get(b"s").copied();
        streams.change(b"s", |stream| stream.mark = 2);
        streams.restore(b"s", before);
        assert_eq!(streams.get(b"s").copied(), before);
        streams.restore(b"s", None);
        assert!(streams.get(b"s").is_none() && streams.is_empty());
    }
}
