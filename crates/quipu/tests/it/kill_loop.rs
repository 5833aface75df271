//! SIGKILL at any moment, again and again: what was acknowledged is there, and no token counts twice.
//!
//! The clients and their books are those of `quipu_proof`, which run for longer elsewhere.

use std::env;

use quipu_proof::kills;
use tempfile::TempDir;

use crate::Violation;
use crate::node::{self, Start};

/// Cycles in continuous integration. Spec: 200.
const CYCLES: usize = 200;
const SEED: u64 = 0x51_6B_11;

/// Runs `cycles` kills on the node that `start` describes, and a clean audit at the end.
///
/// # Errors
/// The first broken promise that a client found in its books.
pub(crate) fn check(start: &Start, cycles: usize) -> Result<(), Violation> {
    kills::run(start, cycles, SEED).map(drop)
}

/// Returns the number of cycles: `QUIPU_KILLS` or the default.
fn cycles() -> usize {
    env::var("QUIPU_KILLS").ok().map_or(CYCLES, |text| text.parse().expect("QUIPU_KILLS: a number"))
}

#[test]
fn no_kill_loses_an_acknowledged_count_or_doubles_a_token() {
    let folder = TempDir::new().expect("a temporary directory");
    let start = kills::small_segments(node::start(&folder.path().join("data")));
    if let Err(violation) = check(&start, cycles()) {
        panic!("{violation}");
    }
}
