//! `quipu prove`, and power cuts of real nodes.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use quipu_proof::campaign::Campaign;
use quipu_proof::trial::End;
use tempfile::TempDir;

use crate::node::binary;
use crate::tool;

/// Power cuts in continuous integration: some seconds.
const CUTS: u64 = 60;

fn cuts(program: PathBuf, folder: &TempDir) -> Vec<String> {
    let campaign = Campaign {
        program,
        folder: folder.path().to_path_buf(),
        end: End::Cut,
        first: 1,
        count: CUTS,
        time: Duration::from_secs(120),
        jobs: 1,
    };
    let verdict = campaign.run(&|_| {});
    if let Some(why) = verdict.skipped.first() {
        tool::missing(why);
        return Vec::new();
    }
    verdict.failures
}

#[test]
fn no_power_cut_takes_an_acknowledged_count_or_doubles_a_token() {
    let folder = TempDir::new().expect("a temporary directory");
    assert_eq!(cuts(binary(), &folder), [""; 0]);
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

#[test]
fn a_directory_that_is_not_there_is_refused_by_name() {
    let mut prove = Command::new(binary());
    prove.args(["prove", "/nowhere/at/all"]);
    let output = prove.output().expect("the binary starts");
    let said = tool::text_of(&output);
    assert!(!output.status.success() && said.contains("/nowhere/at/all"), "{said}");
}
