//! The counter as values and step functions.
//!
//! State is a fold over a log. An operation is decided once, by the owner of its shard, in memory;
//! the log carries the decided effect; [`effect::fold`] is the only way in which a counter changes,
//! in the owner, in recovery, in replicas, in snapshots and in the audit.
//!
//! Reading order: [`op`] (what is asked), [`outcome`] (what is answered), [`effect`] (the algebra),
//! [`decide`] (the decision), [`shard`] and [`execute`] (the owner), [`record`] (the log),
//! [`replay`] and [`snapshot`] (the folds), [`node`] (many shards), [`top`] (the greatest of them).
//!
//! Invariants: what is in the table is in the open batch or in the log; every reply names the newest
//! batch that it speaks of; log time never steps back.
//!
//! Never here: IO, clocks, entropy, threads, async, logging.

pub mod batch;
pub mod bytes;
pub mod canary;
mod cell;
pub mod clock;
pub mod decide;
pub mod effect;
pub mod execute;
pub mod expiry;
pub mod failpoint;
pub mod limits;
pub mod name;
pub mod node;
pub mod op;
pub mod outcome;
pub mod page;
pub mod record;
pub mod recount;
pub mod replay;
pub mod shard;
pub mod snapshot;
pub mod stream;
pub mod table;
pub mod token;
pub mod top;
