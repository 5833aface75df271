//! Commands that look at more than one counter: MGET, DEL, EXISTS, SCAN, DBSIZE, INFO, streams.
//!
//! They run on shards that others use meanwhile, or, between MULTI and EXEC, on shards that their
//! group holds. Within a group nothing else may lock a shard: it would wait for itself.

use quipu_core::node::{self, Cells, StreamView};
use quipu_core::op::{Ack, Op, Token};
use quipu_core::outcome::{Dependency, Refusal, Reply};
use quipu_core::shard::Shard;
use quipu_metrics::label::OperationKind;
use quipu_wire::resp::command::{Command, ManyCommand, Scan};
use quipu_wire::resp::{pattern, reply};

use crate::cells::SharedShards;
use crate::hub::Hub;
use crate::resp::facts::{self, Keyspace};
use crate::resp::session::{Session, Turn};

/// The shards as one command sees them.
pub(crate) trait Shards {
    /// Decides one operation.
    fn execute(&mut self, op: &Op<'_>) -> Reply;
    /// See [`node::Node::scan`].
    fn scan(
        &mut self,
        start: (u64, usize),
        visit: &mut dyn FnMut(&str),
        depends: &mut Vec<Dependency>,
    ) -> u64;
    /// See [`node::Node::counters`].
    fn counters(&mut self, depends: &mut Vec<Dependency>) -> usize;
    /// See [`node::Node::stream`].
    fn stream(&mut self, name: &[u8]) -> StreamView;
    /// See [`node::Node::checkpoint`].
    fn checkpoint(&mut self, name: &[u8], sequence: u64) -> Result<Dependency, Refusal>;
    /// Calls `each` with every shard.
    fn each(&self, each: impl FnMut(&Shard));
}

/// All shards of a node, each held for a moment only.
pub(crate) struct Shared<'h> {
    pub(crate) hub: &'h Hub,
    pub(crate) now_ms: u64,
}

impl Shards for Shared<'_> {
    fn execute(&mut self, op: &Op<'_>) -> Reply {
        self.hub.node.execute(self.now_ms, op)
    }

    fn scan(
        &mut self,
        start: (u64, usize),
        visit: &mut dyn FnMut(&str),
        depends: &mut Vec<Dependency>,
    ) -> u64 {
        self.hub.node.scan(self.now_ms, start, |name, _| visit(name), depends)
    }

    fn counters(&mut self, depends: &mut Vec<Dependency>) -> usize {
        self.hub.node.counters(self.now_ms, depends)
    }

    fn stream(&mut self, name: &[u8]) -> StreamView {
        self.hub.node.stream(name)
    }

    fn checkpoint(&mut self, name: &[u8], sequence: u64) -> Result<Dependency, Refusal> {
        self.hub.node.checkpoint(self.now_ms, name, sequence)
    }

    fn each(&self, mut each: impl FnMut(&Shard)) {
        let cells = self.hub.node.cells();
        (0..cells.count()).for_each(|id| each(&cells.shard(id)));
    }
}

impl Shards for node::Group<'_, SharedShards> {
    fn execute(&mut self, op: &Op<'_>) -> Reply {
        node::Group::execute(self, op)
    }

    fn scan(
        &mut self,
        start: (u64, usize),
        visit: &mut dyn FnMut(&str),
        depends: &mut Vec<Dependency>,
    ) -> u64 {
        node::Group::scan(self, start, |name, _| visit(name), depends)
    }

    fn counters(&mut self, depends: &mut Vec<Dependency>) -> usize {
        node::Group::counters(self, depends)
    }

    fn stream(&mut self, name: &[u8]) -> StreamView {
        node::Group::stream(self, name)
    }

    fn checkpoint(&mut self, name: &[u8], sequence: u64) -> Result<Dependency, Refusal> {
        node::Group::checkpoint(self, name, sequence)
    }

    fn each(&self, each: impl FnMut(&Shard)) {
        self.shards().for_each(each);
    }
}

/// What the reply to a command depends on, and whether it waits for that.
#[derive(Debug, Default)]
pub(crate) struct Depends {
    pub(crate) on: Vec<Dependency>,
    pub(crate) waits: bool,
}

/// Whether a command needs all shards at once when it stands in a group.
pub(crate) fn needs_all(asked: &Command<'_>) -> bool {
    matches!(
        asked,
        Command::Scan(_)
            | Command::DbSize
            | Command::Info(_)
            | Command::Stream(_)
            | Command::Checkpoint { .. }
    )
}

impl Session {
    /// Performs a command of this file and writes its reply; none if it is another one.
    pub(crate) fn wide(
        &self,
        asked: &Command<'_>,
        shards: &mut impl Shards,
        turn: &mut Turn<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Depends> {
        Some(match asked {
            Command::Many(many) => self.many(many, shards, turn, out),
            Command::Scan(scan) => self.scan(scan, shards, turn, out),
            Command::DbSize => {
                let mut on = Vec::new();
                reply::integer(out, shards.counters(&mut on) as i64);
                Depends { on, waits: self.read_waits(None) }
            }
            Command::Info(sections) => {
                let mut keyspace = Keyspace::default();
                shards.each(|shard| keyspace.add(shard));
                facts::info(self, *sections, &keyspace, turn, out);
                Depends::default()
            }
            Command::Stream(name) => {
                turn.tally.operation(OperationKind::Stream);
                let StreamView { checkpoint, marks, depends, .. } = shards.stream(name);
                reply::stream(out, self.proto, checkpoint, &marks);
                Depends { on: depends, waits: true }
            }
            Command::Checkpoint { name, sequence } => {
                turn.tally.operation(OperationKind::Stream);
                checkpoint(shards.checkpoint(name, *sequence), out)
            }
            _ => return None,
        })
    }

    fn many(
        &self,
        asked: &ManyCommand<'_>,
        shards: &mut impl Shards,
        turn: &mut Turn<'_>,
        out: &mut Vec<u8>,
    ) -> Depends {
        let action = asked.what.action();
        let mut replies = Vec::with_capacity(asked.keys.len());
        for name in asked.keys.iter() {
            let answer = shards.execute(&Op { name, action, token: Token::None });
            turn.tally.reply(&action, &answer);
            replies.push(answer);
        }
        reply::many(out, self.proto, asked.what, &replies);
        let write_waits = self.default_ack == Ack::Fsync;
        let waits = if action.is_write() { write_waits } else { self.read_waits(None) };
        Depends { on: replies.iter().map(|reply| reply.depends).collect(), waits }
    }

    fn scan(
        &self,
        asked: &Scan<'_>,
        shards: &mut impl Shards,
        turn: &mut Turn<'_>,
        out: &mut Vec<u8>,
    ) -> Depends {
        turn.tally.operation(OperationKind::Scan);
        let (mut names, mut on) = (Vec::new(), Vec::new());
        let wanted = |name: &str| {
            asked.strings && asked.pattern.is_none_or(|p| pattern::matches(p, name.as_bytes()))
        };
        let mut visit = |name: &str| {
            if wanted(name) {
                names.push(name.to_owned());
            }
        };
        let cursor = shards.scan((asked.cursor, asked.count as usize), &mut visit, &mut on);
        reply::scan(out, cursor, names.iter().map(String::as_str));
        Depends { on, waits: self.read_waits(None) }
    }
}

fn checkpoint(stored: Result<Dependency, Refusal>, out: &mut Vec<u8>) -> Depends {
    match stored {
        Ok(depends) => {
            reply::ok(out);
            Depends { on: vec![depends], waits: true }
        }
        Err(refusal) => {
            reply::refusal(out, &refusal);
            Depends::default()
        }
    }
}
