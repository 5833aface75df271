//! How a disk syncs: does it take plausibly long.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes of one write: a block of common disks.
const BLOCK_BYTES: usize = 4096;

/// Blocks of the file that is written to.
const BLOCKS: u64 = 256;

/// Samples, at most.
const SAMPLES_MAX: usize = 1000;

/// The first syncs of a file change its metadata.
const WARM_UP: usize = 3;

/// A device that confirms sooner than this has kept nothing. Measured: NVMe devices with capacitors
/// take some 20 us; file systems in memory 1 us.
const PLAUSIBLE: Duration = Duration::from_micros(15);

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The kind of the file system.
    pub file_system: String,
    /// How often a block was written and synced.
    pub samples: usize,
    /// The quickest.
    pub least: Duration,
    /// Half of them were quicker.
    pub p50: Duration,
    /// All but one of a hundred were quicker.
    pub p99: Duration,
    /// The slowest.
    pub most: Duration,
}

impl Probe {
    /// Writes and syncs blocks of a new file in a folder for as long as said.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn measure(folder: &Path, time: Duration) -> io::Result<Self> {
        let path = folder.join("probe");
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        file.write_all_at(&vec![0; BLOCK_BYTES * BLOCKS as usize], 0)?;
        file.sync_all()?;
        let mut samples = sample(&file, time)?;
        samples.sort_unstable();
        std::fs::remove_file(&path)?;
        let at = |part: usize| samples.get(samples.len() * part / 100).copied().unwrap_or_default();
        Ok(Self {
            file_system: file_system(&file),
            samples: samples.len(),
            least: at(0),
            p50: at(50),
            p99: at(99),
            most: samples.last().copied().unwrap_or_default(),
        })
    }

    /// Why these times are not those of a device that keeps what it confirms, if they are not.
    pub fn doubt(&self) -> Option<String> {
        if self.file_system == "tmpfs" {
            return Some("a file system in memory: nothing here survives a power cut".to_owned());
        }
        (self.p50 < PLAUSIBLE).then(|| {
            format!(
                "half of the syncs took less than {} us: a cache without a battery, or syncs are \
                 switched off",
                PLAUSIBLE.as_micros()
            )
        })
    }
}

fn sample(file: &File, time: Duration) -> io::Result<Vec<Duration>> {
    let until = Instant::now() + time;
    let mut samples = Vec::new();
    for number in 0..SAMPLES_MAX + WARM_UP {
        let block = [number as u8; BLOCK_BYTES];
        let offset = number as u64 % BLOCKS * BLOCK_BYTES as u64;
        let started = Instant::now();
        file.write_all_at(&block, offset)?;
        file.sync_data()?;
        if number >= WARM_UP {
            samples.push(started.elapsed());
        }
        if Instant::now() >= until && !samples.is_empty() {
            break;
        }
    }
    Ok(samples)
}

/// The kinds of file systems by the number that Linux gives them (`linux/magic.h`).
const KINDS: [(u64, &str); 8] = [
    (0xEF53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683E, "btrfs"),
    (0x0102_1994, "tmpfs"),
    (0x794C_7630, "overlayfs"),
    (0x2FC1_2FC1, "zfs"),
    (0x6573_5546, "fuse"),
    (0x6969, "nfs"),
];

/// The kind of the file system that a file or directory is on.
pub fn file_system(file: &File) -> String {
    let Ok(facts) = rustix::fs::fstatfs(file) else { return "unknown".to_owned() };
    let magic = facts.f_type as u64 & 0xFFFF_FFFF;
    let known = KINDS.iter().find(|(number, _)| *number == magic);
    known.map_or_else(|| format!("0x{magic:x}"), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file_system: &str, p50_us: u64, doubted: bool) {
        let p50 = Duration::from_micros(p50_us);
        let file_system = file_system.to_owned();
        let probe = Probe { file_system, samples: 9, least: p50, p50, p99: p50, most: p50 };
        assert_eq!(probe.doubt().is_some(), doubted, "{probe:?}");
    }

    #[test]
    fn a_sync_that_is_too_quick_is_doubted() {
        check("ext4", 2, true);
        check("ext4", 60, false);
        check("tmpfs", 60, true);
    }

    #[test]
    fn a_disk_is_measured_and_left_as_it_was() {
        let folder = tempfile::TempDir::new().unwrap();
        let probe = Probe::measure(folder.path(), Duration::from_millis(20)).unwrap();
        assert!(
            probe.samples > 0 && probe.least <= probe.p99 && probe.p99 <= probe.most,
            "{probe:?}"
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
