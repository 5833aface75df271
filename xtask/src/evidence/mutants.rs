//! Mutations of core and log, by `cargo mutants`: each must fail a test or be explained.
//!
//! What is mutated at all is chosen in `.cargo/mutants.toml`. A mutation is judged by the nearest
//! tests first, which are quick to build; only what these let through is judged by all others.
//! Verdicts are kept while nothing changes, so a run that is ended at its time says what it found,
//! and the next one goes on from there.

mod tool;
mod verdicts;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::bench::build_folder;
use crate::checkout;
use crate::ci::cargo;
use crate::evidence::mutants::verdicts::{Verdict, Verdicts};
use crate::evidence::report::Report;

/// Where survivors are explained, by the text that the tool prints for them.
const EXPLAINED: &str = "docs/mutants.md";

/// What is mutated.
const MUTATED: [&str; 2] = ["crates/quipu-core/src", "crates/quipu-log/src"];

/// The fold, its composition, tokens and recovery: what is tried to the end first.
const CLOSE: [&str; 8] = [
    "crates/quipu-core/src/effect.rs",
    "crates/quipu-core/src/replay.rs",
    "crates/quipu-core/src/snapshot.rs",
    "crates/quipu-core/src/stream.rs",
    "crates/quipu-core/src/token.rs",
    "crates/quipu-log/src/fold/changes.rs",
    "crates/quipu-log/src/fold/merge.rs",
    "crates/quipu-log/src/wal/recovery.rs",
];

/// Some tests, and the mutations that they judge.
#[derive(Debug)]
struct Stage {
    /// Its name, and that of its folder.
    name: &'static str,
    /// Where the mutations are.
    mutated: &'static str,
    /// Whose tests judge.
    packages: &'static [&'static str],
    /// When a mutation is taken for one that never ends, which is noticed. Guess: some twenty
    /// times what the tests take.
    test_seconds_max: u64,
}

/// The nearest tests.
const NEAREST: [Stage; 2] = [
    Stage {
        name: "core",
        mutated: "crates/quipu-core/",
        packages: &["quipu-core", "quipu-model"],
        test_seconds_max: 60,
    },
    Stage {
        name: "log",
        mutated: "crates/quipu-log/",
        packages: &["quipu-log"],
        test_seconds_max: 60,
    },
];

/// All others that could tell: they judge what the nearest let through.
const OTHERS: Stage = Stage {
    name: "others",
    mutated: "crates/",
    packages: &["quipu-core", "quipu-model", "quipu-log", "quipu-sim"],
    test_seconds_max: 600,
};

/// Which mutations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those of the fold, its composition, tokens and recovery.
    Close,
    /// All others of core and log.
    Rest,
    /// Those in lines that changed since evidence was last recorded.
    Changed,
}

impl Scope {
    fn takes(self, name: &str) -> bool {
        let is_close = CLOSE.contains(&file_of(name));
        match self {
            Self::Close => is_close,
            Self::Rest => !is_close,
            Self::Changed => true,
        }
    }
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
/// The tool does not start, its lists cannot be read, or the tests fail without any mutation.
pub(crate) fn run(name: &str, scope: Scope, seconds: u64) -> Result<Report> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let folder = build_folder().join("evidence").join(name);
    verdicts::open(&folder, &sources()?)?;
    let mutations = mutations(scope, &folder)?;
    let mut all = Verdicts::default();
    for stage in &NEAREST {
        all.extend(judge(stage, &folder, &mutations, deadline)?);
    }
    let survivors = all.take(Verdict::Missed);
    all.extend(judge(&OTHERS, &folder, &survivors, deadline)?);
    let explained = fs::read_to_string(checkout::root().join(EXPLAINED)).unwrap_or_default();
    Ok(report(name, &mutations, &all, &explained))
}

/// Judges those of `mutations` that belong to a stage and are not judged yet, while there is time.
fn judge(stage: &Stage, folder: &Path, mutations: &[String], until: Instant) -> Result<Verdicts> {
    let folder = folder.join(stage.name);
    fs::create_dir_all(&folder)?;
    let mut known = Verdicts::read(&folder)?;
    let of_stage = || mutations.iter().filter(|name| name.starts_with(stage.mutated));
    let open: Vec<_> = of_stage().filter(|name| known.get(name).is_none()).cloned().collect();
    if !open.is_empty() && tool::is_ready(stage, &folder, until)? {
        tool::judge(stage, &folder, &open, until)?;
        known = Verdicts::read(&folder)?;
    }
    known.keep(of_stage());
    Ok(known)
}

/// What verdicts depend on: the sources of all that is built, as text.
fn sources() -> Result<String> {
    let listed = checkout::output("git", &["ls-files", "-s", "crates", "Cargo.*", ".cargo"])?;
    Ok(listed + &checkout::output("git", &["diff", "--", "crates", "Cargo.toml", ".cargo"])?)
}

fn mutations(scope: Scope, folder: &Path) -> Result<Vec<String>> {
    let listed = if scope == Scope::Changed {
        let Some(patch) = changes(folder)? else { return Ok(Vec::new()) };
        tool::list(&["--in-diff", &patch.to_string_lossy()])?
    } else {
        tool::list(&[])?
    };
    Ok(listed.lines().filter(|name| scope.takes(name)).map(str::to_owned).collect())
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

fn report(runner: &str, mutations: &[String], all: &Verdicts, explained: &str) -> Report {
    let missed: Vec<_> = all.of(Verdict::Missed).collect();
    let open = unexplained(&missed, explained);
    let unviable = all.of(Verdict::Unviable).count();
    let timeouts = all.of(Verdict::Timeout).count();
    let left: Vec<_> = mutations.iter().filter(|name| all.get(name).is_none()).collect();
    let figures = [
        ("mutants_total", mutations.len() - unviable),
        ("mutants_caught", all.of(Verdict::Caught).count() + timeouts),
        ("mutants_timeouts", timeouts),
        ("mutants_unviable", unviable),
        ("mutants_missed", missed.len()),
        ("mutants_explained", missed.len() - open.len()),
        ("mutants_left", left.len()),
    ];
    let figures = figures.into_iter().map(|(figure, count)| (figure.to_owned(), count as u64));
    let skipped = left.first().map(|first| {
        format!("there was no time for {} mutations, of which the first is {first}", left.len())
    });
    Report {
        runner: runner.to_owned(),
        figures: figures.collect(),
        failures: open.iter().map(|name| format!("not noticed: {name}")).collect(),
        skipped: skipped.into_iter().collect(),
        ..Report::default()
    }
}

/// The survivors that are not explained. A row explains one mutation, by its file and what was
/// changed, without line and column, which move.
fn unexplained<'a>(missed: &[&'a str], explained: &str) -> Vec<&'a str> {
    let mut rows: Vec<_> = explained.lines().filter(|row| row.starts_with('|')).collect();
    let mut open = missed.to_vec();
    open.retain(|name| {
        let change = format!("`{}`", change_of(name));
        let found = rows.iter().position(|r| r.contains(file_of(name)) && r.contains(&change));
        found.map(|row| rows.remove(row)).is_none()
    });
    open
}

fn file_of(name: &str) -> &str {
    name.split(':').next().unwrap_or_default()
}

fn change_of(name: &str) -> &str {
    name.splitn(4, ':').nth(3).unwrap_or(name).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "crates/quipu-core/src/token.rs:10:7: replace < with <= in f";
    const B: &str = "crates/quipu-core/src/token.rs:99:1: replace < with <= in f";
    const C: &str = "crates/quipu-log/src/wal.rs:10:7: replace < with <= in f";
    const ROW: &str =
        "| crates/quipu-core/src/token.rs | `replace < with <= in f` | never equal |\n";

    fn check(missed: &[&str], explained: &str, expected: &[&str]) {
        assert_eq!(unexplained(missed, explained), expected, "{explained}");
    }

    #[test]
    fn a_row_explains_one_survivor_by_its_file_and_change() {
        check(&[A], ROW, &[]);
        check(&[B], ROW, &[]);
        check(&[A, B], ROW, &[B]);
        check(&[A, B], &ROW.repeat(2), &[]);
        check(&[C], ROW, &[C]);
        check(
            &["crates/quipu-core/src/token.rs:1:1: replace < with <"],
            ROW,
            &["crates/quipu-core/src/token.rs:1:1: replace < with <"],
        );
    }

    #[test]
    fn what_is_close_and_the_rest_are_all_there_is() {
        for name in [A, B, C] {
            assert_ne!(Scope::Close.takes(name), Scope::Rest.takes(name), "{name}");
            assert!(Scope::Changed.takes(name));
        }
        for file in CLOSE {
            assert!(checkout::root().join(file).is_file(), "{file}");
        }
    }

    #[test]
    fn what_was_not_judged_is_no_success() {
        let mut all = Verdicts::default();
        all.put(A, Verdict::Caught);
        all.put(B, Verdict::Missed);
        let mutations = [A, B, C].map(str::to_owned);
        let report = report("mutants", &mutations, &all, "");
        let figure = |name: &str| report.figures[name];
        assert_eq!((figure("mutants_total"), figure("mutants_caught")), (3, 1));
        assert_eq!((figure("mutants_missed"), figure("mutants_left")), (1, 1));
        assert_eq!(report.failures, [format!("not noticed: {B}")]);
        assert!(report.skipped[0].contains(C), "{:?}", report.skipped);
    }
}
