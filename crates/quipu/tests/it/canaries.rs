//! Builds with one known bug: each must be caught by the check that exists for it. A check that
//! does not catch its canary is broken.
//!
//! The bugs are behind the cargo feature `canary` of the crate `quipu` and are chosen at run time
//! by `QUIPU_CANARY`, so one build serves all. It is a second build, in a target directory of its
//! own beside the one under test: switching the feature on in the build under test would show
//! nothing about the binary that users get, and building both into one directory would replace
//! that binary while other tests run it. Cargo keeps the second build between runs. Where it is
//! made elsewhere, `QUIPU_CANARY_BINARY` names it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::node::Start;
use crate::node::{self};
use crate::{Violation, kill_loop, sync_frozen, tool};

/// Kill cycles against a canary: the bug shows in the first replay.
const CYCLES: usize = 5;

static CANARY: LazyLock<PathBuf> =
    LazyLock::new(|| env::var_os("QUIPU_CANARY_BINARY").map_or_else(build, PathBuf::from));

/// Builds the binary with the feature `canary` and returns its path.
fn build() -> PathBuf {
    let folder = tool::profile_folder();
    let profile_name = folder.file_name().expect("a profile has a folder").to_string_lossy();
    let profile = if profile_name == "debug" { "dev" } else { &profile_name };
    let target = folder.parent().expect("profiles lie in the target folder").join("canary");
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(["build", "--locked", "--bin", "quipu", "--features", "canary", "--profile"]);
    command.arg(profile).arg("--target-dir").arg(&target);
    tool::output_of(&mut command);
    target.join(&*profile_name).join("quipu")
}

/// Returns a start of the build with the bug `canary`.
fn start(canary: &str, folder: &Path) -> Start {
    node::start(&folder.join("data")).program(&CANARY).variable("QUIPU_CANARY", canary)
}

/// Demands that a check failed, by one of the named promises.
fn caught(outcome: Result<(), Violation>, promises: &[&str]) {
    let violation = outcome.expect_err("the check does not catch its canary");
    assert!(promises.contains(&violation.check), "caught for another reason: {violation}");
}

#[test]
fn an_acknowledgement_before_the_sync_is_caught_by_the_frozen_sync() {
    let folder = TempDir::new().expect("a temporary directory");
    let Some(shim) = sync_frozen::shim(folder.path()) else { return };
    let outcome = sync_frozen::check(&start("ack_before_sync", folder.path()), &shim);
    caught(outcome, &["acknowledgement"]);
}

#[test]
fn a_rejection_that_is_not_held_is_caught_by_the_frozen_sync() {
    let folder = TempDir::new().expect("a temporary directory");
    let Some(shim) = sync_frozen::shim(folder.path()) else { return };
    let outcome = sync_frozen::check(&start("rejection_not_held", folder.path()), &shim);
    caught(outcome, &["rejection"]);
}

#[test]
fn a_sum_that_wraps_is_caught_by_the_frozen_sync() {
    let folder = TempDir::new().expect("a temporary directory");
    let Some(shim) = sync_frozen::shim(folder.path()) else { return };
    let outcome = sync_frozen::check(&start("overflow_wraps", folder.path()), &shim);
    caught(outcome, &["release"]);
}

#[test]
fn a_token_that_is_not_remembered_is_caught_by_the_kill_loop() {
    let folder = TempDir::new().expect("a temporary directory");
    let outcome = kill_loop::check(&start("no_dedup", folder.path()), CYCLES);
    caught(outcome, &["token repeat", "stream repeat", "exactly once"]);
}

#[test]
fn the_canary_build_without_a_bug_passes() {
    let folder = TempDir::new().expect("a temporary directory");
    let outcome = kill_loop::check(&start("", folder.path()), CYCLES);
    if let Err(violation) = outcome {
        panic!("{violation}");
    }
}
