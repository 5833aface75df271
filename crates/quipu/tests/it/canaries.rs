//! Builds with one known bug: each must be caught by the check that exists for it. A check that
//! does not catch its canary is broken.
//!
//! The bugs are behind the cargo feature `canary` of the crate `quipu` and are chosen at run time
//! by `QUIPU_CANARY`, so one build serves all; `QUIPU_FAILPOINT` kills a process of that build at a
//! named place. It is a second build, in a target directory of its
//! own beside the one under test: switching the feature on in the build under test would show
//! nothing about the binary that users get, and building both into one directory would replace
//! that binary while other tests run it. Cargo keeps the second build between runs. Where it is
//! made elsewhere, `QUIPU_CANARY_BINARY` names it.

use std::env;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::http::{Request, request};
use crate::node::{self, Start};
use crate::{Violation, demand, kill_loop, sync_frozen, tool};

/// Kill cycles against a canary: the bug shows in the first replay.
const CYCLES: usize = 5;

/// The build with deliberate bugs and failpoints.
pub(crate) static CANARY: LazyLock<PathBuf> =
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

/// Demands that the frozen sync catches `canary`, by one of the named promises.
fn caught_by_the_frozen_sync(canary: &str, promises: &[&str]) {
    let folder = TempDir::new().expect("a temporary directory");
    let Some(shim) = sync_frozen::shim(folder.path()) else { return };
    caught(sync_frozen::check(&start(canary, folder.path()), &shim), promises);
}

#[test]
fn what_leaves_before_its_sync_is_caught_by_the_frozen_sync() {
    caught_by_the_frozen_sync("ack_before_sync", &["acknowledgement"]);
    caught_by_the_frozen_sync("read_not_held", &["committed read"]);
    caught_by_the_frozen_sync("rejection_not_held", &["rejection"]);
    caught_by_the_frozen_sync("repeat_not_held", &["token repeat"]);
}

#[test]
fn wrong_answers_are_caught_by_the_frozen_sync_when_it_returns() {
    caught_by_the_frozen_sync("overflow_wraps", &["release"]);
}

/// An answer from memory says so: nothing has asked for a sync, and the next one is far away.
fn memory_says_memory(start: &Start) -> Result<(), Violation> {
    let node = start.clone().flag("flush.interval", "60s").run();
    let add = Request {
        headers: &["Quipu-Ack: memory"],
        ..request("POST", "/v1/default/counters/a", "{\"add\":1}")
    };
    let ack = node.http().call(&add).json()["ack"].clone();
    demand(ack == "memory", "ack reached", || format!("ack=memory was answered with {ack}"))
}

#[test]
fn an_answer_from_memory_says_so_and_one_that_lies_is_caught() {
    let folder = TempDir::new().expect("a temporary directory");
    if let Err(violation) = memory_says_memory(&start("", folder.path())) {
        panic!("{violation}");
    }
    let folder = TempDir::new().expect("a temporary directory");
    caught(memory_says_memory(&start("memory_says_fsync", folder.path())), &["ack reached"]);
}

#[test]
fn a_bug_or_a_place_that_there_is_not_is_refused_with_those_that_there_are() {
    let folder = TempDir::new().expect("a temporary directory");
    let check = |variable, known: [&str; 2]| {
        let said = start("", folder.path()).variable(variable, "nowhere").refusal();
        for part in ["nowhere: there is no such", "there are"].iter().chain(&known) {
            assert!(said.contains(part), "{variable}: {said}");
        }
    };
    check("QUIPU_CANARY", ["ack_before_sync", "memory_says_fsync"]);
    check("QUIPU_FAILPOINT", ["frame_built", "shutdown_marked"]);
}

/// A node that dies when a commit is known to be durable: the client has no answer, and the count
/// is there.
#[test]
fn a_failpoint_kills_the_process_at_the_time_that_it_names() {
    let folder = TempDir::new().expect("a temporary directory");
    let mut node = start("", folder.path()).variable("QUIPU_FAILPOINT", "commit_known:2").run();
    let mut resp = node.resp();
    assert_eq!(resp.call("INCR a").int(), Some(1), "the first commit is passed alive");
    let end = resp.try_call("INCR a");
    assert!(end.is_err(), "an answer came from beyond the place: {end:?}");
    let status = node.ended().expect("the node ends");
    assert_eq!(status.signal(), Some(9), "{status}");
    let node = start("", folder.path()).run();
    assert_eq!(node.resp().call("INCR a").int(), Some(3), "what was durable is there");
}

#[test]
fn a_token_that_is_not_remembered_is_caught_by_the_kill_loop() {
    let folder = TempDir::new().expect("a temporary directory");
    let outcome = kill_loop::check(&start("no_dedup", folder.path()), CYCLES);
    caught(outcome, &["token repeat", "stream repeat", "exactly once"]);
}

#[test]
fn an_answer_from_before_the_add_is_caught_by_the_histories_of_the_kill_loop() {
    let folder = TempDir::new().expect("a temporary directory");
    let outcome = kill_loop::check(&start("answer_stale", folder.path()), CYCLES);
    caught(outcome, &["linearizable"]);
}

#[test]
fn the_canary_build_without_a_bug_passes() {
    let folder = TempDir::new().expect("a temporary directory");
    let outcome = kill_loop::check(&start("", folder.path()), CYCLES);
    if let Err(violation) = outcome {
        panic!("{violation}");
    }
}
