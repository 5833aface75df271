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
mod disk;
mod limits;
mod points;
pub(crate) mod room;
mod short_writes;
mod stops;
mod strace;
mod under;

use std::env;
use std::ffi::OsString;
use std::path::Path;

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

/// Settings by the environment, where a later word wins over an earlier one; flags are given once.
trait Knobs {
    /// Sets the knob `name`.
    fn knob(self, name: &str, value: impl Into<OsString>) -> Self;
}

impl Knobs for Start {
    fn knob(self, name: &str, value: impl Into<OsString>) -> Self {
        let variable = format!("QUIPU_{}", name.to_uppercase().replace('.', "_"));
        self.variable(&variable, value)
    }
}

/// A node whose log is folded every few frames and retired soon, so that a short run meets everything.
/// Its segments take longer to fill than to prepare, on a loaded machine too: else writes are refused
/// as busy.
fn busy_log(data: &Path) -> Start {
    node::start(data)
        .knob("log.segment_bytes", "4MiB")
        .knob("log.frame_bytes_max", "1MiB")
        .knob("fold.log_bytes_min", "16KiB")
        .knob("log.retain_bytes", "256KiB")
}
