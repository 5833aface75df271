//! The ingest of a web server's log against awk counting the same file, in one run, interleaved.
//!
//! What exactly-once costs is measured on two calls of one build with the feature `canary`: with
//! its streams, and with `QUIPU_CANARY=no_streams`, which sends the same sums without them.

mod log;
mod page;
mod side;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::bench::ingest::page::Results;
use crate::bench::ingest::side::{Cell, Place, Side};
use crate::bench::{build_folder, machine, timestamp};
use crate::checkout;
use crate::ci::cargo;

/// How to call it.
pub(crate) const USAGE: &str = "usage: cargo xtask bench ingest [options]

  --quick          one round over 200,000 lines, results beside the build: a trial
  --rounds N       interleaved rounds (default 5)
  --lines N        lines of the log (default 5,000,000: awk takes a few seconds)
  --quipu PATH     a binary instead of building one
  --canary PATH    a binary with the feature `canary` instead of building one
  --dir PATH       where log and nodes are kept (default: beside the build)
  --out PATH       folder for results (default docs/benchmarks)";

/// What a run does.
#[derive(Debug, Clone, PartialEq)]
struct Options {
    rounds: usize,
    lines: u64,
    quipu: Option<PathBuf>,
    canary: Option<PathBuf>,
    dir: PathBuf,
    out: PathBuf,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Self> {
        let build = build_folder().join("bench");
        let out = checkout::root().join("docs/benchmarks");
        let dir = build.join("ingest");
        let mut options = Self { rounds: 5, lines: 5_000_000, quipu: None, canary: None, dir, out };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match *word {
                "--quick" => {
                    (options.rounds, options.lines, options.out) = (1, 200_000, build.clone());
                }
                "--rounds" => options.rounds = value()?.parse().context("--rounds")?,
                "--lines" => options.lines = value()?.parse().context("--lines")?,
                "--quipu" => options.quipu = Some(PathBuf::from(value()?)),
                "--canary" => options.canary = Some(PathBuf::from(value()?)),
                "--dir" => options.dir = PathBuf::from(value()?),
                "--out" => options.out = PathBuf::from(value()?),
                unknown => bail!("unknown option {unknown}\n{USAGE}"),
            }
        }
        ensure!(options.rounds > 0 && options.lines > 0, "--rounds and --lines are more than zero");
        Ok(options)
    }
}

/// Measures, prints and keeps the results.
///
/// # Errors
/// A program is missing or fails, or two sides count differently. A missed bar is a result and no
/// error.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let options = Options::parse(words)?;
    let folder = options.dir.join(timestamp());
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let place = Place {
        quipu: binary(options.quipu.as_ref(), &[], "")?,
        canary: binary(options.canary.as_ref(), &["--features", "canary"], "canary")?,
        log: folder.join("access.log"),
        folder: folder.clone(),
    };
    let bytes = log::write(&place.log, options.lines)?;
    let mut environment = machine::describe(&folder, Some(&place.quipu))?;
    if let Value::Object(fields) = &mut environment {
        fields.insert("log".to_owned(), json!({ "lines": options.lines, "bytes": bytes }));
        fields.insert("programs".to_owned(), side::programs());
    }
    let cells = rounds(&options, &place)?;
    fs::remove_dir_all(&folder)?;
    let results = Results { environment, lines: options.lines, rounds: options.rounds, cells };
    let page = page::render(&results);
    println!("\n{page}");
    keep(&options, &results, &page)
}

fn binary(given: Option<&PathBuf>, features: &[&str], folder: &str) -> Result<PathBuf> {
    if let Some(given) = given {
        return given.canonicalize().with_context(|| format!("{}", given.display()));
    }
    let target = build_folder().join(folder);
    let at = target.to_string_lossy();
    let arguments = ["build", "--release", "--package", "quipu", "--target-dir", &at];
    checkout::run(&cargo(), &[&arguments[..], features].concat(), &[])?;
    Ok(target.join("release/quipu"))
}

/// Every side takes part in every round, in turn forwards and backwards.
fn rounds(options: &Options, place: &Place) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    let mut expected: Option<BTreeMap<String, i64>> = None;
    for round in 0..options.rounds {
        let mut sides = Side::ALL.to_vec();
        if round % 2 == 1 {
            sides.reverse();
        }
        for side in sides {
            let Some((mut cell, counts)) = side.measure(place)? else { continue };
            cell.round = round;
            let lines = options.lines as f64;
            println!(
                "round {} {:<40} {:.2} s, {:.0} lines/s, CPU {:.2} s",
                round + 1,
                side.name(),
                cell.seconds,
                lines / cell.seconds,
                cell.cpu_seconds()
            );
            let first = expected.get_or_insert_with(|| counts.clone());
            ensure!(*first == counts, "{} counts otherwise than the side before", side.name());
            cells.push(cell);
        }
    }
    Ok(cells)
}

fn keep(options: &Options, results: &Results, page: &str) -> Result<()> {
    fs::create_dir_all(&options.out)?;
    let stem = options.out.join(format!("ingest-{}", results.started()));
    for (extension, text) in [("json", results.to_json()?), ("md", page.to_owned())] {
        let path = stem.with_extension(extension);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let options = Options::parse(&["--rounds", "3", "--lines", "9"]).unwrap();
        assert_eq!((options.rounds, options.lines), (3, 9));
        assert!(!Options::parse(&["--quick"]).unwrap().out.ends_with("docs/benchmarks"));
        for words in [&["--x"][..], &["--lines"], &["--lines", "0"], &["--rounds", "0"]] {
            assert!(Options::parse(words).is_err(), "{words:?}");
        }
    }
}
