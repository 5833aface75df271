//! The directory that is looked at, and what was measured there once.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use quipu_log::storage::os::LOCK_FILE;
use quipu_metrics::settings::Settings;
use quipu_proof::probe::Probe;
use quipu_server::clock;
use rustix::fs::FlockOperation;

/// Who holds a directory.
#[derive(Debug)]
pub(crate) enum Lock {
    /// There is no directory yet.
    NoDirectory,
    /// Nobody; where it was locked before, it is held here until the end, so that no node starts
    /// beside the measuring.
    Free(#[expect(dead_code, reason = "held, not read")] Option<File>),
    /// A node.
    Held,
    /// It cannot be known.
    Unknown(io::Error),
}

/// A file of the directory.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) name: String,
    /// Its size.
    pub(crate) bytes: u64,
    /// Whether it is a directory.
    pub(crate) is_directory: bool,
    /// When it was last written.
    pub(crate) written: Option<SystemTime>,
}

/// How far the wall clock moved against the clock of the boot while the disk was measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drift {
    /// How long that was.
    pub(crate) over: Duration,
    /// How far the wall clock went ahead, in milliseconds.
    pub(crate) ahead_ms: i64,
}

/// What is looked at.
#[derive(Debug)]
pub(crate) struct Subject {
    /// The data directory as it was named.
    pub(crate) directory: PathBuf,
    /// It, or what is above it where it does not exist.
    pub(crate) place: PathBuf,
    /// What a node would run with.
    pub(crate) settings: Settings,
    /// Who holds it.
    pub(crate) lock: Lock,
    /// Its files.
    pub(crate) entries: Vec<Entry>,
    /// The device that it is on.
    pub(crate) device: u64,
    /// How it syncs; none where a node runs.
    pub(crate) syncs: Option<io::Result<Probe>>,
    /// How the clocks went meanwhile.
    pub(crate) drift: Drift,
    /// The wall clock.
    pub(crate) now: SystemTime,
}

impl Subject {
    /// Looks at the directory of `settings`; measures syncs for about `time` unless a node runs.
    ///
    /// # Errors
    /// The directory, or what is above it, cannot be looked at.
    pub(crate) fn look(settings: Settings, time: Duration) -> io::Result<Self> {
        let directory = settings.data_dir.clone();
        let place = existing(&directory);
        let device = fs::metadata(&place)?.dev();
        let lock = lock(&directory);
        let entries = if directory.is_dir() { entries(&directory)? } else { Vec::new() };
        let (before, began) = (clock::read(), Instant::now());
        let is_free = matches!(lock, Lock::Free(_) | Lock::NoDirectory);
        let syncs = is_free.then(|| measure(&place, time));
        let after = clock::read();
        let walls = after.wall_ms as i64 - before.wall_ms as i64;
        let boots = after.boot_ms as i64 - before.boot_ms as i64;
        let drift = Drift { over: began.elapsed(), ahead_ms: walls - boots };
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(after.wall_ms);
        Ok(Self { directory, place, settings, lock, entries, device, syncs, drift, now })
    }

    /// A fact of the block device that the directory is on; of the whole disk for a partition.
    pub(crate) fn device_fact(&self, name: &str) -> Option<String> {
        let (major, minor) = (rustix::fs::major(self.device), rustix::fs::minor(self.device));
        let node = format!("/sys/dev/block/{major}:{minor}");
        [format!("{node}/queue/{name}"), format!("{node}/../queue/{name}")]
            .into_iter()
            .find_map(|path| fact(&path))
    }
}

/// A file of one line, without blanks around it.
pub(crate) fn fact(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The path, or the nearest one above it that exists.
fn existing(path: &Path) -> PathBuf {
    let above = path.ancestors().find(|path| path.is_dir());
    match above {
        Some(above) if above != Path::new("") => above.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

fn lock(directory: &Path) -> Lock {
    if !directory.is_dir() {
        return Lock::NoDirectory;
    }
    let file = match File::open(directory.join(LOCK_FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Lock::Free(None),
        Err(error) => return Lock::Unknown(error),
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Lock::Free(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Lock::Held,
        Err(errno) => Lock::Unknown(errno.into()),
    }
}

fn entries(directory: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // A running node may have removed it since it was listed.
        let Ok(metadata) = entry.metadata() else { continue };
        entries.push(Entry {
            name: entry.file_name().to_string_lossy().into_owned(),
            bytes: metadata.len(),
            is_directory: metadata.is_dir(),
            written: metadata.modified().ok(),
        });
    }
    Ok(entries)
}

/// Measures in a directory of its own, which is removed.
fn measure(place: &Path, time: Duration) -> io::Result<Probe> {
    let folder = place.join(format!("{OWN_PREFIX}{}", std::process::id()));
    fs::create_dir(&folder)?;
    let measured = Probe::measure(&folder, time);
    let removed = fs::remove_dir_all(&folder);
    measured.and_then(|probe| removed.map(|()| probe))
}

/// How directories begin that are made to measure in.
pub(crate) const OWN_PREFIX: &str = "quipu-doctor-";
