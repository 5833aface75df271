//! An injector around any storage: it counts the calls and lets a hook decide each one's fate.
//!
//! The hook sees every call before it happens. It may let it go, fail it, cut a write short, end
//! the world (this call and all later ones fail: a crash), take its time (latency) or never come
//! back (a frozen disk).

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::{Condvar, Mutex};

use crate::storage::{Storage, StorageFile, memory::Memory};

/// Which method of the storage is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// [`Storage::list`].
    List,
    /// [`Storage::create`].
    Create,
    /// [`Storage::open`].
    Open,
    /// [`Storage::rename`].
    Rename,
    /// [`Storage::remove`].
    Remove,
    /// [`Storage::sync_dir`].
    SyncDir,
    /// [`StorageFile::read_at`].
    Read,
    /// [`StorageFile::write_at`].
    Write,
    /// [`StorageFile::sync`].
    Sync,
    /// [`StorageFile::length`].
    Length,
    /// [`StorageFile::set_length`].
    SetLength,
}

impl Operation {
    /// Says whether the call can change what is on disk.
    pub fn changes(self) -> bool {
        !matches!(self, Self::List | Self::Open | Self::Read | Self::Length)
    }
}

/// A call that is about to happen.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The method.
    pub operation: Operation,
    /// The file; empty for the directory.
    pub name: &'a str,
    /// How many changing calls came before (see [`Operation::changes`]).
    pub number: u64,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It happens.
    Go,
    /// It does not happen and fails so.
    Fail(io::ErrorKind),
    /// A write of which only this many bytes happen before it fails.
    Short(usize),
    /// It does not happen, and nothing ever does again.
    Crash,
}

type Hook = dyn Fn(&Call<'_>) -> Verdict + Send + Sync;

/// A storage whose calls pass a hook. Clones share the hook and the counter.
pub struct Faulty<S> {
    storage: S,
    control: Arc<Control>,
}

/// An open file of a [`Faulty`] storage.
pub struct FaultyFile<F> {
    file: F,
    name: String,
    control: Arc<Control>,
}

struct Control {
    hook: Mutex<Arc<Hook>>,
    calls: AtomicU64,
    crashed: AtomicBool,
}

impl<S: Storage> Faulty<S> {
    /// Wraps a storage; every call goes until a hook is set.
    pub fn new(storage: S) -> Self {
        let control = Control {
            hook: Mutex::new(Arc::new(|_: &Call<'_>| Verdict::Go)),
            calls: AtomicU64::new(0),
            crashed: AtomicBool::new(false),
        };
        Self { storage, control: Arc::new(control) }
    }

    /// Sets the hook that decides from now on. It runs on the calling thread and may block.
    pub fn set_hook(&self, hook: impl Fn(&Call<'_>) -> Verdict + Send + Sync + 'static) {
        *self.control.hook.lock() = Arc::new(hook);
    }

    /// Crashes at the changing call with this number.
    pub fn crash_at(&self, number: u64) {
        self.set_hook(move |call| {
            if call.operation.changes() && call.number == number {
                Verdict::Crash
            } else {
                Verdict::Go
            }
        });
    }

    /// Returns how many changing calls there were.
    pub fn calls(&self) -> u64 {
        self.control.calls.load(Ordering::SeqCst)
    }

    /// Says whether a crash happened.
    pub fn crashed(&self) -> bool {
        self.control.crashed.load(Ordering::SeqCst)
    }

    /// Returns the storage inside.
    pub fn inner(&self) -> &S {
        &self.storage
    }

    fn wrap(&self, name: &str, file: S::File) -> FaultyFile<S::File> {
        FaultyFile { file, name: name.to_owned(), control: Arc::clone(&self.control) }
    }
}

impl Faulty<Memory> {
    /// Fails the next sync of any file as a disk does that lost the pages: they are marked clean,
    /// stay readable and are never written.
    pub fn lose_next_sync(&self) {
        let memory = self.storage.clone();
        let done = AtomicBool::new(false);
        self.set_hook(move |call| {
            if call.operation != Operation::Sync || done.swap(true, Ordering::SeqCst) {
                return Verdict::Go;
            }
            memory.lose_unsynced();
            Verdict::Fail(io::ErrorKind::Other)
        });
    }
}

impl Control {
    /// Asks the hook; `Ok(Some(n))` lets only `n` bytes of a write through.
    fn pass(&self, operation: Operation, name: &str) -> io::Result<Option<usize>> {
        let number = if operation.changes() {
            self.calls.fetch_add(1, Ordering::SeqCst)
        } else {
            self.calls.load(Ordering::SeqCst)
        };
        // The hook may block; the lock must not be held meanwhile.
        let hook = Arc::clone(&*self.hook.lock());
        if self.crashed.load(Ordering::SeqCst) {
            return Err(gone());
        }
        match hook(&Call { operation, name, number }) {
            Verdict::Go => Ok(None),
            Verdict::Fail(kind) => Err(kind.into()),
            Verdict::Short(bytes) => Ok(Some(bytes)),
            Verdict::Crash => {
                self.crashed.store(true, Ordering::SeqCst);
                Err(gone())
            }
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the machine has crashed")
}

/// A gate on which a hook can wait: a disk that does not answer until the test says so.
#[derive(Debug, Default, Clone)]
pub struct Gate {
    state: Arc<(Mutex<GateState>, Condvar)>,
}

#[derive(Debug, Default)]
struct GateState {
    closed: bool,
    waiting: usize,
}

impl Gate {
    /// Returns an open gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets nobody through from now on.
    pub fn close(&self) {
        self.state.0.lock().closed = true;
    }

    /// Lets everybody through.
    pub fn open(&self) {
        self.state.0.lock().closed = false;
        self.state.1.notify_all();
    }

    /// Waits until the gate is open.
    pub fn wait(&self) {
        let mut state = self.state.0.lock();
        state.waiting += 1;
        self.state.1.notify_all();
        while state.closed {
            self.state.1.wait(&mut state);
        }
        state.waiting -= 1;
    }

    /// Waits until at least one thread stands at the gate.
    pub fn until_reached(&self) {
        let mut state = self.state.0.lock();
        while state.waiting == 0 {
            self.state.1.wait(&mut state);
        }
    }
}

impl<S: Clone> Clone for Faulty<S> {
    fn clone(&self) -> Self {
        Self { storage: self.storage.clone(), control: Arc::clone(&self.control) }
    }
}

impl<S: fmt::Debug> fmt::Debug for Faulty<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Faulty").field("storage", &self.storage).finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for FaultyFile<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FaultyFile").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<S: Storage> Storage for Faulty<S> {
    type File = FaultyFile<S::File>;

    fn list(&self) -> io::Result<Vec<String>> {
        self.control.pass(Operation::List, "")?;
        self.storage.list()
    }

    fn create(&self, name: &str) -> io::Result<Self::File> {
        self.control.pass(Operation::Create, name)?;
        Ok(self.wrap(name, self.storage.create(name)?))
    }

    fn open(&self, name: &str) -> io::Result<Self::File> {
        self.control.pass(Operation::Open, name)?;
        Ok(self.wrap(name, self.storage.open(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.control.pass(Operation::Rename, from)?;
        self.storage.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.control.pass(Operation::Remove, name)?;
        self.storage.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.control.pass(Operation::SyncDir, "")?;
        self.storage.sync_dir()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.storage.free_bytes()
    }

    fn block_bytes(&self) -> u32 {
        self.storage.block_bytes()
    }
}

impl<F: StorageFile> StorageFile for FaultyFile<F> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.control.pass(Operation::Read, &self.name)?;
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let Some(short) = self.control.pass(Operation::Write, &self.name)? else {
            return self.file.write_at(bytes, offset);
        };
        let part = bytes.get(..short).unwrap_or(bytes);
        self.file.write_at(part, offset)?;
        Err(io::ErrorKind::WriteZero.into())
    }

    fn sync(&self) -> io::Result<()> {
        self.control.pass(Operation::Sync, &self.name)?;
        self.file.sync()
    }

    fn length(&self) -> io::Result<u64> {
        self.control.pass(Operation::Length, &self.name)?;
        self.file.length()
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.control.pass(Operation::SetLength, &self.name)?;
        self.file.set_length(length)
    }
}
