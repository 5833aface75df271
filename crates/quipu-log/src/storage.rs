//! The narrow trait between the log and the disk.
//!
//! Names are plain file names in one directory. Creation, renaming and removal are durable only
//! after [`Storage::sync_dir`], contents only after [`StorageFile::sync`]. Three implementations:
//! [`os`] (a real directory), [`memory`] (a model that can lose power), [`fault`] (an injector
//! around either).

pub mod fault;
pub mod memory;
pub mod os;

use std::{fmt, io};

/// One directory of files. Clones share it; every method may be called from any thread.
pub trait Storage: Clone + fmt::Debug + Send + Sync + 'static {
    /// An open file of this storage.
    type File: StorageFile;

    /// Returns the names of all files, in no particular order.
    ///
    /// # Errors
    /// When the directory cannot be read.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Creates an empty file; its name is durable only after [`Storage::sync_dir`].
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Renames a file, replacing `to` if it exists.
    ///
    /// # Errors
    /// `NotFound` when `from` does not exist.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes every creation, renaming and removal so far durable.
    ///
    /// # Errors
    /// When the device did not confirm; what became durable is then unknown.
    fn sync_dir(&self) -> io::Result<()>;

    /// Returns how many bytes can still be allocated.
    ///
    /// # Errors
    /// When the file system does not say.
    fn free_bytes(&self) -> io::Result<u64>;

    /// Returns the size of the unit that the device writes as a whole, in bytes, a power of two.
    fn block_bytes(&self) -> u32;
}

/// An open file. Several threads may read while one writes.
pub trait StorageFile: fmt::Debug + Send + Sync + 'static {
    /// Reads into `buffer` from `offset` and returns how many bytes there were: fewer than asked
    /// for only at the end of the file.
    ///
    /// # Errors
    /// When the device cannot read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// When not all was written; any part may have been.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes the file's contents and length durable (`fdatasync`).
    ///
    /// # Errors
    /// When the device did not confirm. The caller must never call again and trust the answer:
    /// the pages may have been marked clean without having been written.
    fn sync(&self) -> io::Result<()>;

    /// Returns the length in bytes.
    ///
    /// # Errors
    /// When the file system does not say.
    fn length(&self) -> io::Result<u64>;

    /// Sets the length; new bytes read as zero.
    ///
    /// # Errors
    /// `StorageFull` when there is no room.
    fn set_length(&self, length: u64) -> io::Result<()>;
}

/// How much is written at once when a file is filled with zeros; a guess, not measured.
const ZERO_CHUNK_BYTES: u64 = 1 << 20;

/// Writes zeros from `from` up to `to`, so that later writes there need no new extents.
///
/// # Errors
/// As [`StorageFile::write_at`].
pub fn fill_zeros<F: StorageFile>(file: &F, from: u64, to: u64) -> io::Result<()> {
    let chunk = ZERO_CHUNK_BYTES.min(to.saturating_sub(from));
    let zeros = vec![0_u8; chunk as usize];
    let mut offset = from;
    while offset < to {
        let length = chunk.min(to - offset);
        let part = zeros.get(..length as usize).unwrap_or(&zeros);
        file.write_at(part, offset)?;
        offset += length;
    }
    Ok(())
}
