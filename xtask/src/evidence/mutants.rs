//! Mutations of core and log, by `cargo mutants`: each must fail a test or be explained.
//!
//! Files and tests are chosen in `.cargo/mutants.toml`. The tool keeps its lists up to date while it
//! works, so a run that is ended at its time still says what it found.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::bench::build_folder;
use crate::checkout;
use crate::ci::cargo;
use crate::evidence::report::Report;

/// Where survivors are explained, by the text that the tool prints for them.
const EXPLAINED: &str = "docs/mutants.md";

/// What is mutated.
const MUTATED: [&str; 2] = ["crates/quipu-core/src", "crates/quipu-log/src"];

/// How long the tool may take to end its own children once it is interrupted. Guess.
const KILL_AFTER: &str = "--kill-after=30";

/// The lists that the tool keeps, and what each means.
const LISTS: [(&str, &str); 4] = [
    ("caught.txt", "mutants_caught"),
    ("missed.txt", "mutants_missed"),
    ("timeout.txt", "mutants_caught"),
    ("unviable.txt", "mutants_unviable"),
];

/// Which mutations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All that `.cargo/mutants.toml` names.
    All,
    /// Those in lines that changed since evidence was last recorded.
    Changed,
}

/// Says whether the tool is there.
///
/// # Errors
/// It is not.
pub(crate) fn prepare() -> Result<()> {
    checkout::output(&cargo(), &["mutants", "--version"])
        .map(drop)
        .context("mutations need cargo-mutants: cargo install --locked cargo-mutants")
}

/// Tries mutations for so many seconds.
///
/// # Errors
/// The tool does not start, or its lists cannot be read.
pub(crate) fn run(name: &str, scope: Scope, seconds: u64) -> Result<Report> {
    let folder = build_folder().join("evidence").join(name);
    fs::create_dir_all(&folder)?;
    let mut command = Command::new("timeout");
    command.args(["--signal=INT", KILL_AFTER, &seconds.to_string()]).arg(cargo());
    command.current_dir(checkout::root()).args(["mutants", "--no-shuffle", "--colors", "never"]);
    command.arg("--output").arg(&folder);
    if scope == Scope::Changed {
        let Some(patch) = changes(&folder)? else {
            return Ok(Report { runner: name.to_owned(), ..Report::default() });
        };
        command.arg("--in-diff").arg(patch);
    }
    command.stdin(Stdio::null()).stdout(File::create(folder.join("log"))?).stderr(Stdio::null());
    // Its end says whether something was missed, which its lists say too.
    let _status = command.status().context("starting cargo mutants by timeout")?;
    let explained = fs::read_to_string(checkout::root().join(EXPLAINED)).unwrap_or_default();
    read_lists(name, &folder.join("mutants.out"), &explained)
}

/// The changes to what is mutated since evidence was last recorded, as a file; none where nothing
/// changed.
fn changes(folder: &Path) -> Result<Option<PathBuf>> {
    let log = ["log", "-1", "--format=%H", "--", "docs/evidence/evidence.json"];
    let base = checkout::output("git", &log)?;
    let base = base.trim();
    if base.is_empty() {
        return Ok(None);
    }
    let patch = checkout::output("git", &[&["diff", base, "--"][..], &MUTATED].concat())?;
    let path = folder.join("changes.patch");
    fs::write(&path, &patch)?;
    Ok((!patch.is_empty()).then_some(path))
}

fn read_lists(name: &str, folder: &Path, explained: &str) -> Result<Report> {
    let mut report = Report { runner: name.to_owned(), ..Report::default() };
    for (file, figure) in LISTS {
        let path = folder.join(file);
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let count = text.lines().count() as u64;
        *report.figures.entry(figure.to_owned()).or_default() += count;
        if figure == "mutants_missed" {
            let open = text.lines().filter(|line| !is_explained(line, explained));
            report.failures.extend(open.map(|line| format!("not noticed: {line}")));
        }
    }
    let of = |figure: &str| report.figures.get(figure).copied().unwrap_or(0);
    let total = of("mutants_caught") + of("mutants_missed");
    report.figures.insert("mutants_total".to_owned(), total);
    Ok(report)
}

/// Whether a survivor is explained: by its file and what was changed, without line and column, which
/// move.
fn is_explained(line: &str, explained: &str) -> bool {
    let file = line.split(':').next().unwrap_or_default();
    let change = line.splitn(4, ':').nth(3).unwrap_or(line).trim();
    explained.lines().any(|row| row.contains(file) && row.contains(change))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: bool) {
        let explained = "| crates/a/src/b.rs | `replace < with <= in f` | equal never comes |";
        assert_eq!(is_explained(line, explained), expected, "{line}");
    }

    #[test]
    fn a_survivor_is_explained_by_its_file_and_change() {
        check("crates/a/src/b.rs:10:7: replace < with <= in f", true);
        check("crates/a/src/b.rs:99:1: replace < with <= in f", true);
        check("crates/a/src/b.rs:10:7: replace < with > in f", false);
        check("crates/a/src/c.rs:10:7: replace < with <= in f", false);
    }
}
