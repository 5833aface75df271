//! HTTP as data: which routes there are, what headers ask for, and how problems are worded.
//!
//! Reading order: [`route`] (method and path), [`ask`] (headers), [`problem`] (the status table).
//! The bodies are in [`crate::json`]. Nothing here knows a socket or an HTTP library.

pub mod ask;
pub mod percent;
pub mod problem;
pub mod query;
pub mod route;
