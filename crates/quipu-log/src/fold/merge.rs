//! Merges runs, the changes in memory and the base into the items of the next snapshot.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use quipu_core::{
    effect::Mismatch,
    snapshot::{Change, ItemValue, Place, Taken, read_change},
};

use crate::{
    fold::{Changes, FoldFailed},
    snapshot::Items,
    sorted_file::{Reader, SortedFileError},
    storage::Storage,
};

/// One sorted source of changes, with its first change taken out; the place of that is among the
/// heads.
#[derive(Debug)]
struct Cursor<S: Storage> {
    next: Option<Change>,
    source: Source<S>,
}

#[derive(Debug)]
enum Source<S: Storage> {
    Run(Reader<S::File>),
    Memory(Box<Taken>),
}

/// The items of the next snapshot, in order.
#[derive(Debug)]
pub(crate) struct Merge<S: Storage> {
    /// Oldest first: where several have a change of one item, they follow each other.
    cursors: Vec<Cursor<S>>,
    /// The places of the first changes and the numbers of their cursors, the least on top.
    heads: BinaryHeap<Reverse<(Place, usize)>>,
    change: Option<(Place, Change)>,
    base: Option<Items<S>>,
    item: Option<(Place, ItemValue)>,
    /// The log time of the shard whose items come now.
    time_ms: u64,
}

impl<S: Storage> Merge<S> {
    /// Begins to merge all changes into the snapshot in file `base`.
    pub(crate) fn new(changes: &mut Changes<S>, base: Option<&str>) -> Result<Self, FoldFailed> {
        let mut cursors = Vec::new();
        for name in changes.run_names() {
            let reader = Reader::open(changes.storage(), name)?;
            cursors.push(Cursor { next: None, source: Source::Run(reader) });
        }
        let base = base.map(|file| Items::open(changes.storage(), file)).transpose()?;
        cursors.push(Cursor { next: None, source: Source::Memory(Box::new(changes.take())) });
        let heads = BinaryHeap::with_capacity(cursors.len());
        let mut merge = Self { cursors, heads, change: None, base, item: None, time_ms: 0 };
        (0..merge.cursors.len()).try_for_each(|number| merge.advance(number))?;
        merge.change = merge.next_change()?;
        merge.item = merge.next_base()?;
        Ok(merge)
    }

    /// Returns the next item that exists and is not forgotten.
    pub(crate) fn next(&mut self) -> Result<Option<(Place, ItemValue)>, FoldFailed> {
        while let Some((place, value)) = self.step()? {
            let Some(value) = value else { continue };
            if let ItemValue::Shard(meta) = value {
                self.time_ms = meta.time_ms;
            }
            if !value.is_forgotten(self.time_ms) {
                return Ok(Some((place, value)));
            }
        }
        Ok(None)
    }

    /// Takes the least place of both sides and what is there now.
    fn step(&mut self) -> Result<Option<(Place, Option<ItemValue>)>, FoldFailed> {
        let from_base = match (&self.item, &self.change) {
            (None, None) => return Ok(None),
            (Some(item), Some(change)) => item.0 < change.0,
            (Some(_), None) => true,
            (None, Some(_)) => false,
        };
        if from_base {
            let next = self.next_base()?;
            let item = std::mem::replace(&mut self.item, next);
            return Ok(item.map(|(place, value)| (place, Some(value))));
        }
        let next = self.next_change()?;
        let Some((place, change)) = std::mem::replace(&mut self.change, next) else {
            return Ok(None);
        };
        let base = match self.item.take_if(|item| item.0 == place) {
            Some((_, value)) => {
                self.item = self.next_base()?;
                Some(value)
            }
            None => None,
        };
        let value = change.apply(base.as_ref()).map_err(|source| mismatch(&place, source))?;
        Ok(Some((place, value)))
    }

    fn next_base(&mut self) -> Result<Option<(Place, ItemValue)>, SortedFileError> {
        match &mut self.base {
            Some(items) => items.next(),
            None => Ok(None),
        }
    }

    /// Composes all changes of the least place among the sources.
    fn next_change(&mut self) -> Result<Option<(Place, Change)>, FoldFailed> {
        let Some(Reverse((place, first))) = self.heads.pop() else { return Ok(None) };
        let mut whole = self.take(first)?;
        while let Some(Reverse((other, _))) = self.heads.peek()
            && *other == place
            && let Some(Reverse((_, number))) = self.heads.pop()
        {
            whole = match (whole, self.take(number)?) {
                (Some(earlier), Some(later)) => {
                    let composed = earlier.compose(&later);
                    Some(composed.map_err(|source| mismatch(&place, source))?)
                }
                (earlier, later) => later.or(earlier),
            };
        }
        Ok(whole.map(|change| (place, change)))
    }

    /// Takes the first change of a cursor, which goes on.
    fn take(&mut self, number: usize) -> Result<Option<Change>, SortedFileError> {
        let change = self.cursors.get_mut(number).and_then(|cursor| cursor.next.take());
        self.advance(number)?;
        Ok(change)
    }

    fn advance(&mut self, number: usize) -> Result<(), SortedFileError> {
        let Some(cursor) = self.cursors.get_mut(number) else { return Ok(()) };
        if let Some((place, change)) = cursor.source.next()? {
            cursor.next = Some(change);
            self.heads.push(Reverse((place, number)));
        }
        Ok(())
    }
}

impl<S: Storage> Source<S> {
    fn next(&mut self) -> Result<Option<(Place, Change)>, SortedFileError> {
        match self {
            Self::Memory(changes) => Ok(changes.next()),
            Self::Run(reader) => {
                let change = reader.next()?.map(read_change).transpose();
                let file = &reader.name;
                change.map_err(|source| SortedFileError::Item { file: file.clone(), source })
            }
        }
    }
}

fn mismatch((shard, key): &Place, source: Mismatch) -> FoldFailed {
    FoldFailed::Item { shard: *shard, item: format!("{key:?}"), source }
}
