//! A change set: a log composed without its base.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::gathered::{CounterChanges, Taken, TokenChanges};
use super::{Change, Ended, ItemKey, Place, ShardMeta};
use crate::effect::{Effect, Mismatch};
use crate::name::Name;
use crate::record::{self, Header, Item, RecordError};
use crate::replay::{FoldError, follow};

/// A log composed without its base.
#[derive(Debug)]
pub struct ChangeSet {
    /// The hash seed of the store.
    seed: u64,
    /// Of all but counters and tokens.
    changes: BTreeMap<Place, Change>,
    counters: CounterChanges,
    tokens: TokenChanges,
    metas: BTreeMap<u16, ShardMeta>,
    bytes: usize,
}

/// Memory of a change beside what its key has on the heap, about: of a counter its entry in the table
/// and again in the sort, of others their share of a node, key and value.
const CHANGE_BYTES: usize = 240;

impl ChangeSet {
    /// No changes of a store whose hash seed is `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            changes: BTreeMap::new(),
            counters: CounterChanges::default(),
            tokens: TokenChanges::default(),
            metas: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Composes all records of a frame's payload.
    ///
    /// # Errors
    /// A record is not understood or does not follow.
    pub fn fold_payload(&mut self, payload: &[u8]) -> Result<(), FoldError> {
        self.fold_payload_where(payload, |_, _| true)
    }

    /// Composes those items of a frame's payload that `keeps` says, and checks the order of all.
    ///
    /// # Errors
    /// As [`ChangeSet::fold_payload`].
    pub fn fold_payload_where(
        &mut self,
        mut payload: &[u8],
        mut keeps: impl FnMut(&Header, &Item<'_>) -> bool,
    ) -> Result<(), FoldError> {
        let mut items = Vec::new();
        while !payload.is_empty() {
            items.clear();
            let (header, len) = record::read(payload, self.seed, |_, item| {
                items.push(item);
                Ok::<_, RecordError>(())
            })?;
            let window = items.iter().find_map(|item| match item {
                Item::Window { window_ms } => Some(*window_ms),
                _ => None,
            });
            self.fold_meta(&header, window)?;
            for item in items.iter().filter(|item| keeps(&header, item)) {
                self.fold_item(&header, item)?;
            }
            payload = payload.get(len..).unwrap_or(&[]);
        }
        Ok(())
    }

    fn fold_meta(&mut self, header: &Header, window: Option<u64>) -> Result<(), FoldError> {
        let fresh = ShardMeta {
            epoch: header.epoch,
            batch: header.batch,
            time_ms: header.time_ms,
            window_ms: 0,
        };
        let meta = match self.metas.get_mut(&header.shard) {
            None => self.metas.entry(header.shard).or_insert(fresh),
            Some(meta) => {
                follow(meta, header)?;
                meta
            }
        };
        meta.window_ms = window.unwrap_or(meta.window_ms);
        let meta = *meta;
        self.changes.insert((header.shard, ItemKey::Shard), Change::Shard(meta));
        Ok(())
    }

    /// Says what the base knows of a shard, so that the first record is checked against it and
    /// what the log does not repeat (the window) is known. Call before the first payload.
    pub fn set_base(&mut self, shard: u16, meta: ShardMeta) {
        self.metas.insert(shard, meta);
    }

    fn fold_item(&mut self, header: &Header, item: &Item<'_>) -> Result<(), FoldError> {
        match *item {
            Item::Slot { name, ref effect, .. } => self.fold_slot(header, name, effect),
            Item::Token { ref record, .. } => {
                self.bytes += self.tokens.push(header.shard, record);
                Ok(())
            }
            Item::Mark { stream, sequence } => {
                let change =
                    Change::Stream { ended: Ended::No, mark: Some(sequence), checkpoint: None };
                self.fold_stream(header, stream, change)
            }
            Item::Checkpoint { stream, sequence } => {
                let change =
                    Change::Stream { ended: Ended::No, mark: None, checkpoint: Some(sequence) };
                self.fold_stream(header, stream, change)
            }
            Item::End { stream, mark } => {
                let ended = Ended::At(mark);
                let change = Change::Stream { ended, mark: None, checkpoint: None };
                self.fold_stream(header, stream, change)
            }
            Item::Window { .. } => Ok(()),
        }
    }

    fn fold_slot(&mut self, header: &Header, name: &str, effect: &Effect) -> Result<(), FoldError> {
        let added = self.counters.add(header.shard, name, effect);
        let misfit = |mismatch| misfit(header, &ItemKey::Counter(Name::new(name)), mismatch);
        if added.map_err(misfit)? {
            // A name of up to 24 bytes lies in its place.
            self.bytes += CHANGE_BYTES + if name.len() > 24 { name.len() } else { 0 };
        }
        Ok(())
    }

    fn fold_stream(
        &mut self,
        header: &Header,
        stream: &[u8],
        change: Change,
    ) -> Result<(), FoldError> {
        match self.changes.entry((header.shard, ItemKey::Stream(stream.into()))) {
            Entry::Vacant(vacant) => {
                self.bytes += CHANGE_BYTES + stream.len();
                vacant.insert(change);
            }
            Entry::Occupied(mut occupied) => {
                let composed = occupied.get().compose(&change);
                let misfit = |mismatch| misfit(header, &occupied.key().1, mismatch);
                let composed = composed.map_err(misfit)?;
                occupied.insert(composed);
            }
        }
        Ok(())
    }

    /// The newest log time of all shards, those of the base included.
    pub fn time_ms(&self) -> u64 {
        self.metas.values().map(|meta| meta.time_ms).max().unwrap_or(0)
    }

    /// Memory in use, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.counters.is_empty() && self.tokens.is_empty()
    }

    /// Takes the changes out, sorted; what is known of the shards stays.
    pub fn take(&mut self) -> Taken {
        self.bytes = 0;
        let rest = std::mem::take(&mut self.changes);
        let counters = std::mem::take(&mut self.counters);
        Taken::new(rest, counters, std::mem::take(&mut self.tokens))
    }
}

#[cold]
fn misfit(header: &Header, key: &ItemKey, mismatch: Mismatch) -> FoldError {
    let (shard, batch) = (header.shard, header.batch);
    FoldError::Mismatch { shard, batch, name: format!("{key:?}"), mismatch }
}

#[cfg(test)]
mod tests {
    use super::{CHANGE_BYTES, ChangeSet};
    use crate::effect::{Effect, ExpiryEffect};
    use crate::outcome::Verdict;
    use crate::record::{Header, Item, Kind, StreamKind, put_header, put_slot, put_stream};
    use crate::snapshot::Change;
    use crate::token::TokenRecord;

    const TOKEN: TokenRecord = TokenRecord {
        key: 1,
        fingerprint: 2,
        verdict: Verdict::Done,
        value: Some(1),
        previous: None,
        applied: 1,
        expires_at: None,
        epoch: 1,
        batch: 1,
        deadline_ms: 50,
    };

    /// A record of one batch: an add of 1 to a counter, and the mark of a stream.
    fn payload(batch: u64, counter: &str, stream: &str) -> Vec<u8> {
        let mut out = Vec::new();
        put_header(&mut out, &Header { kind: Kind::Batch, shard: 0, epoch: 0, batch, time_ms: 0 });
        for count in [1_u32, 0, 1] {
            out.extend_from_slice(&count.to_le_bytes());
        }
        let before = batch as i64 - 1;
        let effect = Effect::add(before, before + 1, ExpiryEffect::Keep);
        put_slot(&mut out, counter.as_bytes(), 1, &effect);
        put_stream(&mut out, stream.as_bytes(), StreamKind::Mark, batch);
        out
    }

    #[test]
    fn memory_is_counted_once_for_each_key_with_what_it_has_on_the_heap() {
        let check = |counter: &str, heap_bytes: usize| {
            let mut set = ChangeSet::new(0);
            assert!(set.is_empty() && set.bytes() == 0);
            for batch in 1..4 {
                set.fold_payload(&payload(batch, counter, "stream")).unwrap();
                assert_eq!(set.bytes(), 2 * CHANGE_BYTES + heap_bytes + 6, "{counter}");
            }
            assert!(!set.is_empty());
            assert_eq!(set.take().count(), 3, "the shard is the third");
            assert!(set.is_empty() && set.bytes() == 0);
        };
        check("c", 0);
        check("the-longest-name-in-place", 25);
        check("the-longest-name-in-plac", 0);
        check("a-name-that-is-much-longer-than-its-place", 41);
    }

    #[test]
    fn changes_are_taken_in_order_and_the_last_use_of_a_token_counts() {
        let mut set = ChangeSet::new(0);
        let used = |key, batch| TokenRecord { key, batch, ..TOKEN };
        let at = |shard, batch| Header { kind: Kind::Batch, shard, epoch: 0, batch, time_ms: 0 };
        for (shard, key, batch) in [(2, 5, 1), (0, 9, 1), (0, 7, 1), (0, 9, 2), (0, 1, 3)] {
            let record = used(key, batch);
            let item = Item::Token { name: "a", token: b"t", item: 0, record };
            set.fold_item(&at(shard, batch), &item).unwrap();
        }
        for (shard, batch, name) in [(1, 1, "s"), (0, 1, "s")] {
            let item = Item::Mark { stream: name.as_bytes(), sequence: batch };
            set.fold_item(&at(shard, batch), &item).unwrap();
        }
        let told: Vec<(u16, Option<(u128, u64)>)> = set
            .take()
            .map(|((shard, _), change)| match change {
                Change::Token(record) => (shard, Some((record.key, record.batch))),
                _ => (shard, None),
            })
            .collect();
        let tokens = [(1, 3), (7, 1), (9, 2)].map(|token| (0, Some(token)));
        assert_eq!(told[..3], tokens);
        assert_eq!(told[3..], [(0, None), (1, None), (2, Some((5, 1)))]);
        assert!(set.is_empty() && set.take().next().is_none());
    }
}
