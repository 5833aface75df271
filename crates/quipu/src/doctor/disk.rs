//! The file system and the device below it.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use quipu_log::storage::os::network_kind;
use quipu_proof::probe::{self, Probe};
use stdx::units::Bytes;

use crate::doctor::finding::Finding;
use crate::doctor::subject::Subject;

/// File systems on a local disk that the log was made for.
const LOCAL: [&str; 4] = ["ext4", "xfs", "btrfs", "zfs"];

/// Half of the syncs slower than this are called slow. Guess: ten times a usual cloud disk.
const SLOW_P50: Duration = Duration::from_millis(20);

/// One of a hundred syncs slower than this. Guess: what a person notices.
const SLOW_P99: Duration = Duration::from_millis(200);

/// Segments that must fit for writes to go on: the one in use and the next.
const SEGMENTS_LEAST: u64 = 2;

/// Which file system, and what follows from it.
pub(super) fn file_system(subject: &Subject) -> Finding {
    let place = subject.place.display();
    let Ok(file) = File::open(&subject.place) else {
        return Finding::bad(
            format!("{place} cannot be opened"),
            "run it as the user that the node runs as",
        );
    };
    let magic = rustix::fs::fstatfs(&file).map_or(0, |facts| facts.f_type as u64);
    judge_file_system(&probe::file_system(&file), network_kind(magic), subject)
}

fn judge_file_system(name: &str, network: Option<&str>, subject: &Subject) -> Finding {
    let is_allowed = subject.settings.log.allow_network_fs;
    match (name, network) {
        (_, Some(kind)) if is_allowed => Finding::warn(
            format!("{kind}, allowed by log.allow_network_fs"),
            "make sure by `quipu prove` that its syncs and locks hold",
        ),
        (_, Some(kind)) => Finding::bad(
            format!("{kind}: its syncs and locks are not to be trusted, and a start is refused"),
            "use a local disk",
        ),
        ("tmpfs", None) => Finding::warn(
            "tmpfs: in memory, gone with the machine's power",
            "use a disk for what must last",
        ),
        ("overlayfs", None) => Finding::warn(
            "overlayfs: the layer of a container, gone with it",
            "mount a volume for the data directory",
        ),
        (name, None) if LOCAL.contains(&name) => Finding::ok(format!("{name}, local")),
        (name, None) => Finding::warn(
            format!("{name}, which the log was not tried on"),
            "try it with `quipu prove`, or use ext4 or xfs",
        ),
    }
}

/// The room that is free against the room that the settings can take.
pub(super) fn free_room(subject: &Subject) -> Finding {
    let Ok(facts) = rustix::fs::statvfs(&subject.place) else {
        return Finding::bad("the room cannot be asked for", "look at the file system");
    };
    let free = facts.f_bavail.saturating_mul(facts.f_frsize);
    let size = |start: &str| {
        let of = subject.entries.iter().filter(|entry| entry.name.starts_with(start));
        of.map(|entry| entry.bytes).sum::<u64>()
    };
    let snapshot = size("snapshot-");
    let log = &subject.settings.log;
    let fold = &subject.settings.fold;
    // Before a fold the log may be as large as the snapshot; while it runs, the new snapshot stands
    // beside the old one, and afterwards what it took up is kept for a while.
    let least = SEGMENTS_LEAST * log.segment_bytes.0;
    let whole = least + fold.log_bytes_min.0.max(snapshot) + snapshot + log.retain_bytes.0;
    let missing = whole.saturating_sub(size("segment-"));
    judge_room(free, least, missing)
}

fn judge_room(free: u64, least: u64, whole: u64) -> Finding {
    let figure = format!(
        "{} free; writes need {}, log and folds grow by up to {}",
        Bytes(free).approximate(),
        Bytes(least).approximate(),
        Bytes(whole).approximate()
    );
    if free < least {
        Finding::bad(figure, "free room, or lower log.segment_bytes: without it writes are refused")
    } else if free < whole {
        Finding::warn(figure, "free room, or lower log.retain_bytes and fold.log_bytes_min")
    } else {
        Finding::ok(figure)
    }
}

/// The blocks of the device.
pub(super) fn block_size(subject: &Subject) -> Finding {
    let number = |name| subject.device_fact(name).and_then(|text| text.parse::<u64>().ok());
    match (number("logical_block_size"), number("physical_block_size")) {
        (Some(logical), Some(physical)) if physical <= 64 << 10 => Finding::ok(format!(
            "{logical} logical, {physical} physical; frames take whole blocks of {}",
            physical.max(4096)
        )),
        (_, Some(physical)) => Finding::warn(
            format!("{physical} physical, more than is believed; frames take blocks of 4096"),
            "look what the device really writes at once",
        ),
        _ => Finding::ok("the kernel does not say; frames take blocks of 4096"),
    }
}

/// Mount options that keep syncs from reaching the device.
const BARRIERS_OFF: [&str; 2] = ["nobarrier", "barrier=0"];

/// What stands between a sync and the medium.
pub(super) fn write_cache(subject: &Subject) -> Finding {
    let options = mount_options(subject.device).unwrap_or_default();
    let off = BARRIERS_OFF.iter().find(|off| options.split(',').any(|option| option == **off));
    let cache = subject.device_fact("write_cache");
    let fua = subject.device_fact("fua").is_some_and(|text| text == "1");
    match (off, cache.as_deref()) {
        (Some(off), _) => Finding::bad(
            format!("mounted with {off}: a sync does not reach the medium"),
            "mount it without that option",
        ),
        (None, Some("write through")) => Finding::ok("write through: a sync needs no flush"),
        (None, Some(cache)) if fua => Finding::ok(format!("{cache}, with FUA")),
        (None, Some(cache)) => {
            Finding::ok(format!("{cache}, without FUA: a sync flushes the device's whole cache"))
        }
        (None, None) => Finding::ok("the kernel does not say"),
    }
}

/// The options of the file system on this device, of the mount and of the file system itself.
fn mount_options(device: u64) -> Option<String> {
    let wanted = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    mounts.lines().find_map(|line| {
        let (mount, inner) = line.split_once(" - ")?;
        let mut words = mount.split(' ').skip(2);
        let is_it = words.next()? == wanted;
        let options = words.nth(2)?;
        is_it.then(|| format!("{options},{}", inner.rsplit(' ').next().unwrap_or_default()))
    })
}

/// How long a sync takes.
pub(super) fn sync_time(subject: &Subject) -> Finding {
    match &subject.syncs {
        None => {
            Finding::ok("not measured beside a running node; see quipu_log_sync_duration_seconds")
        }
        Some(Ok(probe)) => judge_syncs(probe),
        Some(Err(error)) => Finding::bad(
            format!("{} cannot be written to: {error}", shown(&subject.place)),
            "give the user of the node the directory, on a disk that is not full or read-only",
        ),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn judge_syncs(probe: &Probe) -> Finding {
    let Probe { samples, p50, p99, most, .. } = probe;
    let ms = |time: &Duration| time.as_secs_f64() * 1e3;
    let figure = format!(
        "p50 {:.3} ms, p99 {:.3} ms, max {:.3} ms of {samples}",
        ms(p50),
        ms(p99),
        ms(most)
    );
    match probe.doubt() {
        Some(why) => Finding::warn(
            format!("{figure}: {why}"),
            "make sure that a power cut keeps what was synced; `quipu prove` cannot see that",
        ),
        None if *p50 > SLOW_P50 || *p99 > SLOW_P99 => Finding::warn(
            figure,
            "each durable answer waits for a sync: use a quicker disk, or one with less beside it",
        ),
        None => Finding::ok(figure),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use quipu_proof::probe::Probe;

    use super::{judge_room, judge_syncs};
    use crate::doctor::finding::State;

    #[test]
    fn room_is_bad_below_two_segments_and_narrow_below_a_fold() {
        let check = |free, expected| assert_eq!(judge_room(free, 10, 100).state, expected);
        check(9, State::Bad);
        check(10, State::Warn);
        check(99, State::Warn);
        check(100, State::Ok);
    }

    #[test]
    fn syncs_are_doubted_when_too_quick_and_slow_by_their_median_or_their_tail() {
        let check = |p50_us, p99_us, expected| {
            let [p50, p99] = [p50_us, p99_us].map(Duration::from_micros);
            let file_system = "ext4".to_owned();
            let probe = Probe { file_system, samples: 9, least: p50, p50, p99, most: p99 };
            assert_eq!(judge_syncs(&probe).state, expected, "{probe:?}");
        };
        check(2, 9, State::Warn);
        check(500, 3000, State::Ok);
        check(25_000, 30_000, State::Warn);
        check(500, 300_000, State::Warn);
    }
}
