//! The segments of a log in their order, opened and checked.

use crate::{
    storage::{Storage, StorageFile},
    wal::{
        Random,
        reader::Reader,
        recovery::{RecoverError, bad_header, read_failed, storage_failed},
        segment::{self, HEADER_BYTES, Header, Name, Segment},
        store::{self, StoreFault},
    },
};

/// All segments that have their name, without gaps in their numbers.
#[derive(Debug)]
pub(crate) struct Chain<S: Storage> {
    pub(crate) store_id: u64,
    /// Whether the file that marks the store is there.
    pub(crate) marked: bool,
    pub(crate) segments: Vec<Segment<S::File>>,
    /// The position of each segment's first frame; none where there is no intact header.
    firsts: Vec<Option<u64>>,
    pub(crate) spares: Vec<String>,
}

/// Reads the identity of the store in `storage`, none where it is new. Nothing has been written to
/// a log whose store has no identity yet.
///
/// # Errors
/// The file cannot be read, or is damaged.
pub fn identify<S: Storage>(storage: &S) -> Result<Option<u64>, RecoverError> {
    let (_, _, marked) = sort_names(storage)?;
    marked.then(|| read_store(storage)).transpose()
}

/// Opens every segment of the log and removes what was never finished.
pub(crate) fn open<S: Storage>(
    storage: &S,
    start: u64,
    random: &mut Random,
) -> Result<Chain<S>, RecoverError> {
    let (sequences, spares, marked) = sort_names(storage)?;
    let marker = if marked { Some(read_store(storage)?) } else { None };
    let mut segments = Vec::with_capacity(sequences.len());
    for sequence in &sequences {
        segments.push(open_segment(storage, *sequence)?);
    }
    check_dense(&sequences)?;
    if segments.is_empty() && (marked || start > 1) {
        return Err(RecoverError::MissingLog);
    }
    let known = marker.or_else(|| segments.first().map(|segment| segment.header.store_id));
    let store_id = known.unwrap_or_else(random);
    check_owner(&segments, store_id)?;
    let firsts = segments.iter().map(first_position).collect::<Result<_, _>>()?;
    Ok(Chain { store_id, marked, segments, firsts, spares })
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
        match self.first(0).filter(|_| self.counts(0)) {
            Some(first) => Err(RecoverError::Gap { file: self.name(0), first, start }),
            None => Ok(0),
        }
    }
}

type Names = (Vec<u64>, Vec<String>, bool);

fn sort_names<S: Storage>(storage: &S) -> Result<Names, RecoverError> {
    let (mut sequences, mut spares, mut marked) = (Vec::new(), Vec::new(), false);
    for name in storage.list().map_err(storage_failed("list", ""))? {
        match segment::parse(&name) {
            Name::Segment(sequence) => sequences.push(sequence),
            Name::Spare => spares.push(name),
            Name::Unfinished => {
                storage.remove(&name).map_err(storage_failed("remove", &name))?;
            }
            Name::Other => marked |= name == store::NAME,
        }
    }
    sequences.sort_unstable();
    Ok((sequences, spares, marked))
}

fn read_store<S: Storage>(storage: &S) -> Result<u64, RecoverError> {
    let file = store::NAME.to_owned();
    store::read(storage).map_err(|fault| match fault {
        StoreFault::Io(source) => RecoverError::Storage { operation: "read", file, source },
        StoreFault::Damaged => RecoverError::HeaderDamaged { file },
        StoreFault::Version(found) => {
            RecoverError::UnknownVersion { file, found, known: store::VERSION }
        }
    })
}

fn open_segment<S: Storage>(storage: &S, sequence: u64) -> Result<Segment<S::File>, RecoverError> {
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
