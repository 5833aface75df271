//! A node seen through the wire: single operations, and the ingest of files exactly once.
//!
//! Read first [`window`] (what an ingest knows about lines in flight: the reason why nothing is
//! lost or counted twice), then [`ingest`], which moves the bytes. [`matcher`], [`template`],
//! [`request`], [`source`], [`lines`], [`window`], [`backoff`] and [`refusal`] are values without IO;
//! [`connection`], [`client`], [`input`],
//! [`resume`] and [`ingest`] touch sockets, files and clocks.
//!
//! [`transfer`] moves whole counters, out of a node and into one.
//!
//! This crate never decides what a counter does: it knows a node only through RESP.

pub mod backoff;
pub mod client;
pub mod connection;
pub mod ingest;
pub mod input;
pub mod lines;
pub mod matcher;
pub mod refusal;
pub mod request;
pub mod resume;
pub mod source;
pub mod summary;
pub mod template;
pub mod transfer;
pub mod window;
