//! Files beside those that are meant, of which nothing was counted: history from before, or files
//! that came and were rotated away while nobody looked.
//!
//! What was changed after the oldest rotated file that is known belongs to what is followed, and so
//! does what was changed after all that was there at the first look. Compression keeps the time.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::entry::{Entry, State};
use crate::rotation::first_name;

/// When a file was changed last, in seconds and nanoseconds.
type Time = (i64, i64);

/// Of each file that is followed, the newest time of what lay beside it at the first look.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    first: Option<BTreeMap<PathBuf, Time>>,
}

impl Strangers {
    /// Takes `entries` as the first look, if there was none.
    pub(super) fn look<'a>(&mut self, entries: impl Iterator<Item = &'a Entry>) {
        if self.first.is_none() {
            self.first = Some(times(entries.filter(|entry| !entry.is_wanted), Ord::max));
        }
    }

    /// Lets those of `entries` be counted that belong to what is followed.
    pub(super) fn adopt<'a>(&self, entries: impl Iterator<Item = &'a mut Entry>) {
        let entries: Vec<_> = entries.collect();
        if !entries.iter().any(|entry| matches!(entry.state, State::Stranger)) {
            return;
        }
        let known = entries.iter().map(|entry| &**entry);
        let known = times(known.filter(|entry| entry.is_known && entry.is_put_away()), Ord::min);
        let strangers = entries.into_iter().filter(|entry| matches!(entry.state, State::Stranger));
        for entry in strangers {
            let (Some(stamp), base) = (entry.stamp, first_name(&entry.path)) else { continue };
            let first = self.first.as_ref().and_then(|first| first.get(&base));
            let is_later = first.is_none_or(|first| stamp.modified() > *first);
            let follows = known.get(&base).is_some_and(|known| stamp.modified() >= *known);
            if is_later || follows {
                entry.is_wanted = true;
                entry.state = State::Fresh;
                entry.is_dirty = true;
            }
        }
    }
}

/// Returns of each file that is followed one of the times of `entries`, as `choose` does.
fn times<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    choose: impl Fn(Time, Time) -> Time,
) -> BTreeMap<PathBuf, Time> {
    let mut times = BTreeMap::new();
    for entry in entries {
        let Some(stamp) = entry.stamp else { continue };
        let time = times.entry(first_name(&entry.path)).or_insert_with(|| stamp.modified());
        *time = choose(*time, stamp.modified());
    }
    times
}
