//! What the writer, the preparer and the folder share: prepared segments, spare files and the
//! list of sealed segments.

use std::{
    collections::VecDeque,
    io,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use quipu_core::failpoint::{Point, reach};

use crate::{
    history::Kept,
    storage::Storage,
    wal::segment::{self, Segment},
};

/// A segment that is complete and durable and will not be written again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// The segment's number.
    pub sequence: u64,
    /// The positions of its frames that count; empty when a later segment took all over.
    pub positions: Range<u64>,
    /// How many bytes its frames take, at most.
    pub bytes: u64,
}

/// Shared by clones of the `Arc` that the writer and the preparer hold.
#[derive(Debug)]
pub(crate) struct Pool<S: Storage> {
    pub(crate) storage: S,
    pub(crate) store_id: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) target: usize,
    state: Mutex<State<S::File>>,
    ready_count: AtomicUsize,
    ready_length: AtomicU64,
    /// The newest position that is durable.
    durable: AtomicU64,
    /// What is kept of the log, and who reads it.
    pub(crate) kept: Mutex<Kept>,
}

#[derive(Debug)]
struct State<F> {
    ready: VecDeque<Segment<F>>,
    spares: Vec<String>,
    sealed: Vec<SegmentInfo>,
    /// The segment that is written to, and the first position in it.
    current: (u64, u64),
    next_sequence: u64,
}

/// What a pool starts with.
#[derive(Debug)]
pub(crate) struct Stock {
    pub(crate) spares: Vec<String>,
    pub(crate) sealed: Vec<SegmentInfo>,
    pub(crate) next_sequence: u64,
}

impl<S: Storage> Pool<S> {
    pub(crate) fn new(storage: S, store_id: u64, layout: (u64, usize), stock: Stock) -> Arc<Self> {
        let state = State {
            ready: VecDeque::new(),
            spares: stock.spares,
            sealed: stock.sealed,
            current: (stock.next_sequence.saturating_sub(1), u64::MAX),
            next_sequence: stock.next_sequence,
        };
        Arc::new(Self {
            storage,
            store_id,
            segment_bytes: layout.0,
            target: layout.1,
            state: Mutex::new(state),
            ready_count: AtomicUsize::new(0),
            ready_length: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            kept: Mutex::new(Kept::default()),
        })
    }

    /// Returns the length of the next prepared segment, 0 when there is none.
    pub(crate) fn ready_length(&self) -> u64 {
        self.ready_length.load(Ordering::Acquire)
    }

    /// Returns how many segments are prepared.
    pub(crate) fn ready_count(&self) -> usize {
        self.ready_count.load(Ordering::Acquire)
    }

    pub(crate) fn needs_segment(&self) -> bool {
        self.ready_count.load(Ordering::Acquire) < self.target
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.state.lock().next_sequence
    }

    pub(crate) fn take_spare(&self) -> Option<String> {
        self.state.lock().spares.pop()
    }

    pub(crate) fn put_spare(&self, name: String) {
        self.state.lock().spares.push(name);
    }

    pub(crate) fn put_ready(&self, segment: Segment<S::File>) {
        let mut state = self.state.lock();
        assert_eq!(segment.header.sequence, state.next_sequence, "segments are numbered densely");
        state.next_sequence += 1;
        state.ready.push_back(segment);
        self.note_ready(&state);
    }

    pub(crate) fn take_ready(&self) -> Option<Segment<S::File>> {
        let mut state = self.state.lock();
        let segment = state.ready.pop_front();
        self.note_ready(&state);
        segment
    }

    fn note_ready(&self, state: &State<S::File>) {
        let length = state.ready.front().map_or(0, |segment| segment.length);
        self.ready_length.store(length, Ordering::Release);
        self.ready_count.store(state.ready.len(), Ordering::Release);
    }

    /// Notes the segment that is written to from `first` on, and what was written before.
    pub(crate) fn begin(&self, sequence: u64, first: u64, sealed: Option<SegmentInfo>) {
        let mut state = self.state.lock();
        state.sealed.extend(sealed);
        state.current = (sequence, first);
    }

    /// Notes what is durable.
    pub(crate) fn set_durable(&self, position: u64) {
        self.durable.store(position, Ordering::Release);
    }

    /// Returns the newest position that is durable.
    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Returns all segments with frames up to `upto`, which is durable: also the one that is
    /// written to.
    pub(crate) fn written(&self, upto: u64) -> Vec<SegmentInfo> {
        let state = self.state.lock();
        let mut infos = state.sealed.clone();
        let (sequence, first) = state.current;
        if first <= upto {
            infos.push(SegmentInfo { sequence, positions: first..upto + 1, bytes: 0 });
        }
        infos
    }

    /// Returns the first position that the log holds.
    pub(crate) fn first_position(&self) -> u64 {
        let state = self.state.lock();
        let used = state.sealed.iter().find(|info| !info.positions.is_empty());
        used.map_or(state.current.1, |info| info.positions.start)
    }

    pub(crate) fn sealed(&self) -> Vec<SegmentInfo> {
        self.state.lock().sealed.clone()
    }

    /// Gives up the oldest sealed segment: its file becomes a spare, or goes when there are
    /// enough of them.
    pub(crate) fn retire_oldest(&self) -> io::Result<Option<SegmentInfo>> {
        let (info, keep) = {
            let state = self.state.lock();
            let Some(info) = state.sealed.first().cloned() else { return Ok(None) };
            (info, state.spares.len() < self.target)
        };
        let (name, spare) = (segment::name(info.sequence), segment::spare_name(info.sequence));
        let gone =
            if keep { self.storage.rename(&name, &spare) } else { self.storage.remove(&name) };
        // An attempt whose sync of the directory failed has moved it already.
        if let Err(error) = gone
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        reach(Point::FoldRetired);
        // One at a time: were two unsynced, a power cut could leave a gap between segments.
        self.storage.sync_dir()?;
        reach(Point::FoldRetiredDurably);
        let there = keep && self.storage.open(&spare).is_ok();
        let mut state = self.state.lock();
        state.sealed.remove(0);
        if there {
            state.spares.push(spare);
        }
        Ok(Some(info))
    }
}
