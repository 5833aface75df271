//! Reads the frames of sealed segments while the writer goes on in a later one.

use std::ops::Range;

use crate::{
    storage::Storage,
    wal::{
        chain::open_segment,
        frame::{self, Kind},
        pool::{Pool, SegmentInfo},
        reader::{Found, Reader},
        recovery::{RecoverError, read_failed},
        segment::Segment,
    },
};

/// What is told of each frame; false stops the reading.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(u64, &[u8]) -> bool;

/// Hands the payloads of frames `from` to `upto` to `visit`, in order. Every one of them is in a
/// sealed segment; damage is an error, as everything sealed is durable.
pub(crate) fn read_sealed<S: Storage>(
    pool: &Pool<S>,
    from: u64,
    upto: u64,
    visit: Visit<'_>,
) -> Result<(), RecoverError> {
    read(pool, pool.sealed(), from..upto + 1, visit)
}

/// Hands the payloads of durable frames `from` to `upto` to `visit`, those of the segment that is
/// written to included.
pub(crate) fn read_written<S: Storage>(
    pool: &Pool<S>,
    from: u64,
    upto: u64,
    visit: Visit<'_>,
) -> Result<(), RecoverError> {
    read(pool, pool.written(upto), from..upto + 1, visit)
}

fn read<S: Storage>(
    pool: &Pool<S>,
    infos: Vec<SegmentInfo>,
    wanted: Range<u64>,
    visit: Visit<'_>,
) -> Result<(), RecoverError> {
    let mut expected = wanted.start;
    for info in infos {
        if info.positions.end <= expected || expected >= wanted.end {
            continue;
        }
        if info.positions.start > expected {
            let file = crate::wal::segment::name(info.sequence);
            return Err(RecoverError::Gap { file, first: info.positions.start, start: expected });
        }
        let segment = open_segment(&pool.storage, info.sequence)?;
        if !read_segment(&segment, &info, expected..wanted.end, visit)? {
            return Ok(());
        }
        expected = info.positions.end;
    }
    Ok(())
}

/// Returns false when the visitor stopped the reading.
fn read_segment<S: crate::storage::StorageFile>(
    segment: &Segment<S>,
    info: &SegmentInfo,
    wanted: Range<u64>,
    visit: Visit<'_>,
) -> Result<bool, RecoverError> {
    let mut reader = Reader::new(segment, Vec::new());
    let mut offset = u64::from(segment.header.block_bytes);
    for position in info.positions.clone() {
        if position >= wanted.end {
            return Ok(true);
        }
        let found = reader.frame(offset).map_err(|source| read_failed(segment, source))?;
        let Found::Frame { header, payload, .. } = found else {
            return Err(damaged(segment, offset, position));
        };
        if header.position != position {
            return Err(damaged(segment, offset, position));
        }
        if wanted.contains(&position) && header.kind == Kind::Data && !visit(position, payload) {
            return Ok(false);
        }
        offset += frame::extent(u64::from(header.length), segment.header.block_bytes);
    }
    Ok(true)
}

fn damaged<F>(segment: &Segment<F>, offset: u64, position: u64) -> RecoverError {
    RecoverError::SealedDamaged { file: segment.name(), offset, position }
}
