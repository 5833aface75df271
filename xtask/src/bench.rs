//! The comparison with Redis: every side in one run, interleaved, printed as ratios against bars.
//!
//! A black box: servers are processes, redis-benchmark is the client, the kernel tells the CPU.
//! What is missed is printed as missed, and what makes a run doubtful is printed with it.
//! Read `bars` for what is compared, `cell` and `reader` for how, `report` for what follows from it.

mod bars;
mod cell;
mod commit;
mod connection;
pub(crate) mod ingest;
mod machine;
mod page;
mod parse;
mod reader;
mod report;
mod rounds;
mod scale;
mod server;
mod statistics;

pub(crate) use self::machine::timestamp;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::bench::report::Results;
use crate::bench::server::Quipu;
use crate::checkout;
use crate::ci::cargo;

/// How to call it.
pub(crate) const USAGE: &str = "usage: cargo xtask bench [options] [-- flags of `quipu serve`]
       cargo xtask bench scale [options]   ten million counters (scale --help for its options)
       cargo xtask bench commit [options]  who syncs, measured (commit --help for its options)

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
    rounds: usize,
    seconds: f64,
    quipu: Option<PathBuf>,
    dir: PathBuf,
    out: PathBuf,
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
        let build = build_folder().join("bench");
        let mut options = Self {
            rounds: 5,
            seconds: 5.0,
            quipu: None,
            dir: build.join("data"),
            out: checkout::root().join("docs/benchmarks"),
            throughput: true,
            reader: true,
            peers_only: false,
            flags: FOLD_FLAGS.map(str::to_owned).to_vec(),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match *word {
                "--quick" => {
                    (options.rounds, options.seconds, options.out) = (1, 1.0, build.clone());
                }
                "--rounds" => options.rounds = value()?.parse().context("--rounds")?,
                "--seconds" => options.seconds = value()?.parse().context("--seconds")?,
                "--quipu" => options.quipu = Some(PathBuf::from(value()?)),
                "--dir" => options.dir = PathBuf::from(value()?),
                "--out" => options.out = PathBuf::from(value()?),
                "--only" => options.choose(value()?)?,
                "--peers-only" => options.peers_only = true,
                "--" => break,
                unknown => bail!("unknown option {unknown}\n{USAGE}"),
            }
        }
        options.flags.extend(words.map(|&word| word.to_owned()));
        if options.rounds == 0 || options.seconds.is_nan() || options.seconds <= 0.0 {
            bail!("--rounds and --seconds must be more than zero");
        }
        Ok(options)
    }

    fn choose(&mut self, part: &str) -> Result<()> {
        (self.throughput, self.reader) = match part {
            "throughput" => (true, false),
            "reader" => (false, true),
            other => bail!("--only knows throughput and reader, not {other}"),
        };
        Ok(())
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
        _ => {}
    }
    let options = Options::parse(words)?;
    let folder = options.dir.join(timestamp());
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
    keep(&options.out, &results, &page)
}

fn binary(options: &Options) -> Result<PathBuf> {
    if options.peers_only {
        return Ok(PathBuf::new());
    }
    release_binary(options.quipu.as_deref())
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
        assert_eq!((options.rounds, options.throughput, options.reader), (7, false, true));
        assert_eq!(options.flags[FOLD_FLAGS.len()..], ["--server.workers", "1"]);
    }

    #[test]
    fn a_trial_does_not_write_into_the_documentation() {
        let options = Options::parse(&["--quick"]).unwrap();
        assert_eq!(options.rounds, 1);
        assert!(!options.out.ends_with("docs/benchmarks"));
    }

    #[test]
    fn wrong_options_are_refused() {
        for words in [&["--round"][..], &["--rounds"], &["--rounds", "0"], &["--only", "x"]] {
            assert!(Options::parse(words).is_err(), "{words:?}");
        }
    }
}
