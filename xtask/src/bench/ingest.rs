//! The ingest of a web server's log against awk counting the same file, in one run, interleaved.
//!
//! What exactly-once costs is measured on two calls of one build with the feature `canary`: with
//! its streams, and with `QUIPU_CANARY=no_streams`, which sends the same sums without them.

mod log;
mod side;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::bench::bars::Line;
use crate::bench::ingest::side::{Cell, Place, Side};
use crate::bench::options::RunOptions;
use crate::bench::row::{Bar, Page, Row, keep};
use crate::bench::statistics::Spread;
use crate::bench::{build_folder, machine, release_binary, timestamp};
use crate::checkout;
use crate::ci::cargo;

/// How to call it.
const USAGE: &str = "usage: cargo xtask bench ingest [options]

  --quick          one round over 200,000 lines, results beside the build: a trial
  --rounds N       interleaved rounds (default 5)
  --lines N        lines of the log (default 5,000,000: awk takes a few seconds)
  --quipu PATH     a binary instead of building one
  --canary PATH    a binary with the feature `canary` instead of building one
  --dir PATH       where log and nodes are kept (default: beside the build)
  --out PATH       folder for results (default docs/benchmarks)";

/// Lines of a trial.
const LINES_QUICK: u64 = 200_000;

/// What is compared: lines per second of the first against the second, to close and aimed at.
const BARS: [(Side, Side, Bar); 3] = [
    (Side::Quipu, Side::Mawk, bar("lines per second, quipu ingest / mawk", 2.0, 5.0)),
    (Side::Quipu, Side::Gawk, bar("lines per second, quipu ingest / gawk", 2.0, 5.0)),
    (
        Side::WithStreams,
        Side::WithoutStreams,
        bar("lines per second, exactly once / without streams", 0.95, 0.98),
    ),
];

const fn bar(what: &'static str, close: f64, aim: f64) -> Bar {
    Bar { what, close, aim, less_is_better: false }
}

/// What a run does.
#[derive(Debug, Clone, PartialEq)]
struct Options {
    run: RunOptions,
    lines: u64,
    canary: Option<PathBuf>,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Self> {
        let (mut run, mut lines, mut canary) = (RunOptions::new(5, "ingest"), 0, None);
        run.read(words, USAGE, |option, words| {
            match option {
                "--lines" => lines = words.number()?,
                "--canary" => canary = Some(PathBuf::from(words.value()?)),
                _ => return Ok(false),
            }
            ensure!(lines > 0 || option != "--lines", "--lines must be more than zero");
            Ok(true)
        })?;
        let usual = if run.quick { LINES_QUICK } else { 5_000_000 };
        let lines = if lines == 0 { usual } else { lines };
        Ok(Self { run, lines, canary })
    }
}

/// Measures, prints and keeps the results.
///
/// # Errors
/// A program is missing or fails, or two sides count differently. A missed bar is a result and no
/// error.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    if words.contains(&"--help") {
        println!("{USAGE}");
        return Ok(());
    }
    let options = Options::parse(words)?;
    let folder = options.run.dir.join(timestamp());
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let place = Place {
        quipu: release_binary(options.run.quipu.as_deref())?,
        canary: canary_binary(options.canary.as_deref())?,
        log: folder.join("access.log"),
        folder: folder.clone(),
    };
    let bytes = log::write(&place.log, options.lines)?;
    let environment = machine::describe(&folder, Some(&place.quipu))?;
    let described = json!({
        "rounds": options.run.rounds,
        "lines": options.lines,
        "bytes": bytes,
        "programs": side::programs(),
        "is_trial": options.run.quick,
    });
    let mut page = Page::new("Ingest", environment, described);
    let cells = rounds(&options, &place)?;
    fs::remove_dir_all(&folder)?;
    page.add(row(&options, &cells)?);
    page.keep(&options.run.out, "ingest")
}

fn canary_binary(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(given) = given {
        return given.canonicalize().with_context(|| format!("{}", given.display()));
    }
    let target = build_folder().join("canary");
    let at = target.to_string_lossy();
    let build = ["build", "--release", "--package", "quipu", "--features", "canary"];
    checkout::run(&cargo(), &[&build[..], &["--target-dir", &at]].concat(), &[])?;
    Ok(target.join("release/quipu"))
}

/// Every side takes part in every round, in turn forwards and backwards.
fn rounds(options: &Options, place: &Place) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    let mut expected: Option<BTreeMap<String, i64>> = None;
    for round in 0..options.run.rounds {
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

fn row(options: &Options, cells: &[Cell]) -> Result<Row> {
    let rates = |side| values(cells, side, |cell| options.lines as f64 / cell.seconds);
    let is_measured = |side| cells.iter().any(|cell| cell.side == side);
    let both = BARS.iter().filter(|(ours, theirs, _)| is_measured(*ours) && is_measured(*theirs));
    let lines = both.map(|(ours, theirs, bar)| bar.line(&rates(*ours), &rates(*theirs)));
    let lines = lines.collect::<Result<Vec<Line>>>()?;
    let mut raw = Vec::new();
    for cell in cells {
        keep(&mut raw, cell.to_json());
    }
    let sides = Side::ALL.into_iter().filter_map(|side| table_row(options.lines, cells, side));
    let head =
        ["| side | lines/s | range | CPU us/line | program | node |", "|---|---|---|---|---|---|"];
    Ok(Row {
        name: "ingest",
        lines,
        table: head.map(str::to_owned).into_iter().chain(sides).collect(),
        notes: vec![
            "every side counted the same; quipu with ack=fsync, its node included".to_owned(),
        ],
        cells: raw,
    })
}

fn values(cells: &[Cell], side: Side, value: impl Fn(&Cell) -> f64) -> Vec<f64> {
    cells.iter().filter(|cell| cell.side == side).map(value).collect()
}

fn table_row(lines: u64, cells: &[Cell], side: Side) -> Option<String> {
    let lines = lines as f64;
    let rate = Spread::of(&values(cells, side, |cell| lines / cell.seconds))?;
    let us = |value: fn(&Cell) -> f64| {
        let each = values(cells, side, |cell| value(cell) / lines * 1e6);
        Spread::of(&each).map(|spread| spread.median)
    };
    Some(format!(
        "| {} | {:.0} | {:.0} to {:.0} | {:.3} | {:.3} | {:.3} |",
        side.name(),
        rate.median,
        rate.least,
        rate.most,
        us(Cell::cpu_seconds)?,
        us(|cell| cell.client_cpu)?,
        us(|cell| cell.node_cpu)?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let options = Options::parse(&["--rounds", "3", "--lines", "9"]).unwrap();
        assert_eq!((options.run.rounds, options.lines), (3, 9));
        assert_eq!(Options::parse(&["--quick"]).unwrap().lines, LINES_QUICK);
        for words in [&["--x"][..], &["--lines"], &["--lines", "0"]] {
            assert!(Options::parse(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn a_peer_that_is_not_installed_has_no_line() {
        let options = Options::parse(&["--lines", "1000"]).unwrap();
        let cell = |side, seconds| Cell {
            side,
            round: 0,
            seconds,
            client_cpu: 0.1,
            node_cpu: 0.0,
            foreign_cpu_share: 0.0,
        };
        let row = row(&options, &[cell(Side::Mawk, 3.0), cell(Side::Quipu, 1.0)]).unwrap();
        let [line] = &row.lines[..] else { panic!("one line: {:?}", row.lines) };
        assert!((line.ratio.median - 3.0).abs() < 1e-9);
    }
}
