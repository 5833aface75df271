//! The log of Debian's package manager: `/var/log/dpkg.log`, see dpkg's `lib/dpkg/log.c` and its
//! callers.
//!
//! `DATE TIME status STATE PACKAGE VERSION`, `DATE TIME ACTION PACKAGE INSTALLED AVAILABLE`,
//! `DATE TIME conffile FILE DECISION` and `DATE TIME startup MODE COMMAND`.

use crate::format::{Field, field};
use crate::record::{Place, Record};

/// The fields.
pub(super) const FIELDS: [Field; 13] = [
    field("timestamp", "date and time, of no zone"),
    field("date", "such as 2026-11-21"),
    field("time", "such as 13:55:36"),
    field(
        "action",
        "status, install, upgrade, configure, remove, purge, trigproc, conffile, startup, ...",
    ),
    field("state", "of status: installed, half-configured, ..."),
    field("package", "its name without architecture"),
    field("arch", "its architecture"),
    field("version", "the version that the action leads to, or that it takes away"),
    field("old_version", "the version before, where there is another"),
    field("file", "of conffile: which"),
    field("decision", "of conffile: keep or install"),
    field("mode", "of startup: archives or packages"),
    field("command", "of startup: unpack, install, configure, ..."),
];

const TIMESTAMP: usize = 0;
const DATE: usize = 1;
const TIME: usize = 2;
const ACTION: usize = 3;
const STATE: usize = 4;
const PACKAGE: usize = 5;
const ARCH: usize = 6;
const VERSION: usize = 7;
const OLD_VERSION: usize = 8;
const FILE: usize = 9;
const DECISION: usize = 10;
const MODE: usize = 11;
const COMMAND: usize = 12;

/// What stands for no version.
const NONE: &[u8] = b"<none>";

/// Finds the fields of a line.
pub(super) fn parse(line: &[u8], record: &mut Record) -> bool {
    record.clear();
    let mut words = Words { line, at: 0 };
    let (Some(date), Some(time), Some(action)) = (words.next(), words.next(), words.next()) else {
        return false;
    };
    if date != (0, 10) || time != (11, 19) || line.get(4) != Some(&b'-') {
        return false;
    }
    record.put(TIMESTAMP, Place::of(0, 19));
    put(record, DATE, date);
    put(record, TIME, time);
    put(record, ACTION, action);
    let text = line.get(action.0..action.1).unwrap_or_default();
    match text {
        b"startup" => words.fill(record, &[MODE, COMMAND]),
        b"conffile" => words.fill(record, &[FILE, DECISION]),
        b"status" => {
            words.fill(record, &[STATE]) && package(record, &mut words) && {
                words.fill(record, &[VERSION])
            }
        }
        _ => package(record, &mut words) && versions(record, &mut words),
    }
}

fn put(record: &mut Record, field: usize, (start, end): (usize, usize)) {
    record.put(field, Place::of(start, end));
}

fn package(record: &mut Record, words: &mut Words<'_>) -> bool {
    let Some((start, end)) = words.next() else { return false };
    let text = words.line.get(start..end).unwrap_or_default();
    let colon = memchr::memchr(b':', text).map_or(end, |at| start + at);
    put(record, PACKAGE, (start, colon));
    if colon < end {
        put(record, ARCH, (colon + 1, end));
    }
    true
}

/// The version after the action, where there is one, else the one before it.
fn versions(record: &mut Record, words: &mut Words<'_>) -> bool {
    let (Some(installed), Some(available)) = (words.next(), words.next()) else { return false };
    let is_none = |(start, end): (usize, usize)| words.line.get(start..end) == Some(NONE);
    let version = if is_none(available) { installed } else { available };
    put(record, VERSION, version);
    if !is_none(installed) && version != installed {
        put(record, OLD_VERSION, installed);
    }
    true
}

/// The words of a line, as ranges.
struct Words<'a> {
    line: &'a [u8],
    at: usize,
}

impl Words<'_> {
    /// Fills `fields` with the next words, which must be there.
    fn fill(&mut self, record: &mut Record, fields: &[usize]) -> bool {
        fields.iter().all(|field| {
            let word = self.next();
            word.inspect(|word| put(record, *field, *word)).is_some()
        })
    }

    fn next(&mut self) -> Option<(usize, usize)> {
        let start = self.at;
        let rest = self.line.get(start..).filter(|rest| !rest.is_empty())?;
        let end = start + memchr::memchr(b' ', rest).unwrap_or(rest.len());
        self.at = end + 1;
        (end > start).then_some((start, end))
    }
}
