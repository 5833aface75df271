//! Calls of `cargo mutants`, and of the same tests without any mutation.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::checkout;
use crate::ci::cargo;
use crate::evidence::mutants::{MUTATED, Stage, file_of};

/// How long the tool may take to end its own children once it is interrupted. Guess.
const KILL_AFTER: &str = "--kill-after=30";

/// Mutations at a time. Measured: machines of continuous integration have two cores.
const JOBS: &str = "2";

/// What `timeout` answers when it ended what it started. Spec: its manual.
const TIMED_OUT: i32 = 124;

/// What the tool answers when it did its work: all caught, some missed, some without an end. Spec:
/// its manual.
const DONE: [i32; 3] = [0, 2, 3];

/// What can stand in a name of a mutation and means something else in a regular expression.
const SPECIAL: &str = r"\.+*?()|[]{}^$";

/// Lists mutations, one in a line.
///
/// # Errors
/// The tool does not start, or does not understand.
pub(super) fn list(arguments: &[&str]) -> Result<String> {
    let fixed = ["mutants", "--list", "--colors", "never"];
    checkout::output(&cargo(), &[&fixed[..], arguments].concat())
}

/// Builds and runs the tests of a stage without any mutation: what fails then shows nothing. False
/// where there is no time for that.
///
/// # Errors
/// They fail.
pub(super) fn is_ready(stage: &Stage, folder: &Path, until: Instant) -> Result<bool> {
    let mut command = bounded(until);
    command.args(["test", "--locked", "--profile", "mutants", "--tests"]);
    command.args(stage.packages.iter().flat_map(|package| ["--package", package]));
    let log = folder.join("without.log");
    let status = start(command, &log)?;
    match status {
        Some(0) => Ok(true),
        Some(TIMED_OUT) => Ok(false),
        _ => bail!("tests fail without any mutation: see {}", log.display()),
    }
}

/// Tries these mutations; the lists of the tool say what it found.
///
/// # Errors
/// The tool does not start, or fails itself.
pub(super) fn judge(stage: &Stage, folder: &Path, names: &[String], until: Instant) -> Result<()> {
    let mut command = bounded(until);
    command.args(["mutants", "--colors", "never"]).arg("--output").arg(folder);
    command.args(["--jobs", JOBS, "--test-package", &stage.packages.join(",")]);
    command.args(["--baseline", "skip", "--timeout", &stage.test_seconds_max.to_string()]);
    command.args(names.iter().flat_map(|name| ["--re".to_owned(), exactly(name)]));
    // The tool tries every deleted field of every file that is not excluded, whatever its name.
    command.args(others(names)?.iter().flat_map(|file| ["--exclude", file]));
    // Each mutation is one small change to a build of its own; other settings cost minutes.
    command.env_remove("CARGO_TARGET_DIR").env_remove("CARGO_INCREMENTAL");
    let log = folder.join("mutants.log");
    match start(command, &log)? {
        Some(code) if code == TIMED_OUT || DONE.contains(&code) => Ok(()),
        code => bail!("cargo mutants ended with {code:?}: see {}", log.display()),
    }
}

/// The mutated files of which none of `names` speaks.
fn others(names: &[String]) -> Result<Vec<String>> {
    let files = checkout::output("git", &[&["ls-files"][..], &MUTATED].concat())?;
    let is_named = |file: &&str| names.iter().any(|name| file_of(name) == *file);
    Ok(files.lines().filter(|file| !is_named(file)).map(str::to_owned).collect())
}

/// Cargo, interrupted when it is time.
fn bounded(until: Instant) -> Command {
    let seconds = until.saturating_duration_since(Instant::now()).as_secs();
    let mut command = Command::new("timeout");
    // No seconds would mean no bound.
    command.args(["--signal=INT", KILL_AFTER, &seconds.max(1).to_string()]).arg(cargo());
    command.current_dir(checkout::root());
    command
}

fn start(mut command: Command, log: &Path) -> Result<Option<i32>> {
    let log = File::create(log).with_context(|| format!("creating {}", log.display()))?;
    command.stdin(Stdio::null()).stderr(log.try_clone()?).stdout(log);
    Ok(command.status().context("starting cargo by timeout")?.code())
}

/// A regular expression that only this name matches.
fn exactly(name: &str) -> String {
    let escaped = name.chars().flat_map(|c| {
        let mark = SPECIAL.contains(c).then_some('\\');
        mark.into_iter().chain([c])
    });
    format!("^{}$", escaped.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_matched_and_not_read() {
        let check = |name: &str, expected: &str| assert_eq!(exactly(name), expected);
        check("a.rs:1:2: replace < with <= in f", r"^a\.rs:1:2: replace < with <= in f$");
        check("Result<(), E> with Ok(())", r"^Result<\(\), E> with Ok\(\(\)\)$");
    }
}
