//! Black-box tests of the `quipu` binary: every test starts the real program in a directory of its
//! own, on ports that the system chooses, and speaks to it through sockets, files and signals only.
//!
//! Reading order: `node` (starts and stops processes), `resp` and `http` (the two clients), then
//! one file per claim. The checks of `kill_loop` and `sync_frozen` answer a [`Violation`] instead
//! of panicking, because `canaries` demands that they fail on builds with a known bug.
//!
//! The environment chooses: `QUIPU_REQUIRE_TOOLS` (a missing program fails instead of skipping),
//! `QUIPU_KILLS` (cycles of the kill loop), `QUIPU_SEED` (another stream of the differential test),
//! `QUIPU_BINARY` (another build to test) and `QUIPU_CANARY_BINARY` (a canary build made elsewhere).

use std::fmt;

mod canaries;
mod chance;
mod clients;
mod commits;
mod differential;
mod http;
mod ingest;
mod kill_loop;
mod limits;
mod metrics;
mod node;
mod resp;
mod streams;
mod sync_failed;
mod sync_frozen;
mod tool;

/// A promise that the program broke: which check saw it, and what was seen.
#[derive(Debug)]
pub(crate) struct Violation {
    /// The name of the check, which the canaries compare.
    pub(crate) check: &'static str,
    /// What was expected and what came.
    pub(crate) detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "broken promise `{}`: {}", self.check, self.detail)
    }
}

impl Violation {
    /// Returns a violation of `check`.
    pub(crate) fn new(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, detail: detail.into() }
    }
}

/// Answers a violation unless `holds`.
pub(crate) fn demand(
    holds: bool,
    check: &'static str,
    detail: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation::new(check, detail())) }
}
