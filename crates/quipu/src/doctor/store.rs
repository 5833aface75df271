//! What is in the directory, and who uses it.

use quipu_log::wal::{LookError, look};
use stdx::units::Bytes;

use crate::doctor::finding::Finding;
use crate::doctor::subject::{Entry, Lock, OWN_PREFIX, Subject};

/// Whether a node uses it.
pub(super) fn lock(subject: &Subject) -> Finding {
    let directory = subject.directory.display();
    match &subject.lock {
        Lock::NoDirectory => Finding::ok(format!("{directory} does not exist; a start makes it")),
        Lock::Free(_) => Finding::ok("no node runs here"),
        Lock::Held => Finding::ok("a node runs here: only looked, nothing was measured"),
        Lock::Unknown(error) => Finding::bad(
            format!("the lock cannot be looked at: {error}"),
            "run it as the user that the node runs as",
        ),
    }
}

/// Which store it is, and whether this program and these settings fit it.
pub(super) fn store(subject: &Subject) -> Finding {
    let segments = count(subject, |name| name.starts_with("segment-") && is_wal(name));
    let snapshots = count(subject, |name| name.starts_with("snapshot-"));
    match look(&subject.directory) {
        Ok(Some(identity)) if u32::from(identity.shards) != subject.settings.shards => {
            Finding::bad(
                format!(
                    "{} shards, and the settings say {}",
                    identity.shards, subject.settings.shards
                ),
                "set `shards` to the number that the store was made with; it cannot be changed",
            )
        }
        Ok(Some(identity)) => Finding::ok(format!(
            "version 1, store {:016x}, {} shards; {segments} segments, {snapshots} snapshots",
            identity.store_id, identity.shards
        )),
        Ok(None) if segments + snapshots > 0 => Finding::bad(
            format!("no STORE beside {segments} segments and {snapshots} snapshots"),
            "restore STORE from a backup of the directory: without it a start is refused",
        ),
        Ok(None) => Finding::ok("none yet; a start makes one"),
        Err(error @ LookError::Version(_)) => {
            Finding::bad(error.to_string(), "use the version of quipu that made it, or a later one")
        }
        Err(error) => {
            Finding::bad(error.to_string(), "restore STORE from a backup of the directory")
        }
    }
}

fn is_wal(name: &str) -> bool {
    std::path::Path::new(name).extension().is_some_and(|extension| extension == "wal")
}

fn count(subject: &Subject, is: impl Fn(&str) -> bool) -> usize {
    subject.entries.iter().filter(|entry| is(&entry.name)).count()
}

/// What a file of the directory is.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Store,
    Unfinished,
    Foreign,
}

fn part(entry: &Entry) -> Part {
    let name = entry.name.as_str();
    let is_ours = ["segment-", "snapshot-"].iter().any(|start| name.starts_with(start));
    match std::path::Path::new(name).extension().and_then(|extension| extension.to_str()) {
        _ if name.starts_with(OWN_PREFIX) || name.starts_with("quipu-prove-") => Part::Unfinished,
        _ if entry.is_directory => Part::Foreign,
        _ if name == "LOCK" || name == "STORE" => Part::Store,
        Some("unfinished") => Part::Unfinished,
        Some("run") if name.starts_with("fold-") => Part::Unfinished,
        Some("wal" | "spare" | "items") if is_ours => Part::Store,
        _ if name == quipu_server::machine::PROBE_FILE => Part::Unfinished,
        _ => Part::Foreign,
    }
}

/// What an interrupted run left, and what is not ours.
pub(super) fn leftovers(subject: &Subject) -> Finding {
    let parts =
        |part_wanted: Part| subject.entries.iter().filter(move |entry| part(entry) == part_wanted);
    let unfinished: Vec<_> = parts(Part::Unfinished).collect();
    let bytes = Bytes(unfinished.iter().map(|entry| entry.bytes).sum()).approximate();
    let foreign: Vec<_> = parts(Part::Foreign).map(|entry| entry.name.as_str()).collect();
    let is_running = matches!(subject.lock, Lock::Held);
    match (&foreign[..], unfinished.len()) {
        ([first, ..], _) => Finding::warn(
            format!("{} that are not of a store, such as {first:?}", foreign.len()),
            "keep other files elsewhere: what fills this disk stops the node",
        ),
        ([], 0) => Finding::ok("nothing that does not belong here"),
        ([], count) if is_running => Finding::ok(format!("{count} in the making ({bytes})")),
        ([], count) => {
            Finding::ok(format!("{count} unfinished ({bytes}); the next start removes them"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, part};
    use crate::doctor::subject::Entry;

    #[test]
    fn files_are_of_the_store_or_unfinished_or_foreign() {
        let check = |name: &str, expected| {
            let name = name.to_owned();
            let entry = Entry { name, bytes: 0, is_directory: false, written: None };
            assert_eq!(part(&entry), expected, "{}", entry.name);
        };
        for name in ["LOCK", "STORE", "segment-0000000000000001.wal", "snapshot-01.items"] {
            check(name, Part::Store);
        }
        for name in ["segment-01.unfinished", "fold-0001.run", "probe.tmp", "quipu-doctor-7"] {
            check(name, Part::Unfinished);
        }
        for name in ["notes.txt", "wal", "dump.csv", "other.wal"] {
            check(name, Part::Foreign);
        }
    }
}
