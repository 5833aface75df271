//! What the HTTP surface needs of a node.

use std::borrow::Cow;
use std::time::Duration;

pub use quipu_core::node::{Abort as GroupAbort, StreamView};
use quipu_core::op::{Ack, Op};
use quipu_core::outcome::{Dependency, Reply};

pub use crate::hub::LogFailed;

/// A node as HTTP sees it. Nothing here blocks; only [`NodeApi::durable`] waits.
pub trait NodeApi: Send + Sync + 'static {
    /// Decides one operation.
    fn execute(&self, op: &Op<'_>) -> Reply;

    /// Decides many operations and appends one reply for each, in order. Without `atomic` each is
    /// an operation of its own, as in [`NodeApi::execute`].
    ///
    /// # Errors
    /// With `atomic`: an item ended otherwise than it must, and nothing of the group was done.
    fn group(
        &self,
        ops: &[Op<'_>],
        atomic: bool,
        replies: &mut Vec<Reply>,
    ) -> Result<(), GroupAbort>;

    /// Visits about `count` counters from `cursor` (0: the start), appends what that depends on,
    /// and returns the next cursor (0: the end).
    fn scan(
        &self,
        cursor: u64,
        count: usize,
        visit: &mut dyn FnMut(&str, i64),
        depends: &mut Vec<Dependency>,
    ) -> u64;

    /// What is known of a stream.
    fn stream(&self, name: &[u8]) -> StreamView;

    /// Holds a stream on the shard of `counter`: an operation with this place in it was refused
    /// before it came to [`NodeApi::execute`], and later ones must not pass it.
    fn hold_stream(&self, counter: &str, stream: &[u8], sequence: u64);

    /// The durability of writes that ask for none.
    fn default_ack(&self) -> Ack;

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

    /// Says that a client connected; false where the node has as many connections as it may, and
    /// this one is refused. A call of [`NodeApi::connection_closed`] follows only after true.
    fn connection_opened(&self) -> bool {
        true
    }

    /// Says that a client that had connected is gone.
    fn connection_closed(&self) {}

    /// Says that a request was answered, `took` after its head was complete.
    fn answered(&self, status: u16, took: Duration) {
        let _ = (status, took);
    }
}

/// Why a node is not well or does not serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unwell {
    /// One sentence for the operator.
    pub reason: Cow<'static, str>,
}
