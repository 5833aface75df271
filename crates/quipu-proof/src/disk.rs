//! A disk whose power can be cut: a file system in memory, mounted by FUSE, that knows of every page
//! and name whether it was synced.
//!
//! `file` is one file as pages, `tree` the directories over them, `fuse` what the kernel calls,
//! and `guard` unmounts when this process was killed.
//! All writes reach this process at once; what the kernel caches is dropped with each cut, because
//! the file system is mounted anew.

mod file;
mod fuse;
mod guard;
mod tree;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuser::{BackgroundSession, Config, MountOption, SessionACL};
use parking_lot::Mutex;

use self::fuse::Served;
use self::guard::Guard;
use self::tree::Tree;

/// Why there is no such disk.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The machine does not let us mount.
    #[error("cannot mount a file system at {path}: {source}")]
    Mount {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be unmounted.
    #[error("cannot unmount {path}: {source}")]
    Unmount {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// When names, renamings and removals are durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// When their directory was synced, and not before: what POSIX promises.
    WhenSynced,
    /// At once: kinder than any file system, for programs that rely on a journal.
    AtOnce,
}

/// What a cut leaves of that which was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    Nothing,
    /// Everything.
    Everything,
    /// Each page kept, lost or torn at its sectors, and names up to some point, by a seed.
    Some(u64),
    /// The same, and a page that was being written may hold anything: a device that tears no sector,
    /// but garbles the block that it was at.
    Garbled(u64),
}

/// What was counted since the disk was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Writes.
    pub writes: u64,
    /// Syncs of files and directories.
    pub syncs: u64,
    /// Pages that a cut took.
    pub pages_lost: u64,
    /// Pages that a cut tore or garbled.
    pub pages_torn: u64,
    /// Names, renamings and removals that a cut took.
    pub names_lost: u64,
}

/// A disk; dropping it unmounts it and forgets its files.
#[derive(Debug)]
pub struct LossyDisk {
    path: PathBuf,
    tree: Arc<Mutex<Tree>>,
    session: Option<BackgroundSession>,
    /// After the session: what is unmounted needs no guard.
    _guard: Guard,
}

impl LossyDisk {
    /// Mounts an empty disk at a directory that is there.
    ///
    /// # Errors
    /// The machine does not permit it.
    pub fn mount(path: &Path, names: Names) -> Result<Self, DiskError> {
        let failed = |source| DiskError::Mount { path: path.to_path_buf(), source };
        let path = path.canonicalize().map_err(failed)?;
        let guard = Guard::over(&path).map_err(failed)?;
        let tree = Arc::new(Mutex::new(Tree::new(names)));
        let mut disk = Self { path, tree, session: None, _guard: guard };
        disk.attach()?;
        Ok(disk)
    }

    /// Where its files are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.tree.lock().counts()
    }

    /// Cuts the power and gives it back. Every process that has a file open here must have ended.
    ///
    /// # Errors
    /// It cannot be mounted again; a process still uses it.
    pub fn cut(&mut self, keep: Keep) -> Result<(), DiskError> {
        self.detach()?;
        self.tree.lock().cut(keep);
        self.attach()
    }

    /// Lets the sync after `syncs` more of them fail: its pages count as clean, stay readable, and
    /// are never written.
    pub fn fail_sync_after(&self, syncs: u64) {
        self.tree.lock().fail_sync_after(syncs);
    }

    /// Lets writes that need room fail beyond so many bytes of all files; none lifts the bound.
    pub fn limit(&self, bytes: Option<u64>) {
        self.tree.lock().limit(bytes);
    }

    fn attach(&mut self) -> Result<(), DiskError> {
        let mut config = Config::default();
        config.mount_options =
            vec![MountOption::FSName("quipu-proof".into()), MountOption::DefaultPermissions];
        // Only root may let other users in, such as those that databases run as.
        let is_root = rustix::process::geteuid().is_root();
        config.acl = if is_root { SessionACL::All } else { SessionACL::Owner };
        let served = Served::new(Arc::clone(&self.tree));
        let mounted = fuser::spawn_mount(served, &self.path, &config);
        let failed = |source| DiskError::Mount { path: self.path.clone(), source };
        self.session = Some(mounted.map_err(failed)?);
        Ok(())
    }

    fn detach(&mut self) -> Result<(), DiskError> {
        let Some(session) = self.session.take() else { return Ok(()) };
        let failed = |source| DiskError::Unmount { path: self.path.clone(), source };
        session.umount_and_join().map_err(failed)
    }
}

impl Drop for LossyDisk {
    fn drop(&mut self) {
        // A mount that is still used goes when its last user does; there is nobody to tell.
        drop(self.detach());
    }
}
