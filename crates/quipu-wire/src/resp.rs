//! RESP, versions 2 and 3 (specification: redis.io/docs/latest/develop/reference/protocol-spec).

pub mod client;
pub mod command;
pub mod describe;
pub mod error;
pub mod frame;
pub mod info;
mod inline;
pub mod number;
pub mod pattern;
pub mod reply;
pub mod value;
