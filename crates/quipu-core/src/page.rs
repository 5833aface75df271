//! A look at the counters of a shard as of a batch, in bounded steps, for the audit of a node that
//! runs.
//!
//! A page holds all counters of one stretch of the scan order, as they were after the newest sealed
//! batch. What the open batch did is left out: of a counter that it touched, the batch itself says
//! what was before. So a fold of the log up to that batch must give the same counters.

use std::collections::BTreeMap;

use crate::cell::Cell;
use crate::effect::Before;
use crate::shard::Shard;

/// One counter of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: i64,
    /// When it expires.
    pub expires_at: Option<u64>,
    /// Whether the open batch has touched it: then nothing is said of the expiry, and a 0 may stand
    /// for absence.
    pub is_open: bool,
}

/// The counters of one stretch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The shard.
    pub shard: u16,
    /// The batch as of which the page is.
    pub batch: u64,
    /// The first order of the stretch.
    pub from: u64,
    /// The first order after it; none at the end.
    pub next: Option<u64>,
    /// The counters that exist.
    pub counters: Vec<Seen>,
}

impl Shard {
    /// Returns about `count` counters from order `from` on. Cost: a look at each of them; one at
    /// each slot of the open batch where it has touched any.
    pub fn page(&self, from: u64, count: usize) -> Page {
        let open = self.sealed + 1;
        let mut counters = Vec::with_capacity(count);
        let mut touched = Vec::new();
        let next = self.counters.scan(from, count, |cell| {
            if cell.touched(self.touched_base) == open {
                touched.push(cell.name.to_string());
            } else if cell.is_present() {
                counters.push(self.see(cell));
            }
        });
        if !touched.is_empty() {
            let before = self.before_open();
            counters.extend(touched.into_iter().filter_map(|name| {
                let value = before.get(name.as_bytes()).copied().flatten()?;
                Some(Seen { name, value, expires_at: None, is_open: true })
            }));
        }
        Page { shard: self.id, batch: self.sealed, from, next, counters }
    }

    fn see(&self, cell: &Cell) -> Seen {
        let name = cell.name.to_string();
        let expires_at = if cell.expires() { self.expiries.get(&name) } else { None };
        Seen { name, value: cell.value, expires_at, is_open: false }
    }

    /// What each counter of the open batch was before it; none where it did not exist.
    fn before_open(&self) -> BTreeMap<&[u8], Option<i64>> {
        let mut found = BTreeMap::new();
        for (name, before) in self.open.befores() {
            found.entry(name).or_insert(match before {
                Before::Sum(value) => Some(value),
                Before::Exact(value) => value,
            });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use stdx::hash::hash64;

    use super::Page;
    use crate::execute::Context;
    use crate::op::{Action, Add, Op, Presence, Set, Token, Ttl};
    use crate::shard::{Shard, ShardLimits};

    const SEED: u64 = 3;

    fn execute(shard: &mut Shard, name: &str, action: Action) {
        let cx = Context { now_ms: 9, no_room: None, memory_full: false, tokens_full: false };
        let op = Op { name, action, token: Token::None };
        shard.execute(&cx, hash64(SEED, name.as_bytes()), &op).result.expect("it is done");
    }

    fn shard() -> Shard {
        let mut shard = Shard::new(0, SEED, ShardLimits { streams_max: 1 });
        shard.begin_epoch(1, 100, &mut Vec::new());
        let set = Set { value: 7, ttl: Ttl::After(50), when: Presence::Any };
        execute(&mut shard, "kept", Action::Set(set));
        execute(&mut shard, "added", Action::Add(Add::plain(2)));
        execute(&mut shard, "gone", Action::Add(Add::plain(1)));
        shard.seal(0, &mut Vec::new());
        shard
    }

    fn told(page: &Page) -> Vec<(&str, i64, Option<u64>, bool)> {
        let mut told: Vec<_> = page
            .counters
            .iter()
            .map(|c| (c.name.as_str(), c.value, c.expires_at, c.is_open))
            .collect();
        told.sort_unstable();
        told
    }

    #[test]
    fn a_page_is_as_of_the_sealed_batch_whatever_the_open_one_did() {
        let mut shard = shard();
        let sealed = shard.page(0, 100);
        let expected =
            [("added", 2, None, false), ("gone", 1, None, false), ("kept", 7, Some(59), false)];
        assert_eq!(told(&sealed), expected);
        assert_eq!((sealed.batch, sealed.next), (1, None));
        execute(&mut shard, "added", Action::Add(Add::plain(5)));
        execute(&mut shard, "added", Action::Take);
        execute(&mut shard, "gone", Action::Delete);
        execute(
            &mut shard,
            "new",
            Action::Set(Set { value: 1, ttl: Ttl::Keep, when: Presence::Any }),
        );
        let open = shard.page(0, 100);
        let expected =
            [("added", 2, None, true), ("gone", 1, None, true), ("kept", 7, Some(59), false)];
        assert_eq!((told(&open).as_slice(), open.batch), (expected.as_slice(), 1));
    }

    #[test]
    fn pages_follow_on_without_gaps() {
        let mut shard = shard();
        (0..3000).for_each(|n| execute(&mut shard, &format!("n{n}"), Action::Add(Add::plain(1))));
        shard.seal(0, &mut Vec::new());
        let (mut from, mut names, mut pages) = (0, Vec::new(), 0);
        loop {
            let page = shard.page(from, 64);
            assert_eq!(page.from, from);
            names.extend(page.counters.into_iter().map(|c| c.name));
            pages += 1;
            match page.next {
                Some(next) => from = next,
                None => break,
            }
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!((names.len(), pages > 20), (3003, true));
    }
}
