//! From a directory to shards: what the snapshot and the log say, folded on all cores.
//!
//! The thread that reads (and checks) files hands each lane what is of its shards; a lane is a thread
//! with some of them. A shard is on one lane, so its records are folded in their order. What a lane
//! finds wrong is told when more is handed to it, or at the end.

mod part;
#[cfg(test)]
mod tests;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use quipu_core::record::RecordError;
use quipu_core::replay::FoldError;
use quipu_core::shard::{Shard, ShardLimits};
use quipu_core::snapshot::read_items;
use quipu_log::snapshot::{self, Snapshot};
use quipu_log::sorted_file::SortedFileError;
use quipu_log::storage::Storage;

use self::part::{Part, Records};

/// Bytes of a piece of items, about: enough that handing it on costs nothing beside the work in it.
/// Guess.
const ITEMS_BYTES: usize = 1 << 20;

/// Pieces that may wait for a lane: with so many of items in line, it never waits while another gets
/// the items of its shard. Guess.
const PIECES_MAX: usize = 8;

/// Bytes of records that all lanes together get at a time; twice as many are in memory. Measured with
/// ten million counters: a start takes 12.3, 10.9, 9.7, 9.5 s of CPU with 1, 4, 16, 64 MiB.
const RECORDS_BYTES: usize = 16 << 20;

/// Most lanes: beyond it, one thread cannot read and check fast enough. Guess.
const LANES_MAX: usize = 8;

/// What does not fold.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// A frame of the log.
    #[error("frame {position} does not fit what was before it")]
    Frame {
        /// Its position.
        position: u64,
        /// How.
        source: FoldError,
    },
    /// An item of the snapshot.
    #[error(transparent)]
    Item(#[from] RecordError),
    /// Something speaks of a shard that cannot be.
    #[error(transparent)]
    NoShard(FoldError),
    /// No thread can be started.
    #[error("the machine refuses a thread")]
    Thread(#[from] std::io::Error),
}

/// What is handed to a lane.
enum Piece {
    /// Items of one shard.
    Items(u16, Vec<u8>),
    /// Records of the lane's shards.
    Records(Records),
}

/// The shards as far as they are read.
#[derive(Debug)]
pub struct Recovering {
    lanes: Vec<Lane>,
    items: (u16, Vec<u8>),
}

#[derive(Debug)]
struct Lane {
    /// What is to be handed to it.
    records: Records,
    /// Room that it is done with.
    folded: Receiver<Records>,
    pieces: SyncSender<Piece>,
    thread: JoinHandle<Result<Part, RecoveryError>>,
}

/// Fresh shards of a store.
pub fn fresh(count: u16, seed: u64, limits: ShardLimits) -> Vec<Shard> {
    (0..count).map(|id| Shard::new(id, seed, limits)).collect()
}

/// Loads the snapshot at a position into fresh shards.
///
/// # Errors
/// See [`SortedFileError`]; what does not check is damage, and the shards are gone with it.
pub fn load<S: Storage>(
    storage: &S,
    store_id: u64,
    position: u64,
    shards: Vec<Shard>,
) -> Result<(Snapshot, Vec<Shard>), SortedFileError> {
    let refused = |source| refused(position, source);
    let mut recovering = Recovering::over(shards).map_err(refused)?;
    let mut found = None;
    let read = snapshot::read_shards(storage, store_id, position, |shard, items| {
        let loaded = recovering.load(shard, items);
        loaded.map_err(|error| found.insert(error).to_string()).map_err(Told)
    });
    match (read, found) {
        (_, Some(error)) => Err(refused(error)),
        (Err(error), None) => Err(error),
        (Ok(snapshot), None) => Ok((snapshot, recovering.finish().map_err(refused)?)),
    }
}

/// An error that is told elsewhere in full.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Told(String);

/// The error of a snapshot that cannot be taken.
fn refused(position: u64, error: RecoveryError) -> SortedFileError {
    let file = snapshot::name(position);
    match error {
        RecoveryError::Item(source) => SortedFileError::Item { file, source },
        error => SortedFileError::Visit { file, source: Box::new(error) },
    }
}

impl Recovering {
    /// Goes on from shards, which are numbered from 0 without a gap.
    ///
    /// # Errors
    /// The process may have no more threads.
    pub fn over(shards: Vec<Shard>) -> Result<Self, RecoveryError> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let lanes = cores.clamp(1, LANES_MAX).min(shards.len().max(1));
        let mut parts: Vec<Part> = (0..lanes).map(|_| Part::new(lanes)).collect();
        for (id, shard) in shards.into_iter().enumerate() {
            parts[id % lanes].push(shard);
        }
        let lanes = parts.into_iter().enumerate().map(Lane::start).collect::<Result<_, _>>()?;
        Ok(Self { lanes, items: (0, Vec::new()) })
    }

    /// Takes items of a shard of the snapshot.
    ///
    /// # Errors
    /// What was taken before is not understood.
    pub fn load(&mut self, shard: u16, items: Vec<u8>) -> Result<(), RecoveryError> {
        if self.items.0 != shard || self.items.1.len() >= ITEMS_BYTES {
            self.pass_items()?;
        }
        self.items.0 = shard;
        if self.items.1.is_empty() {
            self.items.1 = items;
        } else {
            self.items.1.extend_from_slice(&items);
        }
        Ok(())
    }

    /// Takes the payload of a frame.
    ///
    /// # Errors
    /// What was taken before is not understood, or does not follow what was folded before it.
    pub fn fold(&mut self, position: u64, payload: &[u8]) -> Result<(), RecoveryError> {
        let lanes = self.lanes.len();
        let routed = part::route(payload, |shard, record| {
            if let Some(lane) = self.lanes.get_mut(usize::from(shard) % lanes) {
                lane.records.push(position, shard, record);
            }
        });
        routed.map_err(|source| RecoveryError::Frame { position, source })?;
        let full = RECORDS_BYTES / lanes;
        for lane in 0..lanes {
            if self.lanes[lane].records.bytes.len() >= full {
                self.pass_records(lane)?;
            }
        }
        Ok(())
    }

    fn pass_items(&mut self) -> Result<(), RecoveryError> {
        let (shard, items) = std::mem::take(&mut self.items);
        if items.is_empty() {
            return Ok(());
        }
        let lane = usize::from(shard) % self.lanes.len();
        self.pass(lane, Piece::Items(shard, items))
    }

    fn pass_records(&mut self, lane: usize) -> Result<(), RecoveryError> {
        let records = std::mem::take(&mut self.lanes[lane].records);
        self.pass(lane, Piece::Records(records))?;
        match self.lanes[lane].folded.recv() {
            Ok(room) => self.lanes[lane].records = room,
            Err(_) => return self.ended(lane),
        }
        Ok(())
    }

    fn pass(&mut self, lane: usize, piece: Piece) -> Result<(), RecoveryError> {
        if self.lanes[lane].pieces.send(piece).is_ok() {
            return Ok(());
        }
        self.ended(lane)
    }

    /// What a lane says that takes nothing and gives nothing: only an error ends it early.
    fn ended(&mut self, lane: usize) -> Result<(), RecoveryError> {
        self.lanes.swap_remove(lane).end().map(|_| ())
    }

    /// Waits for all lanes and returns the shards.
    ///
    /// # Errors
    /// Something is not understood, or does not follow what was folded before it.
    pub fn finish(mut self) -> Result<Vec<Shard>, RecoveryError> {
        self.pass_items()?;
        (0..self.lanes.len()).try_for_each(|lane| self.pass_records(lane))?;
        let parts = self.lanes.into_iter().map(Lane::end).collect::<Result<Vec<_>, _>>()?;
        let mut shards: Vec<Shard> = parts.into_iter().flat_map(Part::into_shards).collect();
        shards.sort_by_key(Shard::id);
        Ok(shards)
    }
}

impl Lane {
    fn start((index, part): (usize, Part)) -> Result<Self, RecoveryError> {
        let (pieces, received) = sync_channel(PIECES_MAX);
        let (give_back, folded) = sync_channel(2);
        // One is filled while the other is folded.
        give_back.send(Records::default()).expect("the other end is held");
        let name = format!("recovery-{index}");
        let thread = Builder::new().name(name).spawn(move || run(part, &received, &give_back))?;
        Ok(Self { records: Records::default(), folded, pieces, thread })
    }

    fn end(self) -> Result<Part, RecoveryError> {
        drop(self.pieces);
        match self.thread.join() {
            Ok(ended) => ended,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Works through all pieces.
fn run(
    mut part: Part,
    pieces: &Receiver<Piece>,
    give_back: &SyncSender<Records>,
) -> Result<Part, RecoveryError> {
    let mut last = None;
    for piece in pieces {
        match piece {
            Piece::Items(id, items) => {
                let shard = part.shard(id).map_err(RecoveryError::NoShard)?;
                read_items(&items, &mut last, |(_, key), value| shard.load(key, &value))?;
            }
            Piece::Records(mut records) => {
                let folded = part.fold(&mut records);
                folded.map_err(|(position, source)| RecoveryError::Frame { position, source })?;
                if give_back.send(records).is_err() {
                    break;
                }
            }
        }
    }
    Ok(part)
}
