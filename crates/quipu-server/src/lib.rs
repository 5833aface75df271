//! A node: listeners, the driver of the shards, recovery, upkeep, telemetry.
//!
//! Reading order: [`node`] (the wiring), [`hub`] (what threads share, and the commit), `resp`
//! (Redis clients), `http`, [`recovery`], `upkeep`. The meaning of every operation is in
//! `quipu-core`; here bytes move.
//!
//! Never here: deciding what an operation does; knowing monitor, analyser, optimiser or load lab.

pub mod archive;
pub mod bell;
pub mod cells;
pub mod clock;
mod complaint;
mod gateway;
pub mod http;
pub mod hub;
mod live;
pub mod machine;
pub mod node;
mod ranker;
pub mod recovery;
mod resp;
mod summary;
mod tally;
mod task_bell;
mod threads;
mod upkeep;
pub mod waker;

// For the binary of the build with deliberate bugs, which chooses among them by name.
#[cfg(feature = "canary")]
pub use quipu_core::{canary, failpoint};
