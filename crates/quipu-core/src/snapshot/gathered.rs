//! The changes of a log as they are gathered, and as they are taken: in the order of their places.
//!
//! Counters and tokens are many. Counters are composed in a hash table and tokens, each used once,
//! are kept as they come; both are sorted once at the end. All else is composed in a tree.

use std::collections::{BTreeMap, btree_map};
use std::iter::Peekable;
use std::vec;

use stdx::hash::hash64;

use crate::effect::{Effect, Mismatch};
use crate::name::Name;
use crate::snapshot::{Change, ItemKey, Place};
use crate::table::{Hashed, Table};
use crate::token::TokenRecord;

/// What happened to one counter.
#[derive(Debug)]
struct CounterChange {
    shard: u16,
    name: Name,
    effect: Effect,
}

impl Hashed for CounterChange {
    fn hash(&self, _seed: u64) -> u64 {
        hash64(u64::from(self.shard), self.name.as_bytes())
    }
}

/// Counters that changed, one change for each.
#[derive(Debug)]
pub(super) struct CounterChanges(Table<CounterChange>);

impl Default for CounterChanges {
    fn default() -> Self {
        Self(Table::new(0))
    }
}

impl CounterChanges {
    /// Composes an effect onto what is known of a counter; says whether it is the first.
    pub(super) fn add(
        &mut self,
        shard: u16,
        name: &str,
        effect: &Effect,
    ) -> Result<bool, Mismatch> {
        let hash = hash64(u64::from(shard), name.as_bytes());
        let same = |change: &CounterChange| change.shard == shard && change.name == name;
        let Some(known) = self.0.find_mut(hash, same) else {
            self.0.insert(hash, CounterChange { shard, name: Name::new(name), effect: *effect });
            return Ok(true);
        };
        if let Change::Counter(composed) =
            Change::Counter(known.effect).compose(&Change::Counter(*effect))?
        {
            known.effect = composed;
        }
        Ok(false)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn sorted(self) -> Vec<CounterChange> {
        let mut changes: Vec<_> = self.0.into_entries().collect();
        changes.sort_unstable_by(|a, b| (a.shard, &a.name).cmp(&(b.shard, &b.name)));
        changes
    }
}

/// Tokens that were used, by shard, in the order of the log.
#[derive(Debug, Default)]
pub(super) struct TokenChanges(BTreeMap<u16, Vec<TokenRecord>>);

impl TokenChanges {
    /// Notes that a token was used.
    pub(super) fn push(&mut self, shard: u16, record: TokenRecord) {
        self.0.entry(shard).or_default().push(record);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The tokens of one shard, sorted; of a key that was used again after its time only the last.
fn sorted(mut records: Vec<TokenRecord>) -> Vec<TokenRecord> {
    records.sort_by_cached_key(|record| record.key);
    records.dedup_by(|later, earlier| {
        let is_same = later.key == earlier.key;
        if is_same {
            *earlier = *later;
        }
        is_same
    });
    records
}

/// Changes in the order of their places, one for each.
#[derive(Debug)]
pub struct Taken {
    rest: Peekable<btree_map::IntoIter<Place, Change>>,
    counters: Peekable<vec::IntoIter<CounterChange>>,
    shards: btree_map::IntoIter<u16, Vec<TokenRecord>>,
    /// Whose tokens come next.
    shard: u16,
    tokens: Peekable<vec::IntoIter<TokenRecord>>,
}

/// Where a change comes from.
#[derive(Debug, Clone, Copy)]
enum Source {
    Rest,
    Counters,
    Tokens,
}

impl Taken {
    pub(super) fn new(
        rest: BTreeMap<Place, Change>,
        counters: CounterChanges,
        tokens: TokenChanges,
    ) -> Self {
        let mut taken = Self {
            rest: rest.into_iter().peekable(),
            counters: counters.sorted().into_iter().peekable(),
            shards: tokens.0.into_iter(),
            shard: 0,
            tokens: Vec::new().into_iter().peekable(),
        };
        taken.next_shard();
        taken
    }

    /// Goes on to the tokens of the next shard that has some.
    fn next_shard(&mut self) {
        if self.tokens.peek().is_none()
            && let Some((shard, records)) = self.shards.next()
        {
            self.shard = shard;
            self.tokens = sorted(records).into_iter().peekable();
        }
    }

    /// Where the next change comes from: items sort by shard and kind, and no kind is in two places.
    fn source(&mut self) -> Option<Source> {
        let rest = self.rest.peek().map(|((shard, key), _)| (*shard, key.kind(), Source::Rest));
        let counter = self.counters.peek().map(|c| (c.shard, 1, Source::Counters));
        let token = self.tokens.peek().map(|_| (self.shard, 2, Source::Tokens));
        let firsts = [rest, counter, token].into_iter().flatten();
        firsts.min_by_key(|(shard, kind, _)| (*shard, *kind)).map(|(.., source)| source)
    }
}

impl Iterator for Taken {
    type Item = (Place, Change);

    fn next(&mut self) -> Option<Self::Item> {
        match self.source()? {
            Source::Rest => self.rest.next(),
            Source::Counters => {
                let CounterChange { shard, name, effect } = self.counters.next()?;
                Some(((shard, ItemKey::Counter(name)), Change::Counter(effect)))
            }
            Source::Tokens => {
                let (shard, record) = (self.shard, self.tokens.next()?);
                self.next_shard();
                Some(((shard, ItemKey::Token(record.key)), Change::Token(record)))
            }
        }
    }
}
