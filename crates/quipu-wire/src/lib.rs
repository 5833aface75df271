//! quipu-wire.

pub mod http;
pub mod json;
