//! Opens a log: judges what is there, refuses damage, cuts off what was never acknowledged, and
//! serves nothing that is not durable.
//!
//! Frames are walked in order of position and judged by their own checksums, segment identity,
//! position and link. At the first place without the expected frame, every aligned offset to the
//! end of the last segment is looked at: an intact header there that says `durable_upto` at or
//! beyond the missing position proves that acknowledged data is damaged, and the log is refused.
//! Otherwise what follows was not provably acknowledged and is cut off.
//!
//! The page cache may show what the device never took. So the frames beyond the newest proven
//! durable position are written again, into a fresh segment that is synced before it gets its
//! name. A segment *takes over* from the position of its first frame: frames with that position
//! and later in earlier segments no longer count. That makes the step atomic; cutting the earlier
//! segments short afterwards only gives room back.

use std::{collections::VecDeque, error::Error, io};

pub use crate::wal::recover_error::RecoverError;
use crate::{
    storage::Storage,
    wal::{
        Options, Preparer, Wal,
        chain::{self, Chain},
        frame::{self, Kind},
        reader::{Found, Reader},
        segment::{self, Segment},
        store::Identity,
    },
};
use quipu_core::canary::{self, Bug};

/// What recovery cut off: an end that was never provably acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub file: String,
    /// Where the first frame that does not check should have been, in bytes.
    pub offset: u64,
    /// Its position.
    pub position: u64,
    /// How many bytes lay at or beyond it, in blocks that were not zero.
    pub bytes: u64,
    /// How many intact frame headers were among them.
    pub frames: u64,
}

/// What recovery found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The identity of the store.
    pub identity: Identity,
    /// Whether the store is new.
    pub created: bool,
    /// How many payloads were handed to the visitor.
    pub visited: u64,
    /// The last position that was found.
    pub position: u64,
    /// The newest position that was proven durable.
    pub proven: u64,
    /// How many frames beyond it were written again.
    pub rewritten: u64,
    /// What was cut off, if anything was there.
    pub cut: Option<Cut>,
}

/// An open log.
#[derive(Debug)]
pub struct Recovered<S: Storage> {
    /// The writer.
    pub wal: Wal<S>,
    /// Makes segments; to be run on another thread whenever [`Wal::needs_segment`].
    pub preparer: Preparer<S>,
    /// What was found.
    pub report: Report,
}

pub(super) fn read<S, E>(
    storage: &S,
    proposed: Identity,
    start: u64,
    mut visit: impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<(Chain<S>, Walk, Beyond), RecoverError>
where
    S: Storage,
    E: Error + Send + Sync + 'static,
{
    assert!(start > 0, "positions begin at 1");
    let chain = chain::open(storage, start, proposed)?;
    let mut walk = Walk::begin(&chain, start)?;
    walk.run(&chain, start, &mut |position, payload| {
        visit(position, payload)
            .map_err(|source| RecoverError::Visit { position, source: Box::new(source) })
    })?;
    if walk.link.is_none() {
        walk.durable_link = link_before(&chain, start)?;
    }
    let beyond = walk.look_on(&chain)?;
    walk.judge(&chain, start, &beyond)?;
    if !chain.marked && (walk.visited > 0 || start > 1) {
        return Err(RecoverError::MissingStore);
    }
    Ok((chain, walk, beyond))
}

/// Returns the header checksum of the frame before `start`: what is written next links to it, also
/// where the log has no frame from `start` on. 0 where that frame is not kept: nobody can check
/// the link then.
fn link_before<S: Storage>(chain: &Chain<S>, start: u64) -> Result<u32, RecoverError> {
    if start == 1 || chain.index_of(start - 1).is_err() {
        return Ok(0);
    }
    let mut walk = Walk::begin(chain, start - 1)?;
    walk.run(chain, u64::MAX, &mut |_, _| Ok(()))?;
    Ok(walk.link.filter(|_| walk.expected == start).unwrap_or(0))
}

pub(crate) fn check_sizes<S: Storage>(
    storage: &S,
    options: &mut Options,
) -> Result<(), RecoverError> {
    let block = storage.block_bytes();
    options.segment_bytes = options.segment_bytes.next_multiple_of(u64::from(block));
    let frame = frame::extent(u64::from(options.frame_bytes_max), block);
    // Header, two largest frames and a mark: "well below the segment size" in its weakest form.
    if options.segment_bytes < 2 * (u64::from(block) + frame) {
        let (segment_bytes, frame_bytes_max) = (options.segment_bytes, options.frame_bytes_max);
        return Err(RecoverError::SegmentTooSmall { segment_bytes, frame_bytes_max });
    }
    Ok(())
}

/// A frame that may have to be written again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TailFrame {
    pub(crate) index: usize,
    pub(crate) offset: u64,
    pub(crate) position: u64,
    pub(crate) length: u32,
    pub(crate) kind: Kind,
    checksum: u32,
}

/// The walk along the chain: where it stands and what it knows.
#[derive(Debug)]
pub(crate) struct Walk {
    /// Which segment, and where in it the next frame should be.
    pub(crate) index: usize,
    pub(crate) offset: u64,
    /// The position that should come next.
    pub(crate) expected: u64,
    link: Option<u32>,
    /// The newest position that a frame, or the snapshot, proves durable.
    pub(crate) durable: u64,
    /// The header checksum of the frame at that position, as far as known.
    pub(crate) durable_link: u32,
    /// The frames beyond it.
    pub(crate) tail: VecDeque<TailFrame>,
    visited: u64,
}

/// What lies at and beyond the first place without the expected frame.
#[derive(Debug, Default)]
pub(crate) struct Beyond {
    proof: Option<(usize, u64)>,
    durable: u64,
    frames: u64,
    blocks: u64,
    bytes: u64,
    /// How many of the blocks are in the segment where the walk ended.
    here: u64,
    /// For every later segment, whether it holds only zeros.
    pub(crate) blank: Vec<bool>,
}

type Visitor<'a> = &'a mut dyn FnMut(u64, &[u8]) -> Result<(), RecoverError>;

impl Walk {
    pub(crate) fn begin<S: Storage>(chain: &Chain<S>, start: u64) -> Result<Self, RecoverError> {
        let index = chain.index_of(start)?;
        // A segment that begins later holds nothing that is needed: all of it is taken over.
        let expected = chain.first(index).filter(|first| *first <= start).unwrap_or(start);
        let block = chain.segments.get(index).map_or(0, |segment| segment.header.block_bytes);
        Ok(Self {
            index,
            offset: u64::from(block),
            expected,
            link: None,
            durable: start - 1,
            durable_link: 0,
            tail: VecDeque::new(),
            visited: 0,
        })
    }

    /// Goes on to the first place without the expected frame.
    fn run<S: Storage>(
        &mut self,
        chain: &Chain<S>,
        start: u64,
        visit: Visitor<'_>,
    ) -> Result<(), RecoverError> {
        let mut buffer = Vec::new();
        while let Some(segment) = chain.segments.get(self.index) {
            let limit = chain.next_first(self.index);
            let mut reader = Reader::new(segment, buffer);
            while Some(self.expected) != limit
                && self.step(segment, &mut reader, start, &mut *visit)?
            {}
            buffer = reader.into_buffer();
            let Some(next) = chain.taking_over(self.index, self.expected) else { return Ok(()) };
            self.index = next;
            self.offset = chain.segments.get(next).map_or(0, |s| u64::from(s.header.block_bytes));
        }
        Ok(())
    }

    /// Takes the frame at the present offset if it is the expected one.
    fn step<F: crate::storage::StorageFile>(
        &mut self,
        segment: &Segment<F>,
        reader: &mut Reader<'_, F>,
        start: u64,
        visit: Visitor<'_>,
    ) -> Result<bool, RecoverError> {
        let found = reader.frame(self.offset).map_err(|source| read_failed(segment, source))?;
        let (header, checksum, payload) = match found {
            Found::Frame { header, checksum, payload } => (header, checksum, payload),
            Found::Version(found) => return Err(unknown_version(segment, found)),
            Found::Torn | Found::Nothing => return Ok(false),
        };
        let linked =
            self.link.is_none_or(|link| link == header.link) || canary::is(Bug::LinkUnchecked);
        if header.position != self.expected || !linked {
            return Ok(false);
        }
        if header.position >= start && header.kind == Kind::Data {
            visit(header.position, payload)?;
            self.visited += 1;
        }
        if self.link.is_none() {
            self.durable_link = header.link;
        }
        self.link = Some(checksum);
        self.tail.push_back(TailFrame {
            index: self.index,
            offset: self.offset,
            position: header.position,
            length: header.length,
            kind: header.kind,
            checksum,
        });
        self.proven(header.durable_upto);
        self.offset += frame::extent(u64::from(header.length), segment.header.block_bytes);
        self.expected += 1;
        Ok(true)
    }

    /// Notes that everything up to `position` is durable.
    fn proven(&mut self, position: u64) {
        self.durable = self.durable.max(position);
        while let Some(front) = self.tail.front().filter(|front| front.position <= self.durable) {
            self.durable_link = front.checksum;
            self.tail.pop_front();
        }
    }

    /// Looks at every aligned offset from the present place to the end of the last segment.
    fn look_on<S: Storage>(&self, chain: &Chain<S>) -> Result<Beyond, RecoverError> {
        let mut beyond = Beyond::default();
        let mut buffer = Vec::new();
        for (index, segment) in chain.segments.iter().enumerate().skip(self.index) {
            let block = u64::from(segment.header.block_bytes);
            let from = if index == self.index { self.offset } else { block };
            let before = beyond.blocks;
            let mut reader = Reader::new(segment, buffer);
            beyond
                .scan(index, from, &mut reader, segment)
                .map_err(|source| read_failed(segment, source))?;
            buffer = reader.into_buffer();
            if index > self.index {
                beyond.blank.push(beyond.blocks == before);
            } else {
                beyond.here = beyond.blocks;
            }
        }
        Ok(beyond)
    }

    /// Refuses the log if something acknowledged is missing.
    fn judge<S: Storage>(
        &mut self,
        chain: &Chain<S>,
        start: u64,
        beyond: &Beyond,
    ) -> Result<(), RecoverError> {
        let (file, offset) = self.place(chain, beyond);
        if let Some((index, proof_offset)) = beyond.proof
            && beyond.durable >= self.expected
        {
            if canary::is(Bug::DamageCutOff) {
                return Ok(());
            }
            return Err(RecoverError::Damaged {
                file,
                offset,
                position: self.expected,
                proof_file: chain.name(index),
                proof_offset,
            });
        }
        if self.expected < start {
            let (last, snapshot) = (self.expected - 1, start - 1);
            return Err(RecoverError::EndsEarly { file, offset, last, snapshot });
        }
        let believed = canary::is(Bug::TailNotRewritten);
        self.proven(if believed { self.expected - 1 } else { beyond.durable });
        Ok(())
    }

    /// Returns the file and offset where the missing frame should be: in the present segment, or
    /// at the start of the next one when the rest of this one was never written.
    fn place<S: Storage>(&self, chain: &Chain<S>, beyond: &Beyond) -> (String, u64) {
        let used = beyond.blank.iter().position(|blank| !blank).map(|later| self.index + 1 + later);
        match used.and_then(|index| chain.segments.get(index)) {
            Some(segment) if beyond.here == 0 => {
                (segment.name(), u64::from(segment.header.block_bytes))
            }
            _ => (chain.name(self.index), self.offset),
        }
    }

    pub(super) fn report<S: Storage>(&self, chain: &Chain<S>, beyond: &Beyond) -> Report {
        let (file, offset) = self.place(chain, beyond);
        let cut = (beyond.blocks > 0).then_some(Cut {
            file,
            offset,
            position: self.expected,
            bytes: beyond.bytes,
            frames: beyond.frames,
        });
        Report {
            identity: chain.identity,
            created: chain.segments.is_empty(),
            visited: self.visited,
            position: self.expected - 1,
            proven: self.durable,
            rewritten: self.tail.len() as u64,
            cut,
        }
    }
}

impl Beyond {
    fn scan<F: crate::storage::StorageFile>(
        &mut self,
        index: usize,
        from: u64,
        reader: &mut Reader<'_, F>,
        segment: &Segment<F>,
    ) -> io::Result<()> {
        let block_bytes = segment.header.block_bytes;
        for offset in (from..segment.length).step_by(block_bytes as usize) {
            if !reader.is_zero(offset)? {
                self.blocks += 1;
                self.bytes += u64::from(block_bytes);
                self.note(index, offset, reader.header(offset)?);
            }
        }
        Ok(())
    }

    fn note(&mut self, index: usize, offset: u64, header: Option<frame::Header>) {
        let Some(header) = header else { return };
        self.frames += 1;
        if self.proof.is_none() || header.durable_upto > self.durable {
            self.proof = Some((index, offset));
            self.durable = header.durable_upto;
        }
    }
}

pub(crate) fn read_failed<F>(segment: &Segment<F>, source: io::Error) -> RecoverError {
    RecoverError::Storage { operation: "read", file: segment.name(), source }
}

fn unknown_version<F>(segment: &Segment<F>, found: u16) -> RecoverError {
    RecoverError::UnknownVersion {
        file: segment.name(),
        found: u32::from(found),
        known: u32::from(frame::VERSION),
    }
}

/// Returns the error of a failed operation on the directory or a file of it.
pub(crate) fn storage_failed(
    operation: &'static str,
    file: &str,
) -> impl FnOnce(io::Error) -> RecoverError {
    let file = file.to_owned();
    move |source| RecoverError::Storage { operation, file, source }
}

/// Returns the error of a segment header that cannot be used.
pub(crate) fn bad_header(file: String, fault: segment::HeaderFault) -> RecoverError {
    match fault {
        segment::HeaderFault::Damaged => RecoverError::HeaderDamaged { file },
        segment::HeaderFault::Version(found) => RecoverError::UnknownVersion {
            file,
            found: u32::from(found),
            known: u32::from(segment::VERSION),
        },
    }
}
