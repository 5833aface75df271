//! What this process uses of the machine, and what it may use.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::clock::Stopwatch;

/// Memory that a node may use where nothing is said: this part of the machine's. Spec.
const MEMORY_PART: (u64, u64) = (3, 4);

/// Syncs of the probe at start: enough for a median, 2 ms on a fast disk. Guess.
const PROBE_SYNCS: usize = 17;

/// The file of the probe, beside the log.
pub const PROBE_FILE: &str = "probe.tmp";

/// Bytes of one write of the probe: the block of most devices.
const PROBE_BYTES: usize = 4096;

/// Resident memory of this process in bytes; 0 where the kernel does not say.
pub fn resident_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

/// The most memory of this process that ever was resident, in bytes; 0 where the kernel does not
/// say.
pub fn resident_peak_bytes() -> u64 {
    kib_line("/proc/self/status", "VmHWM:").unwrap_or(0)
}

/// The time that this process has spent in the system and in user space, in microseconds; 0 where
/// the kernel does not say.
pub fn cpu_us() -> (u64, u64) {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the program's name in brackets, which may contain anything; `utime` and
    // `stime` are the fields 14 and 15.
    let after_name = text.rsplit(')').next().unwrap_or_default();
    let mut fields = after_name.split_whitespace().skip(11);
    let ticks_per_s = rustix::param::clock_ticks_per_second().max(1);
    let mut next = || {
        let ticks: u64 = fields.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        ticks * 1_000_000 / ticks_per_s
    };
    let user = next();
    (next(), user)
}

/// The memory that a node may use by default: 3/4 of the machine's, or of its cgroup's where that
/// is less.
pub fn memory_max_default() -> u64 {
    memory_limit() / MEMORY_PART.1 * MEMORY_PART.0
}

/// Memory of the machine, or of the process's cgroup where that is less, in bytes.
pub fn memory_limit() -> u64 {
    machine_memory().min(cgroup_memory().unwrap_or(u64::MAX))
}

/// Memory of the machine in bytes; without end where the kernel does not say.
pub fn machine_memory() -> u64 {
    kib_line("/proc/meminfo", "MemTotal:").unwrap_or(u64::MAX)
}

/// Memory that the machine could give now without swapping, in bytes, where the kernel says so.
pub fn available_memory() -> Option<u64> {
    kib_line("/proc/meminfo", "MemAvailable:")
}

/// The bytes of a line `label n kB`.
fn kib_line(path: &str, label: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    let kib = line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()?;
    Some(kib * 1024)
}

/// The least limit of the process's cgroup and of those above it (versions 2 and 1).
fn cgroup_memory() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let limits = groups.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let is_memory = controllers.split(',').any(|name| name == "memory");
        match controllers {
            "" => least_limit("/sys/fs/cgroup", path, "memory.max"),
            _ if is_memory => least_limit("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes"),
            _ => None,
        }
    });
    limits.min()
}

/// The least number in `file` of the group at `path` and of those above it.
fn least_limit(root: &str, path: &str, file: &str) -> Option<u64> {
    let root = Path::new(root);
    let group = root.join(path.trim_start_matches('/'));
    let groups = group.ancestors().take_while(|group| group.starts_with(root));
    groups.filter_map(|group| fs::read_to_string(group.join(file)).ok()?.trim().parse().ok()).min()
}

/// Bytes that the file system of a directory has left for this process. Cost: one system call.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Measures the median time of a small write and its sync with a file of this path, which is
/// removed afterwards.
///
/// # Errors
/// The file cannot be made or written.
pub fn probe_sync(path: &Path) -> std::io::Result<Duration> {
    let mut file = fs::File::create(path)?;
    // Written once in full, so that the timed writes change no metadata, as in the log.
    file.write_all(&vec![0; PROBE_BYTES * PROBE_SYNCS])?;
    file.sync_all()?;
    let mut times = Vec::with_capacity(PROBE_SYNCS);
    for i in 0..PROBE_SYNCS {
        let watch = Stopwatch::start();
        let at = (i * PROBE_BYTES) as u64;
        std::os::unix::fs::FileExt::write_all_at(&file, &[1; PROBE_BYTES], at)?;
        file.sync_data()?;
        times.push(watch.elapsed());
    }
    fs::remove_file(path)?;
    times.sort_unstable();
    Ok(times.get(PROBE_SYNCS / 2).copied().unwrap_or_default())
}
