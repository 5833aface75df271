//! Black-box tests of the `quipu` binary: every test starts the real program in a directory of its
//! own, on ports that the system chooses, and speaks to it through sockets, files and signals only.
//!
//! Reading order: `node` (starts and stops processes), `resp` and `http` (the two clients), then
//! one file per claim. The checks of `kill_loop` and `sync_frozen` answer a [`Violation`] instead
//! of panicking, because `canaries` demands that they fail on builds with a known bug.
//!
//! The environment chooses: `QUIPU_REQUIRE_TOOLS` (a missing program fails instead of skipping),
//! `QUIPU_KILLS` (cycles of the kill loop), `QUIPU_SEED` (another stream of the differential test),
//! `QUIPU_FAULTS` (how many times as many faults), `QUIPU_SKIPPED` and `QUIPU_FIGURES` (files that
//! are told what was skipped and done), `QUIPU_BINARY` (another build to test) and
//! `QUIPU_CANARY_BINARY` (a canary build made elsewhere).

mod backup;
mod browser;
mod canaries;
mod clients;
mod commits;
mod differential;
mod doctor;
mod faults;
mod follow;
mod history;
mod increx;
mod ingest;
mod kill_loop;
mod limits;
mod live;
mod load;
mod load_compare;
mod load_live;
mod load_report;
mod load_resend;
mod load_selftest;
mod load_serve;
mod load_tls;
mod logs;
mod metrics;
mod node;
mod openapi;
mod page;
mod prove;
mod shells;
mod skip;
mod streams;
mod sync_failed;
mod sync_frozen;
mod tool;
mod transfer;
mod venv;

use quipu_proof::{Violation, chance, demand, http, resp};
