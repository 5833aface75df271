//! Rankings against a plain sort, while the shard changes between two steps of the pass.

use std::collections::BTreeMap;

use quipu_core::limits::{TOP_CHANGES_MAX, TOP_MAX};
use quipu_core::node::Node;
use quipu_core::op::{Action, Add, Op, Presence, Set, Token, Ttl};
use quipu_core::outcome::Position;
use quipu_core::top::{Pass, Top};
use stdx::prng::Prng;

use crate::cells::LocalShards;
use crate::fold;
use crate::world::{SEED, limits, nature};

const BEGIN_MS: u64 = 1_700_000_000_000;

/// A node, and its counters as a plain map: value and expiry.
struct Side {
    node: Node<LocalShards>,
    plain: BTreeMap<String, (i64, u64)>,
    now_ms: u64,
    random: Prng,
    batches: u64,
}

impl Side {
    fn new(shards: u16, seed: u64) -> Self {
        let node = Node::new(fold::fresh(shards, &limits(1)), SEED, nature(&limits(1)));
        node.set_room(1 << 40, false);
        let (plain, random) = (BTreeMap::new(), Prng::new(seed));
        Self { node, plain, now_ms: BEGIN_MS, random, batches: 0 }
    }

    fn execute(&self, name: &str, action: Action) {
        let reply = self.node.execute(self.now_ms, &Op { name, action, token: Token::None });
        assert!(reply.result.is_ok(), "{name} {action:?}: {reply:?}");
    }

    fn set(&mut self, name: String, value: i64, lasts_ms: Option<u64>) {
        let ttl = lasts_ms.map_or(Ttl::Clear, Ttl::After);
        self.execute(&name, Action::Set(Set { value, ttl, when: Presence::Any }));
        let until = lasts_ms.map_or(u64::MAX, |lasts| self.now_ms + lasts);
        self.plain.insert(name, (value, until));
    }

    /// Counters `0..count` with values from a small range, so that many are equal.
    fn fill(&mut self, count: u64) {
        for index in 0..count {
            let value = self.random.below(count / 4 + 1) as i64 - 10;
            self.set(format!("n{index}"), value, None);
        }
        self.cut();
    }

    fn cut(&mut self) {
        let (mut payload, mut sealed) = (Vec::new(), Vec::new());
        self.node.cut(&mut payload, &mut sealed, |_| 1 << 40);
        self.batches += u64::from(!sealed.is_empty());
        for batch in sealed {
            self.node.set_durable(batch.shard, batch.batch);
        }
    }

    /// Changes one counter out of `names`: new ones, the greatest, those that are there.
    fn change(&mut self, names: u64) {
        let name = format!("n{}", self.random.below(names));
        let value = self.random.below(1 << 40) as i64;
        let lasts_ms = 1 + self.random.below(20);
        match self.random.below(6) {
            0 => self.set(name, value, None),
            1 => self.set(name, value, Some(lasts_ms)),
            2 => self.set(name, -value, None),
            3 => {
                self.execute(&name, Action::Delete);
                self.plain.remove(&name);
            }
            _ => self.add(name, 1 + value / 2),
        }
    }

    fn add(&mut self, name: String, delta: i64) {
        self.execute(&name, Action::Add(Add::plain(delta)));
        let now_ms = self.now_ms;
        let (before, until) =
            self.plain.remove(&name).filter(|at| at.1 > now_ms).unwrap_or((0, u64::MAX));
        self.plain.insert(name, (before + delta, until));
    }

    fn sorted(&self, n: usize) -> Vec<(String, i64)> {
        let alive = self.plain.iter().filter(|(_, (_, until))| *until > self.now_ms);
        let mut all: Vec<_> = alive.map(|(name, (value, _))| (name.clone(), *value)).collect();
        all.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
        all.truncate(n);
        all
    }

    /// Runs a pass; `between` happens before every step but the first.
    fn rank(&mut self, n: usize, mut between: impl FnMut(&mut Self)) -> (Top, usize) {
        let mut pass = Pass::new(self.random.next_u64(), n, self.now_ms);
        let mut steps = 1;
        while pass.step(&self.node, self.now_ms) {
            between(self);
            steps += 1;
            assert!(steps < 10_000, "a pass ends");
        }
        (pass.finish(), steps)
    }
}

fn items(top: &Top) -> Vec<(String, i64)> {
    top.items.iter().map(|ranked| (ranked.name.to_string(), ranked.value)).collect()
}

#[test]
fn a_ranking_is_the_head_of_a_plain_sort() {
    let mut side = Side::new(4, 1);
    assert_eq!(items(&side.rank(5, |_| ()).0), []);
    side.fill(3_000);
    for n in [0, 1, 7, TOP_MAX] {
        let (top, _) = side.rank(n, |_| ());
        assert_eq!(items(&top), side.sorted(n), "{n}");
        assert_eq!((top.counters, top.positions.len()), (3_000, 4));
    }
    let (all, _) = side.rank(usize::MAX, |_| ());
    assert_eq!(all.items.len(), TOP_MAX, "the number is bounded");
}

/// One shard, so that what is sorted after the last step is what the ranking must be.
fn check(seed: u64, changes: u64) -> usize {
    let mut side = Side::new(1, seed);
    side.fill(12_000);
    let n = [1, 10, 300][seed as usize % 3];
    let (top, steps) = side.rank(n, |side| {
        // A batch has one time, so time passes between batches only.
        if side.random.below(2) == 0 {
            side.cut();
            side.now_ms += side.random.below(4);
        }
        (0..changes).for_each(|_| side.change(13_000));
    });
    assert_eq!(items(&top), side.sorted(n), "seed {seed}, {changes} changes between steps");
    let epoch = 0;
    let newest = top.positions[0].batch;
    assert_eq!(top.positions, [Position { shard: 0, epoch, batch: newest }]);
    assert!(newest == side.batches || newest == side.batches + 1);
    steps
}

#[test]
fn a_ranking_is_exact_as_of_its_position_while_counters_change() {
    let steps: usize = (0..16).map(|seed| check(seed, [0, 1, 20, 90][seed as usize % 4])).sum();
    assert!(steps > 32, "{steps} steps: nothing happened between them");
}

#[test]
fn a_shard_that_changes_too_much_is_walked_again_with_longer_steps() {
    let calm = check(2, 0);
    let busy = check(2, TOP_CHANGES_MAX as u64);
    assert!(busy > calm, "{busy} steps, and {calm} where nothing changes");
}

#[test]
fn two_passes_at_once_do_not_mislead_each_other() {
    let mut side = Side::new(1, 5);
    side.fill(12_000);
    let mut passes = [Pass::new(1, 10, BEGIN_MS), Pass::new(2, 10, BEGIN_MS)];
    let mut numbers = 3..;
    let mut done = 0;
    while done < 4 {
        for pass in &mut passes {
            side.change(13_000);
            if pass.step(&side.node, side.now_ms) {
                continue;
            }
            let next = Pass::new(numbers.next().expect("numbers do not end"), 10, BEGIN_MS);
            let top = std::mem::replace(pass, next).finish();
            assert_eq!(items(&top), side.sorted(10));
            done += 1;
        }
    }
}

#[test]
fn counters_that_expire_together_do_not_hide_those_below_them() {
    let mut side = Side::new(1, 6);
    side.fill(12_000);
    for index in 0..TOP_CHANGES_MAX as i64 * 8 {
        side.set(format!("short{index}"), 1 << 40, Some(1));
    }
    side.cut();
    let (top, steps) = side.rank(5, |side| side.now_ms += 5);
    assert_eq!(items(&top), side.sorted(5));
    assert!(steps > 3, "{steps}: they expired before the pass");
}
