//! Redis clients: event loops, connections, sessions.

mod connection;
mod facts;
mod group;
mod output;
pub(crate) mod peers;
mod pipeline;
mod session;
mod wide;
pub(crate) mod worker;
