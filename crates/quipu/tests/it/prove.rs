//! `quipu prove`, and power cuts of real nodes.

use std::path::Path;
use std::process::Command;

use quipu_proof::campaign::Campaign;
use quipu_proof::trial::End;
use tempfile::TempDir;

use crate::canaries::CANARY;
use crate::node::binary;
use crate::tool;

/// Power cuts in continuous integration: some seconds.
const CUTS: u64 = 60;

/// Lives against a canary, at most: the first violation ends them. Measured: what is acknowledged too
/// early shows within 10.
const CANARY_CUTS: u64 = 150;

/// The same where a write has to be harmed in the very moment of the cut. Measured: one hundred lives
/// showed it eight times out of ten.
const CANARY_CUTS_RARE: u64 = 800;

/// What cuts find; nothing, with a word, where no disk can be mounted.
fn cuts(program: &Path, bug: &str, count: u64) -> Option<Vec<String>> {
    let folder = TempDir::new().expect("a temporary directory");
    let mut campaign = Campaign::new(program, folder.path(), End::Cut);
    campaign.setup.environment.push(("QUIPU_CANARY".to_owned(), bug.to_owned()));
    campaign.count = count;
    let verdict = campaign.run(&|_| {});
    if let Some(why) = verdict.skipped.first() {
        tool::missing(why);
        return None;
    }
    Some(verdict.failures)
}

#[test]
fn no_power_cut_takes_an_acknowledged_count_or_doubles_a_token() {
    let Some(failures) = cuts(&binary(), "", CUTS) else { return };
    assert_eq!(failures, [""; 0]);
}

#[test]
fn what_is_not_on_the_disk_when_it_is_acknowledged_is_caught_by_a_cut() {
    for bug in ["ack_before_sync", "sync_nothing", "no_dir_sync"] {
        let Some(failures) = cuts(&CANARY, bug, CANARY_CUTS) else { return };
        // A token that is not known any more was acknowledged and lost, too, and so was what a later
        // frame says was durable before it: the node refuses to start on that.
        let lost = [
            "`acknowledged is there`",
            "`exactly once`",
            "`durable floor`",
            "`linearizable`",
            "`token repeat`",
            "`refused start`",
        ];
        let caught = failures.iter().any(|line| lost.iter().any(|check| line.contains(check)));
        assert!(caught, "{bug}: {failures:?}");
    }
}

#[test]
fn a_read_that_a_cut_takes_back_is_caught() {
    let Some(failures) = cuts(&CANARY, "read_not_held", CANARY_CUTS) else { return };
    let taken_back = ["`linearizable`", "`durable floor`"];
    let caught = failures.iter().any(|line| taken_back.iter().any(|check| line.contains(check)));
    assert!(caught, "{failures:?}");
}

#[test]
fn a_write_that_touches_what_is_durable_is_caught_by_a_cut() {
    let Some(failures) = cuts(&CANARY, "frame_touches_durable", CANARY_CUTS_RARE) else { return };
    assert!(!failures.is_empty(), "no cut shows it");
}

#[test]
fn the_canary_build_without_a_bug_survives_its_cuts() {
    let Some(failures) = cuts(&CANARY, "", CANARY_CUTS) else { return };
    assert_eq!(failures, [""; 0]);
}

#[test]
fn a_user_is_shown_what_holds_on_the_disk_in_question() {
    let folder = TempDir::new().expect("a temporary directory");
    let mut prove = Command::new(binary());
    prove.args(["prove", "--seconds", "3"]).arg(folder.path());
    let said = tool::output_of(&mut prove);
    assert!(said.contains("by a kill") && said.contains("held"), "{said}");
    let left = std::fs::read_dir(folder.path()).expect("the directory is there").count();
    assert_eq!(left, 0, "the directory is left as it was");
}

/// Demands that a directory is refused, with a word.
fn check_refused(dir: &Path, word: &str) {
    let output = Command::new(binary()).arg("prove").arg(dir).output().expect("the binary starts");
    let said = tool::text_of(&output);
    assert!(output.status.code() == Some(2) && said.contains(word), "{:?}: {said}", output.status);
}

#[test]
fn a_directory_that_cannot_be_used_is_refused_by_name() {
    check_refused(Path::new("/nowhere/at/all"), "/nowhere/at/all");
    let folder = TempDir::new().expect("a temporary directory");
    std::fs::write(folder.path().join("STORE"), "").expect("the directory takes a file");
    check_refused(folder.path(), "data directory of a node");
}
