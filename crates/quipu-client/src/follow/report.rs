//! What happens while files are followed, and what came of it.

use std::path::{Path, PathBuf};

use crate::resume::Replaced;
use crate::summary::{EXAMPLES_MAX, Summary};

/// Files that are reported one by one; older ones only count in the total. Guess: years of days.
const FILES_MAX: usize = 1000;

/// What happened, to which file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// The file, as it is called at the moment.
    pub path: PathBuf,
    /// What.
    pub what: What,
}

/// What happened to a file, or to its ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It is counted from after this line on.
    Started(u64),
    /// Every line up to this one was answered, durably.
    Answered(u64),
    /// It is not what was counted before under its inode and first line.
    Replaced(Replaced),
    /// It was called otherwise before.
    Renamed(PathBuf),
    /// It was cut or written over: what was not read of it is gone, unless a copy has it.
    Cut,
    /// It is read to its end and waits no more.
    Finished,
    /// The node asked for patience.
    Waiting(String),
    /// The connection was lost; it is made anew.
    Lost(String),
    /// The connection was made anew; the file goes on after this line.
    Resumed(u64),
    /// It cannot be read any further.
    Failed(String),
    /// It is not opened while so many others are.
    TooMany(usize),
}

/// What was done with one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// What it was called last.
    pub path: PathBuf,
    /// The lines of this run.
    pub summary: Summary,
    /// Why it could not be read to its end.
    pub failure: Option<String>,
}

/// What was done with all files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// One by one, the newest last.
    pub files: Vec<FileReport>,
    /// All of them together, with those that are not reported one by one.
    pub total: Summary,
}

impl Report {
    /// Adds one file; one of which nothing was read is left out.
    pub fn add(&mut self, path: &Path, summary: Summary, failure: Option<String>) {
        if summary == Summary::default() && failure.is_none() {
            return;
        }
        merge(&mut self.total, &summary);
        if self.files.len() == FILES_MAX {
            self.files.remove(0);
        }
        self.files.push(FileReport { path: path.to_owned(), summary, failure });
    }
}

/// Adds what a later run did to `sum`.
pub fn merge(sum: &mut Summary, later: &Summary) {
    if *sum == Summary::default() {
        sum.clone_from(later);
        return;
    }
    sum.lines += later.lines;
    sum.bytes += later.bytes;
    sum.matched += later.matched;
    sum.filtered += later.filtered;
    later.rejected.each().for_each(|(reason, count)| sum.rejected.add(reason, count));
    sum.added += later.added;
    sum.repeated += later.repeated;
    sum.retries += later.retries;
    sum.reconnects += later.reconnects;
    let room = EXAMPLES_MAX.saturating_sub(sum.examples.len());
    sum.examples.extend(later.examples.iter().take(room).cloned());
}
