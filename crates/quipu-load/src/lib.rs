//! A load test that runs: threads, sockets, probes.
//!
//! Reading order: [`run`] (the wiring), `thread` (the one loop) with `source` (where slots come
//! from), `connection`, `wait` and `notes` (what is noted), [`driver`] (what is said on a
//! connection), `collect` (windows of all threads), `probe` and `environment` (the machine), `report`
//! (the finding), [`serve`] (all of it as a service).

mod clock;
mod collect;
mod connection;
mod counters;
pub mod driver;
mod environment;
mod notes;
mod pin;
mod probe;
mod report;
pub mod run;
pub mod serve;
mod source;
mod stream;
mod thread;
mod wait;
