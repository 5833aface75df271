//! The changes of a log as they are gathered, and as they are taken: in the order of their places.
//!
//! Counters and tokens are many. Counters are composed in a hash table; tokens, each used once, are
//! kept as they come, as short as a snapshot has them: the less memory they take, the fewer runs a
//! fold has to merge. Both are sorted once at the end. All else is composed in a tree.

use std::collections::{BTreeMap, btree_map};
use std::iter::Peekable;
use std::vec;

use stdx::hash::hash64;

use crate::bytes::Reader;
use crate::effect::{Effect, Mismatch};
use crate::name::Name;
use crate::snapshot::{Change, ItemKey, Place, TOKEN, put_token_item, read_token_item};
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

/// A token that was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Used {
    /// The key, its higher half first.
    key: [u64; 2],
    /// Where the rest of its record begins.
    start: usize,
}

impl Used {
    fn key(&self) -> u128 {
        let [high, low] = self.key;
        u128::from(high) << 64 | u128::from(low)
    }
}

/// Tokens of one shard that were used, in the order of the log.
#[derive(Debug, Default)]
struct ShardTokens {
    used: Vec<Used>,
    /// Their records less their keys, as they stand in a snapshot.
    bodies: Vec<u8>,
}

impl ShardTokens {
    /// Sorts them, and keeps of a key that was used again after its time only the last use.
    fn sort(&mut self) {
        self.used.sort_unstable();
        self.used.dedup_by(|later, earlier| {
            let is_same = later.key == earlier.key;
            if is_same {
                earlier.start = later.start;
            }
            is_same
        });
    }

    fn record(&self, used: &Used) -> TokenRecord {
        let body = self.bodies.get(used.start..).unwrap_or_default();
        let read = read_token_item(&mut Reader::new(body), TOKEN, used.key());
        read.expect("what was just written is understood")
    }
}

/// Tokens that were used, by shard.
#[derive(Debug, Default)]
pub(super) struct TokenChanges(BTreeMap<u16, ShardTokens>);

impl TokenChanges {
    /// Notes that a token was used; returns the memory that this takes, about: vectors double.
    pub(super) fn push(&mut self, shard: u16, record: &TokenRecord) -> usize {
        let ShardTokens { used, bodies } = self.0.entry(shard).or_default();
        let start = bodies.len();
        put_token_item(bodies, record);
        used.push(Used { key: [(record.key >> 64) as u64, record.key as u64], start });
        2 * (size_of::<Used>() + bodies.len() - start)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Changes in the order of their places, one for each.
#[derive(Debug)]
pub struct Taken {
    rest: Peekable<btree_map::IntoIter<Place, Change>>,
    counters: Peekable<vec::IntoIter<CounterChange>>,
    shards: btree_map::IntoIter<u16, ShardTokens>,
    /// Whose tokens come next.
    shard: u16,
    tokens: ShardTokens,
    /// Which of them comes next.
    next_token: usize,
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
            tokens: ShardTokens::default(),
            next_token: 0,
        };
        taken.next_shard();
        taken
    }

    /// Goes on to the tokens of the next shard that has some.
    fn next_shard(&mut self) {
        if self.next_token == self.tokens.used.len()
            && let Some((shard, mut tokens)) = self.shards.next()
        {
            tokens.sort();
            (self.shard, self.tokens, self.next_token) = (shard, tokens, 0);
        }
    }

    /// Where the next change comes from: items sort by shard and kind, and no kind is in two places.
    fn source(&mut self) -> Option<Source> {
        let rest = self.rest.peek().map(|((shard, key), _)| (*shard, key.kind(), Source::Rest));
        let counter = self.counters.peek().map(|c| (c.shard, 1, Source::Counters));
        let token = self.tokens.used.get(self.next_token).map(|_| (self.shard, 2, Source::Tokens));
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
                let record = self.tokens.record(self.tokens.used.get(self.next_token)?);
                let shard = self.shard;
                self.next_token += 1;
                self.next_shard();
                Some(((shard, ItemKey::Token(record.key)), Change::Token(record)))
            }
        }
    }
}
