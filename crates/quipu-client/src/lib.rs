//! A node seen through the wire: single operations, and the ingest of files exactly once.
//!
//! Read first [`window`] (what an ingest knows about blocks of lines in flight: the reason why
//! nothing is lost or counted twice) and [`block`], then [`ingest`], which moves the bytes.
//! What a line means is in [`matcher`], over [`mod@format`], [`condition`], [`moment`] and [`template`].
//! These, [`record`], [`reject`], [`request`], [`source`], [`lines`], [`backoff`] and [`refusal`] are
//! values without IO, and so are [`mod@print`] and most of [`rotation`]; [`connection`],
//! [`client`], [`input`], [`tail`], [`content`], [`inflate`], [`lock`], [`report`], `track`,
//! [`identity`], [`resume`], [`ingest`] and [`follow`] touch sockets, files and clocks.
//!
//! [`transfer`] moves whole counters, out of a node and into one.
//! [`page`] and [`figures`] are how a node tells of itself over HTTP.
//!
//! This crate never decides what a counter does: it knows a node only through RESP.

pub mod archive;
pub mod backoff;
pub mod block;
pub mod canary;
pub mod client;
pub mod condition;
pub mod connection;
pub mod content;
pub mod figures;
pub mod follow;
pub mod format;
pub mod identity;
pub mod inflate;
pub mod ingest;
pub mod input;
pub mod lines;
pub mod lock;
pub mod matcher;
pub mod moment;
pub mod page;
pub mod print;
pub mod record;
pub mod refusal;
pub mod reject;
pub mod report;
pub mod request;
pub mod resume;
pub mod rotation;
pub mod source;
pub mod streams;
pub mod summary;
pub mod tail;
pub mod template;
mod track;
pub mod transfer;
pub mod window;
