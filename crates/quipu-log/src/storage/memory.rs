//! A disk in memory that can lose its power.
//!
//! Every file has a cached image, which reads see, and a durable image, which a power cut leaves.
//! Writes, lengths, names, renames and removals wait in one list until a sync of their file or of
//! the directory; [`Memory::power_cut`] builds the disk that is found afterwards, with a chosen
//! subset of what was waiting. The model is harsher than any file system: what is unsynced may
//! become durable in any combination, and a write may be torn at every sector.

use std::{collections::BTreeMap, io, sync::Arc};

use parking_lot::Mutex;
use stdx::hash::hash64;

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
    /// The changes whose bits are set: bit 0 is the oldest. Beyond 64 nothing is kept.
    Chosen(u64),
    /// Those of [`Keep::Chosen`], and of the change `index` the sectors whose bits are set, beyond
    /// 64 none.
    Sectors {
        /// Which of the others are kept.
        chosen: u64,
        /// Which change is torn.
        index: usize,
        /// Which of its sectors are kept.
        sectors: u64,
    },
}

/// A directory in memory. Clones share it.
#[derive(Debug, Clone)]
pub struct Memory {
    disk: Arc<Mutex<Disk>>,
    block_bytes: u32,
}

/// An open file of a [`Memory`].
#[derive(Debug, Clone)]
pub struct MemoryFile {
    disk: Arc<Mutex<Disk>>,
    inode: u64,
}

#[derive(Debug, Default, Clone)]
struct Disk {
    files: BTreeMap<u64, Images>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    pending: Vec<Change>,
    next_inode: u64,
    capacity: Option<u64>,
}

/// Both images are shared by copies of a disk until one of them is written to.
#[derive(Debug, Default, Clone)]
#[expect(clippy::rc_buffer, reason = "a copy of a disk that is written to takes the vector over")]
struct Images {
    cached: Arc<Vec<u8>>,
    /// Shares its memory with the cached image while both are the same.
    durable: Arc<Vec<u8>>,
    /// Whether the cache shows what the device never took.
    is_stale: bool,
}

#[derive(Debug, Clone)]
enum Change {
    Data { inode: u64, offset: u64, bytes: Arc<[u8]> },
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
        Self::with_blocks(SECTOR_BYTES as u32)
    }

    /// Returns an empty disk that says to write blocks of so many bytes, a power of two, whole. It
    /// tears at every sector all the same.
    pub fn with_blocks(block_bytes: u32) -> Self {
        Self { disk: Arc::new(Mutex::new(Disk::default())), block_bytes }
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
            images.cached = Arc::clone(&images.durable);
            images.is_stale = false;
        }
        Self { disk: Arc::new(Mutex::new(after)), block_bytes: self.block_bytes }
    }

    /// Returns an independent copy in which everything is durable.
    #[must_use]
    pub fn copy(&self) -> Self {
        self.power_cut(Keep::All)
    }

    /// Returns an independent copy, with what waits for a sync.
    #[must_use]
    pub fn fork(&self) -> Self {
        let disk = self.disk.lock().clone();
        Self { disk: Arc::new(Mutex::new(disk)), block_bytes: self.block_bytes }
    }

    /// Returns how many sectors the unsynced write with this number touches; none if it is another
    /// kind of change.
    pub fn unsynced_sectors(&self, index: usize) -> Option<usize> {
        match self.disk.lock().pending.get(index)? {
            Change::Data { offset, bytes, .. } => Some(sectors(*offset, bytes).count()),
            _ => None,
        }
    }

    /// Returns a number that stands for what is durable: names and contents.
    pub fn fingerprint(&self) -> u64 {
        let disk = self.disk.lock();
        let mut all = Vec::new();
        for (name, inode) in &disk.durable_names {
            let contents = disk.files.get(inode).map(|images| images.durable.as_slice());
            all.extend_from_slice(name.as_bytes());
            all.extend_from_slice(&hash64(0, contents.unwrap_or_default()).to_le_bytes());
        }
        hash64(0, &all)
    }

    /// Drops what waits for a sync of any file although reads still see it: what a kernel does
    /// with the pages of a failed `fsync`.
    pub fn lose_unsynced(&self) {
        let mut disk = self.disk.lock();
        let pending = std::mem::take(&mut disk.pending);
        for change in pending {
            match change.inode().and_then(|inode| disk.files.get_mut(&inode)) {
                Some(images) => images.is_stale = true,
                None => disk.pending.push(change),
            }
        }
    }

    /// Flips one bit of file `name`, durably; false when the file is shorter.
    pub fn flip_bit(&self, name: &str, bit: u64) -> bool {
        let mut disk = self.disk.lock();
        let Some(inode) = disk.names.get(name).copied() else { return false };
        let Some(images) = disk.files.get_mut(&inode) else { return false };
        let (byte, mask) = ((bit / 8) as usize, 1 << (bit % 8));
        let is_same = Arc::ptr_eq(&images.cached, &images.durable);
        let flip = |image: &mut Arc<Vec<u8>>| {
            Arc::make_mut(image).get_mut(byte).map(|byte| *byte ^= mask).is_some()
        };
        if is_same {
            images.cached = Arc::default();
            let flipped = flip(&mut images.durable);
            images.cached = Arc::clone(&images.durable);
            return flipped;
        }
        flip(&mut images.cached) & flip(&mut images.durable)
    }
}

#[derive(Clone, Copy)]
enum Fate {
    Kept,
    Lost,
    Torn(u64),
    Sectors(u64),
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
        Keep::Sectors { index: torn, sectors, .. } if torn == index => Fate::Sectors(sectors),
        Keep::Chosen(chosen) | Keep::Sectors { chosen, .. } => {
            kept(index < 64 && chosen >> index & 1 == 1)
        }
        Keep::Random(seed) => match mix(seed, index as u64) % 3 {
            0 => Fate::Lost,
            1 => Fate::Kept,
            _ => Fate::Torn(seed),
        },
    }
}

/// Spreads a seed and a number over 64 bits.
fn mix(seed: u64, number: u64) -> u64 {
    hash64(seed, &number.to_le_bytes())
}

impl Disk {
    fn survive(&mut self, change: &Change, fate: Fate) {
        match fate {
            Fate::Lost => {}
            Fate::Kept => self.make_durable(change),
            Fate::Torn(seed) => {
                self.tear(change, |_, at| mix(seed, at) & 1 == 0, seed & 1 == 0);
            }
            Fate::Sectors(bits) => {
                self.tear(
                    change,
                    |number, _| number < 64 && bits >> number & 1 == 1,
                    bits & 1 == 1,
                );
            }
        }
    }

    /// Applies only those sectors of a write that are kept, told by their number and offset.
    /// Anything else is atomic, and kept or not as `whole` says.
    fn tear(&mut self, change: &Change, keeps: impl Fn(usize, u64) -> bool, whole: bool) {
        let Change::Data { inode, offset, bytes } = change else {
            if whole {
                self.make_durable(change);
            }
            return;
        };
        for (number, (at, sector)) in sectors(*offset, bytes).enumerate() {
            if keeps(number, at) {
                let bytes = sector.into();
                self.make_durable(&Change::Data { inode: *inode, offset: at, bytes });
            }
        }
    }

    fn make_durable(&mut self, change: &Change) {
        match change {
            Change::Data { inode, offset, bytes } => {
                if let Some(images) = self.files.get_mut(inode) {
                    write(Arc::make_mut(&mut images.durable), bytes, *offset);
                }
            }
            Change::Length { inode, length } => {
                if let Some(images) = self.files.get_mut(inode) {
                    Arc::make_mut(&mut images.durable).resize(*length as usize, 0);
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
        let images = inode.and_then(|inode| self.files.get_mut(&inode));
        if let Some(images) = images.filter(|images| !images.is_stale) {
            // Nothing will wait any more, and no page was lost: both images are the same.
            images.durable = Arc::clone(&images.cached);
            self.pending.retain(|change| change.inode() != inode);
            return;
        }
        for change in std::mem::take(&mut self.pending) {
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

/// The sectors that a write touches: where each part begins, and its bytes.
fn sectors(offset: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let mut rest = bytes;
    let mut at = offset;
    std::iter::from_fn(move || {
        let length = (SECTOR_BYTES - at as usize % SECTOR_BYTES).min(rest.len());
        let (sector, after) = rest.split_at_checked(length).filter(|_| length > 0)?;
        let begin = at;
        (rest, at) = (after, at + length as u64);
        Some((begin, sector))
    })
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
        self.block_bytes
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
        write(Arc::make_mut(&mut images.cached), bytes, offset);
        disk.pending.push(Change::Data { inode: self.inode, offset, bytes: bytes.into() });
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
        Arc::make_mut(&mut images.cached).resize(length as usize, 0);
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
