//! The wiring of a node, read first: start, run, stop.

use std::cell::RefCell;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use quipu_core::clock::ClockDoubt;
use quipu_core::failpoint::{Point, reach};
use quipu_core::node::{Nature, Node};
use quipu_core::shard::{Shard, ShardLimits};
use quipu_log::fold::{self, FoldFailed, Folder};
use quipu_log::history::{History, Retain};
use quipu_log::log::local::WalLog;
use quipu_log::log::{Cut, Log, LogError};
use quipu_log::snapshot::{self, Newest};
use quipu_log::sorted_file::SortedFileError;
use quipu_log::storage::os::{NetworkFileSystem, OpenError, Os};
use quipu_log::wal::{
    Identity, Options, Preparer, RecoverError, Recovered, Report, identify, recover_then,
};
use quipu_metrics::name::Gauge;
use quipu_metrics::settings::Settings;

use crate::archive::{Desk, Shelf};
use crate::cells::SharedShards;
use crate::clock::{Clock, Stopwatch};
use crate::hub::Hub;
use crate::recovery::{self, Recovering, RecoveryError};
use crate::resp::peers::Peers;
use crate::resp::worker::Worker;
use crate::threads::Threads;
use crate::waker::Waker;
use crate::{archive, gateway, machine, ranker, upkeep};

/// Connections that may wait to be accepted. Spec: 1024. The library's own 128 are full within a
/// millisecond, and who does not fit tries again after a second.
pub const BACKLOG: i32 = 1024;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Beyond loopback.
    #[error(
        "{address} is not a loopback address: there is no TLS and no authentication yet, so the \
         node serves this machine only; use 127.0.0.1 or [::1]"
    )]
    NotLoopback {
        /// What was asked for.
        address: SocketAddr,
    },
    /// Taken, or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The data directory.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The threads that fold.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The snapshot, or what an interrupted fold left.
    #[error("the snapshots in {} cannot be read or tidied up", data_dir.display())]
    Snapshot {
        /// The data directory.
        data_dir: PathBuf,
        /// Which file, and why.
        source: SortedFileError,
    },
    /// What is kept of the log.
    #[error("the history of the log cannot be read")]
    History(#[from] FoldFailed),
    /// The clock.
    #[error(transparent)]
    Clock(#[from] ClockDoubt),
    /// Another number of shards.
    #[error(
        "the store in {path} has {found} shards and the configuration says {wanted}: the number is \
         fixed when a store is made; start with shards = {found}"
    )]
    Shards {
        /// Where.
        path: PathBuf,
        /// What the store has.
        found: u16,
        /// What was asked for.
        wanted: u32,
    },
    /// The directory takes no small writes.
    #[error("cannot write and sync {}", path.display())]
    Probe {
        /// The file that was tried.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The first write.
    #[error("the log took no write")]
    Log(#[from] LogError),
    /// Threads, descriptors, files.
    #[error("the machine refuses a thread, a descriptor or a socket")]
    Machine(#[from] std::io::Error),
    /// No entropy.
    #[error("the machine gives no random bits: {0}")]
    Entropy(String),
}

/// How a node ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The log failed.
    #[error(
        "the log failed, so the node stopped: {reason}; what was in flight is unknown to its \
         clients; start again to recover what is on disk"
    )]
    Log {
        /// What failed.
        reason: String,
    },
}

/// What a start found, for the banner.
#[derive(Debug, Clone)]
pub struct Started {
    /// Where Redis clients connect.
    pub resp: SocketAddr,
    /// Where HTTP is served.
    pub http: SocketAddr,
    /// Where administration is served.
    pub admin: SocketAddr,
    /// Median time of a small write and its sync.
    pub sync_time: Duration,
    /// How long recovery took.
    pub recovery_time: Duration,
    /// How many counters there are.
    pub counters: usize,
    /// What recovery says to the operator, if anything.
    pub notes: Vec<String>,
}

/// A node that runs.
#[derive(Debug)]
pub struct Running {
    hub: Arc<Hub>,
    threads: Threads,
    /// What its start found.
    pub started: Started,
}

struct Listeners {
    resp: TcpListener,
    http: TcpListener,
    admin: TcpListener,
}

/// A log that is open and shards that are recovered.
struct Store {
    log: WalLog<Os>,
    preparer: Preparer<Os>,
    folder: Folder<Os>,
    history: History<Os>,
    shards: Vec<Shard>,
    seed: u64,
    clock: Clock,
    notes: Vec<String>,
    truncated_bytes: u64,
}

/// Starts a node; returns when it serves.
///
/// # Errors
/// Says what stands in the way, and the remedy.
pub fn start(settings: Settings) -> Result<Running, StartError> {
    let listeners = listen(&settings)?;
    let watch = Stopwatch::start();
    let store = open(&settings)?;
    let recovery_time = watch.elapsed();
    let probe = settings.data_dir.join(machine::PROBE_FILE);
    let sync_time =
        machine::probe_sync(&probe).map_err(|source| StartError::Probe { path: probe, source })?;
    let memory_max = settings.memory_max.map_or_else(machine::memory_max_default, |b| b.0);
    let workers = workers(&settings);
    let wakers = (0..workers).map(|_| Waker::new()).collect::<Result<Vec<_>, _>>()?;
    let counters = store.shards.iter().map(Shard::counters).sum();
    let settings = bound(settings, &listeners)?;
    let nature = Nature { groups: store.log.groups(), tokens_max: settings.tokens.max as u64 };
    let node = Node::new(SharedShards::new(store.shards), store.seed, nature);
    let hub = Hub::new(node, Box::new(store.log), store.clock, settings, wakers);
    let hub = Arc::new(hub);
    hub.seed_sync_mean(sync_time);
    hub.registry.set(Gauge::RecoveryDuration, recovery_time.as_nanos() as i64);
    hub.registry.set(Gauge::RecoveryTruncatedBytes, store.truncated_bytes as i64);
    let started = Started {
        resp: listeners.resp.local_addr()?,
        http: listeners.http.local_addr()?,
        admin: listeners.admin.local_addr()?,
        sync_time,
        recovery_time,
        counters,
        notes: store.notes,
    };
    hub.admin.get_or_init(|| started.admin);
    let mut threads = Threads::default();
    let folder = Arc::new(Mutex::new(store.folder));
    let shelf = Shelf { hub: Arc::clone(&hub), history: store.history, folder };
    start_upkeep(&mut threads, &shelf, store.preparer, memory_max)?;
    let desk = start_readers(&mut threads, &shelf)?;
    start_surfaces(&mut threads, (&hub, desk), listeners, workers)?;
    Ok(Running { hub, threads, started })
}

impl Running {
    /// What all threads share.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Waits until the node has stopped: after [`Hub::stop`], or when its log fails.
    ///
    /// # Errors
    /// The log failed.
    pub fn wait(self) -> Result<(), RunError> {
        self.threads.join();
        upkeep::finish(&self.hub);
        match self.hub.failure() {
            None => Ok(()),
            Some(reason) => Err(RunError::Log { reason }),
        }
    }
}

fn workers(settings: &Settings) -> usize {
    let half = std::thread::available_parallelism().map_or(1, |n| n.get() / 2).max(1);
    settings.server.workers.map_or(half, std::num::NonZero::get)
}

fn listen(settings: &Settings) -> Result<Listeners, StartError> {
    let bind = |address: SocketAddr| {
        if !address.ip().is_loopback() {
            return Err(StartError::NotLoopback { address });
        }
        let listener = TcpListener::bind(address);
        let listener = listener.map_err(|source| StartError::Listen { address, source })?;
        listener.set_nonblocking(true)?;
        rustix::net::listen(&listener, BACKLOG).map_err(std::io::Error::from)?;
        Ok(listener)
    };
    Ok(Listeners {
        resp: bind(settings.resp.addr)?,
        http: bind(settings.http.addr)?,
        admin: bind(settings.admin_addr)?,
    })
}

/// The settings with the addresses that were really bound, where a port was left to the system.
fn bound(mut settings: Settings, listeners: &Listeners) -> Result<Settings, StartError> {
    settings.resp.addr = listeners.resp.local_addr()?;
    settings.http.addr = listeners.http.local_addr()?;
    settings.admin_addr = listeners.admin.local_addr()?;
    Ok(settings)
}

fn open(settings: &Settings) -> Result<Store, StartError> {
    let network = if settings.log.allow_network_fs {
        NetworkFileSystem::Force
    } else {
        NetworkFileSystem::Refuse
    };
    let storage = Os::open(&settings.data_dir, network)?;
    let mut options = options(settings)?;
    options.identity = identify(&storage, options.identity)?;
    let Identity { store_id: seed, shards: count } = options.identity;
    if u32::from(count) != settings.shards {
        let path = settings.data_dir.clone();
        return Err(StartError::Shards { path, found: count, wanted: settings.shards });
    }
    let limits = ShardLimits { streams_max: settings.tokens.streams_max };
    let (newest, shards) = load(&storage, || recovery::fresh(count, seed, limits), seed)
        .map_err(|source| StartError::Snapshot { data_dir: settings.data_dir.clone(), source })?;
    let (recovered, mut shards) = replay(&storage, options, newest.start(), shards)?;
    let Recovered { wal, preparer, report } = recovered;
    let notes = notes(&newest, &report);
    let folder = Folder::new(&wal, settings.fold.memory.0 as usize, newest.snapshot)
        .retaining(retain(settings))?;
    let history = History::of(&wal);
    let newest_ms = shards.iter().map(Shard::time_ms).max().unwrap_or(0);
    let clock = Clock::start(newest_ms, settings.clock_accept)?;
    let mut log = WalLog::new(wal);
    begin_epoch(&mut log, &mut shards, &clock, settings)?;
    let truncated_bytes = report.cut.map_or(0, |cut| cut.bytes);
    Ok(Store { log, preparer, folder, history, shards, seed, clock, notes, truncated_bytes })
}

/// How much history the settings keep.
fn retain(settings: &Settings) -> Retain {
    let time_ms = settings.log.retain_time.map(|time| time.0 / 1_000_000);
    Retain { bytes: settings.log.retain_bytes.0, time_ms, snapshots: usize::MAX }
}

/// Tidies up after an interrupted fold and loads the newest snapshot that holds.
fn load(
    storage: &Os,
    fresh: impl Fn() -> Vec<Shard>,
    store_id: u64,
) -> Result<(Newest, Vec<Shard>), SortedFileError> {
    fold::remove_leftovers(storage)?;
    let mut damaged = Vec::new();
    for position in snapshot::positions(storage)?.into_iter().rev() {
        match recovery::load(storage, store_id, position, fresh()) {
            Ok((snapshot, shards)) => {
                return Ok((Newest { snapshot: Some(snapshot), damaged }, shards));
            }
            Err(error) if error.is_damage() => damaged.push(error),
            Err(error) => return Err(error),
        }
    }
    Ok((Newest { snapshot: None, damaged }, fresh()))
}

/// Opens the log and folds what it says after the snapshot.
fn replay(
    storage: &Os,
    options: Options,
    start: u64,
    shards: Vec<Shard>,
) -> Result<(Recovered<Os>, Vec<Shard>), StartError> {
    let recovering = RefCell::new(Some(Recovering::over(shards)?));
    let mut folded = Vec::new();
    let fold = |position, payload: &[u8]| match recovering.borrow_mut().as_mut() {
        Some(recovering) => recovering.fold(position, payload),
        None => Ok(()),
    };
    let end = || {
        let recovering = recovering.take();
        folded = recovering.map_or(Ok(Vec::new()), Recovering::finish)?;
        Ok(())
    };
    let recovered = recover_then(storage, options, start, fold, end)?;
    Ok((recovered, folded))
}

/// What an operator should know of the start.
fn notes(newest: &Newest, report: &Report) -> Vec<String> {
    let damaged = newest.damaged.iter().map(|error| format!("a snapshot was passed over: {error}"));
    let cut = report.cut.iter().map(|cut| {
        format!(
            "the log ended in {} byte(s) that were never acknowledged, from offset {} of {} on; \
             they were cut off",
            cut.bytes, cut.offset, cut.file
        )
    });
    damaged.chain(cut).collect()
}

fn options(settings: &Settings) -> Result<Options, StartError> {
    let mut first = Some(random()?);
    let mut options = Options::new(Box::new(move || {
        first.take().unwrap_or_else(|| {
            random().expect("a machine that gave random bits a moment ago still does")
        })
    }));
    options.identity.shards = settings.shards as u16;
    options.segment_bytes = settings.log.segment_bytes.0;
    options.frame_bytes_max = settings.log.frame_bytes_max.0 as u32;
    Ok(options)
}

fn random() -> Result<u64, StartError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| StartError::Entropy(error.to_string()))?;
    Ok(u64::from_le_bytes(bytes))
}

/// Appends and syncs a new epoch of every shard.
fn begin_epoch(
    log: &mut WalLog<Os>,
    shards: &mut [Shard],
    clock: &Clock,
    settings: &Settings,
) -> Result<(), LogError> {
    let mut cut = Cut::default();
    let (now_ms, window_ms) = (clock.now_ms(), settings.tokens.window.0 / 1_000_000);
    for shard in shards {
        shard.begin_epoch(now_ms, window_ms, &mut cut.payload);
    }
    reach(Point::EpochBegun);
    log.append(&cut)?;
    reach(Point::EpochWritten);
    log.flush(&mut Vec::new())?;
    reach(Point::EpochDurable);
    Ok(())
}

fn start_upkeep(
    threads: &mut Threads,
    shelf: &Shelf,
    preparer: Preparer<Os>,
    memory_max: u64,
) -> Result<(), StartError> {
    let (hub, folder) = (&shelf.hub, Arc::clone(&shelf.folder));
    let shared = Arc::clone(hub);
    threads.start("committer", move || upkeep::commit_loop(&shared))?;
    let shared = Arc::clone(hub);
    let history = Arc::clone(&folder);
    threads.start("preparer", move || upkeep::prepare_loop(&shared, preparer, &history))?;
    let shared = Arc::clone(hub);
    threads.start("folder", move || upkeep::fold_loop(&shared, &folder))?;
    let shared = Arc::clone(hub);
    threads.start("housekeeper", move || upkeep::housekeeping_loop(&shared, memory_max))?;
    let shared = Arc::clone(hub);
    threads.start("ranker", move || ranker::rank_loop(&shared))?;
    Ok(())
}

/// Starts those who read history.
fn start_readers(threads: &mut Threads, shelf: &Shelf) -> Result<Desk, StartError> {
    let (desk, queue) = archive::open();
    for index in 0..archive::READERS {
        let (shelf, queue) = (shelf.clone(), Arc::clone(&queue));
        threads.start(&format!("reader-{index}"), move || archive::read_loop(&shelf, &queue))?;
    }
    Ok(desk)
}

fn start_surfaces(
    threads: &mut Threads,
    (hub, desk): (&Arc<Hub>, Desk),
    listeners: Listeners,
    workers: usize,
) -> Result<(), StartError> {
    let (resp, peers) = (Arc::new(listeners.resp), Arc::new(Peers::default()));
    for index in 0..workers {
        let (hub, peers) = (Arc::clone(hub), Arc::clone(&peers));
        let worker = Worker::new(hub, peers, index, Arc::clone(&resp))?;
        threads.start(&format!("worker-{index}"), move || worker.run())?;
    }
    let counters = gateway::Listening::counters(listeners.http, &hub.settings);
    let admin = gateway::Listening::admin(listeners.admin, &hub.settings);
    let shared = Arc::clone(hub);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || shared.commit_for_tasks())
        .build()?;
    let hub = Arc::clone(hub);
    threads.start("http", move || gateway::serve(&runtime, (&hub, &desk), counters, admin))?;
    Ok(())
}
