//! The log of a node: where decided effects become durable.
//!
//! Data flow: the commit step hands a [`log::Cut`] (the batches of all dirty shards) to a
//! [`log::Log`]; the local one writes it as one frame of the write-ahead log in [`wal`], which
//! reaches the disk through the narrow trait in [`storage`]. At start, [`wal::recover`] hands the
//! frames back in order.
//!
//! Reading order: `storage`, `wal/frame`, `wal/writer`, `wal/recovery`, `log`.
//!
//! Invariants:
//! - a frame is reported durable only after `fdatasync` of its file returned without error;
//! - the first failed write or sync is final: every later call answers with that error;
//! - recovery serves nothing that it has not proven durable or written and synced again.
//!
//! This crate never looks into payloads, never reads a clock or entropy (random numbers are an
//! argument) and never starts a thread.

pub mod log;
pub mod storage;
pub mod wal;
