//! The commit step in one thread, over any log.

use std::fmt;

use quipu_core::node::{Cells, Nature, Node};
use quipu_core::op::{Action, Add, Op, Token};
use quipu_core::outcome::{Dependency, Outcome, Refusal, Reply};
use quipu_core::shard::Shard;
use quipu_log::log::{Cut, Log, LogError};

use crate::recovery::SEED;
use crate::shards::LocalShards;

/// For how long tokens are remembered: longer than any run.
const WINDOW_MS: u64 = 3_600_000;

/// A reply that waits for what it depends on.
#[derive(Debug)]
struct Held {
    request: usize,
    outcomes: Vec<Outcome>,
    depends: Vec<Dependency>,
}

/// One life of a node over its log.
pub struct Driver<L> {
    prepare: Box<dyn FnMut()>,
    /// The shards.
    pub node: Node<LocalShards>,
    /// Where their batches go.
    pub log: L,
    /// Log time in milliseconds: one more at each request.
    pub now: u64,
    held: Vec<Held>,
    durable: Vec<(u16, u64)>,
    is_roomy: bool,
}

impl<L: fmt::Debug> fmt::Debug for Driver<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("log", &self.log).finish_non_exhaustive()
    }
}

/// Replies that may leave: the request and its outcomes.
pub type Released = Vec<(usize, Vec<Outcome>)>;

impl<L: Log> Driver<L> {
    /// Begins a life: its epoch is durable before the first operation.
    ///
    /// # Errors
    /// The log failed.
    pub fn start(mut log: L, mut shards: Vec<Shard>) -> Result<Self, LogError> {
        let newest = shards.iter().map(Shard::time_ms).max().unwrap_or(0);
        let now = newest.max(1_700_000_000_000) + 1;
        let mut epoch = Cut::default();
        for shard in &mut shards {
            let mut bytes = Vec::new();
            shard.begin_epoch(now, WINDOW_MS, &mut bytes);
            epoch.push(shard.id(), shard.sealed(), &bytes);
        }
        log.append(&epoch)?;
        let mut reported = 0;
        let mut durable = Vec::new();
        while reported < shards.len() {
            durable.clear();
            log.flush(&mut durable)?;
            reported += durable.len();
        }
        let node = Node::new(
            LocalShards::new(shards),
            SEED,
            Nature { groups: log.groups(), tokens_max: 10_000 },
        );
        node.set_room(log.room(), false);
        Ok(Self {
            prepare: Box::new(|| {}),
            node,
            log,
            now,
            held: Vec::new(),
            durable,
            is_roomy: false,
        })
    }

    /// Makes log space ahead of need in this way.
    #[must_use]
    pub fn with_preparer(mut self, prepare: impl FnMut() + 'static) -> Self {
        self.prepare = Box::new(prepare);
        self.make_room();
        self
    }

    /// The same, where segments are too small for what may be admitted at once: whoever drives
    /// takes care that what is open fits into a frame.
    #[must_use]
    pub fn with_roomy_preparer(mut self, prepare: impl FnMut() + 'static) -> Self {
        self.is_roomy = true;
        self.with_preparer(prepare)
    }

    /// Makes log space, and lets the node know of it.
    pub fn make_room(&mut self) {
        (self.prepare)();
        let room = if self.is_roomy { u64::MAX / 2 } else { self.log.room() };
        self.node.set_room(room, false);
    }

    /// Decides a request; its reply is held. Returns what was decided.
    ///
    /// # Errors
    /// The first refusal; what came before it in the request stays counted.
    pub fn submit(
        &mut self,
        request: usize,
        ops: &[Op<'_>],
        atomic: bool,
    ) -> Result<Vec<Outcome>, Refusal> {
        self.now += 1;
        let mut replies = Vec::new();
        if atomic {
            let ended = self.node.atomic(self.now, ops, &mut replies);
            ended.map_err(|abort| abort.reply.result.expect_err("groups here have no bounds"))?;
        } else {
            replies.extend(ops.iter().map(|op| self.node.execute(self.now, op)));
        }
        let outcomes = replies.iter().map(|r| r.result).collect::<Result<Vec<_>, _>>()?;
        let depends = replies.iter().map(|reply: &Reply| reply.depends).collect();
        self.held.push(Held { request, outcomes: outcomes.clone(), depends });
        Ok(outcomes)
    }

    /// Ends a stream; its answer waits as any other.
    ///
    /// # Errors
    /// Why it does not end.
    pub fn end_stream(&mut self, request: usize, name: &[u8]) -> Result<(), Refusal> {
        self.now += 1;
        let ended = self.node.end_stream(self.now, name, false)?;
        self.held.push(Held { request, outcomes: Vec::new(), depends: ended.depends });
        Ok(())
    }

    /// Cuts and appends, without waiting for anything.
    ///
    /// # Errors
    /// The log failed.
    pub fn append(&mut self) -> Result<(), LogError> {
        let mut cut = Cut::default();
        let room = if self.is_roomy { u64::MAX / 2 } else { 0 };
        self.node.cut(&mut cut.payload, &mut cut.batches, |_| room);
        if !cut.batches.is_empty() {
            self.log.append(&cut)?;
        }
        self.make_room();
        Ok(())
    }

    /// Makes progress and lets replies leave.
    ///
    /// # Errors
    /// The log failed.
    pub fn flush(&mut self) -> Result<Released, LogError> {
        self.durable.clear();
        self.log.flush(&mut self.durable)?;
        let durable = std::mem::take(&mut self.durable);
        Ok(self.learn(&durable))
    }

    /// Takes what the log says is durable and lets replies leave.
    pub fn learn(&mut self, durable: &[(u16, u64)]) -> Released {
        for (shard, batch) in durable {
            self.node.set_durable(*shard, *batch);
        }
        self.release()
    }

    /// Submits one action without a token.
    pub fn submit_plain(&mut self, request: usize, name: &str, action: Action) {
        let op = Op { name, action, token: Token::None };
        self.submit(request, &[op], false).expect("there is room");
    }

    /// Submits one add without a token.
    pub fn add(&mut self, request: usize, name: &str) {
        self.submit_plain(request, name, Action::Add(Add::plain(1)));
    }

    /// Appends and flushes.
    ///
    /// # Errors
    /// The log failed.
    pub fn commit(&mut self) -> Result<Released, LogError> {
        self.append()?;
        self.flush()
    }

    /// Lets those replies leave that wait for nothing.
    pub fn release(&mut self) -> Released {
        let node = &self.node;
        let is_free = |held: &mut Held| held.depends.iter().all(|d| node.is_durable(*d));
        let free: Vec<Held> = self.held.extract_if(.., is_free).collect();
        free.into_iter().map(|held| (held.request, held.outcomes)).collect()
    }

    /// How many replies wait.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// The value of a counter, durable or not.
    pub fn value(&self, name: &str) -> Option<i64> {
        self.node.cells().shard(self.node.shard_of(name.as_bytes())).peek(name).value
    }
}
