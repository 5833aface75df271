//! Counts one counter again: what the oldest kept state says of it, and every later change.

use quipu_core::{
    effect::Counter,
    name::Name,
    recount::{Entry, Recount},
    replay::FoldError,
    snapshot::{ItemKey, ItemValue, Place},
    table::shard_bits,
};
use stdx::hash::hash64;
use thiserror::Error;

use crate::{
    history::{Base, Pin},
    snapshot::{self, Items},
    sorted_file::SortedFileError,
    storage::Storage,
    wal::{Identity, RecoverError, begins_at_the_beginning, identify, replay},
};

/// Why a counter could not be counted again to the end.
#[derive(Debug, Error)]
pub enum RecountError {
    /// A snapshot cannot be read.
    #[error(transparent)]
    File(#[from] SortedFileError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] RecoverError),
    /// The log says something else than what was counted before.
    #[error("frame {frame} does not fit what was counted before it")]
    Frame {
        /// The frame.
        frame: u64,
        /// How.
        source: FoldError,
    },
}

/// What is told of a counter, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The oldest known state.
    Oldest {
        /// As of when; nothing can be said of what was before.
        base: Base,
        /// What the counter was.
        counter: Counter,
    },
    /// What a batch did to it.
    Entry {
        /// The frame.
        frame: u64,
        /// What happened.
        entry: Entry,
    },
    /// Nothing was told of the frames up to here.
    Passed {
        /// The last of them.
        frame: u64,
    },
    /// All was told up to here.
    End {
        /// The last position that was looked at.
        upto: u64,
        /// What the counter is there.
        counter: Counter,
    },
}

/// After so many frames of which nothing is told, that is said. Guess: some 100 ms of reading.
const FRAMES_PASSED: u64 = 1 << 14;

/// Hears what is told; false ends the telling.
pub type Hear<'a> = &'a mut dyn FnMut(Told) -> bool;

/// The place of a counter in snapshots.
fn place(name: &str, identity: Identity) -> Place {
    let hash = hash64(identity.store_id, name.as_bytes());
    let shard = shard_bits(hash) & identity.shards.wrapping_sub(1);
    (shard, ItemKey::Counter(Name::new(name)))
}

/// Counts a counter again in a store that no process has open.
///
/// # Errors
/// See [`RecountError`].
pub fn recount<S: Storage>(storage: &S, name: &str, hear: Hear<'_>) -> Result<(), RecountError> {
    let identity = identify(storage, Identity { store_id: 0, shards: 0 })?;
    let snapshots = snapshot::positions(storage)?;
    if begins_at_the_beginning(storage)? || snapshots.is_empty() {
        return tell_stopped(storage, (name, Counter::ABSENT), Base::BEGINNING, hear);
    }
    let place = place(name, identity);
    let mut damaged = None;
    for position in snapshots {
        match look_up(storage, position, &place) {
            Ok((base, counter)) => return tell_stopped(storage, (name, counter), base, hear),
            Err(error) if error.is_damage() => damaged = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    damaged.map_or(Ok(()), |error| Err(error.into()))
}

/// Finds a counter in the snapshot at a position.
fn look_up<S: Storage>(
    storage: &S,
    position: u64,
    place: &Place,
) -> Result<(Base, Counter), SortedFileError> {
    let mut items = Items::open(storage, &snapshot::name(position))?;
    let base = Base::from(&items.snapshot());
    while let Some((at, value)) = items.next()? {
        match value {
            ItemValue::Counter(counter) if at == *place => return Ok((base, counter)),
            _ if at > *place => break,
            _ => {}
        }
    }
    Ok((base, Counter::ABSENT))
}

fn tell_stopped<S: Storage>(
    storage: &S,
    (name, counter): (&str, Counter),
    base: Base,
    hear: Hear<'_>,
) -> Result<(), RecountError> {
    let mut telling = Telling::new(name, counter, hear);
    let mut begun = false;
    let mut ended = Ok(());
    let report = replay(storage, base.position + 1, |frame, payload| {
        // Not before the log has been seen to begin where the base ends.
        if !std::mem::replace(&mut begun, true) {
            telling.tell(Told::Oldest { base, counter });
        }
        if ended.is_ok() && telling.goes_on {
            ended = telling.fold(frame, payload);
        }
        Ok::<_, std::convert::Infallible>(())
    })?;
    if !begun {
        telling.tell(Told::Oldest { base, counter });
    }
    ended?;
    telling.end(report.position);
    Ok(())
}

/// Counts a counter again in a store that is in use, up to the durable position `upto`.
///
/// # Errors
/// See [`RecountError`].
pub fn recount_live<S: Storage>(
    pin: &Pin<S>,
    upto: u64,
    (name, shards): (&str, u16),
    hear: Hear<'_>,
) -> Result<(), RecountError> {
    let base = pin.oldest();
    let place = place(name, Identity { store_id: pin.store_id(), shards });
    let mut counter = Counter::ABSENT;
    pin.items(|at, value| {
        if let ItemValue::Counter(found) = value
            && *at == place
        {
            counter = *found;
        }
        *at < place
    })?;
    let mut telling = Telling::new(name, counter, hear);
    telling.tell(Told::Oldest { base, counter });
    let mut ended = Ok(());
    pin.frames(base.position, upto, &mut |frame, payload| {
        ended = telling.fold(frame, payload);
        ended.is_ok() && telling.goes_on
    })?;
    ended?;
    telling.end(upto);
    Ok(())
}

struct Telling<'a> {
    recount: Recount,
    hear: Hear<'a>,
    goes_on: bool,
}

impl<'a> Telling<'a> {
    fn new(name: &str, counter: Counter, hear: Hear<'a>) -> Self {
        Self { recount: Recount::new(name, counter), hear, goes_on: true }
    }

    fn tell(&mut self, told: Told) {
        self.goes_on = self.goes_on && (self.hear)(told);
    }

    fn fold(&mut self, frame: u64, payload: &[u8]) -> Result<(), RecountError> {
        let mut entries = Vec::new();
        let folded = self.recount.fold_payload(payload, &mut |entry| entries.push(entry));
        if entries.is_empty() && frame.is_multiple_of(FRAMES_PASSED) {
            self.tell(Told::Passed { frame });
        }
        for entry in entries {
            self.tell(Told::Entry { frame, entry });
        }
        folded.map_err(|source| RecountError::Frame { frame, source })
    }

    fn end(&mut self, upto: u64) {
        let counter = self.recount.counter();
        self.tell(Told::End { upto, counter });
    }
}
