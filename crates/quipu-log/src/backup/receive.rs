//! Writing a backup: the snapshot as it arrives, read back and checked, then the file that counts.

use std::io;

use crate::{
    backup::{BackupError, MANIFEST, Manifest},
    snapshot::{self, UNFINISHED},
    sorted_file::{Header, Kind, SortedFileError, failed, read_header},
    storage::{Storage, StorageFile, os::LOCK_FILE},
};

/// Made first, and renamed to the manifest last: what is beside it is a backup in the making.
const MARK: &str = "BACKUP.unfinished";

/// After so many bytes the file is synced, so that the last sync is short. A guess, not measured.
const SYNC_BYTES: u64 = 64 << 20;

/// A backup in the making.
#[derive(Debug)]
pub struct Receiver<S: Storage> {
    storage: S,
    file: S::File,
    length: u64,
    synced: u64,
    /// Whether an interrupted backup was there and went.
    pub replaced: bool,
}

impl<S: Storage> Receiver<S> {
    /// Begins in a directory that is empty, or holds what an interrupted backup left: that goes.
    ///
    /// # Errors
    /// The directory holds a backup or something else, or cannot be written.
    pub fn begin(storage: &S) -> Result<Self, BackupError> {
        let names = storage.list().map_err(failed("list", "the backup"))?;
        if names.iter().any(|name| name == MANIFEST) {
            return Err(BackupError::Taken);
        }
        let left: Vec<_> = names.iter().filter(|name| *name != LOCK_FILE).collect();
        let replaced = left.iter().any(|name| *name == MARK);
        if let Some(file) = left.iter().find(|name| !replaced || !is_ours(name)) {
            return Err(BackupError::NotEmpty { file: (*file).clone() });
        }
        // The mark goes last, so that what is left stays recognisable.
        for name in left.iter().filter(|name| **name != MARK) {
            storage.remove(name).map_err(failed("remove", name))?;
        }
        if !replaced {
            storage.create(MARK).map_err(failed("create", MARK))?;
        }
        storage.sync_dir().map_err(failed("sync", "the backup"))?;
        let file = storage.create(UNFINISHED).map_err(failed("create", UNFINISHED))?;
        Ok(Self { storage: storage.clone(), file, length: 0, synced: 0, replaced })
    }

    /// Appends bytes of the snapshot.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.file.write_at(bytes, self.length).map_err(failed("write", UNFINISHED))?;
        self.length += bytes.len() as u64;
        if self.length - self.synced >= SYNC_BYTES {
            self.file.sync().map_err(failed("sync", UNFINISHED))?;
            self.synced = self.length;
        }
        Ok(())
    }

    /// Makes the snapshot durable, reads it back, and says in a file what it holds: from then on it
    /// is a backup, taken at `taken_s` in Unix seconds.
    ///
    /// # Errors
    /// What arrived does not check, or cannot be written.
    pub fn finish(self, taken_s: u64) -> Result<Manifest, BackupError> {
        self.file.sync().map_err(failed("sync", UNFINISHED))?;
        let Header { kind, store_id, position, .. } = read_header(&self.file, UNFINISHED)?;
        if kind != Kind::Snapshot {
            let (file, what) = (UNFINISHED.to_owned(), "the kind");
            return Err(SortedFileError::Damaged { file, offset: 0, what }.into());
        }
        let name = snapshot::name(position);
        self.storage.rename(UNFINISHED, &name).map_err(failed("name", &name))?;
        self.storage.sync_dir().map_err(failed("sync", "the backup"))?;
        let manifest = Manifest::of(&self.storage, (store_id, position), taken_s)?;
        write_last(&self.storage, &manifest).map_err(failed("write", MANIFEST))?;
        Ok(manifest)
    }
}

fn is_ours(name: &str) -> bool {
    name == MARK || name == UNFINISHED || snapshot::is_name(name)
}

fn write_last<S: Storage>(storage: &S, manifest: &Manifest) -> io::Result<()> {
    let file = storage.open(MARK)?;
    let text = manifest.encode();
    file.set_length(text.len() as u64)?;
    file.write_at(text.as_bytes(), 0)?;
    file.sync()?;
    storage.rename(MARK, MANIFEST)?;
    storage.sync_dir()
}
