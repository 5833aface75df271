//! The snapshots of a store: sorted files, named by the last log position folded into them.
//!
//! A snapshot gets its name only when it is complete and synced, so one that does not check was
//! damaged later; the one before it and the log since then still tell everything.

use std::error::Error;
use std::ops::Range;

use quipu_core::bytes::Reader as Numbers;
use quipu_core::snapshot::{ItemValue, Place, ShardMeta, read_item};

use crate::{
    sorted_file::{Footer, Kind, Reader, SortedFileError, failed},
    storage::Storage,
};

/// A snapshot that has been read to its end and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The last log position folded into it.
    pub position: u64,
    /// Its file.
    pub file: String,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// What it holds.
    pub footer: Footer,
    /// The newest log time folded into it, in seconds; 0 where it is not known.
    pub time_s: u32,
}

/// The newest snapshot that checks, and those newer ones that do not.
#[derive(Debug)]
pub struct Newest {
    /// The snapshot; none when there is none or none checks.
    pub snapshot: Option<Snapshot>,
    /// Why newer ones were passed over.
    pub damaged: Vec<SortedFileError>,
}

impl Newest {
    /// Returns the position from which the log is needed.
    pub fn start(&self) -> u64 {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.position) + 1
    }
}

/// Returns the name of the snapshot at a position.
pub fn name(position: u64) -> String {
    format!("snapshot-{position:020}.items")
}

pub(crate) const UNFINISHED: &str = "snapshot.unfinished";

fn parse(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("snapshot-")?.strip_suffix(".items")?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

/// Says whether a file is a snapshot by its name.
pub(crate) fn is_name(name: &str) -> bool {
    parse(name).is_some()
}

/// Returns the positions of all snapshots, oldest first.
///
/// # Errors
/// When the directory cannot be read.
pub fn positions<S: Storage>(storage: &S) -> Result<Vec<u64>, SortedFileError> {
    let names = storage.list().map_err(failed("list", "the data directory"))?;
    let mut positions: Vec<u64> = names.iter().filter_map(|name| parse(name)).collect();
    positions.sort_unstable();
    Ok(positions)
}

/// Finds the newest snapshot that checks, reading each candidate whole.
///
/// # Errors
/// The storage failed, or a snapshot is of another store or version. Damage is no error: the
/// snapshot before is taken, and the log decides whether that is enough.
pub fn newest<S: Storage>(storage: &S, store_id: u64) -> Result<Newest, SortedFileError> {
    let mut damaged = Vec::new();
    for position in positions(storage)?.into_iter().rev() {
        match check(storage, store_id, position, |_, _| {}) {
            Ok(snapshot) => return Ok(Newest { snapshot: Some(snapshot), damaged }),
            Err(error) if error.is_damage() => damaged.push(error),
            Err(error) => return Err(error),
        }
    }
    Ok(Newest { snapshot: None, damaged })
}

/// Reads a snapshot whole and hands every item to `visit`, in order.
///
/// # Errors
/// See [`SortedFileError`].
pub fn load<S, E>(
    storage: &S,
    snapshot: &Snapshot,
    mut visit: impl FnMut(&Place, &ItemValue) -> Result<(), E>,
) -> Result<(), SortedFileError>
where
    S: Storage,
    E: Error + Send + Sync + 'static,
{
    let mut items = Items::open(storage, &snapshot.file)?;
    while let Some((place, value)) = items.next()? {
        visit(&place, &value).map_err(|source| SortedFileError::Visit {
            file: snapshot.file.clone(),
            source: Box::new(source),
        })?;
    }
    Ok(())
}

/// Reads a snapshot whole and says what it is.
pub(crate) fn check<S: Storage>(
    storage: &S,
    store_id: u64,
    position: u64,
    mut visit: impl FnMut(&Place, &ItemValue),
) -> Result<Snapshot, SortedFileError> {
    let file = name(position);
    let mut items = Items::open(storage, &file)?;
    items.is_of(store_id, position)?;
    while let Some((place, value)) = items.next()? {
        visit(&place, &value);
    }
    Ok(items.snapshot())
}

/// Reads a snapshot whole, checks all of it but what its items say, and hands the items on as they
/// stand, each with its length before it, some 64 KiB of one shard at a time, shards in order. So
/// others can read them, on other threads.
///
/// # Errors
/// See [`SortedFileError`].
pub fn read_shards<S, E>(
    storage: &S,
    store_id: u64,
    position: u64,
    mut visit: impl FnMut(u16, Vec<u8>) -> Result<(), E>,
) -> Result<Snapshot, SortedFileError>
where
    S: Storage,
    E: Error + Send + Sync + 'static,
{
    let file = name(position);
    let mut items = Items::open(storage, &file)?;
    items.is_of(store_id, position)?;
    let mut shard = 0;
    while let Some(block) = items.reader.block()? {
        let runs = runs(&block).map_err(|what| items.reader.damaged(what))?;
        let whole = runs.len() == 1;
        let mut block = Some(block);
        for run in runs {
            if run.shard < shard {
                return Err(items.reader.damaged("the order of the shards"));
            }
            shard = run.shard;
            items.reader.note_items(run.items);
            // Nearly all blocks are of one shard: those are not copied.
            let bytes = if whole { block.take() } else { block.clone() };
            let mut bytes = bytes.unwrap_or_default();
            bytes.truncate(run.range.end);
            bytes.drain(..run.range.start);
            visit(shard, bytes).map_err(|source| SortedFileError::Visit {
                file: file.clone(),
                source: Box::new(source),
            })?;
        }
    }
    Ok(items.snapshot())
}

/// Items of one shard that stand together in a block.
struct Run {
    shard: u16,
    range: Range<usize>,
    items: u64,
}

/// Parts a block by shards: each item begins with its length and its shard.
fn runs(block: &[u8]) -> Result<Vec<Run>, &'static str> {
    let mut runs: Vec<Run> = Vec::new();
    let mut at = 0;
    while let Some(rest) = block.get(at..).filter(|rest| !rest.is_empty()) {
        let mut numbers = Numbers::new(rest);
        let length = numbers.varint("length").map_err(|_| "the length of an item")?;
        let end = usize::try_from(length).ok().and_then(|l| (at + numbers.at()).checked_add(l));
        let end = end.filter(|end| *end <= block.len()).ok_or("the length of an item")?;
        let shard = numbers.u16("shard").map_err(|_| "the shard of an item")?;
        match runs.last_mut() {
            Some(run) if run.shard == shard => (run.range.end, run.items) = (end, run.items + 1),
            _ => runs.push(Run { shard, range: at..end, items: 1 }),
        }
        at = end;
    }
    Ok(runs)
}

/// What a snapshot is by its own word: only its two ends are read.
pub(crate) fn ends<S: Storage>(storage: &S, position: u64) -> Result<Snapshot, SortedFileError> {
    Ok(Items::open(storage, &name(position))?.snapshot())
}

/// Reads a snapshot whole and returns what it says of the shards.
pub(crate) fn metas<S: Storage>(
    storage: &S,
    store_id: u64,
    position: u64,
) -> Result<Vec<(u16, ShardMeta)>, SortedFileError> {
    let mut metas = Vec::new();
    check(storage, store_id, position, |place, value| {
        if let ItemValue::Shard(meta) = value {
            metas.push((place.0, *meta));
        }
    })?;
    Ok(metas)
}

/// The items of a snapshot in their order.
#[derive(Debug)]
pub(crate) struct Items<S: Storage> {
    reader: Reader<S::File>,
    last: Option<Place>,
}

impl<S: Storage> Items<S> {
    pub(crate) fn open(storage: &S, file: &str) -> Result<Self, SortedFileError> {
        let reader = Reader::open(storage, file)?;
        if reader.header.kind != Kind::Snapshot {
            let file = file.to_owned();
            return Err(SortedFileError::Damaged { file, offset: 0, what: "the kind" });
        }
        Ok(Self { reader, last: None })
    }

    /// Checks that it is of this store, and of the position in its name.
    fn is_of(&self, expected: u64, position: u64) -> Result<(), SortedFileError> {
        let (file, found) = (self.reader.name.clone(), self.reader.header.store_id);
        if found != expected {
            return Err(SortedFileError::Foreign { file, found, expected });
        }
        if self.reader.header.position != position {
            return Err(SortedFileError::Damaged { file, offset: 0, what: "the position" });
        }
        Ok(())
    }

    /// What the file says of itself.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let Reader { header, footer, name, .. } = &self.reader;
        let (file, bytes) = (name.clone(), self.reader.bytes());
        Snapshot { position: header.position, file, bytes, footer: *footer, time_s: header.time_s }
    }

    pub(crate) fn next(&mut self) -> Result<Option<(Place, ItemValue)>, SortedFileError> {
        let Some(body) = self.reader.next()? else { return Ok(None) };
        let item = read_item(body);
        let file = &self.reader.name;
        let item = item.map_err(|source| SortedFileError::Item { file: file.clone(), source })?;
        if self.last.as_ref().is_some_and(|last| *last >= item.0) {
            let what = "the order of the items";
            return Err(SortedFileError::Damaged { file: file.clone(), offset: 0, what });
        }
        self.last = Some(item.0.clone());
        Ok(Some(item))
    }
}
