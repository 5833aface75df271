//! One life of a node on a disk of a crash: the real recovery, the real log, the real folds.

use std::convert::Infallible;
use std::error::Error;
use std::sync::atomic::AtomicBool;

use quipu_core::shard::{Shard, ShardLimits};
use quipu_log::fold::Folder;
use quipu_log::log::Log as _;
use quipu_log::log::local::WalLog;
use quipu_log::snapshot::{self, Snapshot};
use quipu_log::storage::Storage;
use quipu_log::storage::fault::Faulty;
use quipu_log::storage::memory::Memory;
use quipu_log::wal::{Preparer, recover};

use crate::checks::Violation;
use crate::crash::plan::Plan;
use crate::driver::Driver;
use crate::recovery::{SEED, fold};

/// Streams of a shard, at most: more than any trace has.
const STREAMS_MAX: usize = 10;

/// A storage that says whether a crash has come.
pub trait Crashing: Storage {
    /// Whether nothing happens on it any more.
    fn has_crashed(&self) -> bool;
}

impl Crashing for Memory {
    fn has_crashed(&self) -> bool {
        false
    }
}

impl Crashing for Faulty<Memory> {
    fn has_crashed(&self) -> bool {
        self.crashed()
    }
}

/// Why a life ended early.
#[derive(Debug)]
pub enum End {
    /// The storage, or what is on it, did not let it go on.
    Storage(String),
    /// A promise was broken.
    Broken(Violation),
}

impl From<Violation> for End {
    fn from(violation: Violation) -> Self {
        Self::Broken(violation)
    }
}

/// An error with its causes, as one line.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn ended(error: impl Error) -> End {
    End::Storage(with_causes(&error))
}

/// A running node.
#[derive(Debug)]
pub struct Life<S: Storage> {
    /// The node and its log.
    pub driver: Driver<WalLog<S>>,
    folder: Folder<S>,
}

impl<S: Storage> Life<S> {
    /// Recovers and begins a life; `number` counts the lives of a trace.
    ///
    /// # Errors
    /// The storage failed, or what is on it is refused.
    pub fn open(storage: &S, plan: &Plan, number: u64) -> Result<Self, End> {
        let limits = ShardLimits { streams_max: STREAMS_MAX };
        let mut shards: Vec<Shard> =
            (0..plan.shards).map(|id| Shard::new(id, SEED, limits)).collect();
        let newest = snapshot::newest(storage, plan.store_id()).map_err(ended)?;
        if let Some(snapshot) = &newest.snapshot {
            load(storage, snapshot, &mut shards)?;
        }
        let visit = |_, payload: &[u8]| fold(&mut shards, payload);
        let recovered =
            recover(storage, plan.log_options(number), newest.start(), visit).map_err(ended)?;
        let mut preparer: Preparer<S> = recovered.preparer;
        let folder = Folder::new(&recovered.wal, plan.fold_memory_bytes, newest.snapshot);
        let folder = folder.retaining(plan.retain()).map_err(ended)?;
        let driver = Driver::start(WalLog::new(recovered.wal), shards).map_err(ended)?;
        // Without a segment ahead the next write fails, and says so.
        let driver = driver.with_roomy_preparer(move || drop(preparer.run()));
        Ok(Self { driver, folder })
    }

    /// Ends cleanly: all is durable, and the log says so.
    ///
    /// # Errors
    /// The log failed.
    pub fn close(&mut self) -> Result<(), End> {
        self.driver.commit().map_err(ended)?;
        self.driver.log.mark().map_err(ended)?;
        // What no mark has said was not synced: a mark is synced with what comes after it.
        self.driver.log.flush(&mut Vec::new()).map_err(ended)
    }

    /// Closes the segment and folds what is sealed. A fold that fails leaves the node as it was.
    ///
    /// # Errors
    /// The log failed.
    pub fn fold(&mut self) -> Result<(), End> {
        self.driver.log.seal().map_err(ended)?;
        self.driver.make_room();
        drop(self.folder.run(&AtomicBool::new(false)));
        Ok(())
    }
}

/// Loads a snapshot into new shards.
pub(crate) fn load<S: Storage>(
    storage: &S,
    snapshot: &Snapshot,
    shards: &mut [Shard],
) -> Result<(), End> {
    let take = |(id, key): &(u16, _), value: &_| {
        if let Some(shard) = shards.get_mut(usize::from(*id)) {
            shard.load(key, value);
        }
        Ok::<(), Infallible>(())
    };
    snapshot::load(storage, snapshot, take).map_err(ended)
}
