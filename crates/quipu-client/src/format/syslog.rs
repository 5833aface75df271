//! System messages: RFC 3164 as rsyslog writes it to files, the same with ISO timestamps, and
//! RFC 5424. A priority in angle brackets may stand before any of them.

use memchr::memchr;

use crate::format::{Field, field};
use crate::record::{Place, Record};

/// The fields.
pub(super) const FIELDS: [Field; 9] = [
    field("timestamp", "when; RFC 3164 writes no year and no zone"),
    field("host", "which machine"),
    field("program", "who says it: sshd, kernel, CRON, ..."),
    field("pid", "its process, where it is written"),
    field("message", "what it says"),
    field("msgid", "of RFC 5424: kind of message"),
    field("priority", "the number in angle brackets, where it is written"),
    field("facility", "its facility: kern, user, mail, daemon, auth, ..."),
    field("severity", "its severity: emerg, alert, crit, err, warning, notice, info, debug"),
];

const TIMESTAMP: usize = 0;
const HOST: usize = 1;
const PROGRAM: usize = 2;
const PID: usize = 3;
const MESSAGE: usize = 4;
const MSGID: usize = 5;
const PRIORITY: usize = 6;
const FACILITY: usize = 7;
const SEVERITY: usize = 8;

/// Names of facilities, by number. Spec: RFC 5424, table 1, in the words of syslog.h.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

/// Names of severities, by number. Spec: RFC 5424, table 2, in the words of syslog.h.
const SEVERITIES: [&str; 8] =
    ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// Finds the fields of a line.
pub(super) fn parse(line: &[u8], record: &mut Record) -> bool {
    record.clear();
    let Some(at) = priority(line, record) else { return false };
    let rest = line.get(at..).unwrap_or_default();
    if rest.starts_with(b"1 ") {
        return structured(line, at + 2, record).is_some();
    }
    plain(line, at, record).is_some()
}

/// Reads the priority, if there is one; returns where it ends.
fn priority(line: &[u8], record: &mut Record) -> Option<usize> {
    if line.first() != Some(&b'<') {
        return Some(0);
    }
    let end = memchr(b'>', line.get(..5).unwrap_or(line))?;
    let number: usize = str::from_utf8(line.get(1..end)?).ok()?.parse().ok()?;
    record.put(PRIORITY, Place::of(1, end));
    record.put_decoded(FACILITY, FACILITIES.get(number / 8)?.as_bytes());
    record.put_decoded(SEVERITY, SEVERITIES.get(number % 8)?.as_bytes());
    Some(end + 1)
}

/// RFC 5424 after its version: `TIMESTAMP HOST APP PROCID MSGID STRUCTURED-DATA [MESSAGE]`.
fn structured(line: &[u8], mut at: usize, record: &mut Record) -> Option<()> {
    for field in [TIMESTAMP, HOST, PROGRAM, PID, MSGID] {
        at = word(line, at, field, record)?;
    }
    let end = structured_data(line, at)?;
    match line.get(end) {
        None => {}
        Some(b' ') => record.put(MESSAGE, Place::of(end + 1, line.len())),
        Some(_) => return None,
    }
    Some(())
}

/// Returns where the structured data ends: `-`, or elements in brackets, whose quoted values may
/// hold escaped quotes and brackets.
fn structured_data(line: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    if line.get(at) == Some(&b'-') {
        return Some(at + 1);
    }
    while line.get(at) == Some(&b'[') {
        let mut is_quoted = false;
        loop {
            at += 1;
            match line.get(at)? {
                b'\\' if is_quoted => at += 1,
                b'"' => is_quoted = !is_quoted,
                b']' if !is_quoted => break,
                _ => {}
            }
        }
        at += 1;
    }
    (at > start).then_some(at)
}

/// `TIMESTAMP HOST TAG[PID]: MESSAGE`, where the timestamp is that of RFC 3164 or an ISO one.
fn plain(line: &[u8], at: usize, record: &mut Record) -> Option<()> {
    let at = match line.get(at..at + 16) {
        Some([a, _, _, b' ', .., b' ']) if a.is_ascii_uppercase() => {
            record.put(TIMESTAMP, Place::of(at, at + 15));
            at + 16
        }
        _ if line.get(at + 10) == Some(&b'T') => word(line, at, TIMESTAMP, record)?,
        _ => return None,
    };
    let at = word(line, at, HOST, record)?;
    let message = tag(line, at, record).unwrap_or(at);
    record.put(MESSAGE, Place::of(message.min(line.len()), line.len()));
    Some(())
}

/// Reads `TAG[PID]: `; returns where the message begins. A message without a tag is one too.
fn tag(line: &[u8], at: usize, record: &mut Record) -> Option<usize> {
    let rest = line.get(at..)?;
    let length = rest.iter().position(|byte| matches!(byte, b':' | b'[' | b' '))?;
    let mut end = at + length;
    let mut pid = None;
    if line.get(end) == Some(&b'[') {
        let close = end + memchr(b']', line.get(end..)?)?;
        pid = Some(Place::of(end + 1, close));
        end = close + 1;
    }
    if length == 0 || line.get(end) != Some(&b':') {
        return None;
    }
    record.put(PROGRAM, Place::of(at, at + length));
    record.put(PID, pid.unwrap_or_default());
    let blank = usize::from(line.get(end + 1) == Some(&b' '));
    Some(end + 1 + blank)
}

/// Reads one word and the blank after it; returns where the next begins.
fn word(line: &[u8], at: usize, field: usize, record: &mut Record) -> Option<usize> {
    let length = memchr(b' ', line.get(at..)?).filter(|length| *length > 0)?;
    record.put(field, Place::of(at, at + length));
    Some(at + length + 1)
}
