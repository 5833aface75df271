//! Counters moved as values: out of a node into lines, and from lines or a Redis into a node.
//!
//! [`entry`] is one counter, [`mod@format`] how it stands in a line; both are values without IO.
//! [`export`] walks over a node; [`dump`] and [`redis`] are where an [`import`] can come from, and
//! [`report`] is what became of it. [`address`] reads the address of a Redis.

pub mod address;
pub mod dump;
pub mod entry;
pub mod export;
pub mod format;
pub mod import;
pub mod redis;
pub mod report;
pub mod seen;
