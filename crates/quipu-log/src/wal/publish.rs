//! The last step of recovery: a fresh segment with everything that is not proven durable, synced
//! before it is named; then room is given back.

use quipu_core::failpoint::{Point, reach};

use crate::{
    storage::{Storage, StorageFile},
    wal::{
        Options, Wal, WriteError,
        chain::{self, Chain},
        frame::{self, Kind},
        pool::{Pool, SegmentInfo, Stock},
        preparer::create_or_open,
        reader::{Found, Reader},
        recovery::{Beyond, RecoverError, Walk, check_sizes, read_failed, storage_failed},
        segment::{self, Header, Segment},
        store,
        writer::Start,
    },
};

/// Writes the fresh segment and returns the writer that goes on in it.
pub(crate) fn publish<S: Storage>(
    storage: &S,
    mut chain: Chain<S>,
    walk: &Walk,
    beyond: &Beyond,
    options: &mut Options,
) -> Result<Wal<S>, RecoverError> {
    let length = fresh_length(storage, walk, options);
    let reused = drop_later(storage, &mut chain, walk.index, beyond, length)?;
    let fresh = match reused {
        Some(segment) => segment,
        None => create(storage, &chain, length, (options.random)())?,
    };
    reach(Point::RecoverCreated);
    let sequence = fresh.header.sequence;
    let stock = Stock {
        spares: std::mem::take(&mut chain.spares),
        sealed: sealed(&chain, walk),
        next_sequence: sequence + 1,
    };
    let layout = (options.segment_bytes, options.prepared);
    let pool = Pool::new(storage.clone(), chain.identity.store_id, layout, stock);
    let start = Start {
        position: walk.durable,
        link: walk.durable_link,
        frame_bytes_max: options.frame_bytes_max,
    };
    let mut wal = Wal::new(pool, fresh, start);
    rewrite(&chain, walk, &mut wal)?;
    reach(Point::RecoverRewritten);
    let unfinished = segment::unfinished_name(sequence);
    wal.file().sync().map_err(storage_failed("sync", &unfinished))?;
    reach(Point::RecoverSynced);
    segment::publish(storage, &unfinished, sequence)
        .map_err(storage_failed("name", &unfinished))?;
    wal.all_durable();
    reach(Point::RecoverNamed);
    if !chain.marked {
        store::write(storage, chain.identity).map_err(storage_failed("write", store::NAME))?;
    }
    shorten(&chain, walk)?;
    Ok(wal)
}

/// Begins the log of a store whose first `position` positions are in a snapshot, in a directory
/// without a log; `options` say which store it is.
///
/// # Errors
/// See [`RecoverError`].
pub(crate) fn establish<S: Storage>(
    storage: &S,
    position: u64,
    mut options: Options,
) -> Result<(), RecoverError> {
    check_sizes(storage, &mut options)?;
    let chain = chain::begin(options.identity);
    let walk = Walk::begin(&chain, position + 1)?;
    publish(storage, chain, &walk, &Beyond::default(), &mut options).map(drop)
}

/// Returns the length of the fresh segment: as configured, or what the unproven frames need and one
/// more frame of the largest kind. A life begins with a frame, before another segment is prepared.
fn fresh_length<S: Storage>(storage: &S, walk: &Walk, options: &Options) -> u64 {
    let block = storage.block_bytes();
    let frames = walk.tail.iter().map(|tail| frame::extent(u64::from(tail.length), block));
    let marks = 2 * frame::extent(0, block);
    let one_more = frame::extent(u64::from(options.frame_bytes_max), block);
    let needed = u64::from(block) + frames.sum::<u64>() + marks + one_more;
    options.segment_bytes.max(needed)
}

/// Removes the segments after the cut, last first, so that no gap can arise; but takes the next
/// one when it was prepared and never used: its zeros are durable already.
fn drop_later<S: Storage>(
    storage: &S,
    chain: &mut Chain<S>,
    index: usize,
    beyond: &Beyond,
    length: u64,
) -> Result<Option<Segment<S::File>>, RecoverError> {
    while chain.segments.len() > index + 1 {
        let Some(segment) = chain.pop() else { break };
        let blank = beyond.blank.get(chain.segments.len() - index - 1).copied().unwrap_or(false);
        let next = chain.segments.len() == index + 1;
        let same = segment.length == length && segment.header.block_bytes == storage.block_bytes();
        let name = segment.name();
        if blank && next && same {
            // The name goes first: a file that has it must be complete.
            let unfinished = segment::unfinished_name(segment.header.sequence);
            storage.rename(&name, &unfinished).map_err(storage_failed("rename", &name))?;
            storage.sync_dir().map_err(storage_failed("sync", "the data directory"))?;
            reach(Point::RecoverDropped);
            return Ok(Some(segment));
        }
        storage.remove(&name).map_err(storage_failed("remove", &name))?;
        storage.sync_dir().map_err(storage_failed("sync", "the data directory"))?;
        reach(Point::RecoverDropped);
    }
    Ok(None)
}

fn create<S: Storage>(
    storage: &S,
    chain: &Chain<S>,
    length: u64,
    segment_id: u64,
) -> Result<Segment<S::File>, RecoverError> {
    let sequence = chain.segments.last().map_or(1, |last| last.header.sequence + 1);
    let block_bytes = storage.block_bytes();
    let header = Header { block_bytes, store_id: chain.identity.store_id, segment_id, sequence };
    let name = segment::unfinished_name(sequence);
    let file = create_or_open(storage, &name).map_err(storage_failed("create", &name))?;
    segment::format(&file, &header, length).map_err(storage_failed("write", &name))?;
    Ok(Segment { file, header, length })
}

/// Writes the unproven frames again, then a mark that says that they are durable: true as soon as
/// the segment has its name.
fn rewrite<S: Storage>(
    chain: &Chain<S>,
    walk: &Walk,
    wal: &mut Wal<S>,
) -> Result<(), RecoverError> {
    let mut buffer = Vec::new();
    for tail in &walk.tail {
        let Some(segment) = chain.segments.get(tail.index) else { continue };
        let mut reader = Reader::new(segment, buffer);
        let found = reader.frame(tail.offset).map_err(|source| read_failed(segment, source))?;
        let Found::Frame { payload, .. } = found else {
            let source = std::io::Error::other("a second reading differs from the first");
            return Err(read_failed(segment, source));
        };
        wal.put_frame(tail.kind, walk.durable, &[payload]).map_err(rewrite_failed)?;
        buffer = reader.into_buffer();
    }
    let position = wal.position();
    assert_eq!(position + 1, walk.expected, "every frame that was visited is in the log");
    wal.put_frame(Kind::Mark, position, &[]).map_err(rewrite_failed)?;
    Ok(())
}

fn rewrite_failed(error: WriteError) -> RecoverError {
    RecoverError::Rewrite(error)
}

/// Gives back the room of what the fresh segment took over. Not needed for correctness, so the
/// order in which it becomes durable does not matter.
fn shorten<S: Storage>(chain: &Chain<S>, walk: &Walk) -> Result<(), RecoverError> {
    let (index, offset) =
        walk.tail.front().map_or((walk.index, walk.offset), |front| (front.index, front.offset));
    for (i, segment) in chain.segments.iter().enumerate().skip(index) {
        let block = u64::from(segment.header.block_bytes);
        let length = if i == index { offset } else { block };
        if segment.length > length {
            let name = segment.name();
            segment.file.set_length(length).map_err(storage_failed("shorten", &name))?;
            segment.file.sync().map_err(storage_failed("sync", &name))?;
            reach(Point::RecoverShortened);
        }
    }
    Ok(())
}

/// Lists the earlier segments with the positions of theirs that still count.
fn sealed<S: Storage>(chain: &Chain<S>, walk: &Walk) -> Vec<SegmentInfo> {
    let fresh = walk.durable + 1;
    let info = |(index, segment): (usize, &Segment<S::File>)| {
        let end = chain.next_first(index).unwrap_or(fresh).min(fresh);
        let first = chain.first(index).filter(|_| chain.counts(index)).unwrap_or(end);
        let bytes = segment.length.saturating_sub(u64::from(segment.header.block_bytes));
        SegmentInfo { sequence: segment.header.sequence, positions: first.min(end)..end, bytes }
    };
    chain.segments.iter().enumerate().map(info).collect()
}
