//! Several shards held together: what happens in a group is one frame of the log, and nobody sees
//! half of it.

use std::sync::atomic::Ordering;

use super::{Before, Cells, Node, REAP_STEPS, StreamView, scan_shard, walk};
use crate::execute::Context;
use crate::op::{Op, Token};
use crate::outcome::{Dependency, Refusal, Reply};
use crate::shard::Shard;

/// Several shards held together. Nothing of it can be split over two frames.
#[allow(
    missing_debug_implementations,
    clippy::allow_attributes,
    reason = "guards of a driver need not be printable"
)]
pub struct Group<'a, C: Cells> {
    pub(super) node: &'a Node<C>,
    pub(super) cx: Context,
    /// How many operations it was made for.
    pub(super) ops: u64,
    pub(super) shards: Vec<(u16, C::Guard<'a>)>,
    pub(super) _gate: C::Gate<'a>,
}

impl<C: Cells> Group<'_, C> {
    /// Decides one operation of the group. Its counter is one that the group was made for.
    pub fn execute(&mut self, op: &Op<'_>) -> Reply {
        let (hash, id) = self.node.route(op.name.as_bytes());
        let node = self.node;
        // Operations of the group itself fill the token memory, too.
        let cx = Context { tokens_full: node.tokens_full(), ..self.cx };
        let shard = self.shard(id);
        let before = Before::of(shard);
        let reply = shard.execute(&cx, hash, op);
        node.note_growth(shard, before);
        reply
    }

    fn shard(&mut self, id: u16) -> &mut Shard {
        let at = self.shards.binary_search_by_key(&id, |(id, _)| *id);
        let Some((_, shard)) = at.ok().and_then(|at| self.shards.get_mut(at)) else {
            unreachable!("a group holds the shards of all that it is asked for");
        };
        shard
    }

    /// The shards that the group holds, in the order of their numbers.
    pub fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter().map(|(_, shard)| &**shard)
    }

    /// As [`Node::scan`], in a group of all shards.
    pub fn scan(
        &mut self,
        start: (u64, usize),
        mut visit: impl FnMut(&str, i64),
        depends: &mut Vec<Dependency>,
    ) -> u64 {
        let now_ms = self.cx.now_ms;
        walk(self.node.cells.count(), start, |id, from, left| {
            scan_shard(self.surveyed(id, depends), now_ms, (from, left), &mut visit)
        })
    }

    /// As [`Node::counters`], in a group of all shards.
    pub fn counters(&mut self, depends: &mut Vec<Dependency>) -> usize {
        (0..self.node.cells.count()).map(|id| self.surveyed(id, depends).counters()).sum()
    }

    /// A shard of which all is looked at. What it deletes leaves room for the group itself.
    fn surveyed(&mut self, id: u16, depends: &mut Vec<Dependency>) -> &Shard {
        let node = self.node;
        let cx = node.context(self.cx.now_ms, self.ops + REAP_STEPS as u64);
        let shard = self.shard(id);
        node.survey(shard, &cx, depends);
        shard
    }

    /// As [`Node::stream`], in a group of all shards.
    pub fn stream(&self, name: &[u8]) -> StreamView {
        let mut view = StreamView::default();
        self.shards.iter().for_each(|(_, shard)| view.look(shard, name));
        view
    }

    /// As [`Node::checkpoint`], in a group of all shards.
    ///
    /// # Errors
    /// A bad name or sequence, or no room.
    pub fn checkpoint(&mut self, name: &[u8], sequence: u64) -> Result<Dependency, Refusal> {
        let (node, cx) = (self.node, self.cx);
        let shard = self.shard(node.shard_of(name));
        node.checkpoint_on(shard, &cx, (name, sequence))
    }

    pub(super) fn begin(&mut self) {
        self.shards.iter_mut().for_each(|(_, shard)| shard.begin_group());
    }

    pub(super) fn commit(&mut self) {
        self.shards.iter_mut().for_each(|(_, shard)| shard.commit_group());
    }

    /// Takes back all of it. What it held of streams did not count, so it must come again first.
    pub(super) fn abort(&mut self, ops: &[Op<'_>]) {
        for (_, shard) in &mut self.shards {
            let before = Before::of(shard);
            shard.abort_group();
            let shrunk = before.open_bytes - shard.open_bytes();
            self.node.open_bytes.fetch_sub(shrunk, Ordering::Relaxed);
            self.node.note_tokens(shard, before);
        }
        for op in ops {
            let Token::Stream { name, sequence } = op.token else { continue };
            let id = self.node.shard_of(op.name.as_bytes());
            self.shard(id).hold_stream(name, sequence);
        }
    }

    /// The answer to an operation of an aborted group: it may speak of a batch that the group
    /// began and took back with itself, which would never become durable.
    pub(super) fn bounded(&mut self, op: &Op<'_>, mut reply: Reply) -> Reply {
        let id = self.node.shard_of(op.name.as_bytes());
        let newest = self.shard(id).newest();
        reply.depends.batch = reply.depends.batch.min(newest);
        reply.position.batch = reply.position.batch.min(newest);
        reply
    }
}
