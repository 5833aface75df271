//! Reads frames of one segment through a window, and judges each by itself.

use std::io;

use quipu_core::canary::{self, Bug};
use stdx::checksum::crc32c;

use crate::{
    storage::StorageFile,
    wal::{
        frame::{self, HEADER_BYTES, Header, HeaderFault},
        segment::Segment,
    },
};

/// How much is read at once; a guess, not measured.
const WINDOW_BYTES: usize = 256 * 1024;

/// Comparing with these is comparing memory, not bytes.
static ZEROS: [u8; 4096] = [0; 4096];

/// What stands at an offset.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// A whole frame; its header checksum and payload.
    Frame { header: Header, checksum: u32, payload: &'a [u8] },
    /// An intact header of this segment whose payload does not fit its checksum.
    Torn,
    /// An intact header of a version that this code does not know.
    Version(u16),
    /// Nothing that this segment's writer has written.
    Nothing,
}

/// A window over a segment.
pub(crate) struct Reader<'a, F> {
    segment: &'a Segment<F>,
    start: u64,
    window: Vec<u8>,
}

impl<'a, F: StorageFile> Reader<'a, F> {
    /// Takes a buffer from a reader before, so that reading many segments allocates once.
    pub(crate) fn new(segment: &'a Segment<F>, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self { segment, start: 0, window: buffer }
    }

    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.window
    }

    /// Returns up to `length` bytes at `offset`, fewer only at the end of the file.
    pub(crate) fn bytes(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let end = self.start + self.window.len() as u64;
        let wanted = (offset + length as u64).min(self.segment.length);
        if offset < self.start || wanted > end {
            let rest = self.segment.length.saturating_sub(offset);
            let size = (length.max(WINDOW_BYTES) as u64).min(rest) as usize;
            self.window.resize(size, 0);
            let count = self.segment.file.read_at(&mut self.window, offset)?;
            self.window.truncate(count);
            self.start = offset;
        }
        let from = (offset - self.start) as usize;
        let rest = self.window.get(from..).unwrap_or_default();
        Ok(rest.get(..length).unwrap_or(rest))
    }

    /// Judges what stands at `offset`.
    pub(crate) fn frame(&mut self, offset: u64) -> io::Result<Found<'_>> {
        let id = self.segment.header.segment_id;
        let (header, checksum) = match Header::decode(self.bytes(offset, HEADER_BYTES)?) {
            Ok((header, checksum)) if is_of(&header, id) => (header, checksum),
            Err(HeaderFault::Version(version)) => return Ok(Found::Version(version)),
            _ => return Ok(Found::Nothing),
        };
        let length = u64::from(header.length);
        if offset + frame::extent(length, self.segment.header.block_bytes) > self.segment.length {
            return Ok(Found::Torn);
        }
        let bytes = self.bytes(offset, HEADER_BYTES + header.length as usize)?;
        match bytes.get(HEADER_BYTES..) {
            Some(payload)
                if payload.len() as u64 == length
                    && (crc32c(payload) == header.payload_crc
                        || canary::is(Bug::TornTailAccepted)) =>
            {
                Ok(Found::Frame { header, checksum, payload })
            }
            _ => Ok(Found::Torn),
        }
    }

    /// Returns the intact header at `offset` that this segment's writer wrote, if there is one.
    pub(crate) fn header(&mut self, offset: u64) -> io::Result<Option<Header>> {
        let id = self.segment.header.segment_id;
        let header = Header::decode(self.bytes(offset, HEADER_BYTES)?).ok();
        Ok(header.map(|(header, _)| header).filter(|header| is_of(header, id)))
    }

    /// Says whether the block at `offset` holds only zeros.
    pub(crate) fn is_zero(&mut self, offset: u64) -> io::Result<bool> {
        let block = self.segment.header.block_bytes as usize;
        let bytes = self.bytes(offset, block)?;
        Ok(bytes.chunks(ZEROS.len()).all(|part| ZEROS.starts_with(part)))
    }
}

/// Says whether a frame is of the use of its segment that has this identity.
fn is_of(header: &Header, segment_id: u64) -> bool {
    header.segment_id == segment_id || canary::is(Bug::SegmentIdUnchecked)
}
