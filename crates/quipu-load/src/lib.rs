//! A load test that runs: threads, sockets, probes.
//!
//! Reading order: [`run`] (the wiring), `thread` (the one loop) with `source` (where slots come
//! from), `connection`, `stream` and `tls`, `wait`, `notes` and `ledger` (what is noted), [`driver`]
//! (what is said on a connection), `resend` (what comes after the plan), `collect` (windows of all
//! threads), `probe` and `environment` (the machine), `report` (the finding). [`selftest`] runs all of
//! it against [`stall`], of which the truth is known; [`serve`] is all of it as a service.

mod clock;
mod collect;
mod connection;
mod counters;
pub mod driver;
mod environment;
mod greeting;
mod ledger;
pub mod levels;
mod link;
mod notes;
pub mod pairs;
mod pin;
mod probe;
mod punctuality;
mod report;
mod resend;
pub mod run;
pub mod runner;
pub mod search;
pub mod selftest;
pub mod serve;
mod source;
pub mod stall;
mod standstill;
pub mod statement;
mod stream;
mod thread;
pub mod tls;
mod wait;
