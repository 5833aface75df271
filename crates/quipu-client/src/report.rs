//! What a run finds out: counts in the summary, and what cannot be counted in a file, if one is
//! asked for.
//!
//! The file is synced before a checkpoint covers the lines that it speaks of. So a crash loses no
//! reject, and one that was written since the last checkpoint may stand there twice.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use thiserror::Error;

use crate::block::Increment;
use crate::reject::Reason;
use crate::summary::Summary;

/// The file of rejects cannot be written.
#[derive(Debug, Error)]
#[error("cannot write the rejects to {path}: {source}")]
pub struct RejectsError {
    /// The file.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: std::io::Error,
}

/// The summary and the file of rejects.
#[derive(Debug, Default)]
pub struct Report {
    /// The counts.
    pub summary: Summary,
    rejects: Option<Rejects>,
}

/// A line that cannot be counted, or not in one counter.
#[derive(Debug, Clone, Copy)]
pub struct Reject<'a> {
    /// The source of the line.
    pub source: &'a str,
    /// Its number, from 1.
    pub number: u64,
    /// The line.
    pub line: &'a [u8],
    /// Why.
    pub reason: Reason,
}

#[derive(Debug)]
struct Rejects {
    path: PathBuf,
    out: BufWriter<File>,
    is_synced: bool,
}

/// One line of the file.
#[derive(Serialize)]
struct Entry<'a> {
    source: &'a str,
    line: u64,
    reason: &'static str,
    why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    /// The bytes of a line that is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// What was refused, of an increment.
    #[serde(skip_serializing_if = "Option::is_none")]
    counter: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<u64>,
}

impl Report {
    /// Begins without counts; rejects are appended to the file `path`, if there is one.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn new(path: Option<&Path>) -> Result<Report, RejectsError> {
        let rejects = path.map(Rejects::open).transpose()?;
        Ok(Report { summary: Summary::default(), rejects })
    }

    /// Notes a line that cannot be counted.
    ///
    /// # Errors
    /// The file cannot be written.
    #[cold]
    pub fn reject(&mut self, reject: &Reject<'_>) -> Result<(), RejectsError> {
        let Reject { source, number, line, reason } = *reject;
        self.summary.rejected.add(reason, 1);
        if reason != Reason::Unmatched {
            self.summary.example(number, || reason.to_string());
        }
        let Some(rejects) = &mut self.rejects else { return Ok(()) };
        let text = str::from_utf8(line).ok();
        let base64 = text.is_none().then(|| STANDARD.encode(line));
        let lossy = String::from_utf8_lossy(line);
        rejects.put(&Entry {
            text: Some(&lossy),
            base64,
            ..Entry::new(source, number, reason, reason.to_string())
        })
    }

    /// Notes an increment of `source` that the node refused for good.
    ///
    /// # Errors
    /// The file cannot be written.
    #[cold]
    pub fn refuse(
        &mut self,
        source: &str,
        increment: &Increment<'_>,
        why: &str,
    ) -> Result<(), RejectsError> {
        let Increment { name, delta, sequence, lines } = *increment;
        self.summary.rejected.add(Reason::Refused, lines);
        self.summary.example(sequence, || why.to_owned());
        let Some(rejects) = &mut self.rejects else { return Ok(()) };
        rejects.put(&Entry {
            counter: str::from_utf8(name).ok(),
            delta: Some(delta),
            lines: Some(lines),
            ..Entry::new(source, sequence, Reason::Refused, why.to_owned())
        })
    }

    /// Makes durable what was noted: a checkpoint is about to pass it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn sync(&mut self) -> Result<(), RejectsError> {
        self.rejects.as_mut().map_or(Ok(()), Rejects::sync)
    }
}

impl<'a> Entry<'a> {
    fn new(source: &'a str, line: u64, reason: Reason, why: String) -> Entry<'a> {
        let (text, base64, counter, delta, lines) = (None, None, None, None, None);
        Entry { source, line, reason: reason.word(), why, text, base64, counter, delta, lines }
    }
}

impl Rejects {
    fn open(path: &Path) -> Result<Rejects, RejectsError> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|source| RejectsError { path: path.to_owned(), source })?;
        Ok(Rejects { path: path.to_owned(), out: BufWriter::new(file), is_synced: true })
    }

    fn put(&mut self, entry: &Entry<'_>) -> Result<(), RejectsError> {
        self.is_synced = false;
        // In one piece, so that what leaves the buffer is whole lines: others append too.
        let line = serde_json::to_vec(entry).map_err(std::io::Error::from);
        let written = line.and_then(|mut line| {
            line.push(b'\n');
            self.out.write_all(&line)
        });
        written.map_err(|source| self.error(source))
    }

    fn sync(&mut self) -> Result<(), RejectsError> {
        if self.is_synced {
            return Ok(());
        }
        let synced = self.out.flush().and_then(|()| self.out.get_ref().sync_data());
        synced.map_err(|source| self.error(source))?;
        self.is_synced = true;
        Ok(())
    }

    fn error(&self, source: std::io::Error) -> RejectsError {
        RejectsError { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::{Reject, Report};
    use crate::block::Increment;
    use crate::matcher::NameError;
    use crate::reject::Reason;

    #[test]
    fn each_reject_is_a_line_of_json_with_all_that_the_line_had() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut report = Report::new(Some(file.path())).expect("opened");
        let reject = |number, line, reason| Reject { source: "a.log", number, line, reason };
        let broken = b"a\xff\"b\t";
        report.reject(&reject(3, b"x \"y\"", Reason::Unmatched)).expect("written");
        report.reject(&reject(4, broken, Reason::Name(NameError::NotUtf8))).expect("written");
        let increment = Increment { name: b"n", delta: 5, sequence: 7, lines: 2 };
        report.refuse("a.log", &increment, "ERR overflow").expect("written");
        report.sync().expect("synced");
        let text = std::fs::read_to_string(file.path()).expect("read");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(
            lines[0],
            serde_json::json!({
                "source": "a.log", "line": 3, "reason": "no-match",
                "why": "the line has another form", "text": "x \"y\"",
            })
        );
        let base64 = lines[1]["base64"].as_str().expect("base64");
        assert_eq!(STANDARD.decode(base64).expect("base64"), broken);
        assert_eq!((&lines[2]["counter"], &lines[2]["delta"]), (&"n".into(), &5.into()));
        assert_eq!(report.summary.rejected.total(), 4);
    }

    #[test]
    fn a_second_run_appends() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for _ in 0..2 {
            let mut report = Report::new(Some(file.path())).expect("opened");
            let reject = Reject { source: "s", number: 1, line: b"x", reason: Reason::Unmatched };
            report.reject(&reject).expect("written");
            report.sync().expect("synced");
        }
        let text = std::fs::read_to_string(file.path()).expect("read");
        assert_eq!(text.lines().count(), 2);
    }
}
