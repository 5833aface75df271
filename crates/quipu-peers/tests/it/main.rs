//! The harness on real processes: what it must not find, and what it must.
//!
//! A program that is missing, or a disk that the machine does not let us mount, is skipped with a
//! line, and `cargo xtask evidence` counts the lines of the file that `QUIPU_SKIPPED` names.
//! `QUIPU_REQUIRE_TOOLS` makes a missing program a failure.

mod deaf;
mod node;

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use quipu_peers::cell::{Cell, CellError};
use quipu_peers::figures::Figures;
use quipu_peers::load::Load;
use quipu_peers::ours::{Ours, Surface};
use quipu_peers::redis::Redis;
use quipu_peers::system::System;
use quipu_proof::node::PATIENCE;
use quipu_proof::trial::End;

use crate::deaf::Deaf;

/// Short lives: nothing here is measured.
const LOAD: Load = Load {
    clients: 4,
    counters: 2,
    time: Duration::from_millis(100),
    spread: Duration::ZERO,
    further_max: 50,
};

fn note_skipped(what: &str, why: &str) {
    writeln!(io::stderr(), "skipped: {what}: {why}").expect("stderr takes a line");
    let Some(path) = env::var_os("QUIPU_SKIPPED") else { return };
    let file = OpenOptions::new().create(true).append(true).open(path);
    // In one write, so that lines of tests that run at once do not mix.
    let line = format!("{what}: {why}\n");
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("QUIPU_SKIPPED takes a line");
}

/// One life and its end; nothing where the machine has not what it takes.
fn one_end(system: &dyn System, end: End, load: Load) -> Option<Figures> {
    let what = format!("{} {end:?}", system.key());
    if let Err(error) = system.version() {
        let is_required = env::var_os("QUIPU_REQUIRE_TOOLS").is_some();
        assert!(!is_required, "{error}, and QUIPU_REQUIRE_TOOLS is set");
        note_skipped(&what, &error.to_string());
        return None;
    }
    let folder = tempfile::TempDir::new().expect("a folder for temporary files");
    let mut cell = match Cell::new(system, load, end, folder.path(), 1) {
        Err(CellError::Disk(error)) => {
            note_skipped(&what, &error.to_string());
            return None;
        }
        cell => cell.unwrap_or_else(|error| panic!("{what}: {error}")),
    };
    cell.run(1, &AtomicBool::new(false)).unwrap_or_else(|error| panic!("{what}: {error}"));
    let figures = cell.figures().clone();
    assert!(figures.ends == 1 && figures.acknowledged > 0, "{what}: {figures:?}");
    Some(figures)
}

fn ours(has_tokens: bool) -> Ours {
    Ours { binary: node::binary(), surface: Surface::Resp, ack: "fsync", has_tokens }
}

fn check_keeps(system: &dyn System) {
    for figures in [End::Kill, End::Cut].into_iter().filter_map(|end| one_end(system, end, LOAD)) {
        assert_eq!((figures.losses.lost, figures.refused), (0, 0), "{figures:?}");
        assert_eq!(figures.losses.doubled_by_system, 0, "{figures:?}");
        assert_eq!(figures.broken(system.promise()), [""; 0]);
    }
}

#[test]
fn what_was_synced_before_its_answer_survives_a_kill_and_a_cut() {
    check_keeps(&ours(true));
    check_keeps(&Redis { appendfsync: "always" });
}

#[test]
fn what_nobody_synced_is_seen_to_be_lost_by_a_cut() {
    let redis = Redis { appendfsync: "no" };
    if let Some(figures) = one_end(&redis, End::Cut, LOAD) {
        assert!(figures.losses.lost > 0, "{figures:?}");
    }
}

/// Every client loses the answer to an operation that has counted.
fn check_doubled(system: &dyn System, expected: u64) {
    let deaf = Deaf { system, heard: 20 };
    // It ends as soon as no client hears any more.
    let load = Load { time: PATIENCE, ..LOAD };
    if let Some(figures) = one_end(&deaf, End::Kill, load) {
        assert_eq!(figures.losses.doubled_by_retry, expected, "{figures:?}");
        assert_eq!(figures.retries, LOAD.clients as u64, "{figures:?}");
    }
}

#[test]
fn an_answer_that_is_lost_doubles_a_plain_operation_and_no_token() {
    check_doubled(&ours(true), 0);
    check_doubled(&ours(false), LOAD.clients as u64);
    check_doubled(&Redis { appendfsync: "always" }, LOAD.clients as u64);
}
