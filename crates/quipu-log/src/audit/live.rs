//! The audit of a node that runs: its log is folded again, and compared with what it shows.
//!
//! The node sends the oldest snapshot that it keeps, then its counters page by page, each page as of
//! a batch, then its log from that snapshot on. A change of a counter counts here if it is in that
//! batch of the counter's page or before it, so nothing is skipped and nothing has to stand still.
//! All of it goes through files of a directory of the auditor's own; memory holds the changes up to
//! their bound, one shard's counters, and where the pages begin.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use quipu_core::{
    effect::Counter,
    name::Name,
    page::Page,
    record::{self, Item},
    snapshot::{ItemKey, ItemValue, Place, ShardMeta, put_item},
    table::order,
};
use stdx::hash::hash64;

use crate::{
    audit::{AuditError, Difference},
    fold::{Changes, FoldFailed, Merge},
    snapshot::{self, Items, Snapshot},
    sorted_file::{Header, Kind, SortedFileError, Writer, failed},
    storage::{Storage, StorageFile},
};

/// How many differences are reported one by one.
const DIFFERENCES_MAX: usize = 10;

/// The counters that the node showed, sorted.
const SHOWN: &str = "shown.items";

/// Where one page begins, and as of which batch it is.
#[derive(Debug, Clone, Copy)]
struct Begin {
    from: u64,
    batch: u64,
}

/// What an audit of a running node found.
#[derive(Debug, Default)]
pub struct LiveFound {
    /// The position after which the log was folded; 0 is the beginning of the store.
    pub from: u64,
    /// The newest log time at that position, in seconds; 0 where it is not known.
    pub from_time_s: u32,
    /// The last position of the log.
    pub upto: u64,
    /// How many frames were folded.
    pub frames: u64,
    /// How many counters the node showed.
    pub counters: u64,
    /// How many counters differ.
    pub different: u64,
    /// The first of them, with the position as of which.
    pub differences: Vec<(Difference, String)>,
    /// Where the log does not fit what was before it.
    pub unfit: Vec<FoldFailed>,
}

impl LiveFound {
    /// Says whether the log and the node agree.
    pub fn is_clean(&self) -> bool {
        self.different == 0 && self.unfit.is_empty()
    }
}

/// An audit of a node that runs, as its parts arrive: the base, all pages, all frames.
#[derive(Debug)]
pub struct LiveAudit<S: Storage> {
    storage: S,
    store_id: u64,
    base: Option<Snapshot>,
    pages: Vec<Vec<Begin>>,
    /// The newest sealed batch and life of each shard, as the log tells them.
    metas: Vec<ShardMeta>,
    changes: Changes<S>,
    shown: Option<Writer<S::File>>,
    /// Counters of the shard whose pages arrive.
    shard: Vec<(Place, ItemValue)>,
    /// Counters of which the node knows a value and no more.
    open: BTreeSet<Place>,
    found: LiveFound,
}

impl<S: Storage> LiveAudit<S> {
    /// Begins an audit of a store with `shards` shards, in an empty directory. Changes take about
    /// `memory_bytes` before they are spilled.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn new(
        storage: S,
        (store_id, shards): (u64, u16),
        memory_bytes: usize,
    ) -> Result<Self, AuditError> {
        let header = Header { kind: Kind::Snapshot, store_id, position: 0, time_s: 0 };
        let changes = Changes::new(storage.clone(), header, memory_bytes);
        let shown = Some(Writer::create(&storage, SHOWN, &header)?);
        Ok(Self {
            storage,
            store_id,
            base: None,
            pages: vec![Vec::new(); usize::from(shards)],
            metas: vec![ShardMeta::default(); usize::from(shards)],
            changes,
            shown,
            shard: Vec::new(),
            open: BTreeSet::new(),
            found: LiveFound::default(),
        })
    }

    /// Takes over the oldest snapshot, which has arrived as a file of the directory.
    ///
    /// # Errors
    /// It does not check, or is another.
    pub fn base(&mut self, position: u64) -> Result<(), AuditError> {
        for (shard, meta) in snapshot::metas(&self.storage, self.store_id, position)? {
            self.changes.set_base(shard, meta);
            self.metas.get_mut(usize::from(shard)).into_iter().for_each(|known| *known = meta);
        }
        let base = snapshot::ends(&self.storage, position)?;
        self.found.from = position;
        self.found.from_time_s = base.time_s;
        self.base = Some(base);
        Ok(())
    }

    /// Takes a page of the node's counters; pages arrive in order.
    ///
    /// # Errors
    /// It does not follow the page before, or the directory cannot be written.
    pub fn page(&mut self, page: Page) -> Result<(), AuditError> {
        let Page { shard, batch, from, next, counters } = page;
        self.found.counters += counters.len() as u64;
        for seen in counters {
            let place = (shard, ItemKey::Counter(Name::new(seen.name)));
            if seen.is_open {
                self.open.insert(place.clone());
            }
            let counter = Counter { value: Some(seen.value), expires_at: seen.expires_at };
            self.shard.push((place, ItemValue::Counter(counter)));
        }
        if let Some(begins) = self.pages.get_mut(usize::from(shard)) {
            begins.push(Begin { from, batch });
        }
        if next.is_none() { self.close_shard() } else { Ok(()) }
    }

    fn close_shard(&mut self) -> Result<(), AuditError> {
        self.shard.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (place, value) in self.shard.drain(..) {
            if let Some(shown) = &mut self.shown {
                shown.put(|out| put_item(out, &place, &value))?;
            }
        }
        Ok(())
    }

    /// Folds the payload of a frame.
    ///
    /// # Errors
    /// It does not follow what was folded before.
    pub fn frame(&mut self, position: u64, payload: &[u8]) -> Result<(), AuditError> {
        self.found.frames += 1;
        self.found.upto = position;
        let (pages, metas, store_id) = (&self.pages, &mut self.metas, self.store_id);
        let keeps = |header: &record::Header, item: &Item<'_>| {
            if let Some(meta) = metas.get_mut(usize::from(header.shard)) {
                (meta.epoch, meta.batch) = (header.epoch, header.batch);
            }
            let Item::Slot { name, .. } = item else { return false };
            header.batch <= shown_at(pages, header.shard, hash64(store_id, name.as_bytes()))
        };
        let added = self.changes.add_where(position, payload, keeps);
        match added {
            // That is what is looked for: the log says two things.
            Err(unfit @ FoldFailed::Frame { .. }) => {
                self.found.unfit.push(unfit);
                Err(AuditError::Unfit)
            }
            other => Ok(other?),
        }
    }

    /// Compares, and says what was found.
    ///
    /// # Errors
    /// The directory cannot be read or written.
    pub fn finish(mut self) -> Result<LiveFound, AuditError> {
        if let Some(shown) = self.shown.take() {
            shown.finish()?;
        }
        if self.found.unfit.is_empty() {
            let base = self.base.as_ref().map(|base| base.file.clone());
            let merge = Merge::new(&mut self.changes, base.as_deref());
            let compared = merge.map_err(AuditError::from).and_then(|log| self.compare(log));
            match compared {
                Err(AuditError::Fold(unfit @ FoldFailed::Item { .. })) => {
                    self.found.unfit.push(unfit);
                }
                other => other?,
            }
        }
        Ok(self.found)
    }

    fn compare(&mut self, mut log: Merge<S>) -> Result<(), AuditError> {
        let mut shown = Items::open(&self.storage, SHOWN)?;
        let (mut ours, mut theirs) = (next_counter(&mut log)?, shown.next()?);
        loop {
            let place = match (&ours, &theirs) {
                (None, None) => return Ok(()),
                (Some(a), Some(b)) => a.0.clone().min(b.0.clone()),
                (Some(one), None) | (None, Some(one)) => one.0.clone(),
            };
            let a = ours.take_if(|item| item.0 == place).map(|item| item.1);
            let b = theirs.take_if(|item| item.0 == place).map(|item| item.1);
            if a.is_some() {
                ours = next_counter(&mut log)?;
            }
            if b.is_some() {
                theirs = shown.next()?;
            }
            self.note(place, a, b);
        }
    }

    fn note(&mut self, place: Place, log: Option<ItemValue>, shown: Option<ItemValue>) {
        if agree(log, shown, self.open.contains(&place)) {
            return;
        }
        self.found.different += 1;
        if self.found.differences.len() < DIFFERENCES_MAX {
            let at = self.position_of(&place);
            let (shard, item) = place;
            let difference = Difference { shard, item, log, snapshot: shown };
            self.found.differences.push((difference, at));
        }
    }

    /// The position as of which a counter was shown, as in replies.
    fn position_of(&self, (shard, key): &Place) -> String {
        let ItemKey::Counter(name) = key else { return String::new() };
        let batch = shown_at(&self.pages, *shard, hash64(self.store_id, name.as_bytes()));
        let epoch = self.metas.get(usize::from(*shard)).map_or(0, |meta| meta.epoch);
        format!("{shard}:{epoch}:{batch}")
    }
}

/// As of which batch the page is in which a counter is, or would be.
fn shown_at(pages: &[Vec<Begin>], shard: u16, hash: u64) -> u64 {
    let begins = pages.get(usize::from(shard)).map_or(&[][..], Vec::as_slice);
    let at = order(hash);
    let after = begins.partition_point(|begin| begin.from <= at);
    after.checked_sub(1).and_then(|index| begins.get(index)).map_or(0, |begin| begin.batch)
}

fn agree(log: Option<ItemValue>, shown: Option<ItemValue>, is_open: bool) -> bool {
    let value = |item: Option<ItemValue>| match item {
        Some(ItemValue::Counter(counter)) => counter.value.unwrap_or(0),
        _ => 0,
    };
    if is_open { value(log) == value(shown) } else { log == shown }
}

fn next_counter<S: Storage>(log: &mut Merge<S>) -> Result<Option<(Place, ItemValue)>, FoldFailed> {
    loop {
        match log.next()? {
            Some(((_, key), _)) if !matches!(key, ItemKey::Counter(_)) => {}
            other => return Ok(other),
        }
    }
}

/// Takes a file that arrives in parts.
#[derive(Debug)]
pub struct Arriving<F> {
    file: F,
    name: String,
    length: u64,
}

impl<F: StorageFile> Arriving<F> {
    /// Begins with the file of the snapshot at `position`, empty.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn snapshot<S: Storage<File = F>>(
        storage: &S,
        position: u64,
    ) -> Result<Self, SortedFileError> {
        let name = snapshot::name(position);
        let file = storage.create(&name).map_err(failed("create", &name))?;
        Ok(Self { file, name, length: 0 })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), SortedFileError> {
        self.file.write_at(bytes, self.length).map_err(failed("write", &self.name))?;
        self.length += bytes.len() as u64;
        Ok(())
    }
}
