//! What can happen. Every event names its node, so that several can live in one world.

use std::rc::Rc;

use crate::disk::Keep;
use crate::request::{Request, Response};

/// One of the world's nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(pub u16);

/// Who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A client; the request's number names it.
    Client,
    /// The sender of a stream, on a connection of its own.
    Sender {
        /// Which stream.
        stream: u32,
        /// Which connection; answers to older ones come too late.
        connection: u64,
    },
}

/// The way of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The node that was asked.
    pub node: NodeId,
    /// Who asked.
    pub source: Source,
    /// The request.
    pub request: u64,
}

/// A request on its way.
#[derive(Debug)]
pub struct Delivery {
    /// The way of its answer.
    pub route: Route,
    /// What is asked.
    pub request: Rc<Request>,
    /// The life of the node to which the connection leads, where the order matters: a connection
    /// does not outlive the node's process.
    pub life: Option<u64>,
    /// Whether tokens are written in upper case this time.
    pub upper: bool,
}

/// What happens.
#[derive(Debug)]
pub enum Event {
    /// Clients wish something.
    Arrive,
    /// A request reaches a node.
    Deliver(Box<Delivery>),
    /// An answer reaches a client.
    Respond(Route, Box<Response>),
    /// A client has waited long enough for this attempt.
    Timeout {
        /// The request.
        request: u64,
        /// Which attempt.
        attempt: u32,
    },
    /// The sender of a stream looks whether it gets on.
    Look {
        /// Which stream.
        stream: u32,
    },
    /// A node's sync returns.
    Synced(NodeId, u64),
    /// A node's preparer has worked.
    Prepared(NodeId, u64),
    /// A node's folder has worked.
    Folded(NodeId, u64),
    /// A node flushes what it answered from memory.
    Flush(NodeId, u64),
    /// A node's housekeeper looks around.
    Tick(NodeId, u64),
    /// A node starts.
    Start(NodeId),
    /// A node that hangs is ended by its operator.
    Shoot(NodeId, u64),
    /// A node meets its end while a sync is under way.
    Doom(NodeId, u64, End),
    /// Something goes wrong.
    Fault,
    /// Something that lasted is over.
    Over(NodeId, Lasting),
}

/// How a process ends that does not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Killed: the page cache stays.
    Kill,
    /// The machine loses power.
    PowerCut(Keep),
}

/// What lasts for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// No room on the disk.
    FullDisk,
    /// Slow syncs.
    SlowDisk,
    /// A wall clock that stands still.
    FrozenClock,
    /// No memory for new counters.
    FullMemory,
    /// A network that loses much.
    BadNetwork,
}
