//! Folding records of the log into a shard: recovery and replicas.

use stdx::hash::hash64;

use crate::canary::{self, Bug};
use crate::cell::Cell;
use crate::effect::{Counter, Effect, Mismatch, fold};
use crate::name::Name;
use crate::record::{Header, Item, Kind, RecordError};
use crate::shard::Shard;
use crate::snapshot::{Ended, ItemKey, ItemValue, ShardMeta};
use crate::table::{Spot, Table};

/// Counters whose memory is asked for at once: as many lines as a core keeps in flight, and some.
/// Guess.
const AHEAD: usize = 32;

/// A counter whose memory was asked for.
#[derive(Debug, Clone, Copy)]
struct Asked {
    hash: u64,
    /// Where it may lie: the first that have its tag. A third one is rare.
    spots: [Spot; 2],
}

impl Asked {
    /// Finds the counter. What was folded since may have moved it.
    #[inline]
    fn find<'t>(&self, counters: &'t mut Table<Cell>, name: &str) -> Option<&'t mut Cell> {
        let mut is_there =
            |spot: &Spot| counters.at_mut(*spot).is_some_and(|cell| cell.name == name);
        match self.spots.into_iter().find(|spot| is_there(spot)) {
            Some(spot) => counters.at_mut(spot),
            None => counters.find_mut(self.hash, |cell| cell.name == name),
        }
    }
}

/// A record does not follow what was folded before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// Not understood.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Its effect does not fit.
    #[error("shard {shard}, batch {batch}, {name:?}: {mismatch}")]
    Mismatch {
        /// The shard.
        shard: u16,
        /// The batch.
        batch: u64,
        /// The counter or the stream.
        name: String,
        /// How it does not fit.
        mismatch: Mismatch,
    },
    /// A batch, epoch or time out of order.
    #[error("shard {shard}: {what} {found} does not follow {expected}")]
    Order {
        /// The shard.
        shard: u16,
        /// Of what.
        what: &'static str,
        /// What was to come, or the least of it.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// A shard that the store does not have.
    #[error("a record speaks of shard {shard}, but the store has {shards}")]
    NoShard {
        /// The shard.
        shard: u16,
        /// How many there are.
        shards: u16,
    },
}

/// The order of one shard's records, checked by every fold.
///
/// # Errors
/// The record does not follow `meta`.
pub fn follow(meta: &mut ShardMeta, header: &Header) -> Result<(), FoldError> {
    let order = |what, expected, found| {
        Err(FoldError::Order { shard: header.shard, what, expected, found })
    };
    if header.time_ms < meta.time_ms {
        return order("time", meta.time_ms, header.time_ms);
    }
    match header.kind {
        Kind::Epoch if header.epoch <= meta.epoch => {
            return order("epoch", meta.epoch + 1, header.epoch);
        }
        kind if kind.is_batch() && header.epoch != meta.epoch => {
            return order("epoch", meta.epoch, header.epoch);
        }
        kind if kind.is_batch() && header.batch != meta.batch + 1 => {
            return order("batch", meta.batch + 1, header.batch);
        }
        _ => {}
    }
    meta.time_ms = header.time_ms;
    meta.epoch = header.epoch;
    meta.batch = header.batch;
    Ok(())
}

impl Shard {
    /// What a snapshot says of the shard as a whole.
    pub fn meta(&self) -> ShardMeta {
        ShardMeta {
            epoch: self.epoch,
            batch: self.sealed,
            time_ms: self.time_ms,
            window_ms: self.window_ms,
        }
    }

    /// Folds the head of a record; its items follow through [`Shard::fold_item`].
    ///
    /// # Errors
    /// It does not follow.
    pub fn fold_header(&mut self, header: &Header) -> Result<(), FoldError> {
        let mut meta = self.meta();
        follow(&mut meta, header)?;
        (self.epoch, self.sealed, self.time_ms) = (meta.epoch, meta.batch, meta.time_ms);
        self.recovered = self.sealed;
        Ok(())
    }

    /// Folds one item of a record.
    ///
    /// # Errors
    /// Its effect does not fit the counter.
    pub fn fold_item(&mut self, item: &Item<'_>) -> Result<(), FoldError> {
        match *item {
            Item::Slot { name, effect, .. } => {
                let hash = hash64(self.seed, name.as_bytes());
                self.fold_slot(&Asked { hash, spots: [Spot::NONE; 2] }, name, &effect)?;
            }
            Item::Token { ref record, .. } => self.tokens.remember(record),
            Item::Mark { stream, sequence } => {
                self.streams.change(stream, |known| known.mark = sequence);
            }
            Item::Checkpoint { stream, sequence } => {
                self.streams.change(stream, |known| known.checkpoint = Some(sequence));
            }
            Item::End { stream, mark } => self.fold_end(stream, mark)?,
            Item::Window { window_ms } => self.window_ms = window_ms,
        }
        self.forget();
        Ok(())
    }

    /// Forgets a stream that an operator ended, durable.
    fn fold_end(&mut self, name: &[u8], mark: u64) -> Result<(), FoldError> {
        let found = self.streams.get(name).map_or(0, |stream| stream.mark);
        Ended::At(mark).check(found).map_err(|mismatch| FoldError::Mismatch {
            shard: self.id,
            batch: self.sealed,
            name: String::from_utf8_lossy(name).into_owned(),
            mismatch,
        })?;
        self.streams.restore(name, None);
        Ok(())
    }

    /// Folds all items of a record. Memory of the counters is asked for ahead, so this is faster than
    /// one item at a time.
    ///
    /// # Errors
    /// The effect of one does not fit its counter.
    pub fn fold_items(&mut self, items: &[Item<'_>]) -> Result<(), FoldError> {
        let mut asked = [Asked { hash: 0, spots: [Spot::NONE; 2] }; AHEAD];
        for part in items.chunks(AHEAD) {
            self.ask_for(part, &mut asked);
            for (asked, item) in asked.iter().zip(part) {
                match item {
                    Item::Slot { name, effect, .. } => self.fold_slot(asked, name, effect)?,
                    _ => self.fold_item(item)?,
                }
            }
        }
        self.forget();
        Ok(())
    }

    /// Hashes the names of slots and asks for the memory of their counters. One short loop for each
    /// step: a processor that has nothing else to do between two prefetches walks through the page
    /// tables for several of them at once, and at this size that is most of their time.
    fn ask_for(&self, items: &[Item<'_>], asked: &mut [Asked; AHEAD]) {
        for (asked, item) in asked.iter_mut().zip(items) {
            asked.hash = match item {
                Item::Slot { name, .. } => hash64(self.seed, name.as_bytes()),
                _ => 0,
            };
        }
        let asked = asked.get_mut(..items.len()).unwrap_or_default();
        for asked in asked.iter() {
            self.counters.prefetch_page(asked.hash);
        }
        for asked in asked.iter_mut() {
            let mut spots = self.counters.spots(asked.hash);
            asked.spots = [(); 2].map(|()| spots.next().unwrap_or(Spot::NONE));
        }
        let spots = asked.iter().flat_map(|asked| asked.spots);
        spots.for_each(|spot| self.counters.prefetch_spot(spot));
    }

    /// Forgets some tokens that are past their deadline.
    fn forget(&mut self) {
        let other_clock = canary::is(Bug::EvictionByWallClock);
        let now_ms = if other_clock { u64::MAX } else { self.time_ms };
        self.tokens.sweep(now_ms, crate::limits::SWEEP_STEPS);
    }

    fn fold_slot(&mut self, asked: &Asked, name: &str, effect: &Effect) -> Result<(), FoldError> {
        let misfit = |mismatch| FoldError::Mismatch {
            shard: self.id,
            batch: self.sealed,
            name: name.to_owned(),
            mismatch,
        };
        let before = match asked.find(&mut self.counters, name) {
            None => Counter::ABSENT,
            Some(cell) if cell.expires() => {
                Counter { expires_at: self.expiries.get(name), ..cell.plain() }
            }
            Some(cell) => {
                let after = fold(cell.plain(), effect).map_err(misfit)?;
                // Most slots: found once, changed in place.
                if after.value.is_some() && after.expires_at.is_none() {
                    self.present += usize::from(!cell.is_present());
                    cell.put(after);
                    return Ok(());
                }
                cell.plain()
            }
        };
        let after = fold(before, effect).map_err(misfit)?;
        self.put(asked.hash, name, after);
        Ok(())
    }

    /// Puts a counter as it is known to be, durable.
    pub(crate) fn put(&mut self, hash: u64, name: &str, counter: Counter) {
        if counter.value.is_none() {
            if self.counters.remove(hash, |c| c.name == name).is_some() {
                self.present -= 1;
                self.expiries.put(&Name::new(name), None);
            }
            return;
        }
        let fresh = || Cell::new(Name::new(name));
        let cell = self.counters.find_or_insert(hash, |c| c.name == name, fresh);
        self.present += usize::from(!cell.is_present());
        let had_expiry = cell.expires();
        cell.put(counter);
        if had_expiry || counter.expires_at.is_some() {
            self.expiries.put(&cell.name, counter.expires_at);
        }
    }

    /// Takes one counter of a snapshot into an empty shard. A snapshot has each of them once.
    pub fn load_counter(&mut self, name: Name, counter: Counter) {
        let hash = hash64(self.seed, name.as_bytes());
        let mut cell = Cell::new(name);
        cell.put(counter);
        if counter.expires_at.is_some() {
            self.expiries.put(&cell.name, counter.expires_at);
        }
        self.present += usize::from(cell.is_present());
        self.counters.insert(hash, cell);
    }

    /// Takes one item of a snapshot into an empty shard.
    pub fn load(&mut self, key: &ItemKey, value: &ItemValue) {
        match (key, value) {
            (ItemKey::Shard, ItemValue::Shard(meta)) => {
                (self.epoch, self.sealed) = (meta.epoch, meta.batch);
                (self.time_ms, self.window_ms) = (meta.time_ms, meta.window_ms);
                self.recovered = self.sealed;
            }
            (ItemKey::Counter(name), ItemValue::Counter(counter)) => {
                self.load_counter(name.clone(), *counter);
            }
            (ItemKey::Token(_), ItemValue::Token(record)) => self.tokens.remember(record),
            (ItemKey::Stream(name), ItemValue::Stream { mark, checkpoint }) => {
                self.streams.change(name, |stream| {
                    (stream.mark, stream.checkpoint) = (*mark, *checkpoint);
                });
            }
            _ => unreachable!("the snapshot's reader pairs keys with their values"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FoldError, follow};
    use crate::record::{Header, Kind};
    use crate::snapshot::ShardMeta;

    const META: ShardMeta = ShardMeta { epoch: 3, batch: 7, time_ms: 100, window_ms: 5 };
    const BATCH: Header = Header { kind: Kind::Batch, shard: 2, epoch: 3, batch: 8, time_ms: 100 };
    const EPOCH: Header = Header { kind: Kind::Epoch, epoch: 4, batch: 7, ..BATCH };

    fn follows(header: Header) {
        let mut meta = META;
        assert_eq!(follow(&mut meta, &header), Ok(()));
        let Header { epoch, batch, time_ms, .. } = header;
        assert_eq!(meta, ShardMeta { epoch, batch, time_ms, ..META });
    }

    fn is_refused(header: Header, what: &'static str, expected: u64, found: u64) {
        let mut meta = META;
        let refusal = FoldError::Order { shard: 2, what, expected, found };
        assert_eq!(follow(&mut meta, &header), Err(refusal));
        assert_eq!(meta, META, "what is refused changes nothing");
    }

    #[test]
    fn batches_follow_by_one_within_their_epoch() {
        follows(BATCH);
        for batch in [0, 7, 9] {
            is_refused(Header { batch, ..BATCH }, "batch", 8, batch);
        }
        for epoch in [2, 4] {
            is_refused(Header { epoch, ..BATCH }, "epoch", 3, epoch);
        }
    }

    #[test]
    fn epochs_rise() {
        follows(EPOCH);
        follows(Header { epoch: 9, ..EPOCH });
        for epoch in [0, 2, 3] {
            is_refused(Header { epoch, ..EPOCH }, "epoch", 4, epoch);
        }
    }

    #[test]
    fn log_time_does_not_step_back() {
        follows(Header { time_ms: 101, ..BATCH });
        for header in [BATCH, EPOCH, Header { kind: Kind::Barrier, ..BATCH }] {
            is_refused(Header { time_ms: 99, ..header }, "time", 100, 99);
        }
    }
}
