//! A disk that knows which of its blocks are durable, and whether anybody writes to one.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use quipu_log::storage::memory::{Memory, MemoryFile};
use quipu_log::storage::{Storage, StorageFile};
use quipu_log::wal::{Options, recover};

use crate::claim;

/// Which blocks of one file were written, and which of them are synced.
#[derive(Debug, Default)]
struct Blocks {
    written: BTreeSet<u64>,
    durable: BTreeSet<u64>,
}

#[derive(Debug, Default)]
struct Seen {
    files: BTreeMap<String, Blocks>,
    /// The first write to a durable block.
    violation: Option<String>,
}

/// A disk in memory under watch.
#[derive(Debug, Clone)]
struct Watched {
    memory: Memory,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug)]
struct WatchedFile {
    file: MemoryFile,
    /// The name that it was created or opened under.
    name: String,
    block_bytes: u64,
    seen: Arc<Mutex<Seen>>,
}

impl Watched {
    fn wrap(&self, name: &str, file: MemoryFile) -> WatchedFile {
        let block_bytes = u64::from(self.memory.block_bytes());
        WatchedFile { file, name: name.to_owned(), block_bytes, seen: Arc::clone(&self.seen) }
    }
}

impl Storage for Watched {
    type File = WatchedFile;

    fn list(&self) -> io::Result<Vec<String>> {
        self.memory.list()
    }

    fn create(&self, name: &str) -> io::Result<WatchedFile> {
        self.seen.lock().files.remove(name);
        self.memory.create(name).map(|file| self.wrap(name, file))
    }

    fn open(&self, name: &str) -> io::Result<WatchedFile> {
        self.memory.open(name).map(|file| self.wrap(name, file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.memory.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.memory.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.memory.sync_dir()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.memory.free_bytes()
    }

    fn block_bytes(&self) -> u32 {
        self.memory.block_bytes()
    }
}

impl StorageFile for WatchedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let end = offset + bytes.len() as u64;
        let touched = offset / self.block_bytes..end.div_ceil(self.block_bytes);
        // What fills a file with zeros comes before the first frame and is synced once, at its end.
        let is_frame = bytes.starts_with(b"QPFR");
        let mut seen = self.seen.lock();
        let blocks = seen.files.entry(self.name.clone()).or_default();
        let durable = touched.clone().find(|block| blocks.durable.contains(block));
        if is_frame {
            blocks.written.extend(touched);
        }
        if let Some(block) = durable {
            let violation = format!("block {block} of {} is durable and was written", self.name);
            seen.violation.get_or_insert(violation);
        }
        drop(seen);
        self.file.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        let mut seen = self.seen.lock();
        let blocks = seen.files.entry(self.name.clone()).or_default();
        blocks.durable.append(&mut blocks.written);
        drop(seen);
        self.file.sync()
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_length(length)
    }
}

/// Frames of several lengths, each synced: none is written to a block of an earlier one.
pub(crate) fn a_write_touches_no_durable_block() -> Result<(), String> {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let disk = Watched { memory: Memory::new(), seen: Arc::clone(&seen) };
    let mut options = Options::new(Box::new(|| 7));
    (options.segment_bytes, options.frame_bytes_max) = (64 << 10, 4 << 10);
    let visit = |_, _: &[u8]| Ok::<(), Infallible>(());
    let recovered = recover(&disk, options, 1, visit).map_err(|error| error.to_string())?;
    let mut wal = recovered.wal;
    for length in [1, 700, 464, 465, 30] {
        wal.write(&[&vec![1; length]]).map_err(|error| error.to_string())?;
        wal.sync().map_err(|error| error.to_string())?;
    }
    let mut seen = seen.lock();
    let frames: usize = seen.files.values().map(|blocks| blocks.durable.len()).sum();
    assert!(frames >= 7, "the frames went past the watch: {seen:?}");
    let violation = seen.violation.take();
    claim(violation.is_none(), &violation.unwrap_or_default())
}
