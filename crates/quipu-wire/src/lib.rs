//! Codecs over bytes: no sockets, no clocks, no threads.

pub mod limits;
pub mod resp;
