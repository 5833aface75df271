//! One open file of the disk.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use quipu_log::storage::StorageFile;

use crate::disk::{Call, Change, Inode, Role, SECTOR_BYTES, State, broken, not_found};

/// An open file. It stays readable after its name is gone.
#[derive(Debug, Clone)]
pub struct DiskFile {
    state: Arc<Mutex<State>>,
    inode: u64,
}

impl DiskFile {
    pub(super) fn new(state: &Arc<Mutex<State>>, inode: u64) -> Self {
        Self { state: Arc::clone(state), inode }
    }
}

/// Puts bytes into an image that grows as needed.
pub(super) fn put(image: &mut Vec<u8>, bytes: &[u8], offset: u64) {
    let (start, end) = (offset as usize, offset as usize + bytes.len());
    if image.len() < end {
        image.resize(end, 0);
    }
    if let Some(place) = image.get_mut(start..end) {
        place.copy_from_slice(bytes);
    }
}

impl Inode {
    /// A file with these contents, all of them durable.
    pub(super) fn new(role: Role, contents: Vec<u8>) -> Self {
        Self {
            role,
            durable: contents.clone(),
            cached: contents,
            pending: Vec::new(),
            is_stale: false,
            is_used: false,
            is_named: false,
        }
    }

    pub(super) fn make_durable(&mut self, change: &Change) {
        match change {
            Change::Data { offset, bytes } => put(&mut self.durable, bytes, *offset),
            Change::Length(length) => self.durable.resize(*length as usize, 0),
        }
    }

    fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            self.make_durable(&change);
        }
    }

    fn write(&mut self, bytes: &[u8], offset: u64) {
        put(&mut self.cached, bytes, offset);
        self.pending.push(Change::Data { offset, bytes: bytes.into() });
    }

    /// Whether a write there shares a sector with durable data.
    fn holds_durable(&self, offset: u64, length: usize) -> bool {
        let start = offset as usize / SECTOR_BYTES * SECTOR_BYTES;
        let end = (offset as usize + length).min(self.durable.len());
        self.durable.get(start..end).is_some_and(|part| part.iter().any(|byte| *byte != 0))
    }
}

impl State {
    fn inode(&mut self, id: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&id).ok_or_else(not_found)
    }

    fn role_of(&self, id: u64) -> Role {
        self.inodes.get(&id).map_or(Role::Other, |inode| inode.role)
    }

    fn has_room(&mut self, id: u64, length: u64) -> bool {
        let Some(capacity) = self.capacity else { return true };
        let now = self.inodes.get(&id).map_or(0, |inode| inode.cached.len() as u64);
        let fits = !self.is_crowded && self.used() + (length - now.min(length)) <= capacity;
        length <= now || fits
    }

    fn refuse_room(&mut self) -> io::Error {
        self.facts.no_room += 1;
        self.facts.write_failures += 1;
        io::ErrorKind::StorageFull.into()
    }

    fn note_failure(&mut self, role: Role) {
        self.facts.segment_failures += u64::from(role == Role::Segment);
    }

    fn write(&mut self, id: u64, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.change()?;
        if !self.has_room(id, offset + bytes.len() as u64) {
            return Err(self.refuse_room());
        }
        let role = self.role_of(id);
        if self.strikes(Call::Write(role)) {
            self.facts.write_failures += 1;
            self.note_failure(role);
            let part = self.prng.below(bytes.len() as u64 + 1) as usize;
            self.inode(id)?.write(bytes.get(..part).unwrap_or(bytes), offset);
            return Err(broken());
        }
        let watched = self.watched && role == Role::Segment;
        let inode = self.inode(id)?;
        let touches = watched && inode.holds_durable(offset, bytes.len());
        inode.is_used |= watched;
        inode.write(bytes, offset);
        self.facts.overwrites += u64::from(touches);
        Ok(())
    }

    fn sync(&mut self, id: u64) -> io::Result<()> {
        self.change()?;
        let role = self.role_of(id);
        if !self.strikes(Call::Sync(role)) {
            self.inode(id)?.sync();
            return Ok(());
        }
        self.facts.sync_failures += 1;
        self.note_failure(role);
        // Some of the pages reached the device; all are clean now and none is written again.
        let reached = self.prng.below(2) == 0;
        let inode = self.inode(id)?;
        let pending = std::mem::take(&mut inode.pending);
        inode.is_stale |= !pending.is_empty();
        let count = if reached { pending.len() / 2 } else { 0 };
        for change in pending.iter().take(count) {
            inode.make_durable(change);
        }
        Err(broken())
    }
}

impl StorageFile for DiskFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state.lock();
        state.look()?;
        let inode = state.inode(self.inode)?;
        let bytes = inode.cached.get(offset as usize..).unwrap_or(&[]);
        let count = bytes.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), bytes.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.state.lock().write(self.inode, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.state.lock().sync(self.inode)
    }

    fn length(&self) -> io::Result<u64> {
        let mut state = self.state.lock();
        state.look()?;
        Ok(state.inode(self.inode)?.cached.len() as u64)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.change()?;
        if !state.has_room(self.inode, length) {
            return Err(state.refuse_room());
        }
        let inode = state.inode(self.inode)?;
        inode.cached.resize(length as usize, 0);
        inode.pending.push(Change::Length(length));
        Ok(())
    }
}
