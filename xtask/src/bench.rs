//! The comparison with Redis: every side in one run, interleaved, printed as ratios against bars.
//!
//! A black box: servers are processes, redis-benchmark is the client, the kernel tells the CPU.
//! What is missed is printed as missed, and what makes a run doubtful is printed with it.
//! Read `bars` for what is compared, `cell` and `reader` for how, `report` for what follows from it.

mod bars;
mod cell;
mod commit;
mod connection;
mod ingest;
mod load;
mod machine;
mod options;
mod page;
mod parse;
mod process;
mod reader;
mod report;
mod rounds;
mod row;
mod scale;
mod server;
mod statistics;

pub(crate) use self::machine::timestamp;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::bench::options::RunOptions;
use crate::bench::report::Results;
use crate::bench::server::Quipu;
use crate::checkout;
use crate::ci::cargo;

/// How to call it.
const USAGE: &str = "usage: cargo xtask bench [options] [-- flags of `quipu serve`]
       cargo xtask bench scale [options]   ten million counters (scale --help for its options)
       cargo xtask bench commit [options]  who syncs, measured (commit --help for its options)
       cargo xtask bench ingest [options]  the ingest beside awk (ingest --help for its options)
       cargo xtask bench load [options]    the load generator beside others (load --help)

  --quick          one round of 1 s per cell, results beside the build: a trial, not a measurement
  --rounds N       interleaved rounds (default 5)
  --seconds N      least time of each cell (default 5)
  --quipu PATH     a binary instead of building one
  --dir PATH       where the servers keep their data (default: beside the build)
  --out PATH       folder for results (default docs/benchmarks)
  --only PART      throughput or reader
  --peers-only     Redis alone: shows the noise of the machine";

/// What a run does.
#[derive(Debug, Clone, PartialEq)]
struct Options {
    run: RunOptions,
    seconds: f64,
    throughput: bool,
    reader: bool,
    peers_only: bool,
    /// Flags for `quipu serve`, after the bench's own.
    flags: Vec<String>,
}

/// Folds must happen within a round: at the default of 256 MiB many rounds would see none.
/// Segments keep their default proportion to frames and are as small as several folds per round
/// need. Guess: a few per cell on a disk of 0.1 ms per sync.
pub(crate) const FOLD_FLAGS: [&str; 6] = [
    "--fold.log_bytes_min",
    "32MiB",
    "--log.segment_bytes",
    "16MiB",
    "--log.frame_bytes_max",
    "4MiB",
];

impl Options {
    fn parse(words: &[&str]) -> Result<Self> {
        let end = words.iter().position(|word| *word == "--").unwrap_or(words.len());
        let (words, flags) = words.split_at(end);
        let mut flags: Vec<&str> = flags.iter().skip(1).copied().collect();
        flags.splice(..0, FOLD_FLAGS);
        let mut run = RunOptions::new(5, "data");
        let (mut seconds, mut part, mut peers_only) = (None, None, false);
        run.read(words, USAGE, |option, words| {
            match option {
                "--seconds" => seconds = Some(words.number()?),
                "--only" => part = Some(words.value()?),
                "--peers-only" => peers_only = true,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let seconds: f64 = seconds.unwrap_or(if run.quick { 1.0 } else { 5.0 });
        ensure!(seconds > 0.0, "--seconds must be more than zero");
        let (throughput, reader) = match part {
            None => (true, true),
            Some("throughput") => (true, false),
            Some("reader") => (false, true),
            Some(other) => bail!("--only knows throughput and reader, not {other}"),
        };
        let flags = flags.into_iter().map(str::to_owned).collect();
        Ok(Self { run, seconds, throughput, reader, peers_only, flags })
    }
}

pub(crate) fn build_folder() -> PathBuf {
    let from_variable = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    from_variable.unwrap_or_else(|| checkout::root().join("target"))
}

/// Measures, prints and keeps the results.
///
/// # Errors
/// A program is missing or fails. A missed bar is a result and no error.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    match words {
        ["scale", rest @ ..] => return scale::run(rest),
        ["commit", rest @ ..] => return commit::run(rest),
        ["ingest", rest @ ..] => return ingest::run(rest),
        ["load", rest @ ..] => return load::run(rest),
        ["--help"] => {
            println!("{USAGE}");
            return Ok(());
        }
        _ => {}
    }
    let options = Options::parse(words)?;
    let folder = options.run.dir.join(timestamp());
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let quipu = Quipu { binary: binary(&options)?, flags: options.flags.clone() };
    let seen = (!options.peers_only).then_some(quipu.binary.as_path());
    let environment = machine::describe(&folder, seen)?;
    let mut results = Results::new(&options, environment);
    if options.throughput {
        results.cells = rounds::throughput(&options, &quipu, &folder)?;
    }
    if options.reader {
        results.reader = rounds::reader(&options, &quipu, &folder)?;
    }
    fs::remove_dir_all(&folder)?;
    let page = page::render(&results);
    println!("\n{page}");
    keep(&options.run.out, &results, &page)
}

fn binary(options: &Options) -> Result<PathBuf> {
    if options.peers_only {
        return Ok(PathBuf::new());
    }
    release_binary(options.run.quipu.as_deref())
}

/// The binary that was given, else the one that is built now.
fn release_binary(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(binary) = given {
        return binary.canonicalize().with_context(|| format!("{}", binary.display()));
    }
    checkout::run(&cargo(), &["build", "--release", "--package", "quipu"], &[])?;
    Ok(build_folder().join("release/quipu"))
}

fn keep(out: &Path, results: &Results, page: &str) -> Result<()> {
    fs::create_dir_all(out)?;
    let stem = out.join(format!("bench-{}", results.started()));
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
    fn options_are_read_and_the_rest_goes_to_the_server() {
        let words = ["--rounds", "7", "--only", "reader", "--", "--server.workers", "1"];
        let options = Options::parse(&words).unwrap();
        assert_eq!((options.run.rounds, options.throughput, options.reader), (7, false, true));
        assert_eq!(options.flags[FOLD_FLAGS.len()..], ["--server.workers", "1"]);
    }

    #[test]
    fn wrong_options_are_refused() {
        for words in [&["--seconds", "0"][..], &["--only", "x"], &["--round"]] {
            assert!(Options::parse(words).is_err(), "{words:?}");
        }
    }
}
