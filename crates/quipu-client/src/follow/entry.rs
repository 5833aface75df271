//! One file that is followed, and what to do with it next.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::reader::Key;
use super::report::What;
use crate::identity::{Identity, Rules};
use crate::input::InputError;
use crate::rotation::is_rotated;
use crate::summary::Summary;
use crate::tail::{Look, Tail, Until};

/// How long a reader waits at the end of a file before it gives its place up. Guess: longer than
/// the pauses of a program that logs, so that most lines find a reader waiting.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// Size and times of a file: it has not changed while they have not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// Returns how many bytes the file has.
    pub(super) fn size(self) -> u64 {
        self.size
    }

    /// Returns when the file was changed last, in seconds and nanoseconds.
    pub(super) fn modified(self) -> (i64, i64) {
        self.modified
    }

    pub(super) fn of(metadata: &Metadata) -> Stamp {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Stamp { size: metadata.len(), modified }
    }
}

/// Where a file stands.
#[derive(Debug)]
pub(super) enum State {
    /// Not identified yet.
    Fresh,
    /// A thread reads it, since then.
    Running(Instant),
    /// Read as far as it goes.
    Parked,
    /// The same source is read from another file.
    Shadow(Identity),
    /// Perhaps a copy that is still being made, or of a file that is to be identified first.
    Short,
    /// Beside those that are meant, and nothing that was counted.
    Stranger,
    /// Done with, one way or the other, as long as it does not change.
    Done,
}

/// What to do with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    /// Read it so far.
    Read(Until),
    /// Nothing will come any more.
    Finish,
}

/// A file.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) path: PathBuf,
    /// It was meant, and is not only beside one that was.
    pub(super) is_wanted: bool,
    /// Open while it may still be read.
    pub(super) tail: Option<Arc<Tail>>,
    pub(super) state: State,
    pub(super) stamp: Option<Stamp>,
    /// When it was last seen to change.
    pub(super) changed: Instant,
    /// It was found under some name.
    pub(super) is_listed: bool,
    pub(super) was_renamed: bool,
    pub(super) was_cut: bool,
    /// It was found to be a source that is counted.
    pub(super) is_known: bool,
    /// It is to be looked at.
    pub(super) is_dirty: bool,
    /// The last look found the begin of a line.
    is_partial: bool,
    pub(super) summary: Summary,
    pub(super) failure: Option<String>,
}

impl Entry {
    pub(super) fn new(key: Key, path: PathBuf, is_wanted: bool, now: Instant) -> Entry {
        Entry {
            key,
            path,
            is_wanted,
            tail: None,
            state: State::Fresh,
            stamp: None,
            changed: now,
            is_listed: true,
            was_renamed: false,
            was_cut: false,
            is_known: false,
            is_dirty: true,
            is_partial: false,
            summary: Summary::default(),
            failure: None,
        }
    }

    /// Takes notice of another name, and returns what to tell if it is being read.
    pub(super) fn rename(&mut self, path: &Path) -> Option<What> {
        let before = std::mem::replace(&mut self.path, path.to_owned());
        self.was_renamed = true;
        self.tail.as_ref()?.rename(path);
        Some(What::Renamed(before))
    }

    /// Says whether nobody is expected to write to it any more: it has another name than it had,
    /// none at all, or that of a rotated file.
    pub(super) fn is_put_away(&self) -> bool {
        !self.is_listed || self.was_renamed || is_rotated(&self.path)
    }

    /// Says whether it has not changed for as long as `settle`.
    pub(super) fn is_quiet(&self, now: Instant, settle: Duration) -> bool {
        now.duration_since(self.changed) >= settle
    }

    /// Returns when it is quiet, if anybody waits for that.
    pub(super) fn quiet_at(&self, settle: Duration) -> Option<Instant> {
        let waits = match self.state {
            State::Fresh | State::Parked => self.is_put_away(),
            State::Short => true,
            State::Running(_) | State::Shadow(_) | State::Stranger | State::Done => false,
        };
        waits.then(|| self.changed + settle)
    }

    /// Returns what is known before it is read `until` there.
    pub(super) fn rules(&self, until: Until, now: Instant, settle: Duration) -> Rules {
        Rules {
            has_lines: until != Until::End,
            was_cut: self.was_cut,
            successor_only: !self.is_wanted,
            is_put_away: self.is_put_away(),
            may_be_unfinished: !self.is_quiet(now, settle),
            copies_unknown: false,
        }
    }

    /// Takes notice of its size and times.
    pub(super) fn see(&mut self, stamp: Stamp, now: Instant) {
        let Some(before) = self.stamp.replace(stamp) else { return };
        if before == stamp {
            return;
        }
        self.changed = now;
        self.is_dirty = true;
        let again = match &self.state {
            State::Running(_) => {
                self.tail.iter().for_each(|tail| tail.notify());
                false
            }
            State::Shadow(_) => stamp.size < before.size,
            State::Short | State::Stranger | State::Done => true,
            State::Fresh | State::Parked => false,
        };
        if again {
            self.failure = None;
            self.state = State::Fresh;
        }
    }

    /// Decides what to do next.
    pub(super) fn step(&mut self, now: Instant, settle: Duration) -> Result<Step, InputError> {
        let quiet = self.is_quiet(now, settle);
        let Some(tail) = &self.tail else { return Ok(Step::Nothing) };
        match self.state {
            State::Running(_) | State::Shadow(_) | State::Stranger | State::Done => {
                return Ok(Step::Nothing);
            }
            State::Short if !quiet => return Ok(Step::Nothing),
            State::Short | State::Fresh | State::Parked => {}
        }
        if std::mem::take(&mut self.is_dirty) {
            // However much was read to find out which source it is, nothing of that was counted.
            if tail.identity().is_none() {
                tail.go_after(0)?;
            }
            match tail.look()? {
                Look::Lines | Look::Cut => {
                    self.is_dirty = true;
                    return Ok(Step::Read(Until::Told(LINGER)));
                }
                look => self.is_partial = look == Look::Partial,
            }
        }
        Ok(match (quiet && self.is_put_away(), self.is_partial) {
            (true, true) => Step::Read(Until::End),
            (true, false) => Step::Finish,
            (false, _) => Step::Nothing,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::{Entry, LINGER, State, Step, Tail, Until};

    #[test]
    fn a_file_of_which_all_was_read_to_identify_it_is_still_to_be_read() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"a\nb\n").expect("written");
        let open = Arc::new(File::open(file.path()).expect("opened"));
        let tail = Tail::new(open, file.path(), Until::Told(LINGER)).expect("a regular file");
        tail.print_to_keep().expect("read").expect("a print");
        let now = Instant::now();
        let mut entry = Entry::new((0, 0), file.path().with_extension("1"), true, now);
        entry.tail = Some(Arc::new(tail));
        // Another file was read as the same source until then.
        for state in [State::Fresh, State::Short] {
            (entry.state, entry.is_dirty, entry.was_renamed) = (state, true, true);
            let step = entry.step(now, Duration::ZERO).expect("looked");
            assert_eq!(step, Step::Read(Until::Told(LINGER)));
        }
    }
}
