//! Operations on counters: one, or a batch.

use quipu_core::canary::{self, Bug};
use quipu_core::node::Abort;
use quipu_core::op::{Ack, Action, Op, ReadLevel, Token};
use quipu_core::outcome::{Dependency, Reply};
use quipu_wire::http::ask::{self, Asks};
use quipu_wire::http::problem::{Kind, Problem};
use quipu_wire::http::route::Endpoint;
use quipu_wire::json::reply::{self, BatchReply, CounterReply, ItemReply, Reached};
use quipu_wire::json::request::{self, Batch, BodyError};

use crate::http::api::NodeApi;
use crate::http::respond::{Answer, Gate};

/// The levels of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Levels {
    ack: Ack,
    read: ReadLevel,
}

impl Levels {
    /// What the headers ask for, else what the node does.
    pub(crate) fn new(node: &impl NodeApi, asks: &Asks<'_>) -> Self {
        let default = node.default_ack();
        Self {
            ack: asks.ack.unwrap_or(default),
            read: asks.read.unwrap_or(ask::default_read(default)),
        }
    }

    /// Whether a reply about `action` waits for what it depends on.
    pub(crate) fn holds(self, action: &Action) -> bool {
        match action {
            Action::Get => self.read == ReadLevel::Committed,
            _ => self.ack == Ack::Fsync,
        }
    }

    /// What a reply vouches for: one that depends on nothing undurable speaks of what is durable.
    fn reached<N: NodeApi>(self, node: &N, action: &Action, depends: Dependency) -> Reached {
        let is_durable =
            self.holds(action) || node.is_durable(depends) || canary::is(Bug::MemorySaysFsync);
        let ack = if is_durable { Ack::Fsync } else { Ack::Memory };
        Reached { ack, read: self.read }
    }
}

/// What a route and a body ask of a counter.
///
/// # Errors
/// The body is not understood.
pub(crate) fn action(endpoint: Endpoint, body: &[u8]) -> Result<Action, BodyError> {
    let bare = |action| request::parse_empty(body).map(|()| action);
    match endpoint {
        Endpoint::Add => request::parse_add(body),
        Endpoint::Put => request::parse_put(body),
        Endpoint::Delete => bare(Action::Delete),
        Endpoint::Take => bare(Action::Take),
        _ => bare(Action::Get),
    }
}

/// One operation. A token is for writes; reads repeat without one.
///
/// # Errors
/// The problem that answers it.
pub(crate) async fn single<'a, N: NodeApi>(
    gate: &Gate<N>,
    asks: &Asks<'a>,
    name: &'a str,
    action: Action,
) -> Result<CounterReply<'a>, Problem> {
    let levels = Levels::new(&*gate.node, asks);
    let token = if action.is_write() { asks.token } else { Token::None };
    let op = Op { name, action, token };
    let reply = gate.node.execute(&op);
    if levels.holds(&action) {
        gate.hold(&[reply.depends], action.is_write()).await?;
    }
    let reached = levels.reached(&*gate.node, &action, reply.depends);
    reply::word(&op, &reply, reached)
}

/// A batch.
///
/// # Errors
/// The problem that answers the whole.
pub(crate) async fn batch<N: NodeApi>(
    gate: &Gate<N>,
    asks: &Asks<'_>,
    body: &[u8],
) -> Result<Answer, Problem> {
    let key = match asks.token {
        Token::None => None,
        Token::Key { key, .. } => Some(key),
        Token::Stream { .. } => {
            let detail = "a stream counts one operation for each sequence; a batch has none";
            return Err(Problem::new(Kind::BadRequest, detail));
        }
    };
    let batch = request::parse_batch(body, gate.limits.batch_ops)?;
    if batch.atomic {
        first_wrong(&batch)?;
    }
    let ops = batch.ops(key);
    let levels = Levels::new(&*gate.node, asks);
    let mut replies = Vec::with_capacity(ops.len());
    if let Err(abort) = gate.node.group(&ops, batch.atomic, &mut replies) {
        return Err(word_abort(gate, levels, &ops, &abort).await);
    }
    let held = ops.iter().zip(&replies).filter(|(op, _)| levels.holds(&op.action));
    let depends: Vec<Dependency> = held.map(|(_, reply)| reply.depends).collect();
    gate.hold(&depends, ops.iter().any(|op| op.action.is_write())).await?;
    Ok(Answer::json(&word_batch(&*gate.node, &batch, &ops, &replies, levels)))
}

/// An atomic batch with an item that is no operation is none.
fn first_wrong(batch: &Batch<'_>) -> Result<(), Problem> {
    let mut items = batch.items.iter().enumerate();
    match items.find_map(|(i, item)| Some((i, item.action.err()?))) {
        None => Ok(()),
        Some((index, error)) => Err(reply::at_item(error.into(), index, true)),
    }
}

/// The problem of a group that was taken back. What it says of the item is held like any reply.
async fn word_abort<N: NodeApi>(
    gate: &Gate<N>,
    levels: Levels,
    ops: &[Op<'_>],
    abort: &Abort,
) -> Problem {
    let Some(op) = ops.get(abort.index) else {
        return Problem::new(Kind::BadRequest, "the batch was taken back");
    };
    if levels.holds(&op.action)
        && let Err(problem) = gate.hold(&[abort.reply.depends], false).await
    {
        return problem;
    }
    let reached = levels.reached(&*gate.node, &op.action, abort.reply.depends);
    reply::word_abort(abort.index, op, &abort.reply, reached)
}

fn word_batch<'a, N: NodeApi>(
    node: &N,
    batch: &Batch<'_>,
    ops: &[Op<'a>],
    replies: &[Reply],
    levels: Levels,
) -> BatchReply<'a> {
    let mut done = ops.iter().zip(replies);
    let mut word = |index: usize, item: &request::Item<'_>| -> ItemReply<'a> {
        if let Err(error) = item.action {
            return Err(reply::at_item(error.into(), index, false));
        }
        let (op, reply) = done.next().expect("a group answers each operation");
        let reached = levels.reached(node, &op.action, reply.depends);
        reply::word(op, reply, reached).map_err(|problem| reply::at_item(problem, index, false))
    };
    let results = batch.items.iter().enumerate().map(|(i, item)| word(i, item)).collect();
    let is_durable = ops
        .iter()
        .zip(replies)
        .all(|(op, reply)| levels.reached(node, &op.action, reply.depends).ack == Ack::Fsync);
    BatchReply { results, ack: if is_durable { Ack::Fsync } else { Ack::Memory } }
}
