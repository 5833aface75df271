//! Some of the shards of a store, and the records of the log that are theirs.
//!
//! The fuzz targets include this file by its path: it depends on the core alone.

use quipu_core::record::{self, Item, RecordError};
use quipu_core::replay::FoldError;
use quipu_core::shard::Shard;

/// Bytes of a cache line, of most processors.
const LINE_BYTES: usize = 64;

/// Lines of a record that are asked for ahead; the processor sees by itself where a long one goes on.
/// Guess.
const LINES_AHEAD: usize = 8;

/// Parts the payload of a frame into records and hands each on with its shard. What the items say
/// is checked where the record is folded.
///
/// # Errors
/// A record is not understood.
pub(crate) fn route(
    mut payload: &[u8],
    mut visit: impl FnMut(u16, &[u8]),
) -> Result<(), FoldError> {
    while !payload.is_empty() {
        let (header, len) = record::skip(payload)?;
        let (record, rest) = payload.split_at_checked(len).unwrap_or((payload, &[]));
        visit(header.shard, record);
        payload = rest;
    }
    Ok(())
}

/// Records in the order of the log, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// All of them.
    pub(crate) bytes: Vec<u8>,
    places: Vec<RecordPlace>,
}

#[derive(Debug)]
struct RecordPlace {
    shard: u16,
    /// Of the frame that it came in.
    position: u64,
    start: usize,
    end: usize,
}

impl Records {
    /// Adds a record of a shard from the frame at a position.
    pub(crate) fn push(&mut self, position: u64, shard: u16, record: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(record);
        self.places.push(RecordPlace { shard, position, start, end: self.bytes.len() });
    }

    /// Takes all out; the room stays.
    fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
    }

    /// Asks for the memory of a record.
    fn prefetch(&self, index: usize) {
        let place = self.places.get(index);
        let record = place.and_then(|place| self.bytes.get(place.start..place.end));
        let lines = record.unwrap_or_default().iter().step_by(LINE_BYTES).take(LINES_AHEAD);
        lines.for_each(stdx::prefetch::prefetch);
    }
}

/// Every shard whose number leaves the same rest when it is divided by `lanes`, in order.
#[derive(Debug)]
pub(crate) struct Part {
    shards: Vec<Shard>,
    lanes: usize,
}

impl Part {
    /// A part without shards.
    pub(crate) fn new(lanes: usize) -> Self {
        Self { shards: Vec::new(), lanes }
    }

    /// Adds the next of its shards.
    pub(crate) fn push(&mut self, shard: Shard) {
        self.shards.push(shard);
    }

    /// Its shards.
    pub(crate) fn into_shards(self) -> Vec<Shard> {
        self.shards
    }

    /// One of its shards, by its number in the store.
    ///
    /// # Errors
    /// There is none of that number.
    pub(crate) fn shard(&mut self, id: u16) -> Result<&mut Shard, FoldError> {
        let shards = (self.shards.len() * self.lanes) as u16;
        let place = usize::from(id) / self.lanes;
        self.shards.get_mut(place).ok_or(FoldError::NoShard { shard: id, shards })
    }

    /// Folds records and takes them out, shard by shard: the order of one shard's records is kept, shards do not know
    /// of each other, and what is used of one shard's memory stays in the processor's caches.
    ///
    /// # Errors
    /// A record is not understood, or does not follow what was folded before; and the position of
    /// its frame.
    pub(crate) fn fold(&mut self, records: &mut Records) -> Result<(), (u64, FoldError)> {
        // A stable sort: the order of the log stays within a shard.
        records.places.sort_by_key(|place| place.shard);
        let mut items = Vec::new();
        for (index, place) in records.places.iter().enumerate() {
            records.prefetch(index + 1);
            let record = records.bytes.get(place.start..place.end).unwrap_or_default();
            let folded = self.fold_record(place.shard, record, &mut items);
            folded.map_err(|error| (place.position, error))?;
        }
        records.clear();
        Ok(())
    }

    /// Folds one record. `items` is room that is used again.
    fn fold_record<'r>(
        &mut self,
        id: u16,
        record: &'r [u8],
        items: &mut Vec<Item<'r>>,
    ) -> Result<(), FoldError> {
        items.clear();
        let shard = self.shard(id)?;
        let (header, _) = record::read(record, shard.seed(), |_, item| {
            items.push(item);
            Ok::<_, RecordError>(())
        })?;
        shard.fold_header(&header)?;
        shard.fold_items(items)
    }
}
