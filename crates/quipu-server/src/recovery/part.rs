//! Some of the shards of a store, and what of the log is theirs.
//!
//! The fuzz targets include this file by its path: it depends on the core alone.

use quipu_core::record::{self, Item, RecordError};
use quipu_core::replay::FoldError;
use quipu_core::shard::Shard;

/// The shards `index`, `index + lanes`, and so on, in order.
#[derive(Debug)]
pub(crate) struct Part {
    shards: Vec<Shard>,
    index: usize,
    lanes: usize,
}

impl Part {
    /// A part without shards.
    pub(crate) fn new(index: usize, lanes: usize) -> Self {
        Self { shards: Vec::new(), index, lanes }
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

    /// Folds what the payload of a frame says of its shards. `items` is room that is used again.
    ///
    /// # Errors
    /// A record is not understood, or does not follow what was folded before.
    pub(crate) fn fold<'p>(
        &mut self,
        mut payload: &'p [u8],
        items: &mut Vec<Item<'p>>,
    ) -> Result<(), FoldError> {
        while !payload.is_empty() {
            let id = record::shard_of(payload)?;
            let len = if usize::from(id) % self.lanes == self.index {
                self.fold_record(id, payload, items)?
            } else {
                record::skip(payload)?.1
            };
            payload = payload.get(len..).unwrap_or(&[]);
        }
        Ok(())
    }

    /// Folds the record at the front of a payload and returns its length.
    fn fold_record<'p>(
        &mut self,
        id: u16,
        payload: &'p [u8],
        items: &mut Vec<Item<'p>>,
    ) -> Result<usize, FoldError> {
        items.clear();
        let (header, len) = record::read(payload, |_, item| {
            items.push(item);
            Ok::<_, RecordError>(())
        })?;
        let shard = self.shard(id)?;
        shard.fold_header(&header)?;
        shard.fold_items(items)?;
        Ok(len)
    }
}
