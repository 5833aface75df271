//! quipu-server.

pub mod http;
