//! The log of a node: where decided effects become durable.
//!
//! Data flow: the commit step hands a [`log::Cut`] (the batches of all dirty shards) to a
//! [`log::Log`]; the local one writes it as one frame of the write-ahead log in [`wal`], which
//! reaches the disk through the narrow trait in [`storage`]. At start, [`wal::recover`] hands the
//! frames back in order. Beside the running node, [`fold`] makes the log smaller: sealed segments
//! become the next [`snapshot`]; [`audit`] folds them again and compares.
//!
//! Reading order: `storage`, `wal/frame`, `wal/writer`, `wal/recovery`, `log`, `sorted_file`,
//! `snapshot`, `fold`, `audit`.
//!
//! Invariants:
//! - a frame is reported durable only after `fdatasync` of its file returned without error;
//! - the first failed write or sync is final: every later call answers with that error;
//! - recovery serves nothing that it has not proven durable or written and synced again.
//!
//! The log itself takes payloads as opaque bytes; folding leaves their meaning to `quipu-core`. This
//! crate never reads a clock or entropy (random numbers are an argument) and never starts a thread.

pub mod audit;
pub mod backup;
pub mod fold;
pub mod history;
pub mod log;
pub mod recount;
pub mod snapshot;
pub mod sorted_file;
pub mod storage;
pub mod wal;
