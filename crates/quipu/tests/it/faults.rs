//! What the machine below a node can do to it, done to the real process: calls that fail, calls
//! that end early or late, limits, stops, clocks, deaths at named places, crowds.
//!
//! Reading order: `crew` (the clients and their books), `under` (a node in a narrower world),
//! `strace` (calls that fail), then one file per kind of trouble. What was acknowledged is there
//! after each of them, exactly; what a machine does not permit is skipped and counted.
//!
//! `QUIPU_FAULTS=n` does n times as much; `QUIPU_FIGURES` names a file that gets one line of JSON
//! per test with what was done.

mod calls;
mod clocks;
mod crew;
mod crowds;
mod limits;
mod points;
mod room;
mod room_tests;
mod short_writes;
mod stops;
mod strace;
mod under;

use std::env;

use quipu_proof::kills;

use crate::node::{self, Start};
use crate::skip;

/// How many times as much as the default is done.
fn share() -> usize {
    let times = env::var("QUIPU_FAULTS").ok();
    times.map_or(1, |text| text.parse().expect("QUIPU_FAULTS: a number"))
}

/// Adds what was done to the figures of this run.
fn count(figure: &str, times: u64) {
    let line = format!("{{\"runner\":\"faults\",\"figures\":{{\"{figure}\":{times}}}}}");
    skip::append("QUIPU_FIGURES", &line);
}

/// A node whose log is folded every few frames, so that a short run meets everything.
fn busy_log(data: &std::path::Path) -> Start {
    kills::small_segments(node::start(data)).flag("fold.log_bytes_min", "16KiB")
}
