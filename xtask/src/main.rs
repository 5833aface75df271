//! The project's own tools, run as `cargo xtask NAME`.
//!
//! `tidy` checks the rules that the compiler cannot, `ci` runs every gate in order, `docs` writes
//! the generated pages, `bench` compares with Redis, `evidence` runs what searches for a broken
//! promise. Logic lives here and not in workflow files, because what is here can be run at home.
//! This crate depends on none of ours: it sees them as files, as the output of `cargo metadata`,
//! and as processes.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks there")]

mod bench;
mod checkout;
mod ci;
mod docs;
mod evidence;
mod fuzz;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask <command>

  tidy          check the rules of the house: crates, sizes, names, documentation
  ci            fmt, clippy, test, doc and tidy, in that order
  docs          write docs/metrics.md, docs/config.md and docs/quipu.toml
  bench         compare with Redis, print ratios against the bars (--help for its options)
  bench ingest  compare the ingest of a web server's log with awk (--help)
  bench load    compare the load generator with others (--help)
  evidence      run what searches for a broken promise, and add up what it found (--help)
  fuzz          search the fuzz targets alone (--help)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["tidy"] => tidy::run(),
        ["ci"] => ci::run(),
        ["docs"] => docs::run(),
        ["bench", rest @ ..] => bench::run(rest),
        ["evidence", "--help"] => {
            println!("{}", evidence::USAGE);
            Ok(())
        }
        ["evidence", rest @ ..] => evidence::run(rest),
        ["fuzz", rest @ ..] => match fuzz::command(rest) {
            Ok(true) => Ok(()),
            Ok(false) => return ExitCode::FAILURE,
            Err(error) => Err(error),
        },
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
