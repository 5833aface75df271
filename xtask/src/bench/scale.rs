//! What ten million counters cost: memory, restart, tokens, HTTP, growth, CPU, disk, each against a
//! peer in the same run.
//!
//! Every row is a file of its own with a `run` that measures both sides in turn, and can be run
//! alone. Read `row` for what a row is, `process` for how servers are started, `sweep` for the
//! client.

mod cpu;
mod disk;
mod growth;
mod http;
mod memory;
mod restart;
mod sweep;
mod synclog;
mod token;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::bench::options::RunOptions;
use crate::bench::row::{Page, Row};
use crate::bench::{machine, parse, release_binary};

/// How to call it.
pub(crate) const USAGE: &str = "usage: cargo xtask bench scale [options]

  --only NAME      one row: memory, restart, token, http, growth, cpu or disk; may be repeated
  --quick          few counters, one short round, results beside the build: a trial
  --counters N     how many counters are many (default 10000000)
  --rounds N       interleaved rounds of rows that need no growth (default 3)
  --seconds N      time of each cell of those rows (default 4)
  --quipu PATH     a binary instead of building one
  --dir PATH       where the servers keep their data (default: beside the build)
  --out PATH       folder for results (default docs/benchmarks)";

/// What a run does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Options {
    run: RunOptions,
    only: Vec<String>,
    counters: u64,
    seconds: f64,
}

/// A row by its name.
type Measure = fn(&Bench<'_>) -> Result<Row>;

/// The rows in the order of a run.
const ROWS: [(&str, Measure); 7] = [
    ("memory", memory::run),
    ("restart", restart::run),
    ("token", token::run),
    ("http", http::run),
    ("growth", growth::run),
    ("cpu", cpu::run),
    ("disk", disk::run),
];

/// What every row gets.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    options: &'a Options,
    quipu: PathBuf,
    folder: PathBuf,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Self> {
        let (mut only, mut counters, mut seconds) = (Vec::new(), None, None);
        let mut run = RunOptions::new(3, "data");
        run.read(words, USAGE, |option, words| {
            match option {
                "--only" => only.push(words.value()?.to_owned()),
                "--counters" => counters = Some(words.number()?),
                "--seconds" => seconds = Some(words.number()?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let (usual, time) = if run.quick { (200_000, 1.0) } else { (10_000_000, 4.0) };
        let (counters, seconds) = (counters.unwrap_or(usual), seconds.unwrap_or(time));
        Self { run, only, counters, seconds }.check()
    }

    fn check(self) -> Result<Self> {
        let is_row = |name: &&String| ROWS.iter().any(|(row, _)| row == name);
        if let Some(unknown) = self.only.iter().find(|name| !is_row(name)) {
            bail!("there is no row {unknown}\n{USAGE}");
        }
        if self.counters < 1000 || self.seconds.is_nan() || self.seconds <= 0.0 {
            bail!("at least 1000 counters and a time above zero");
        }
        Ok(self)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

/// Measures, prints and keeps the results.
///
/// # Errors
/// A row failed; the others are measured and kept all the same. A missed bar is no error.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    if words.contains(&"--help") {
        println!("{USAGE}");
        return Ok(());
    }
    let options = Options::parse(words)?;
    let folder = options.run.dir.join(machine::timestamp());
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let quipu = release_binary(options.run.quipu.as_deref())?;
    let environment = machine::describe(&folder, Some(&quipu))?;
    let mut page = Page::new("Scale and speed", environment, describe(&options));
    let bench = Bench { options: &options, quipu, folder };
    for (name, measure) in ROWS.iter().filter(|(name, _)| options.wants(name)) {
        println!("-- {name}");
        page.take(name, measure(&bench));
        bench.tidy()?;
    }
    fs::remove_dir_all(&bench.folder)?;
    page.keep(&options.run.out, "scale")?;
    page.check()
}

impl Bench<'_> {
    /// A folder for one server of a row.
    fn folder(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Removes what a row left, so that the disk never holds more than one row.
    fn tidy(&self) -> Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            remove(&entry?.path())?;
        }
        Ok(())
    }
}

/// Runs `redis-benchmark -c 50 INCR key:__rand_int__` over so many keys and returns its requests per second.
fn redis_benchmark(port: u16, pipeline: u32, keys: u64, requests: u64) -> Result<f64> {
    let mut command = Command::new("redis-benchmark");
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-c", "50", "--csv"]);
    command.args(["-P", &pipeline.to_string(), "-r", &keys.to_string()]);
    // The names that `sweep` makes.
    command.args(["-n", &requests.to_string(), "INCR", "key:__rand_int__"]);
    let output = command.output().context("starting redis-benchmark")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        bail!("redis-benchmark ended with {}: {said}{text}", output.status);
    }
    parse::requests_per_second(&text).with_context(|| format!("redis-benchmark: {said}{text}"))
}

/// Removes a file or a folder.
fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.with_context(|| format!("removing {}", path.display()))
}

/// The options as they stand in the results.
fn describe(options: &Options) -> serde_json::Value {
    json!({
        "counters": options.counters,
        "rounds": options.run.rounds,
        "seconds_per_cell": options.seconds,
        "is_trial": options.run.quick,
        "rows": options.only,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chosen_by_name() {
        let options = Options::parse(&["--only", "memory", "--only", "disk"]).unwrap();
        let chosen: Vec<&str> =
            ROWS.iter().map(|(name, _)| *name).filter(|name| options.wants(name)).collect();
        assert_eq!(chosen, ["memory", "disk"]);
        assert!(Options::parse(&[]).unwrap().wants("http"));
    }

    #[test]
    fn a_trial_has_few_counters() {
        assert!(Options::parse(&["--quick"]).unwrap().counters < 1_000_000);
    }

    #[test]
    fn wrong_options_are_refused() {
        for words in [&["--counters", "9"][..], &["--seconds", "0"], &["--only", "x"]] {
            assert!(Options::parse(words).is_err(), "{words:?}");
        }
    }
}
