//! Streams over all shards: what is known of one, checkpoints, listings, and their end.

use std::collections::BTreeMap;

use super::{Before, Cells, Node};
use crate::canary::{self, Bug};
use crate::execute::{Context, check_stream_name};
use crate::failpoint::{Point, reach};
use crate::limits::{BATCH_LOG_BYTES, OP_LOG_BYTES_MAX, STREAM_BYTES_MAX};
use crate::outcome::{Dependency, Refusal};
use crate::shard::Shard;
use crate::stream::Stream;

/// Log bytes of the end of a stream on one shard: a batch, and an item with fixed fields of 12.
const END_LOG_BYTES: u64 = BATCH_LOG_BYTES + STREAM_BYTES_MAX as u64 + 12;

/// What a node knows of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamView {
    /// What its sender stored.
    pub checkpoint: Option<u64>,
    /// The mark of each shard that has one.
    pub marks: Vec<(u16, u64)>,
    /// The first sequence that was refused and must come again, if one was.
    pub held: Option<u64>,
    /// Whether something of it was counted or stored since the start.
    pub is_used: bool,
    /// What this depends on.
    pub depends: Vec<Dependency>,
}

/// Some of the streams of a node, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamPage {
    /// Each with what is known of it; what that depends on is said for the page.
    pub streams: Vec<(Box<[u8]>, StreamView)>,
    /// Whether there are more after the last of these.
    pub has_more: bool,
    /// What this depends on.
    pub depends: Vec<Dependency>,
}

impl StreamView {
    /// Whether there is such a stream.
    pub fn is_known(&self) -> bool {
        self.checkpoint.is_some() || !self.marks.is_empty() || self.held.is_some()
    }

    fn add(&mut self, shard: u16, stream: &Stream) {
        self.checkpoint = self.checkpoint.or(stream.checkpoint);
        if stream.mark > 0 {
            self.marks.push((shard, stream.mark));
        }
        self.held = self.held.into_iter().chain(stream.held).min();
        self.is_used |= stream.touched > 0;
    }

    pub(super) fn look(&mut self, shard: &Shard, name: &[u8]) {
        if let Some(stream) = shard.stream(name) {
            self.add(shard.id(), stream);
        }
        let (shard, batch) = (shard.id(), shard.stream_touched(name));
        if batch > 0 {
            self.depends.push(Dependency { shard, batch });
        }
    }
}

impl<C: Cells> Node<C> {
    /// What is known of a stream, over all shards.
    pub fn stream(&self, name: &[u8]) -> StreamView {
        let mut view = StreamView::default();
        for id in 0..self.cells.count() {
            view.look(&self.cells.shard(id), name);
        }
        view
    }

    /// About `count` streams whose names follow `after`, in their order. Each shard is held for a
    /// moment: a stream that is there throughout is in one of the pages.
    pub fn streams(&self, after: &[u8], count: usize) -> StreamPage {
        let mut page = StreamPage::default();
        let mut found: BTreeMap<Box<[u8]>, StreamView> = BTreeMap::new();
        for id in 0..self.cells.count() {
            let shard = self.cells.shard(id);
            for (name, stream) in shard.streams_after(after).take(count + 1) {
                found.entry(name.into()).or_default().add(id, stream);
            }
            page.depends.push(Dependency { shard: id, batch: shard.newest() });
            // What goes here is beyond the page, whatever other shards have of it.
            while found.len() > count + 1 {
                found.pop_last();
            }
        }
        page.has_more = found.len() > count;
        page.streams = found.into_iter().take(count).collect();
        page
    }

    /// Holds a stream on the shard of a counter: `sequence` was refused at another layer.
    pub fn hold_stream(&self, counter: &str, stream: &[u8], sequence: u64) {
        self.cells.shard(self.shard_of(counter.as_bytes())).hold_stream(stream, sequence);
    }

    /// Stores a sender's checkpoint.
    ///
    /// # Errors
    /// A bad name or sequence, or no room.
    pub fn checkpoint(
        &self,
        now_ms: u64,
        name: &[u8],
        sequence: u64,
    ) -> Result<Dependency, Refusal> {
        let cx = self.context(now_ms, 1);
        let mut shard = self.cells.shard(self.shard_of(name));
        self.checkpoint_on(&mut shard, &cx, (name, sequence))
    }

    pub(super) fn checkpoint_on(
        &self,
        shard: &mut Shard,
        cx: &Context,
        (name, sequence): (&[u8], u64),
    ) -> Result<Dependency, Refusal> {
        let before = Before::of(shard);
        let stored = shard.checkpoint(cx, name, sequence);
        reach(Point::CheckpointStored);
        self.note_growth(shard, before);
        stored
    }

    /// For how many operations there must be room where a stream is to end.
    pub fn end_ops(&self) -> usize {
        (u64::from(self.cells.count()) * END_LOG_BYTES).div_ceil(OP_LOG_BYTES_MAX) as usize
    }

    /// Ends a stream on all shards, as one frame of the log: from here on its sequences count again
    /// as those of a new stream. Answers what it was, and what this depends on; nothing ends where
    /// nothing is known. `by_force` ends it although a sequence of it was refused and must come
    /// again first.
    ///
    /// # Errors
    /// A bad name, a stream that is held, no room, or a log that writes no shards together.
    pub fn end_stream(
        &self,
        now_ms: u64,
        name: &[u8],
        by_force: bool,
    ) -> Result<StreamView, Refusal> {
        check_stream_name(name)?;
        let mut group = self.group_all(now_ms, self.end_ops())?;
        let mut view = group.stream(name);
        if let Some(sequence) = view.held.filter(|_| !by_force) {
            return Err(Refusal::Held { sequence });
        }
        if let Some(refusal) = group.cx.no_room.filter(|_| view.is_known()) {
            return Err(refusal);
        }
        let home = self.shard_of(name);
        view.depends.clear();
        for (id, shard) in &mut group.shards {
            let before = Before::of(shard);
            if *id == home || !canary::is(Bug::EndOnOneShard) {
                shard.end_stream(now_ms, name);
            }
            self.note_growth(shard, before);
            let batch = shard.stream_touched(name);
            if batch > 0 {
                view.depends.push(Dependency { shard: *id, batch });
            }
        }
        Ok(view)
    }
}
