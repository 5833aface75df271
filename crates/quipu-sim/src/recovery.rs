//! From payloads to shards.

use quipu_core::record::{self, RecordError};
use quipu_core::replay::FoldError;
use quipu_core::shard::{Shard, ShardLimits};
use stdx::hash::hash64;

use quipu_log::storage::Storage;
use quipu_log::wal::{Options, RecoverError, Recovered, recover};

/// The seed of names' hashes.
pub const SEED: u64 = 11;

/// Shards of every store here.
pub const SHARDS: u16 = 4;

/// The least frame that admits a burst: all that may be admitted at once is below 80 KiB.
const FRAME_BYTES_MAX: u32 = 128 << 10;

/// Two frames and the segment's header.
const SEGMENT_BYTES: u64 = 260 << 10;

/// Shards of a new store.
pub fn fresh() -> Vec<Shard> {
    let limits = ShardLimits { streams_max: 10 };
    (0..SHARDS).map(|id| Shard::new(id, SEED, limits)).collect()
}

/// Folds the records of a payload.
///
/// # Errors
/// A record is not understood, or does not follow what was folded before.
pub fn fold(shards: &mut [Shard], mut payload: &[u8]) -> Result<(), FoldError> {
    while !payload.is_empty() {
        let mut items = Vec::new();
        let shard = &mut shards[usize::from(record::shard_of(payload)?)];
        let (header, length) = record::read(payload, shard.seed(), |_, item| {
            items.push(item);
            Ok::<_, RecordError>(())
        })?;
        shard.fold_header(&header)?;
        items.iter().try_for_each(|item| shard.fold_item(item))?;
        payload = &payload[length..];
    }
    Ok(())
}

fn options(seed: u64) -> Options {
    let mut drawn = 0_u64;
    let mut options = Options::new(Box::new(move || {
        drawn += 1;
        hash64(seed, &drawn.to_le_bytes())
    }));
    options.segment_bytes = SEGMENT_BYTES;
    options.frame_bytes_max = FRAME_BYTES_MAX;
    options
}

/// Opens a log and folds all of it. `life` makes the random numbers of one start.
///
/// # Errors
/// The log is damaged, or the storage fails.
pub fn open<S: Storage>(
    storage: &S,
    life: u64,
) -> Result<(Recovered<S>, Vec<Shard>), RecoverError> {
    let mut shards = fresh();
    let recovered = recover(storage, options(life), 1, |_, payload| fold(&mut shards, payload))?;
    Ok((recovered, shards))
}
