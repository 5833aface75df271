//! Codecs over bytes: no sockets, no clocks, no threads.

pub mod archive;
pub mod http;
pub mod json;
pub mod limits;
pub mod openapi;
pub mod resp;
