//! From a directory to shards: what the log says, folded.

use quipu_core::record::{self, RecordError};
use quipu_core::replay::FoldError;
use quipu_core::shard::{Shard, ShardLimits};
use quipu_core::snapshot::{ItemValue, Place};

/// The shards as far as they are read.
#[derive(Debug)]
pub struct Recovering {
    shards: Vec<Shard>,
    seed: u64,
    limits: ShardLimits,
    shards_max: u16,
}

impl Recovering {
    /// Begins with nothing.
    pub fn new(seed: u64, limits: ShardLimits) -> Self {
        Self { shards: Vec::new(), seed, limits, shards_max: quipu_core::limits::SHARDS_MAX }
    }

    fn shard(&mut self, id: u16) -> Result<&mut Shard, FoldError> {
        if id >= self.shards_max {
            return Err(FoldError::NoShard { shard: id, shards: self.shards_max });
        }
        while self.shards.len() <= usize::from(id) {
            let next = self.shards.len() as u16;
            self.shards.push(Shard::new(next, self.seed, self.limits));
        }
        self.shards
            .get_mut(usize::from(id))
            .ok_or(FoldError::NoShard { shard: id, shards: self.shards_max })
    }

    /// Takes an item of the snapshot.
    ///
    /// # Errors
    /// It speaks of a shard that cannot be.
    pub fn load(&mut self, (id, key): &Place, value: &ItemValue) -> Result<(), FoldError> {
        self.shard(*id)?.load(key, value);
        Ok(())
    }

    /// Folds the payload of a frame.
    ///
    /// # Errors
    /// A record is not understood, or does not follow what was folded before.
    pub fn fold(&mut self, mut payload: &[u8]) -> Result<(), FoldError> {
        while !payload.is_empty() {
            let mut items = Vec::new();
            let (header, len) = record::read(payload, |_, item| {
                items.push(item);
                Ok::<_, RecordError>(())
            })?;
            let shard = self.shard(header.shard)?;
            shard.fold_header(&header)?;
            for item in &items {
                shard.fold_item(item)?;
            }
            payload = payload.get(len..).unwrap_or(&[]);
        }
        Ok(())
    }

    /// How many shards the store has; none where it is new.
    pub fn count(&self) -> Option<usize> {
        (!self.shards.is_empty()).then_some(self.shards.len())
    }

    /// The newest log time.
    pub fn newest_ms(&self) -> u64 {
        self.shards.iter().map(Shard::time_ms).max().unwrap_or(0)
    }

    /// All shards; a new store gets `count`.
    pub fn finish(mut self, count: u16) -> Vec<Shard> {
        if self.shards.is_empty() {
            let (seed, limits) = (self.seed, self.limits);
            self.shards = (0..count).map(|id| Shard::new(id, seed, limits)).collect();
        }
        self.shards
    }
}
