//! A disk in memory that can lose its power.
//!
//! Every file has a cached image, which reads see, and a durable image, which a power cut leaves.
//! Writes, lengths, names, renames and removals wait in one list until a sync of their file or of
//! the directory; [`Memory::power_cut`] builds the disk that is found afterwards, with a chosen
//! subset of what was waiting. The model is harsher than any file system: what is unsynced may
//! become durable in any combination, and a write may be torn at every sector.

use std::{collections::BTreeMap, io, sync::Arc};

use parking_lot::Mutex;

use crate::storage::{Storage, StorageFile};

/// Where writes may tear, in bytes: the smallest unit that disks write whole.
pub const SECTOR_BYTES: usize = 512;

/// What of the unsynced changes a power cut leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    None,
    /// Everything.
    All,
    /// Only the change with this number.
    Only(usize),
    /// Everything but the change with this number.
    AllBut(usize),
    /// The change with this number torn (each sector kept or not by `seed`), the others as said.
    Torn {
        /// Which change is torn.
        index: usize,
        /// Whether the others are kept.
        others: bool,
        /// Decides each sector.
        seed: u64,
    },
    /// Each change kept, lost or torn by a seed.
    Random(u64),
}

/// A directory in memory. Clones share it.
#[derive(Debug, Clone)]
pub struct Memory {
    disk: Arc<Mutex<Disk>>,
}

/// An open file of a [`Memory`].
#[derive(Debug, Clone)]
pub struct MemoryFile {
    disk: Arc<Mutex<Disk>>,
    inode: u64,
}

#[derive(Debug, Default)]
struct Disk {
    files: BTreeMap<u64, Images>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    pending: Vec<Change>,
    next_inode: u64,
    capacity: Option<u64>,
}

#[derive(Debug, Default, Clone)]
struct Images {
    cached: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Change {
    Data { inode: u64, offset: u64, bytes: Vec<u8> },
    Length { inode: u64, length: u64 },
    Link { name: String, inode: u64 },
    Unlink { name: String, inode: u64 },
    Rename { from: String, to: String, inode: u64 },
}

impl Change {
    fn inode(&self) -> Option<u64> {
        match self {
            Self::Data { inode, .. } | Self::Length { inode, .. } => Some(*inode),
            Self::Link { .. } | Self::Unlink { .. } | Self::Rename { .. } => None,
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// Returns an empty disk without a limit.
    pub fn new() -> Self {
        Self { disk: Arc::new(Mutex::new(Disk::default())) }
    }

    /// Limits the sum of all file lengths to `capacity` bytes (none: no limit); beyond it writes
    /// fail with `StorageFull`.
    pub fn limit(&self, capacity: Option<u64>) {
        self.disk.lock().capacity = capacity;
    }

    /// Returns how many changes wait for a sync.
    pub fn unsynced(&self) -> usize {
        self.disk.lock().pending.len()
    }

    /// Returns the disk that is found after a power cut now. This one goes on untouched.
    #[must_use]
    pub fn power_cut(&self, keep: Keep) -> Self {
        let disk = self.disk.lock();
        let mut after = Disk {
            files: disk.files.clone(),
            durable_names: disk.durable_names.clone(),
            next_inode: disk.next_inode,
            capacity: disk.capacity,
            ..Disk::default()
        };
        for (index, change) in disk.pending.iter().enumerate() {
            after.survive(change, fate(keep, index));
        }
        after.names = after.durable_names.clone();
        let used: Vec<u64> = after.names.values().copied().collect();
        after.files.retain(|inode, _| used.contains(inode));
        for images in after.files.values_mut() {
            images.cached = images.durable.clone();
        }
        Self { disk: Arc::new(Mutex::new(after)) }
    }

    /// Returns an independent copy in which everything is durable.
    #[must_use]
    pub fn copy(&self) -> Self {
        self.power_cut(Keep::All)
    }

    /// Drops what waits for a sync of any file although reads still see it: what a kernel does
    /// with the pages of a failed `fsync`.
    pub fn lose_unsynced(&self) {
        self.disk.lock().pending.retain(|change| change.inode().is_none());
    }

    /// Flips one bit of file `name`, durably; false when the file is shorter.
    pub fn flip_bit(&self, name: &str, bit: u64) -> bool {
        let mut disk = self.disk.lock();
        let Some(inode) = disk.names.get(name).copied() else { return false };
        let Some(images) = disk.files.get_mut(&inode) else { return false };
        let (byte, mask) = ((bit / 8) as usize, 1 << (bit % 8));
        let flip = |image: &mut Vec<u8>| image.get_mut(byte).map(|byte| *byte ^= mask).is_some();
        flip(&mut images.cached) & flip(&mut images.durable)
    }
}

#[derive(Clone, Copy)]
enum Fate {
    Kept,
    Lost,
    Torn(u64),
}

fn fate(keep: Keep, index: usize) -> Fate {
    let kept = |yes| if yes { Fate::Kept } else { Fate::Lost };
    match keep {
        Keep::None => Fate::Lost,
        Keep::All => Fate::Kept,
        Keep::Only(only) => kept(only == index),
        Keep::AllBut(but) => kept(but != index),
        Keep::Torn { index: torn, seed, .. } if torn == index => Fate::Torn(seed),
        Keep::Torn { others, .. } => kept(others),
        Keep::Random(seed) => match mix(seed, index as u64) % 3 {
            0 => Fate::Lost,
            1 => Fate::Kept,
            _ => Fate::Torn(seed),
        },
    }
}

/// Spreads a seed and a number over 64 bits.
fn mix(seed: u64, number: u64) -> u64 {
    stdx::hash::hash64(seed, &number.to_le_bytes())
}

impl Disk {
    fn survive(&mut self, change: &Change, fate: Fate) {
        match fate {
            Fate::Lost => {}
            Fate::Kept => self.make_durable(change),
            Fate::Torn(seed) => self.tear(change, seed),
        }
    }

    /// Applies only those sectors of a write that the seed keeps. Anything else is atomic.
    fn tear(&mut self, change: &Change, seed: u64) {
        let Change::Data { inode, offset, bytes } = change else {
            if seed & 1 == 0 {
                self.make_durable(change);
            }
            return;
        };
        let mut done = 0;
        while done < bytes.len() {
            let at = *offset as usize + done;
            let length = (SECTOR_BYTES - at % SECTOR_BYTES).min(bytes.len() - done);
            if mix(seed, at as u64) & 1 == 0 {
                let sector = bytes[done..done + length].to_vec();
                self.make_durable(&Change::Data {
                    inode: *inode,
                    offset: at as u64,
                    bytes: sector,
                });
            }
            done += length;
        }
    }

    fn make_durable(&mut self, change: &Change) {
        match change {
            Change::Data { inode, offset, bytes } => {
                if let Some(images) = self.files.get_mut(inode) {
                    write(&mut images.durable, bytes, *offset);
                }
            }
            Change::Length { inode, length } => {
                if let Some(images) = self.files.get_mut(inode) {
                    images.durable.resize(*length as usize, 0);
                }
            }
            Change::Link { name, inode } => {
                self.durable_names.insert(name.clone(), *inode);
            }
            Change::Unlink { name, inode } => {
                if self.durable_names.get(name) == Some(inode) {
                    self.durable_names.remove(name);
                }
            }
            Change::Rename { from, to, inode } => {
                if self.durable_names.get(from) == Some(inode) {
                    self.durable_names.remove(from);
                }
                self.durable_names.insert(to.clone(), *inode);
            }
        }
    }

    fn sync(&mut self, inode: Option<u64>) {
        let pending = std::mem::take(&mut self.pending);
        for change in pending {
            if change.inode() == inode {
                self.make_durable(&change);
            } else {
                self.pending.push(change);
            }
        }
    }

    fn used(&self) -> u64 {
        self.names.values().filter_map(|id| self.files.get(id)).map(|f| f.cached.len() as u64).sum()
    }

    fn grow(&self, inode: u64, length: u64) -> io::Result<()> {
        let Some(capacity) = self.capacity else { return Ok(()) };
        let now = self.files.get(&inode).map_or(0, |images| images.cached.len() as u64);
        if self.used() + length.saturating_sub(now) > capacity && length > now {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

fn write(image: &mut Vec<u8>, bytes: &[u8], offset: u64) {
    let end = offset as usize + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset as usize..end].copy_from_slice(bytes);
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Storage for Memory {
    type File = MemoryFile;

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.disk.lock().names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<MemoryFile> {
        let mut disk = self.disk.lock();
        if disk.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = disk.next_inode;
        disk.next_inode += 1;
        disk.files.insert(inode, Images::default());
        disk.names.insert(name.to_owned(), inode);
        disk.pending.push(Change::Link { name: name.to_owned(), inode });
        Ok(MemoryFile { disk: Arc::clone(&self.disk), inode })
    }

    fn open(&self, name: &str) -> io::Result<MemoryFile> {
        let inode = self.disk.lock().names.get(name).copied().ok_or_else(not_found)?;
        Ok(MemoryFile { disk: Arc::clone(&self.disk), inode })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let inode = disk.names.remove(from).ok_or_else(not_found)?;
        disk.names.insert(to.to_owned(), inode);
        disk.pending.push(Change::Rename { from: from.to_owned(), to: to.to_owned(), inode });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let inode = disk.names.remove(name).ok_or_else(not_found)?;
        disk.pending.push(Change::Unlink { name: name.to_owned(), inode });
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.disk.lock().sync(None);
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let disk = self.disk.lock();
        Ok(disk.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(disk.used())))
    }

    fn block_bytes(&self) -> u32 {
        SECTOR_BYTES as u32
    }
}

impl StorageFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let disk = self.disk.lock();
        let images = disk.files.get(&self.inode).ok_or_else(not_found)?;
        let bytes = images.cached.get(offset as usize..).unwrap_or(&[]);
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.grow(self.inode, offset + bytes.len() as u64)?;
        let images = disk.files.get_mut(&self.inode).ok_or_else(not_found)?;
        write(&mut images.cached, bytes, offset);
        disk.pending.push(Change::Data { inode: self.inode, offset, bytes: bytes.to_vec() });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.lock().sync(Some(self.inode));
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        let disk = self.disk.lock();
        disk.files.get(&self.inode).map(|images| images.cached.len() as u64).ok_or_else(not_found)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.grow(self.inode, length)?;
        let images = disk.files.get_mut(&self.inode).ok_or_else(not_found)?;
        images.cached.resize(length as usize, 0);
        disk.pending.push(Change::Length { inode: self.inode, length });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Keep, Memory};
    use crate::storage::{Storage, StorageFile};

    fn contents(memory: &Memory, name: &str) -> Option<Vec<u8>> {
        let file = memory.open(name).ok()?;
        let mut bytes = vec![0; file.length().unwrap() as usize];
        file.read_at(&mut bytes, 0).unwrap();
        Some(bytes)
    }

    /// A synced file `a` = "old", overwritten by "new" and then joined by an unsynced `b`.
    fn disk() -> Memory {
        let memory = Memory::new();
        let file = memory.create("a").unwrap();
        file.write_at(b"old", 0).unwrap();
        file.sync().unwrap();
        memory.sync_dir().unwrap();
        file.write_at(b"new", 0).unwrap();
        memory.create("b").unwrap();
        memory
    }

    #[test]
    fn a_power_cut_keeps_the_chosen_changes_only() {
        let check = |keep, a: &[u8], b: bool| {
            let after = disk().power_cut(keep);
            assert_eq!(contents(&after, "a").as_deref(), Some(a), "{keep:?}");
            assert_eq!(contents(&after, "b").is_some(), b, "{keep:?}");
            assert_eq!(after.unsynced(), 0);
        };
        check(Keep::None, b"old", false);
        check(Keep::All, b"new", true);
        check(Keep::Only(0), b"new", false);
        check(Keep::AllBut(0), b"old", true);
    }

    #[test]
    fn a_name_needs_a_sync_of_the_directory() {
        let memory = Memory::new();
        let file = memory.create("a").unwrap();
        file.write_at(b"x", 0).unwrap();
        file.sync().unwrap();
        assert_eq!(contents(&memory.power_cut(Keep::None), "a"), None);
        memory.sync_dir().unwrap();
        assert_eq!(contents(&memory.power_cut(Keep::None), "a"), Some(b"x".to_vec()));
        memory.rename("a", "b").unwrap();
        assert_eq!(contents(&memory.power_cut(Keep::None), "b"), None);
        assert_eq!(contents(&memory.power_cut(Keep::All), "a"), None);
    }

    #[test]
    fn lost_pages_stay_readable_and_never_become_durable() {
        let memory = disk();
        memory.lose_unsynced();
        memory.open("a").unwrap().sync().unwrap();
        assert_eq!(contents(&memory, "a"), Some(b"new".to_vec()));
        assert_eq!(contents(&memory.power_cut(Keep::All), "a"), Some(b"old".to_vec()));
    }

    #[test]
    fn a_torn_write_keeps_whole_sectors() {
        let memory = Memory::new();
        let file = memory.create("a").unwrap();
        file.set_length(4096).unwrap();
        file.sync().unwrap();
        memory.sync_dir().unwrap();
        file.write_at(&[7; 4096], 0).unwrap();
        let torn = |seed| {
            let after = memory.power_cut(Keep::Torn { index: 0, others: false, seed });
            let bytes = contents(&after, "a").unwrap();
            let sectors = bytes.chunks(512);
            assert!(sectors.clone().all(|s| s.iter().all(|byte| *byte == s[0])));
            sectors.filter(|s| s[0] == 7).count()
        };
        let counts: Vec<usize> = (0..16).map(torn).collect();
        assert!(counts.iter().any(|count| (1..8).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_full_disk_refuses_to_grow_and_still_overwrites() {
        let memory = disk();
        memory.limit(Some(4));
        let file = memory.open("a").unwrap();
        assert_eq!(memory.free_bytes().unwrap(), 1);
        let error = file.write_at(b"12345", 0).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        file.write_at(b"1234", 0).unwrap();
    }
}
