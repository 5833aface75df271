//! What a node keeps its log in: opened at every start, looked after between commits.
//!
//! [`LocalMedium`] is the write-ahead log of one machine over the lying disk. A log that many
//! nodes share joins by another [`Medium`].

use std::error::Error;
use std::fmt;
use std::sync::atomic::AtomicBool;

use quipu_core::shard::{Shard, ShardLimits};
use quipu_core::snapshot::{ItemValue, Place};
use quipu_log::fold::{Folder, Outcome};
use quipu_log::history::Retain;
use quipu_log::log::Log;
use quipu_log::log::local::WalLog;
use quipu_log::snapshot;
use quipu_log::sorted_file::SortedFileError;
use quipu_log::wal::{
    Identity, Options, PrepareError, Preparer, RecoverError, Recovered, WriteError, identify,
    recover,
};
use stdx::hash::hash64;

use crate::disk::Disk;
use crate::recovery::fold;

/// The log of one life of a node, and what is done to it beside the requests.
pub trait Store: fmt::Debug {
    /// The log itself.
    fn log(&mut self) -> &mut dyn Log;
    /// The position of the newest frame.
    fn position(&self) -> u64;
    /// Makes room ahead of need.
    fn prepare(&mut self) -> Prepared;
    /// Whether what is written to should be closed, so that it can be folded.
    fn wants_seal(&mut self) -> bool;
    /// Whether the log has outgrown its snapshot.
    fn is_fold_due(&self) -> bool;
    /// Makes the log smaller; says whether there is a new snapshot, or why not.
    ///
    /// # Errors
    /// One sentence; nothing is lost by it.
    fn fold(&mut self, cancel: bool) -> Result<bool, String>;
    /// Bytes of log that no snapshot holds yet, at most.
    fn log_bytes(&self) -> u64;
}

/// How making room ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prepared {
    /// There is room.
    Ready,
    /// The disk has none.
    NoRoom,
    /// The disk failed.
    Failed,
    /// Only a restart helps.
    Never,
}

/// A log that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The log.
    pub store: Box<dyn Store>,
    /// What it says.
    pub shards: Vec<Shard>,
    /// What was found.
    pub found: Found,
}

/// What opening a log found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// The position of the last frame that says something, or of the snapshot.
    pub position: u64,
    /// The position of the snapshot; 0 without one.
    pub snapshot: u64,
    /// Frames that were written again because nothing proved them durable.
    pub rewritten: u64,
    /// Whether an end that nobody was promised was cut off.
    pub was_cut: bool,
    /// Snapshots that do not check.
    pub damaged_snapshots: usize,
}

/// Why a log was not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenError {
    /// The device failed meanwhile.
    Device(String),
    /// The log is refused.
    Refused(String),
}

/// Where the log of a node is.
pub trait Medium: fmt::Debug {
    /// Opens the log. `life` numbers the starts.
    ///
    /// # Errors
    /// See [`OpenError`].
    fn open(&self, life: u64) -> Result<Opened, OpenError>;
}

/// How a local log is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Length of a segment.
    pub segment_bytes: u64,
    /// Largest frame.
    pub frame_bytes_max: u32,
    /// Segments kept ready.
    pub prepared: usize,
    /// Log that makes a fold due.
    pub fold_bytes_min: u64,
    /// Memory of a fold before it spills.
    pub fold_memory_bytes: usize,
    /// Shards of the store.
    pub shards: u16,
    /// Most streams of a shard.
    pub streams_max: usize,
    /// The store's identity, which is also the seed of names' hashes.
    pub store_id: u64,
}

/// The write-ahead log of one machine.
#[derive(Debug)]
pub struct LocalMedium {
    /// Its disk.
    pub disk: Disk,
    /// How it is laid out.
    pub layout: Layout,
}

/// The error and its causes.
fn sentence(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl From<RecoverError> for OpenError {
    fn from(error: RecoverError) -> Self {
        let text = sentence(&error);
        match error {
            RecoverError::Storage { .. } | RecoverError::Rewrite(WriteError::Failed { .. }) => {
                Self::Device(text)
            }
            _ => Self::Refused(text),
        }
    }
}

impl From<SortedFileError> for OpenError {
    fn from(error: SortedFileError) -> Self {
        let text = sentence(&error);
        match error {
            SortedFileError::Storage { .. } => Self::Device(text),
            _ => Self::Refused(text),
        }
    }
}

impl LocalMedium {
    fn options(&self, life: u64) -> Options {
        let (layout, mut drawn) = (self.layout, 0_u64);
        let mut options = Options::new(Box::new(move || {
            drawn += 1;
            hash64(layout.store_id ^ life, &drawn.to_le_bytes())
        }));
        options.segment_bytes = layout.segment_bytes;
        options.frame_bytes_max = layout.frame_bytes_max;
        options.prepared = layout.prepared;
        options.identity = Identity { store_id: layout.store_id, shards: layout.shards };
        options
    }

    /// From the last fold alone to four links of the chain, by the store.
    fn retain(&self) -> Retain {
        let snapshots = 1 + (self.layout.store_id % 4) as usize;
        Retain { bytes: 4 * self.layout.fold_bytes_min, snapshots, ..Retain::LAST_FOLD }
    }

    /// Shards of a new store.
    pub fn fresh(layout: &Layout) -> Vec<Shard> {
        let limits = ShardLimits { streams_max: layout.streams_max };
        (0..layout.shards).map(|id| Shard::new(id, layout.store_id, limits)).collect()
    }
}

impl Medium for LocalMedium {
    fn open(&self, life: u64) -> Result<Opened, OpenError> {
        let mut options = self.options(life);
        options.identity = identify(&self.disk, options.identity)?;
        let mut shards = Self::fresh(&self.layout);
        let newest = snapshot::newest(&self.disk, options.identity.store_id)?;
        if let Some(newest) = &newest.snapshot {
            let load = |(id, key): &Place, value: &ItemValue| {
                shards.get_mut(usize::from(*id)).into_iter().for_each(|s| s.load(key, value));
                Ok::<_, std::convert::Infallible>(())
            };
            snapshot::load(&self.disk, newest, load)?;
        }
        let mut position = newest.start() - 1;
        let visit = |at, payload: &[u8]| {
            position = at;
            fold(&mut shards, payload)
        };
        let Recovered { wal, preparer, report } =
            recover(&self.disk, options, newest.start(), visit)?;
        let found = Found {
            position,
            snapshot: newest.start() - 1,
            rewritten: report.rewritten,
            was_cut: report.cut.is_some(),
            damaged_snapshots: newest.damaged.len(),
        };
        let folder = Folder::new(&wal, self.layout.fold_memory_bytes, newest.snapshot)
            .retaining(self.retain())
            .map_err(|error| OpenError::Device(sentence(&error)))?;
        let (log, least) = (WalLog::new(wal), self.layout.fold_bytes_min);
        let store = Box::new(LocalStore { log, preparer, folder, least });
        Ok(Opened { store, shards, found })
    }
}

/// An open write-ahead log.
#[derive(Debug)]
struct LocalStore {
    log: WalLog<Disk>,
    preparer: Preparer<Disk>,
    folder: Folder<Disk>,
    least: u64,
}

impl Store for LocalStore {
    fn log(&mut self) -> &mut dyn Log {
        &mut self.log
    }

    fn position(&self) -> u64 {
        self.log.wal().position()
    }

    fn prepare(&mut self) -> Prepared {
        let mut ended = self.preparer.run();
        // On a full disk, history goes first.
        if matches!(ended, Err(PrepareError::NoSpace { .. }))
            && self.folder.give_up_history().is_ok_and(|retired| retired > 0)
        {
            ended = self.preparer.run();
        }
        match ended {
            Ok(()) => Prepared::Ready,
            Err(PrepareError::NoSpace { .. }) => Prepared::NoRoom,
            Err(error) if error.is_final() => Prepared::Never,
            Err(_) => Prepared::Failed,
        }
    }

    fn wants_seal(&mut self) -> bool {
        self.folder.wants_seal(self.log.written().open_bytes, self.least)
    }

    fn is_fold_due(&self) -> bool {
        self.folder.is_due(self.least)
    }

    fn fold(&mut self, cancel: bool) -> Result<bool, String> {
        match self.folder.run(&AtomicBool::new(cancel)) {
            Ok(outcome) => Ok(matches!(outcome, Outcome::Folded(_))),
            Err(error) => Err(sentence(&error)),
        }
    }

    fn log_bytes(&self) -> u64 {
        self.folder.log_bytes()
    }
}
