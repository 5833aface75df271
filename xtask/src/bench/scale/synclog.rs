//! When a server's log was being synced, as a preloaded library noted it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::bench::process::Preload;
use crate::checkout;

/// Bytes of a note; see `xtask/shim/synclog.c`.
const NOTE_BYTES: usize = 48;

/// Threads of a node that sync, but never what an answer waits for.
const BESIDE: [&str; 2] = ["folder", "preparer"];

/// Nanoseconds of the monotonic clock, which the library reads too.
pub(crate) fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// A stretch of time, in nanoseconds.
pub(crate) type Stretch = (u64, u64);

/// Compiles the library.
///
/// # Errors
/// There is no C compiler, or it fails.
pub(crate) fn compile(folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let library = folder.join("synclog.so");
    let source = checkout::root().join("xtask/shim/synclog.c");
    let mut command = Command::new("cc");
    command.args(["-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o"]).arg(&library).arg(source);
    let status = command.arg("-ldl").status().context("starting cc")?;
    if !status.success() {
        bail!("cc ended with {status}");
    }
    Ok(library)
}

/// What to preload, so that notes go to `file`.
pub(crate) fn preload(library: &Path, file: &Path) -> Preload {
    vec![("LD_PRELOAD", library.to_owned()), ("SYNCLOG_FILE", file.to_owned())]
}

/// Reads when `process` synced what its answers wait for: not folds, not prepared segments, not its
/// children. Sorted, and without overlaps.
///
/// # Errors
/// There are no notes, or more than the library keeps.
pub(crate) fn read(file: &Path, process: u32) -> Result<Vec<Stretch>> {
    let bytes = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let count = number(&bytes, 0).context("no notes of syncs")? as usize;
    let notes = bytes.get(8..).unwrap_or_default().chunks_exact(NOTE_BYTES);
    if count > notes.len() {
        bail!("{count} syncs, of which only {} were noted", notes.len());
    }
    let of_log = |note: &&[u8]| {
        let name = note.get(24..40).unwrap_or_default();
        let name: Vec<u8> = name.iter().copied().take_while(|byte| *byte != 0).collect();
        number(note, 16).is_some_and(|ids| ids as u32 == process)
            && !BESIDE.iter().any(|beside| beside.as_bytes() == name)
    };
    let stretch = |note: &[u8]| Some((number(note, 0)?, number(note, 8)?));
    let mut stretches: Vec<Stretch> =
        notes.take(count).filter(of_log).filter_map(stretch).collect();
    if stretches.is_empty() {
        bail!("no sync was noted: the server does not sync through the C library");
    }
    stretches.sort_unstable();
    Ok(joined(&stretches))
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// Joins sorted stretches that overlap.
fn joined(sorted: &[Stretch]) -> Vec<Stretch> {
    let mut joined: Vec<Stretch> = Vec::new();
    for &(begin, end) in sorted {
        match joined.last_mut() {
            Some(last) if begin <= last.1 => last.1 = last.1.max(end),
            _ => joined.push((begin, end)),
        }
    }
    joined
}

/// How much of a stretch lies outside all of `syncs`, which are sorted and apart.
pub(crate) fn outside((begin, end): Stretch, syncs: &[Stretch]) -> u64 {
    let first = syncs.partition_point(|sync| sync.1 <= begin);
    let within = syncs.iter().skip(first).take_while(|sync| sync.0 < end);
    let covered: u64 = within.map(|sync| sync.1.min(end) - sync.0.max(begin)).sum();
    (end - begin).saturating_sub(covered)
}

#[cfg(test)]
mod tests {
    use super::{joined, outside};

    #[test]
    fn overlapping_syncs_count_once() {
        assert_eq!(joined(&[(1, 3), (2, 5), (5, 6), (8, 9)]), [(1, 6), (8, 9)]);
    }

    #[test]
    fn what_a_sync_covers_is_left_out() {
        let syncs = [(10, 20), (30, 40)];
        let check = |stretch, expected| assert_eq!(outside(stretch, &syncs), expected);
        check((0, 5), 5);
        check((0, 15), 10);
        check((12, 18), 0);
        check((15, 35), 10);
        check((35, 50), 10);
        check((0, 50), 30);
    }
}
