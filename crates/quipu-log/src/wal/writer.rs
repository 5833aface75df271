//! The one writer: a frame costs one `pwrite`, a sync one `fdatasync`, and nothing is allocated.
//!
//! The last frame of a segment is durable before the first of the next is written, so what a crash
//! can take back always lies in one segment. The first write or sync that fails is final.

use std::{io, sync::Arc};

use quipu_core::{
    canary::{self, Bug},
    failpoint::{Point, reach},
};
use stdx::checksum::crc32c;
use thiserror::Error;

use crate::{
    storage::{Storage, StorageFile},
    wal::{
        frame::{self, HEADER_BYTES, Header, Kind},
        pool::{Pool, SegmentInfo},
        segment::Segment,
    },
};

/// Why a frame could not be written or made durable.
#[derive(Debug, Clone, Error)]
pub enum WriteError {
    /// The payload is above the frame limit. Nothing was written; the log goes on.
    #[error("a frame of {length} bytes is above the limit of {limit} bytes")]
    TooLarge {
        /// Length of the payload in bytes.
        length: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// No prepared segment has room. Nothing was written; the log goes on when there is one.
    #[error("no prepared segment has room for a frame of {length} bytes")]
    NoRoom {
        /// Length of the payload in bytes.
        length: u64,
    },
    /// The storage failed. Final: what was written since the last sync may or may not be on disk,
    /// and only a restart tells.
    #[error("{operation} of {file} failed at offset {offset}; restart to recover from disk")]
    Failed {
        /// What was being done.
        operation: &'static str,
        /// The segment.
        file: String,
        /// Where in the segment, in bytes.
        offset: u64,
        /// What the storage said.
        source: Arc<io::Error>,
    },
}

impl WriteError {
    /// Says whether the writer is finished: every later call answers with this error.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}

/// The writer of a log.
#[derive(Debug)]
pub struct Wal<S: Storage> {
    pool: Arc<Pool<S>>,
    segment: Segment<S::File>,
    /// Where the next frame goes.
    offset: u64,
    /// The first position in the current segment.
    first: u64,
    position: u64,
    durable: u64,
    /// The header checksum of the last frame.
    link: u32,
    /// Whether the last frame is a mark.
    marked: bool,
    frame_bytes_max: u32,
    /// Bytes of all frames that this writer wrote.
    written_bytes: u64,
    buffer: Vec<u8>,
    failed: Option<WriteError>,
}

/// Where a writer begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    /// The last position before it; all up to it is durable.
    pub(crate) position: u64,
    /// The header checksum of the frame at that position.
    pub(crate) link: u32,
    pub(crate) frame_bytes_max: u32,
}

impl<S: Storage> Wal<S> {
    pub(crate) fn new(pool: Arc<Pool<S>>, segment: Segment<S::File>, start: Start) -> Self {
        pool.begin(segment.header.sequence, start.position + 1, None);
        Self {
            offset: u64::from(segment.header.block_bytes),
            pool,
            segment,
            first: start.position + 1,
            position: start.position,
            durable: start.position,
            link: start.link,
            marked: false,
            frame_bytes_max: start.frame_bytes_max,
            written_bytes: 0,
            buffer: Vec::new(),
            failed: None,
        }
    }

    /// Returns the position of the last frame that was written; 0 before the first.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Returns the newest position that is durable.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// Returns the identity of the store.
    pub fn store_id(&self) -> u64 {
        self.pool.store_id
    }

    /// Says whether the preparer should run.
    pub fn needs_segment(&self) -> bool {
        self.pool.needs_segment()
    }

    /// Returns the length in bytes of the largest payload that one frame is sure to take now, in
    /// the current segment or the next prepared one; 0 when there is room for none. A mark never
    /// shrinks it. Costs an atomic load.
    pub fn room(&self) -> u64 {
        let reserve = if self.marked { 0 } else { u64::from(self.segment.header.block_bytes) };
        let header = HEADER_BYTES as u64 + reserve;
        let here = (self.segment.length - self.offset).saturating_sub(header);
        let block = u64::from(self.pool.storage.block_bytes());
        let next = self.pool.ready_length().saturating_sub(block + header);
        here.max(next).min(u64::from(self.frame_bytes_max))
    }

    /// Writes one frame with the concatenated parts as payload and returns its position. It is
    /// durable after the next [`Wal::sync`]. Costs one copy, one checksum and one `pwrite`; the
    /// first frame of a segment also a sync of the segment before.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn write(&mut self, payload: &[&[u8]]) -> Result<u64, WriteError> {
        self.check()?;
        let length: u64 = payload.iter().map(|part| part.len() as u64).sum();
        let limit = u64::from(self.frame_bytes_max);
        if length > limit {
            return Err(WriteError::TooLarge { length, limit });
        }
        self.make_room(length)?;
        self.put_frame(Kind::Data, self.durable, payload)
    }

    /// Makes every frame so far durable and returns the newest durable position. Costs one
    /// `fdatasync`, nothing when all is durable already.
    ///
    /// # Errors
    /// [`WriteError::Failed`], once and for all.
    pub fn sync(&mut self) -> Result<u64, WriteError> {
        self.check()?;
        if self.durable < self.position {
            reach(Point::SyncBegun);
            if let Err(source) = self.sync_file()
                && !canary::is(Bug::SyncErrorIgnored)
            {
                return Err(self.fail("sync", source));
            }
            reach(Point::SyncDone);
            self.all_durable();
        }
        Ok(self.durable)
    }

    fn sync_file(&self) -> io::Result<()> {
        if canary::is(Bug::SyncNothing) {
            return Ok(());
        }
        let synced = self.segment.file.sync();
        if synced.is_err() && canary::is(Bug::SyncRetried) {
            return self.segment.file.sync();
        }
        synced
    }

    /// Syncs, then writes and syncs a frame that says so: from then on recovery knows that damage
    /// to any frame before is not a torn tail. To be called when writing pauses for 100 ms and at
    /// shutdown. Does nothing when the last frame is a mark or there is no room for one.
    ///
    /// # Errors
    /// [`WriteError::Failed`], once and for all.
    pub fn mark(&mut self) -> Result<(), WriteError> {
        self.sync()?;
        if self.marked || matches!(self.make_room(0), Err(WriteError::NoRoom { .. })) {
            return Ok(());
        }
        self.check()?;
        reach(Point::MarkBegun);
        self.put_frame(Kind::Mark, self.durable, &[])?;
        self.sync()?;
        reach(Point::MarkDone);
        Ok(())
    }

    /// Goes on to the next prepared segment, so that the present one can be folded; false when it
    /// holds nothing yet or none is prepared.
    ///
    /// # Errors
    /// [`WriteError::Failed`], once and for all.
    pub fn seal(&mut self) -> Result<bool, WriteError> {
        self.check()?;
        if self.position < self.first || self.pool.ready_length() == 0 {
            return Ok(false);
        }
        self.next_segment()
    }

    /// Returns how many bytes of the current segment are used.
    pub fn segment_used(&self) -> u64 {
        self.offset
    }

    /// Returns how many bytes of frames this writer wrote: headers, padding and marks included.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Returns the sealed segments, oldest first.
    pub fn sealed(&self) -> Vec<SegmentInfo> {
        self.pool.sealed()
    }

    fn check(&self) -> Result<(), WriteError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn fail(&mut self, operation: &'static str, source: io::Error) -> WriteError {
        let (file, source) = (self.segment.name(), Arc::new(source));
        let error = WriteError::Failed { operation, file, offset: self.offset, source };
        if !canary::is(Bug::FailureNotLatched) {
            self.failed = Some(error.clone());
        }
        error
    }

    /// Goes on to the next segment if the current one does not take a payload of `length` bytes.
    fn make_room(&mut self, length: u64) -> Result<(), WriteError> {
        let extent = frame::extent(length, self.segment.header.block_bytes);
        if self.segment.length - self.offset >= extent {
            return Ok(());
        }
        let block = self.pool.storage.block_bytes();
        let needed = u64::from(block) + frame::extent(length, block);
        if self.pool.ready_length() < needed {
            return Err(WriteError::NoRoom { length });
        }
        match self.next_segment() {
            Ok(true) => Ok(()),
            Ok(false) => Err(WriteError::NoRoom { length }),
            Err(error) => Err(error),
        }
    }

    fn next_segment(&mut self) -> Result<bool, WriteError> {
        if !canary::is(Bug::NextSegmentEarly) {
            self.sync()?;
        }
        let Some(next) = self.pool.take_ready() else { return Ok(false) };
        reach(Point::SegmentFull);
        let sealed = SegmentInfo {
            sequence: self.segment.header.sequence,
            positions: self.first..self.position + 1,
            bytes: self.offset - u64::from(self.segment.header.block_bytes),
        };
        self.pool.begin(next.header.sequence, self.position + 1, Some(sealed));
        self.offset = u64::from(next.header.block_bytes);
        self.first = self.position + 1;
        self.segment = next;
        reach(Point::SegmentBegun);
        Ok(true)
    }

    /// Writes a frame where the caller has made sure that there is room.
    pub(crate) fn put_frame(
        &mut self,
        kind: Kind,
        durable_upto: u64,
        payload: &[&[u8]],
    ) -> Result<u64, WriteError> {
        self.buffer.clear();
        self.buffer.resize(HEADER_BYTES, 0);
        for part in payload {
            self.buffer.extend_from_slice(part);
        }
        let body = self.buffer.get(HEADER_BYTES..).unwrap_or_default();
        let header = Header {
            kind,
            length: body.len() as u32,
            payload_crc: crc32c(body),
            segment_id: self.segment.header.segment_id,
            position: self.position + 1,
            durable_upto,
            link: self.link,
        };
        let (bytes, checksum) = header.encode();
        self.buffer[..HEADER_BYTES].copy_from_slice(&bytes);
        let extent = frame::extent(u64::from(header.length), self.segment.header.block_bytes);
        self.buffer.resize(extent as usize, 0);
        assert!(self.offset + extent <= self.segment.length, "a frame ends within its segment");
        reach(Point::FrameBuilt);
        if canary::is(Bug::FrameTouchesDurable) {
            self.write_block_before();
        }
        if let Err(source) = self.segment.file.write_at(&self.buffer, self.offset)
            && !canary::is(Bug::WriteErrorIgnored)
        {
            return Err(self.fail("write", source));
        }
        reach(Point::FrameWritten);
        self.offset += extent;
        self.written_bytes += extent;
        self.position += 1;
        self.link = checksum;
        self.marked = kind == Kind::Mark;
        Ok(self.position)
    }

    /// Writes the block before the next frame once more, as it is: only a deliberate bug does.
    #[cold]
    fn write_block_before(&self) {
        let block = self.segment.header.block_bytes;
        let mut bytes = vec![0; block as usize];
        let offset = self.offset - u64::from(block);
        let read = self.segment.file.read_at(&mut bytes, offset);
        let _failed = read.and_then(|_| self.segment.file.write_at(&bytes, offset)).is_err();
    }

    pub(crate) fn pool(&self) -> Arc<Pool<S>> {
        Arc::clone(&self.pool)
    }

    /// Returns the file of the current segment; only recovery, which names it, needs it.
    pub(crate) fn file(&self) -> &S::File {
        &self.segment.file
    }

    /// Notes that the file was synced; in recovery, that it was named as well.
    pub(crate) fn all_durable(&mut self) {
        self.durable = self.position;
        self.pool.set_durable(self.durable);
    }
}
