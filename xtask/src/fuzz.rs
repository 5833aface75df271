//! The fuzz targets, searched by libFuzzer.
//!
//! The programs are built once into a target folder of their own. Each search works on a copy of
//! the corpus beside the build, which grows over the runs; the checkout changes only by
//! `--minimize`.

mod corpus;
mod search;

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, bail};

use crate::checkout;
use crate::ci::cargo;
use crate::evidence::report::Report;

use self::search::{Found, Search};

/// How to call it.
pub(crate) const USAGE: &str = "usage: cargo xtask fuzz [options]

  --seconds N   most time of each target (default 10, or as long as --count takes)
  --count N     executions of each target
  --first N     the seed of the search (default 1)
  --jobs N      targets that are searched at once (default 1)
  --only NAME   one target
  --minimize    afterwards put what was found into fuzz/corpus, as far as it is small";

/// What a run does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    seconds: Option<u64>,
    count: Option<u64>,
    first: u64,
    jobs: usize,
    only: Option<String>,
    minimize: bool,
}

/// Seconds of each target where nothing is said. Guess: enough to pass over the corpus and go on.
const SECONDS: u64 = 10;

/// Folders of one run.
#[derive(Debug)]
struct Places {
    /// The workspace of the targets.
    sources: PathBuf,
    /// What is built, and the corpora that grow.
    build: PathBuf,
    /// The programs.
    programs: PathBuf,
}

impl Options {
    /// Reads the options; none where they are not understood.
    pub(crate) fn parse(words: &[&str]) -> Option<Self> {
        let mut options =
            Self { seconds: None, count: None, first: 1, jobs: 1, only: None, minimize: false };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut number = || words.next()?.parse::<u64>().ok().filter(|n| *n > 0);
            match *word {
                "--seconds" => options.seconds = Some(number()?),
                "--count" => options.count = Some(number()?),
                "--first" => options.first = number()?,
                "--jobs" => options.jobs = usize::try_from(number()?).ok()?,
                "--only" => options.only = Some((*words.next()?).to_owned()),
                "--minimize" => options.minimize = true,
                _ => return None,
            }
        }
        Some(options)
    }

    fn search<'a>(&self, places: &'a Places, target: &'a str) -> Search<'a> {
        let seconds = match (self.seconds, self.count) {
            (None, None) => Some(SECONDS),
            (seconds, _) => seconds,
        };
        Search { places, target, seconds, count: self.count, seed: self.first }
    }
}

/// Searches as the words say, and prints what was found; false where the words are not understood
/// or something is broken.
///
/// # Errors
/// As [`run`].
pub(crate) fn command(words: &[&str]) -> Result<bool> {
    let Some(options) = Options::parse(words) else {
        eprintln!("{USAGE}");
        return Ok(false);
    };
    let found = run(&options)?;
    println!("{}", found.line());
    Ok(found.failures.is_empty())
}

/// Builds the programs, where they can be built.
///
/// # Errors
/// They cannot be built.
pub(crate) fn prepare() -> Result<()> {
    if has_compiler() { build(&Places::new(&host()?)) } else { Ok(()) }
}

/// Searches every target for its part of so many seconds.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_for(seconds: u64, seed: u64) -> Result<Report> {
    let places = Places::new(&host()?);
    let count = targets(&places, None)?.len().max(1) as u64;
    let seconds = Some((seconds / count).max(1));
    let first = seed + 1;
    run(&Options { seconds, count: None, first, jobs: 1, only: None, minimize: false })
}

fn has_compiler() -> bool {
    Command::new("c++").arg("--version").output().is_ok()
}

/// Searches the targets.
///
/// # Errors
/// There is no such target, or the programs cannot be built or started.
pub(crate) fn run(options: &Options) -> Result<Report> {
    let mut evidence = Report { runner: "fuzz".to_owned(), ..Report::default() };
    if !has_compiler() {
        evidence.skipped.push("fuzz: there is no C++ compiler to build libFuzzer with".to_owned());
        return Ok(evidence);
    }
    let places = Places::new(&host()?);
    let targets = targets(&places, options.only.as_deref())?;
    build(&places)?;
    let found = search_all(options, &places, &targets)?;
    let mut least = u64::MAX;
    for (target, found) in &found {
        note(&mut evidence, target, found);
        least = least.min(found.executions);
    }
    let total: u64 = found.iter().map(|(_, found)| found.executions).sum();
    let figures = [("targets", found.len() as u64), ("executions", total), ("least", least)];
    evidence.figures.extend(figures.map(|(name, n)| (name.to_owned(), n)));
    if options.minimize {
        for target in &targets {
            corpus::minimize(&places, target)?;
        }
    }
    Ok(evidence)
}

fn note(evidence: &mut Report, target: &str, found: &Found) {
    let Found { executions, edges, features, inputs, .. } = found;
    for (what, n) in
        [("executions", executions), ("edges", edges), ("features", features), ("inputs", inputs)]
    {
        evidence.figures.insert(format!("{target}.{what}"), *n);
    }
    let line = |failure: &String| format!("{target}: {failure}");
    evidence.failures.extend(found.failures.iter().map(line));
}

impl Places {
    fn new(host: &str) -> Self {
        let root = checkout::root();
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let build = root.join(target.unwrap_or_else(|| PathBuf::from("target"))).join("fuzz");
        let programs = build.join(host).join("release");
        Self { sources: root.join("fuzz"), build, programs }
    }
}

/// Returns the platform of the toolchain: naming it keeps build scripts without instrumentation.
fn host() -> Result<String> {
    let told = checkout::output("rustc", &["-vV"])?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say its host")?.to_owned())
}

/// Returns the names of the targets: those of their programs.
fn targets(places: &Places, only: Option<&str>) -> Result<Vec<String>> {
    let folder = places.sources.join("targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.retain(|name| only.is_none_or(|only| only == name));
    names.sort();
    if names.is_empty() {
        bail!("there is no fuzz target {}", only.unwrap_or("at all"));
    }
    Ok(names)
}

fn build(places: &Places) -> Result<()> {
    eprintln!("building the fuzz targets into {}", places.build.display());
    let mut command = Command::new(cargo());
    command.current_dir(&places.sources).args(["build", "--release", "--locked", "--quiet"]);
    command.args(["--features", "libfuzzer", "--bins", "--target"]).arg(host()?);
    command.env("CARGO_TARGET_DIR", &places.build).env("CARGO_INCREMENTAL", "0");
    command.env("RUSTFLAGS", "--cfg fuzzing");
    command.env("RUSTC_WRAPPER", places.sources.join("instrument.sh"));
    let status = command.status().context("starting cargo")?;
    if !status.success() {
        bail!("building the fuzz targets ended with {status}");
    }
    Ok(())
}

/// Searches as many targets at once as there are jobs; the results are in the targets' order.
fn search_all(
    options: &Options,
    places: &Places,
    targets: &[String],
) -> Result<Vec<(String, Found)>> {
    let waiting: Mutex<VecDeque<&String>> = Mutex::new(targets.iter().collect());
    let next = || waiting.lock().ok()?.pop_front();
    let work = || -> Result<Vec<(String, Found)>> {
        let mut done = Vec::new();
        while let Some(target) = next() {
            done.push((target.clone(), options.search(places, target).run()?));
        }
        Ok(done)
    };
    let mut found = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.jobs).map(|_| scope.spawn(work)).collect();
        let results = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| bail!("a thread of the search panicked"))
        });
        results.collect::<Result<Vec<_>>>()
    })?
    .concat();
    found.sort_by(|left, right| left.0.cmp(&right.0));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::Options;

    fn check(line: &str, expected: Option<&Options>) {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(Options::parse(&words).as_ref(), expected, "{line}");
    }

    #[test]
    fn options_are_numbers_a_name_and_a_switch() {
        let none =
            Options { seconds: None, count: None, first: 1, jobs: 1, only: None, minimize: false };
        check("", Some(&none));
        check("--seconds 5 --jobs 2", Some(&Options { seconds: Some(5), jobs: 2, ..none.clone() }));
        check("--count 9 --first 3", Some(&Options { count: Some(9), first: 3, ..none.clone() }));
        let only = Some("record".to_owned());
        check("--only record --minimize", Some(&Options { only, minimize: true, ..none }));
        for wrong in ["--seconds", "--seconds 0", "--count x", "--only", "--fast"] {
            check(wrong, None);
        }
    }
}
