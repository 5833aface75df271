//! A disk in memory that lies as disks do: what is unsynced may be lost in any combination, writes
//! tear at sectors, a failed sync marks pages clean and keeps them readable, and room runs out.
//!
//! Every file keeps its own list of unsynced writes, so that a sync costs what it covers. Faults
//! are armed by the world and strike at the next call that fits; [`Facts`] says what happened,
//! independently of what the log believes.

mod file;
mod power;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use quipu_log::storage::Storage;
use stdx::prng::Prng;

pub use self::file::DiskFile;
pub use self::power::Keep;

/// The smallest unit that disks write whole, in bytes. Spec of the model.
pub const SECTOR_BYTES: usize = 512;

/// What a file is for, as its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A segment of the log that has its name: frames go into it.
    Segment,
    /// Anything else: unfinished segments, snapshots, runs, the store file.
    Other,
}

/// A call that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// A write to a file of this role; a part of it may have happened.
    Write(Role),
    /// A sync of a file of this role; its unsynced pages are marked clean.
    Sync(Role),
    /// A sync of the directory.
    SyncDir,
}

/// What happened on the disk since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// Writes and syncs of segments that failed.
    pub segment_failures: u64,
    /// Syncs of any file that failed.
    pub sync_failures: u64,
    /// Writes that failed, out of room or not.
    pub write_failures: u64,
    /// Syncs of the directory that failed.
    pub dir_failures: u64,
    /// Calls that found no room.
    pub no_room: u64,
    /// Power cuts.
    pub power_cuts: u64,
    /// Writes that a power cut tore.
    pub torn: u64,
    /// Unsynced changes that a power cut lost.
    pub lost: u64,
    /// Unsynced changes that a power cut kept.
    pub kept: u64,
    /// Names, renamings and removals that a power cut lost.
    pub names_lost: u64,
    /// Writes to a segment that touched a block with durable data while watched.
    pub overwrites: u64,
    /// Calls that change something.
    pub changes: u64,
}

/// A directory on the disk. Clones share it.
#[derive(Debug, Clone)]
pub struct Disk {
    state: Arc<Mutex<State>>,
    block_bytes: u32,
}

#[derive(Debug)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    renames: Vec<Rename>,
    next_inode: u64,
    capacity: Option<u64>,
    /// Whether others take what becomes free.
    is_crowded: bool,
    armed: Vec<(Call, u64)>,
    /// The power fails after so many more changing calls.
    fuse: Option<u64>,
    dead: bool,
    watched: bool,
    facts: Facts,
    prng: Prng,
}

#[derive(Debug)]
struct Inode {
    role: Role,
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// Unsynced changes, oldest first.
    pending: Vec<Change>,
    /// Whether the cache shows what the device never took.
    is_stale: bool,
    /// Whether a running node wrote to it as a segment, and its name was seen to be durable then.
    is_used: bool,
    is_named: bool,
}

#[derive(Debug)]
enum Change {
    Data { offset: u64, bytes: Box<[u8]> },
    Length(u64),
}

/// A change of the directory: this name stands for that file, or for none.
#[derive(Debug)]
enum Rename {
    Link { name: String, inode: u64 },
    Unlink { name: String, inode: u64 },
    Move { from: String, to: String, inode: u64 },
}

fn role(name: &str) -> Role {
    let is_segment = name.rsplit_once('.').is_some_and(|(_, extension)| extension == "wal");
    if is_segment { Role::Segment } else { Role::Other }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn dead() -> io::Error {
    io::Error::other("the machine is without power")
}

fn broken() -> io::Error {
    io::Error::other("the device reports an error")
}

impl Disk {
    /// An empty disk; its surprises follow from the seed.
    pub fn new(seed: u64, block_bytes: u32) -> Self {
        let state = State {
            inodes: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            renames: Vec::new(),
            next_inode: 0,
            capacity: None,
            is_crowded: false,
            armed: Vec::new(),
            fuse: None,
            dead: false,
            watched: false,
            facts: Facts::default(),
            prng: Prng::new(seed),
        };
        Self { state: Arc::new(Mutex::new(state)), block_bytes }
    }

    /// What happened so far.
    pub fn facts(&self) -> Facts {
        self.state.lock().facts
    }

    /// Makes the next call of this kind fail, after `skip` that do not.
    pub fn arm(&self, call: Call, skip: u64) {
        self.state.lock().armed.push((call, skip));
    }

    /// Takes back what was armed and has not struck.
    pub fn disarm(&self) {
        let mut state = self.state.lock();
        state.armed.clear();
        state.fuse = None;
    }

    /// Lets the power fail after so many more changing calls.
    pub fn set_fuse(&self, calls: u64) {
        self.state.lock().fuse = Some(calls);
    }

    /// Whether the power has failed; every call fails until [`Disk::power_cut`].
    pub fn is_dead(&self) -> bool {
        self.state.lock().dead
    }

    /// Whether writes to segments are watched for durable data that they touch: while a node
    /// runs, not while it recovers.
    pub fn watch(&self, watched: bool) {
        let mut state = self.state.lock();
        state.watched = watched;
        state.inodes.values_mut().for_each(|inode| inode.is_used &= watched);
    }

    /// Leaves room for so many more bytes, or for any number. For none at all: others take
    /// whatever becomes free.
    pub fn set_free(&self, free_bytes: Option<u64>) {
        let mut state = self.state.lock();
        state.capacity = free_bytes.map(|free| state.used() + free);
        state.is_crowded = free_bytes == Some(0);
    }

    /// What a power cut could take away now of the segments that were written to while watched, if
    /// anything: unsynced writes, or the name.
    pub fn undurable(&self) -> Option<String> {
        self.state.lock().undurable()
    }

    /// The sum of the lengths of all files that have a name.
    pub fn used_bytes(&self) -> u64 {
        self.state.lock().used()
    }

    /// How many files have a name.
    pub fn files(&self) -> usize {
        self.state.lock().names.len()
    }

    /// An independent disk that holds what this one shows, all of it durable.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copy = Self::new(0, self.block_bytes);
        let state = self.state.lock();
        let mut other = copy.state.lock();
        for (name, id) in &state.names {
            let Some(inode) = state.inodes.get(id) else { continue };
            other.inodes.insert(*id, Inode::new(inode.role, inode.cached.clone()));
            other.names.insert(name.clone(), *id);
        }
        other.durable_names = other.names.clone();
        other.next_inode = state.next_inode;
        drop(other);
        copy
    }
}

impl State {
    fn used(&self) -> u64 {
        let files = self.names.values().filter_map(|id| self.inodes.get(id));
        files.map(|inode| inode.cached.len() as u64).sum()
    }

    fn undurable(&mut self) -> Option<String> {
        for (name, id) in &self.names {
            let written = |inode: &&mut Inode| inode.role == Role::Segment && inode.is_used;
            let Some(inode) = self.inodes.get_mut(id).filter(written) else { continue };
            if !inode.pending.is_empty() {
                return Some(format!("{} writes to {name} are unsynced", inode.pending.len()));
            }
            inode.is_named = inode.is_named || self.durable_names.get(name) == Some(id);
            if !inode.is_named {
                return Some(format!("the name {name} is not durable"));
            }
        }
        None
    }

    /// Counts a changing call; says whether the power is still on.
    fn change(&mut self) -> io::Result<()> {
        if self.dead {
            return Err(dead());
        }
        self.facts.changes += 1;
        match &mut self.fuse {
            Some(0) => {
                self.dead = true;
                Err(dead())
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn look(&self) -> io::Result<()> {
        if self.dead { Err(dead()) } else { Ok(()) }
    }

    /// Whether an armed fault strikes this call.
    fn strikes(&mut self, call: Call) -> bool {
        let Some(at) = self.armed.iter().position(|(armed, _)| *armed == call) else {
            return false;
        };
        match self.armed.get_mut(at) {
            Some((_, skip)) if *skip > 0 => {
                *skip -= 1;
                false
            }
            _ => {
                self.armed.remove(at);
                true
            }
        }
    }

    fn apply(&mut self, rename: &Rename) {
        match rename {
            Rename::Link { name, inode } => {
                self.durable_names.insert(name.clone(), *inode);
            }
            Rename::Unlink { name, inode } => {
                if self.durable_names.get(name) == Some(inode) {
                    self.durable_names.remove(name);
                }
            }
            Rename::Move { from, to, inode } => {
                if self.durable_names.get(from) == Some(inode) {
                    self.durable_names.remove(from);
                }
                self.durable_names.insert(to.clone(), *inode);
            }
        }
    }

    /// Frees files that no name and no unsynced change speaks of.
    fn collect(&mut self) {
        let (names, durable) = (&self.names, &self.durable_names);
        let in_renames = |id: &u64| {
            self.renames.iter().any(|rename| match rename {
                Rename::Link { inode, .. }
                | Rename::Unlink { inode, .. }
                | Rename::Move { inode, .. } => inode == id,
            })
        };
        self.inodes.retain(|id, _| {
            names.values().any(|used| used == id)
                || durable.values().any(|used| used == id)
                || in_renames(id)
        });
    }
}

impl Storage for Disk {
    type File = DiskFile;

    fn list(&self) -> io::Result<Vec<String>> {
        let state = self.state.lock();
        state.look()?;
        Ok(state.names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<DiskFile> {
        let mut state = self.state.lock();
        state.change()?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.next_inode;
        state.next_inode += 1;
        state.inodes.insert(inode, Inode::new(role(name), Vec::new()));
        state.names.insert(name.to_owned(), inode);
        state.renames.push(Rename::Link { name: name.to_owned(), inode });
        Ok(DiskFile::new(&self.state, inode))
    }

    fn open(&self, name: &str) -> io::Result<DiskFile> {
        let state = self.state.lock();
        state.look()?;
        let inode = state.names.get(name).copied().ok_or_else(not_found)?;
        Ok(DiskFile::new(&self.state, inode))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.change()?;
        let inode = state.names.remove(from).ok_or_else(not_found)?;
        state.names.insert(to.to_owned(), inode);
        if let Some(found) = state.inodes.get_mut(&inode) {
            (found.role, found.is_used, found.is_named) = (role(to), false, false);
        }
        state.renames.push(Rename::Move { from: from.to_owned(), to: to.to_owned(), inode });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.change()?;
        let inode = state.names.remove(name).ok_or_else(not_found)?;
        state.renames.push(Rename::Unlink { name: name.to_owned(), inode });
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.change()?;
        if state.strikes(Call::SyncDir) {
            // What became durable is unknown: the names still wait, and a power cut decides.
            state.facts.dir_failures += 1;
            return Err(broken());
        }
        for rename in std::mem::take(&mut state.renames) {
            state.apply(&rename);
        }
        state.collect();
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let state = self.state.lock();
        state.look()?;
        Ok(state.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used())))
    }

    fn block_bytes(&self) -> u32 {
        self.block_bytes
    }
}
