//! Shards of one thread, and the way from a log to them that a node takes at its start.

use std::cell::{RefCell, RefMut};

use quipu_core::limits::SHARDS_MAX;
use quipu_core::node::{Cells, Nature, Node};
use quipu_core::op::{Action, Add, Op, Token};
use quipu_core::record;
use quipu_core::replay::FoldError;
use quipu_core::shard::{Shard, ShardLimits};
use quipu_core::snapshot::{ItemValue, Place};

/// The server's own file: it depends on the core alone, and building the server is slow.
#[path = "../../crates/quipu-server/src/recovery/part.rs"]
mod part;

use self::part::{Part, Records};

/// The seed of names' hashes.
pub const SEED: u64 = 7;

/// Bounds of every shard here.
pub const LIMITS: ShardLimits = ShardLimits { streams_max: 3 };

/// Shards that are borrowed at run time.
#[derive(Debug)]
pub struct LocalShards(Vec<RefCell<Shard>>);

impl LocalShards {
    /// Takes over all shards of a node, in the order of their numbers.
    pub fn new(shards: Vec<Shard>) -> Self {
        Self(shards.into_iter().map(RefCell::new).collect())
    }
}

impl Cells for LocalShards {
    type Guard<'a> = RefMut<'a, Shard>;
    type Gate<'a> = ();

    fn count(&self) -> u16 {
        self.0.len() as u16
    }

    fn shard(&self, id: u16) -> RefMut<'_, Shard> {
        self.0[usize::from(id)].borrow_mut()
    }

    fn gate(&self) {}
}

/// The way from a log to shards that a node takes at its start, on one thread, and with as many
/// shards as are spoken of.
#[derive(Debug)]
pub struct Recovering {
    part: Part,
    count: usize,
}

/// Begins to read a log.
pub fn recovering() -> Recovering {
    Recovering { part: Part::new(1), count: 0 }
}

impl Recovering {
    fn reach(&mut self, id: u16) {
        while id < SHARDS_MAX && self.count <= usize::from(id) {
            self.part.push(Shard::new(self.count as u16, SEED, LIMITS));
            self.count += 1;
        }
    }

    /// Takes an item of the snapshot.
    ///
    /// # Errors
    /// It speaks of a shard that cannot be.
    pub fn load(&mut self, (id, key): &Place, value: &ItemValue) -> Result<(), FoldError> {
        self.reach(*id);
        self.part.shard(*id)?.load(key, value);
        Ok(())
    }

    /// Folds the payload of a frame.
    ///
    /// # Errors
    /// A record is not understood, or does not follow what was folded before.
    pub fn fold(&mut self, payload: &[u8]) -> Result<(), FoldError> {
        let mut rest = payload;
        while let Ok((header, len)) = record::skip(rest) {
            self.reach(header.shard);
            rest = rest.get(len..).unwrap_or(&[]);
        }
        // The last may have a head, and no end.
        record::shard_of(rest).into_iter().for_each(|id| self.reach(id));
        let mut records = Records::default();
        part::route(payload, |shard, record| records.push(0, shard, record))?;
        self.part.fold(&mut records).map_err(|(_, error)| error)
    }

    /// How many shards there are; none where nothing was said.
    pub fn count(&self) -> Option<usize> {
        (self.count > 0).then_some(self.count)
    }

    /// All shards; a new store gets `count`.
    pub fn finish(mut self, count: u16) -> Vec<Shard> {
        if self.count == 0 {
            self.reach(count - 1);
        }
        self.part.into_shards()
    }
}

/// Begins a life on recovered shards and does a little of everything with the counters `names`:
/// whatever a log says, a node that accepted it goes on. Returns the epoch and batch records.
pub fn live(mut shards: Vec<Shard>, names: &[&str]) -> Vec<u8> {
    shards.truncate(1 << shards.len().ilog2());
    let now = shards.iter().map(Shard::time_ms).max().unwrap_or(0).saturating_add(5);
    let mut log = Vec::new();
    for shard in &mut shards {
        shard.begin_epoch(now, 60_000, &mut log);
    }
    let node = Node::new(LocalShards::new(shards), SEED, Nature { groups: true, tokens_max: 8 });
    node.set_room(1 << 30, false);
    for (index, name) in names.iter().enumerate() {
        let token = Token::Key { key: b"k", item: index as u32 };
        let actions = [Action::Get, Action::Add(Add::plain(1)), Action::Take, Action::Delete];
        let action = actions[index % actions.len()];
        node.execute(now, &Op { name, action, token: Token::None });
        node.execute(now, &Op { name, action: Action::Add(Add::plain(i64::MAX)), token });
        let token = Token::Stream { name: b"s", sequence: 1 };
        node.execute(now, &Op { name, action: Action::Add(Add::plain(-1)), token });
    }
    let mut depends = Vec::new();
    node.scan(now, (0, 100), |_, _| {}, &mut depends);
    let mut sealed = Vec::new();
    node.cut(&mut log, &mut sealed, |_| 0);
    log
}
