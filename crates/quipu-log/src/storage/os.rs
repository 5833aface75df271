//! A real directory: `pwrite`, `fdatasync`, directory `fsync`, one process at a time.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::FlockOperation;
use thiserror::Error;

use crate::storage::{Storage, StorageFile};

/// The file whose lock keeps a second process out.
pub const LOCK_FILE: &str = "LOCK";

/// Least block size. The kernel writes back whole pages of 4 KiB, so a smaller block would let a
/// later frame's write touch the page of a durable one.
const BLOCK_BYTES_MIN: u32 = 4096;

/// Largest block size that is believed; anything above is taken for a misreport (guess).
const BLOCK_BYTES_MAX: u32 = 64 * 1024;

/// File systems whose storage is elsewhere, by the magic number of statfs(2) and
/// linux/magic.h: their fsync, locks and caches do not promise what the log needs.
const NETWORK_FILE_SYSTEMS: [(u64, &str); 15] = [
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB2"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "FUSE"),
    (0x00C3_6400, "Ceph"),
    (0x5346_414F, "AFS"),
    (0x6B41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x0BD0_0BD0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x7461_636F, "OCFS2"),
    (0x0116_1970, "GFS2"),
    (0x1983_0326, "BeeGFS"),
];

/// Whether a directory on a network file system is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkFileSystem {
    /// Refuse it: the default.
    Refuse,
    /// Accept it: the operator vouches for its `fsync` and its locks.
    Force,
}

/// Why a directory could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The operating system refused.
    #[error("cannot open the data directory {}", path.display())]
    Io {
        /// The directory or its lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process holds the lock.
    #[error("the data directory {} is in use by another process", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The directory is not on a local disk.
    #[error(
        "the data directory {} is on {kind}, whose sync and locks are not to be trusted; \
         use a local disk, or force it",
        path.display()
    )]
    Network {
        /// The directory.
        path: PathBuf,
        /// The file system's name.
        kind: &'static str,
    },
}

/// A locked directory. The lock is held until the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Os {
    inner: Arc<Directory>,
}

#[derive(Debug)]
struct Directory {
    path: PathBuf,
    handle: File,
    block_bytes: u32,
    /// None where it is only read.
    lock: Option<File>,
}

impl Os {
    /// Opens and locks `path`, creating it where it does not exist.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path, network: NetworkFileSystem) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { path: path.to_path_buf(), source };
        fs::create_dir_all(path).map_err(io)?;
        let handle = File::open(path).map_err(io)?;
        if network == NetworkFileSystem::Refuse {
            let magic = rustix::fs::fstatfs(&handle).map_err(|e| io(e.into()))?.f_type;
            refuse_network(path, magic as u64)?;
        }
        let lock = lock(path)?;
        let device = handle.metadata().map_err(io)?.dev();
        sync_names_above(path, device).map_err(io)?;
        let block_bytes = physical_block_bytes(device);
        let path = path.to_path_buf();
        let lock = Some(lock);
        Ok(Self { inner: Arc::new(Directory { path, handle, block_bytes, lock }) })
    }

    /// Opens a directory that nobody writes to, to read it: takes no lock, creates nothing. Its
    /// medium may be read-only, and whatever would change it fails.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn read_only(path: &Path) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { path: path.to_path_buf(), source };
        let handle = File::open(path).map_err(io)?;
        let (path, block_bytes) = (path.to_path_buf(), BLOCK_BYTES_MIN);
        Ok(Self { inner: Arc::new(Directory { path, handle, block_bytes, lock: None }) })
    }

    /// Whether it may be changed.
    fn refuse_change(&self) -> io::Result<()> {
        match self.inner.lock {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
        }
    }

    /// Returns the directory's path.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    fn file(&self, name: &str) -> PathBuf {
        self.inner.path.join(name)
    }
}

/// Makes the names of a directory and of those above it durable, up to the root of its file system:
/// this start, or one that a crash ended early, may have made them. Those that may not be opened
/// were made by somebody else.
fn sync_names_above(path: &Path, device: u64) -> io::Result<()> {
    for above in fs::canonicalize(path)?.ancestors().skip(1) {
        let Ok(folder) = File::open(above) else { continue };
        if folder.metadata()?.dev() != device {
            return Ok(());
        }
        folder.sync_all()?;
    }
    Ok(())
}

fn refuse_network(path: &Path, magic: u64) -> Result<(), OpenError> {
    match network_kind(magic) {
        Some(kind) => Err(OpenError::Network { path: path.to_path_buf(), kind }),
        None => Ok(()),
    }
}

/// Returns the name of a file system whose storage is elsewhere, by its magic number of statfs(2);
/// none for a local one.
pub fn network_kind(magic: u64) -> Option<&'static str> {
    // Some architectures sign-extend the 32-bit magic.
    let magic = magic & 0xFFFF_FFFF;
    NETWORK_FILE_SYSTEMS.iter().find(|(known, _)| *known == magic).map(|(_, kind)| *kind)
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join(LOCK_FILE);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = match options.open(&path) {
        Ok(file) => file,
        Err(source) => return Err(OpenError::Io { path, source }),
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(OpenError::Locked { path: directory.to_path_buf() })
        }
        Err(errno) => Err(OpenError::Io { path, source: errno.into() }),
    }
}

/// Returns the physical block size of device `dev`; partitions ask the disk that they are on.
fn physical_block_bytes(dev: u64) -> u32 {
    let node = format!("/sys/dev/block/{}:{}", rustix::fs::major(dev), rustix::fs::minor(dev));
    let read = |path: String| fs::read_to_string(path).ok()?.trim().parse::<u32>().ok();
    read(format!("{node}/queue/physical_block_size"))
        .or_else(|| read(format!("{node}/../queue/physical_block_size")))
        .filter(|bytes| bytes.is_power_of_two() && *bytes <= BLOCK_BYTES_MAX)
        .map_or(BLOCK_BYTES_MIN, |bytes| bytes.max(BLOCK_BYTES_MIN))
}

impl Storage for Os {
    type File = File;

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.inner.path)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.extend(entry.file_name().into_string());
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        self.refuse_change()?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        options.open(self.file(name))
    }

    fn open(&self, name: &str) -> io::Result<File> {
        let writes = self.inner.lock.is_some();
        OpenOptions::new().read(true).write(writes).open(self.file(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.refuse_change()?;
        fs::rename(self.file(from), self.file(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.refuse_change()?;
        fs::remove_file(self.file(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.inner.handle.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.inner.handle)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn block_bytes(&self) -> u32 {
        self.inner.block_bytes
    }
}

impl StorageFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match FileExt::read_at(self, rest, offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{NetworkFileSystem, OpenError, Os, refuse_network};
    use crate::storage::{Storage, StorageFile};

    #[test]
    fn a_directory_belongs_to_one_opener_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let first = Os::open(directory.path(), NetworkFileSystem::Refuse).unwrap();
        let second = Os::open(directory.path(), NetworkFileSystem::Refuse);
        assert!(matches!(second, Err(OpenError::Locked { .. })), "{second:?}");
        drop(first);
        Os::open(directory.path(), NetworkFileSystem::Refuse).unwrap();
    }

    #[test]
    fn network_file_systems_are_refused_by_name() {
        let check = |magic, expected: Option<&str>| {
            let error = refuse_network(Path::new("/data"), magic).err();
            let kind = error.map(|error| match error {
                OpenError::Network { kind, .. } => kind,
                other => panic!("{other}"),
            });
            assert_eq!(kind, expected, "{magic:#x}");
        };
        check(0x6969, Some("NFS"));
        check(0xFFFF_FFFF_FF53_4D42, Some("CIFS"));
        check(0xEF53, None);
    }

    #[test]
    fn files_keep_what_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let os = Os::open(directory.path(), NetworkFileSystem::Refuse).unwrap();
        assert!(os.block_bytes() >= 4096 && os.block_bytes().is_power_of_two());
        assert!(os.free_bytes().unwrap() > 0);
        let file = os.create("a").unwrap();
        file.set_length(8).unwrap();
        file.write_at(b"xyz", 2).unwrap();
        StorageFile::sync(&file).unwrap();
        os.rename("a", "b").unwrap();
        os.sync_dir().unwrap();
        let mut buffer = [1_u8; 10];
        let count = StorageFile::read_at(&os.open("b").unwrap(), &mut buffer, 0).unwrap();
        assert_eq!((count, &buffer), (8, b"\0\0xyz\0\0\0\x01\x01"));
        os.remove("b").unwrap();
        assert_eq!(os.list().unwrap(), [super::LOCK_FILE]);
    }
}
