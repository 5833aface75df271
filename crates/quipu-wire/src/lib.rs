//! Codecs over bytes: no sockets, no clocks, no threads.

pub mod resp;
