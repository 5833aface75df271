//! The segments of a log in their order, opened and checked.

use crate::{
    storage::{Storage, StorageFile},
    wal::{
        reader::Reader,
        recovery::{RecoverError, bad_header, read_failed, storage_failed},
        segment::{self, HEADER_BYTES, Header, Name, Segment},
        store::{self, Identity, StoreFault},
    },
};

/// The file that a restore makes first and removes last.
pub(crate) const RESTORING: &str = "RESTORE.unfinished";

/// All segments that have their name, without gaps in their numbers.
#[derive(Debug)]
pub(crate) struct Chain<S: Storage> {
    pub(crate) identity: Identity,
    /// Whether the file that marks the store is there.
    pub(crate) marked: bool,
    pub(crate) segments: Vec<Segment<S::File>>,
    /// The position of each segment's first frame; none where there is no intact header.
    firsts: Vec<Option<u64>>,
    pub(crate) spares: Vec<String>,
    /// Files that were never finished.
    pub(crate) unfinished: Vec<String>,
}

/// Opens every segment of the log, changing nothing. `proposed` is the identity of a new store.
pub(crate) fn open<S: Storage>(
    storage: &S,
    start: u64,
    proposed: Identity,
) -> Result<Chain<S>, RecoverError> {
    let Names { sequences, spares, unfinished, marked, half_restored } = sort_names(storage)?;
    if half_restored {
        return Err(RecoverError::HalfRestored);
    }
    let marker = if marked { Some(read_store(storage)?) } else { None };
    let mut segments = Vec::with_capacity(sequences.len());
    for sequence in &sequences {
        segments.push(open_segment(storage, *sequence)?);
    }
    check_dense(&sequences)?;
    if segments.is_empty() && (marked || start > 1) {
        return Err(RecoverError::MissingLog);
    }
    // Without the marker there can only be what an interrupted creation left.
    let begun = segments.first().map(|s| Identity { store_id: s.header.store_id, ..proposed });
    let identity = marker.or(begun).unwrap_or(proposed);
    check_owner(&segments, identity.store_id)?;
    let firsts = segments.iter().map(first_position).collect::<Result<_, _>>()?;
    Ok(Chain { identity, marked, segments, firsts, spares, unfinished })
}

/// The log of a store that has none yet.
pub(crate) fn begin<S: Storage>(identity: Identity) -> Chain<S> {
    let (segments, firsts, spares, unfinished) = Default::default();
    Chain { identity, marked: false, segments, firsts, spares, unfinished }
}

impl<S: Storage> Chain<S> {
    /// Returns the name of a segment.
    pub(crate) fn name(&self, index: usize) -> String {
        self.segments.get(index).map_or_else(|| segment::name(1), Segment::name)
    }

    /// Takes the last segment off the chain.
    pub(crate) fn pop(&mut self) -> Option<Segment<S::File>> {
        self.firsts.pop();
        self.segments.pop()
    }

    /// Returns the position of a segment's first frame.
    pub(crate) fn first(&self, index: usize) -> Option<u64> {
        self.firsts.get(index).copied().flatten()
    }

    /// Returns the position at which a later segment takes over.
    pub(crate) fn next_first(&self, index: usize) -> Option<u64> {
        self.firsts.iter().skip(index + 1).flatten().min().copied()
    }

    /// Returns the last segment after `index` that begins at `position`.
    pub(crate) fn taking_over(&self, index: usize, position: u64) -> Option<usize> {
        let found = self.firsts.iter().rposition(|first| *first == Some(position))?;
        (found > index).then_some(found)
    }

    /// Says whether any frame of the segment counts.
    pub(crate) fn counts(&self, index: usize) -> bool {
        let next = self.next_first(index);
        self.first(index).is_some_and(|first| next.is_none_or(|next| first < next))
    }

    /// Returns the segment in which reading for `start` begins.
    pub(crate) fn index_of(&self, start: u64) -> Result<usize, RecoverError> {
        let holds = |index: &usize| {
            self.counts(*index) && self.first(*index).is_some_and(|first| first <= start)
        };
        if let Some(index) = (0..self.segments.len()).rev().find(holds) {
            return Ok(index);
        }
        // Segments of which only the header is left hold nothing that could be missed.
        let used =
            |segment: &Segment<S::File>| segment.length > u64::from(segment.header.block_bytes);
        let index = self.segments.iter().position(used).unwrap_or(0);
        match self.first(index).filter(|_| self.counts(index)) {
            Some(first) => Err(RecoverError::Gap { file: self.name(index), first, start }),
            None => Ok(0),
        }
    }
}

#[derive(Default)]
struct Names {
    sequences: Vec<u64>,
    spares: Vec<String>,
    unfinished: Vec<String>,
    marked: bool,
    half_restored: bool,
}

fn sort_names<S: Storage>(storage: &S) -> Result<Names, RecoverError> {
    let mut names = Names::default();
    for name in storage.list().map_err(storage_failed("list", "the data directory"))? {
        match segment::parse(&name) {
            Name::Segment(sequence) => names.sequences.push(sequence),
            Name::Spare => names.spares.push(name),
            Name::Unfinished => names.unfinished.push(name),
            Name::Other => {
                names.marked |= name == store::NAME;
                names.half_restored |= name == RESTORING;
            }
        }
    }
    names.sequences.sort_unstable();
    Ok(names)
}

fn read_store<S: Storage>(storage: &S) -> Result<Identity, RecoverError> {
    let file = store::NAME.to_owned();
    store::read(storage).map_err(|fault| match fault {
        StoreFault::Io(source) => RecoverError::Storage { operation: "read", file, source },
        StoreFault::Damaged => RecoverError::HeaderDamaged { file },
        StoreFault::Version(found) => {
            RecoverError::UnknownVersion { file, found, known: store::VERSION }
        }
    })
}

pub(crate) fn open_segment<S: Storage>(
    storage: &S,
    sequence: u64,
) -> Result<Segment<S::File>, RecoverError> {
    let name = segment::name(sequence);
    let file = storage.open(&name).map_err(storage_failed("open", &name))?;
    let length = file.length().map_err(storage_failed("measure", &name))?;
    let mut bytes = [0; HEADER_BYTES];
    let count = file.read_at(&mut bytes, 0).map_err(storage_failed("read", &name))?;
    let read = bytes.get(..count).unwrap_or_default();
    let header = Header::decode(read).map_err(|fault| bad_header(name.clone(), fault))?;
    if header.sequence != sequence {
        return Err(RecoverError::HeaderDamaged { file: name });
    }
    Ok(Segment { file, header, length })
}

fn check_dense(sequences: &[u64]) -> Result<(), RecoverError> {
    for pair in sequences.windows(2) {
        if let [before, after] = pair
            && before + 1 != *after
        {
            return Err(RecoverError::MissingSegment { file: segment::name(before + 1) });
        }
    }
    Ok(())
}

fn check_owner<F>(segments: &[Segment<F>], expected: u64) -> Result<(), RecoverError> {
    match segments.iter().find(|segment| segment.header.store_id != expected) {
        Some(segment) => {
            let found = segment.header.store_id;
            Err(RecoverError::Foreign { file: segment.name(), found, expected })
        }
        None => Ok(()),
    }
}

fn first_position<F: StorageFile>(segment: &Segment<F>) -> Result<Option<u64>, RecoverError> {
    let mut reader = Reader::new(segment, Vec::new());
    let header = reader
        .header(u64::from(segment.header.block_bytes))
        .map_err(|source| read_failed(segment, source))?;
    Ok(header.map(|header| header.position))
}

/// Returns the identity of the store in `storage`, or the proposed one where there is none yet.
///
/// # Errors
/// The files that say it are damaged, or the storage failed.
pub fn identify<S: Storage>(storage: &S, proposed: Identity) -> Result<Identity, RecoverError> {
    Ok(open(storage, 1, proposed)?.identity)
}

/// Says whether the log still holds its first frame.
///
/// # Errors
/// As [`identify`].
pub(crate) fn begins_at_the_beginning<S: Storage>(storage: &S) -> Result<bool, RecoverError> {
    let chain = open(storage, 1, Identity { store_id: 0, shards: 0 })?;
    Ok(chain.firsts.iter().flatten().any(|first| *first == 1))
}
