//! The load generator beside others: what a request costs, how well moments are met, whether a stall is
//! told as it was, and what memory it keeps.
//!
//! The target of all rows is `quipu load stall`, which answers at once in one thread. A peer that is
//! not installed is named. Read `target` for it, `tool` for how generators are run; every row is a
//! file of its own.

mod cost;
mod pacing;
mod peers;
mod soak;
mod stall;
mod target;
mod tool;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::bench::options::RunOptions;
use crate::bench::row::{Page, Row};
use crate::bench::{machine, release_binary};

/// How to call it.
const USAGE: &str = "usage: cargo xtask bench load [options]

  --only NAME      one row: cost, pacing, stall or soak; may be repeated
  --quick          short runs, results beside the build: a trial
  --rounds N       interleaved rounds of cost, and tries of pacing (default 5)
  --quipu PATH     a binary instead of building one
  --dir PATH       where scenarios are kept (default: beside the build)
  --out PATH       folder for results (default docs/benchmarks)

Peers are found on the path: wrk, redis-benchmark, hey, oha, autocannon, k6.";

/// A row by its name.
type Measure = fn(&Bench) -> Result<Row>;

/// The rows in the order of a run.
const ROWS: [(&str, Measure); 4] =
    [("cost", cost::run), ("pacing", pacing::run), ("stall", stall::run), ("soak", soak::run)];

/// What every row gets.
#[derive(Debug)]
struct Bench {
    run: RunOptions,
    quipu: PathBuf,
    folder: PathBuf,
}

impl Bench {
    /// Seconds of something, or fewer in a trial.
    fn seconds(&self, whole: u64, quick: u64) -> u64 {
        if self.run.quick { quick } else { whole }
    }
}

fn parse(words: &[&str]) -> Result<(RunOptions, Vec<String>)> {
    let (mut run, mut only) = (RunOptions::new(5, "load"), Vec::new());
    run.read(words, USAGE, |option, words| {
        if option == "--only" {
            only.push(words.value()?.to_owned());
        }
        Ok(option == "--only")
    })?;
    let is_row = |name: &&String| ROWS.iter().any(|(row, _)| row == name);
    if let Some(unknown) = only.iter().find(|name| !is_row(name)) {
        bail!("there is no row {unknown}\n{USAGE}");
    }
    Ok((run, only))
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
    let (run, only) = parse(words)?;
    let folder = run.dir.join(machine::timestamp());
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let quipu = release_binary(run.quipu.as_deref())?;
    let environment = machine::describe(&folder, Some(&quipu))?;
    let described = json!({ "rounds": run.rounds, "is_trial": run.quick, "rows": only });
    let mut page = Page::new("The load generator", environment, described);
    let bench = Bench { run, quipu, folder };
    for (name, measure) in ROWS {
        if !only.is_empty() && !only.iter().any(|only| only == name) {
            continue;
        }
        println!("-- {name}");
        page.take(name, measure(&bench));
    }
    fs::remove_dir_all(&bench.folder)?;
    page.keep(&bench.run.out, "load")?;
    page.check()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn rows_are_chosen_by_name_and_wrong_ones_are_refused() {
        let (run, only) = parse(&["--only", "cost", "--rounds", "3"]).unwrap();
        assert_eq!((run.rounds, only), (3, vec!["cost".to_owned()]));
        for words in [&["--only", "x"][..], &["--only"], &["--x"]] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
