//! A node in one thread: the real core, log and folder over a disk in memory, opened as often as a
//! check wants.

use std::cell::{RefCell, RefMut};
use std::convert::Infallible;
use std::error::Error;
use std::sync::atomic::AtomicBool;

use quipu_core::bytes::Reader;
use quipu_core::clock::{Clocks, LogClock};
use quipu_core::node::{Cells, Nature, Node};
use quipu_core::op::{Action, Add, Op, Token};
use quipu_core::outcome::{Outcome, Reply};
use quipu_core::record;
use quipu_core::replay::FoldError;
use quipu_core::shard::{Shard, ShardLimits};
use quipu_log::fold::{self, Folder};
use quipu_log::log::local::WalLog;
use quipu_log::log::{Cut, Log};
use quipu_log::snapshot;
use quipu_log::storage::fault::Faulty;
use quipu_log::storage::memory::{Keep, Memory};
use quipu_log::wal::{Identity, Options, Preparer, Recovered, recover};
use stdx::hash::hash64;

/// The disk of a check: memory that can lose power, behind an injector of faults.
pub(crate) type Disk = Faulty<Memory>;

/// The wall clock of the first start.
pub(crate) const WALL_MS: u64 = 1_700_000_000_000;

/// For how long tokens are remembered.
pub(crate) const WINDOW_MS: u64 = 3_600_000;

/// How many tokens are remembered at most.
pub(crate) const TOKENS_MAX: u64 = 3;

const SEED: u64 = 11;
const SHARDS: u16 = 4;

/// The least frame that admits anything: what may be admitted at once is below 80 KiB.
const FRAME_BYTES_MAX: u32 = 128 << 10;

/// Two frames and the segment's header.
const SEGMENT_BYTES: u64 = 260 << 10;

/// Small enough that folds spill runs.
const FOLD_MEMORY_BYTES: usize = 1000;

/// Shards of one thread.
#[derive(Debug)]
pub(crate) struct Shards(Vec<RefCell<Shard>>);

impl Cells for Shards {
    type Guard<'a> = RefMut<'a, Shard>;
    type Gate<'a> = ();

    fn count(&self) -> u16 {
        self.0.len() as u16
    }

    fn shard(&self, id: u16) -> RefMut<'_, Shard> {
        self.0[usize::from(id)].borrow_mut()
    }

    fn gate(&self) {}
}

/// An empty disk.
pub(crate) fn disk() -> Disk {
    Faulty::new(Memory::new())
}

/// The disk that is found after a power cut now, when nothing unsynced was kept.
pub(crate) fn cut_power(disk: &Disk) -> Disk {
    Faulty::new(disk.inner().power_cut(Keep::None))
}

/// One life of a node.
pub(crate) struct Life {
    pub(crate) node: Node<Shards>,
    pub(crate) log: WalLog<Disk>,
    /// Log time of the next operation.
    pub(crate) now_ms: u64,
    preparer: Preparer<Disk>,
    folder: Folder<Disk>,
}

/// An error with its causes.
fn text(error: &dyn Error) -> String {
    let cause = error.source().map(|cause| format!(": {}", text(cause))).unwrap_or_default();
    format!("{error}{cause}")
}

impl Life {
    /// Recovers what is on the disk and begins an epoch at the wall clock of the first start.
    pub(crate) fn start(disk: &Disk) -> Result<Self, String> {
        Self::start_at(disk, WALL_MS)
    }

    /// Recovers what is on the disk and begins an epoch.
    pub(crate) fn start_at(disk: &Disk, wall_ms: u64) -> Result<Self, String> {
        let limits = ShardLimits { streams_max: 10 };
        let mut shards: Vec<Shard> = (0..SHARDS).map(|id| Shard::new(id, SEED, limits)).collect();
        let newest = snapshot::newest(disk, SEED).map_err(|e| text(&e))?;
        if let Some(snapshot) = &newest.snapshot {
            let load = snapshot::load(disk, snapshot, |(shard, key), value| {
                shards[usize::from(*shard)].load(key, value);
                Ok::<(), Infallible>(())
            });
            load.map_err(|e| text(&e))?;
        }
        let visit = |_, payload: &[u8]| fold_payload(&mut shards, payload);
        let recovered = recover(disk, options(), newest.start(), visit);
        let Recovered { wal, preparer, .. } = recovered.map_err(|e| text(&e))?;
        let folder = Folder::new(&wal, FOLD_MEMORY_BYTES, newest.snapshot);
        let newest_ms = shards.iter().map(Shard::time_ms).max().unwrap_or(0);
        let clocks = Clocks { wall_ms, boot_ms: 0 };
        let now_ms = LogClock::start(clocks, newest_ms, true).map_err(|e| text(&e))?.now_ms();
        let mut log = WalLog::new(wal);
        let mut cut = Cut::default();
        for shard in &mut shards {
            shard.begin_epoch(now_ms, WINDOW_MS, &mut cut.payload);
        }
        log.append(&cut).map_err(|e| text(&e))?;
        log.flush(&mut Vec::new()).map_err(|e| text(&e))?;
        let cells = Shards(shards.into_iter().map(RefCell::new).collect());
        let node = Node::new(cells, SEED, Nature { groups: true, tokens_max: TOKENS_MAX });
        let mut life = Self { node, log, now_ms, preparer, folder };
        life.make_room();
        Ok(life)
    }

    /// Prepares segments and lets operations in again.
    pub(crate) fn make_room(&mut self) {
        // On a disk that fails there is none to prepare; what follows finds that out.
        let _failed = self.preparer.run().is_err();
        self.node.set_room(self.log.room(), false);
    }

    pub(crate) fn execute(&self, op: &Op<'_>) -> Reply {
        self.node.execute(self.now_ms, op)
    }

    pub(crate) fn perform(&self, name: &str, action: Action) -> Reply {
        self.execute(&Op { name, action, token: Token::None })
    }

    pub(crate) fn add(&self, name: &str, delta: i64) -> Reply {
        self.perform(name, Action::Add(Add::plain(delta)))
    }

    /// Adds one with a key as token.
    pub(crate) fn add_once(&self, name: &str, key: &str) -> Reply {
        self.execute(&with_key(name, key))
    }

    /// Adds one at a place of the stream "s".
    pub(crate) fn add_streamed(&self, name: &str, sequence: u64) -> Reply {
        self.execute(&in_stream(name, sequence))
    }

    /// What is in the table.
    pub(crate) fn value(&self, name: &str) -> Option<i64> {
        self.node.cells().shard(self.node.shard_of(name.as_bytes())).peek(name).value
    }

    /// Hands the open batches to the log.
    pub(crate) fn append(&mut self) -> Result<(), String> {
        let mut cut = Cut::default();
        self.node.cut(&mut cut.payload, &mut cut.batches, |_| 0);
        if !cut.batches.is_empty() {
            self.log.append(&cut).map_err(|e| text(&e))?;
        }
        self.make_room();
        Ok(())
    }

    /// Makes durable what was appended.
    pub(crate) fn flush(&mut self) -> Result<(), String> {
        let mut durable = Vec::new();
        self.log.flush(&mut durable).map_err(|e| text(&e))?;
        for (shard, batch) in durable {
            self.node.set_durable(shard, batch);
        }
        Ok(())
    }

    pub(crate) fn commit(&mut self) -> Result<(), String> {
        self.append()?;
        self.flush()
    }

    /// Goes on to the next segment.
    pub(crate) fn seal(&mut self) -> Result<(), String> {
        self.log.seal().map_err(|e| text(&e))?;
        self.make_room();
        Ok(())
    }

    /// Commits, closes the segment and folds it.
    pub(crate) fn fold(&mut self) -> Result<fold::Outcome, String> {
        self.commit()?;
        self.seal()?;
        self.folder.run(&AtomicBool::new(false)).map_err(|e| text(&e))
    }
}

/// An addition of one with a key as token.
pub(crate) fn with_key<'a>(name: &'a str, key: &'a str) -> Op<'a> {
    let token = Token::Key { key: key.as_bytes(), item: 0 };
    Op { name, action: Action::Add(Add::plain(1)), token }
}

/// An addition of one at a place of the stream "s".
pub(crate) fn in_stream(name: &str, sequence: u64) -> Op<'_> {
    let token = Token::Stream { name: b"s", sequence };
    Op { name, action: Action::Add(Add::plain(1)), token }
}

/// The outcome of an operation that must not be refused.
pub(crate) fn outcome(reply: &Reply) -> Result<Outcome, String> {
    reply.result.map_err(|refusal| format!("refused: {refusal}"))
}

fn fold_payload(shards: &mut [Shard], mut payload: &[u8]) -> Result<(), FoldError> {
    while !payload.is_empty() {
        let header = record::read_header(&mut Reader::new(payload))?;
        let Some(shard) = shards.get_mut(usize::from(header.shard)) else {
            return Err(FoldError::NoShard { shard: header.shard, shards: SHARDS });
        };
        shard.fold_header(&header)?;
        let (_, length) = record::read(payload, SEED, |_, item| shard.fold_item(&item))?;
        payload = payload.get(length..).unwrap_or_default();
    }
    Ok(())
}

fn options() -> Options {
    let mut drawn = 0_u64;
    let mut options = Options::new(Box::new(move || {
        drawn += 1;
        hash64(5, &drawn.to_le_bytes())
    }));
    options.segment_bytes = SEGMENT_BYTES;
    options.frame_bytes_max = FRAME_BYTES_MAX;
    options.identity = Identity { store_id: SEED, shards: SHARDS };
    options
}
