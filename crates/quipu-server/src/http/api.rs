//! What the HTTP surface needs of a node.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use quipu_core::node::{Abort, StreamPage, StreamView};
use quipu_core::op::{Ack, Op};
use quipu_core::outcome::{Dependency, Refusal, Reply};
use quipu_core::top::Top;
use quipu_metrics::label::{ConnectionCut, ConnectionRefusal};
use quipu_wire::http::problem::Problem;

use crate::archive::{Answering, Ask};
use crate::hub::LogFailed;

/// A node as HTTP sees it. Nothing here blocks; only [`NodeApi::durable`] waits.
pub trait NodeApi: Send + Sync + 'static {
    /// Decides one operation.
    fn execute(&self, op: &Op<'_>) -> Reply;

    /// Decides many operations and appends one reply for each, in order. Without `atomic` each is
    /// an operation of its own, as in [`NodeApi::execute`].
    ///
    /// # Errors
    /// With `atomic`: an item ended otherwise than it must, and nothing of the group was done.
    fn group(&self, ops: &[Op<'_>], atomic: bool, replies: &mut Vec<Reply>) -> Result<(), Abort>;

    /// Visits about `count` counters from `cursor` (0: the start), appends what that depends on,
    /// and returns the next cursor (0: the end).
    fn scan(
        &self,
        cursor: u64,
        count: usize,
        visit: &mut dyn FnMut(&str, i64),
        depends: &mut Vec<Dependency>,
    ) -> u64;

    /// Ranks all counters; none where the node stops first.
    fn top(&self) -> impl Future<Output = Option<Arc<Top>>> + Send;

    /// What the page for people shows, as JSON. It waits for a ranking for a moment only.
    fn live(&self) -> impl Future<Output = Vec<u8>> + Send;

    /// What is known of a stream.
    fn stream(&self, name: &[u8]) -> StreamView;

    /// Up to `count` streams whose names follow `after`.
    fn streams(&self, after: &[u8], count: usize) -> StreamPage;

    /// Ends a stream; `by_force` also one that is held.
    ///
    /// # Errors
    /// It does not end, and why.
    fn end_stream(&self, name: &[u8], by_force: bool) -> Result<StreamView, Refusal>;

    /// Holds a stream on the shard of `counter`: an operation with this place in it was refused
    /// before it came to [`NodeApi::execute`], and later ones must not pass it.
    fn hold_stream(&self, counter: &str, stream: &[u8], sequence: u64);

    /// The durability of writes that ask for none.
    fn default_ack(&self) -> Ack;

    /// Whether what a reply depends on is durable already.
    fn is_durable(&self, depends: Dependency) -> bool;

    /// Waits until all of `depends` are durable, and asks for a sync where none is under way.
    ///
    /// # Errors
    /// The log has failed: nobody knows whether they are.
    fn durable(&self, depends: &[Dependency])
    -> impl Future<Output = Result<(), LogFailed>> + Send;

    /// Whether the process works.
    ///
    /// # Errors
    /// Says why not.
    fn health(&self) -> Result<(), Unwell>;

    /// Whether the node serves now.
    ///
    /// # Errors
    /// Says why not.
    fn ready(&self) -> Result<(), Unwell>;

    /// The metrics in Prometheus's text format.
    fn metrics_text(&self) -> String;

    /// The metrics as JSON.
    fn metrics_json(&self) -> String;

    /// Begins to read what the disk holds.
    ///
    /// # Errors
    /// Too much is being read, or this node holds nothing.
    fn archive(&self, ask: Ask) -> Result<Answering, Problem>;

    /// Whether the node, over all its listeners, may serve one more connection.
    fn admits(&self) -> bool;

    /// Hears what happens on the listener; for the metrics.
    fn note(&self, event: Event);
}

/// What happens on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A connection was accepted.
    Opened,
    /// A connection that was accepted is closed.
    Closed,
    /// A connection was closed before it was served.
    Refused(ConnectionRefusal),
    /// A connection is closed by us.
    Cut(ConnectionCut),
    /// Bytes came in.
    Received(u64),
    /// Bytes went out.
    Sent(u64),
    /// An answer begins to wait for the log.
    Held,
    /// An answer waits no more; it has waited this long.
    Released(Duration),
    /// A request was answered, this long after its head was complete.
    Answered(Duration),
}

/// Why a node is not well or does not serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unwell {
    /// One sentence for the operator.
    pub reason: Cow<'static, str>,
}
