//! Redis clients: event loops, connections, sessions.

mod connection;
mod output;
pub(crate) mod peers;
mod session;
pub(crate) mod worker;
