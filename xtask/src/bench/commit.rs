//! Who syncs: the event loop, a committer thread, or whichever suits the disk, measured.
//!
//! The same clients meet a node of each strategy in turn, on the disk as it is and on one whose
//! syncs a preloaded library makes 2 ms longer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bench::options::RunOptions;
use crate::bench::process::{Preload, Process};
use crate::bench::reader::{EXTRA, compile_shim};
use crate::bench::row::{Noise, Page, Row, keep, with};
use crate::bench::statistics::Spread;
use crate::bench::{machine, parse, release_binary};

/// How to call it.
const USAGE: &str = "usage: cargo xtask bench commit [options]

  --quick          half a second per cell, results beside the build: a trial
  --rounds N       interleaved rounds (default 1)
  --seconds N      time of each cell (default 2)
  --quipu PATH     a binary instead of building one
  --dir PATH       where the nodes keep their data (default: beside the build)
  --out PATH       folder for results (default docs/benchmarks)";

/// What a run does.
#[derive(Debug, Clone)]
struct Options {
    run: RunOptions,
    seconds: f64,
}

/// The strategies, as `commit.strategy` names them.
const STRATEGIES: [&str; 3] = ["loop", "committer", "auto"];

/// Connections, and commands that each has in flight. The issue's bars name these.
const CONNECTIONS: [u32; 4] = [1, 8, 50, 500];
const PIPELINES: [u32; 3] = [1, 16, 64];

/// The disks, as they are named in results.
const DISKS: [&str; 2] = ["the disk as it is", "a slowed disk"];

/// Counters, each as likely as the other.
const KEYS: &str = "100000";

/// One figure of each strategy for one load.
#[derive(Debug, Clone, Copy)]
struct Cell {
    disk: usize,
    strategy: usize,
    load: (u32, u32),
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_us: f64,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Self> {
        let (mut run, mut seconds) = (RunOptions::new(1, "data"), None);
        run.read(words, USAGE, |option, words| {
            if option == "--seconds" {
                seconds = Some(words.number()?);
            }
            Ok(option == "--seconds")
        })?;
        let seconds = seconds.unwrap_or(if run.quick { 0.5 } else { 2.0 });
        ensure!(seconds > 0.0, "--seconds must be more than zero");
        Ok(Self { run, seconds })
    }
}

/// Measures, prints and keeps the results.
///
/// # Errors
/// A node or redis-benchmark fails.
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
    let described = json!({
        "rounds": options.run.rounds,
        "seconds_per_cell": options.seconds,
        "is_trial": options.run.quick,
    });
    let mut page = Page::new("Who syncs", environment, described);
    let slow = compile_shim(&folder)?;
    let slowed = vec![
        ("LD_PRELOAD", slow.library.clone()),
        ("SLOWSYNC_NS", PathBuf::from(slow.extra.as_nanos().to_string())),
    ];
    for (disk, preload) in [Vec::new(), slowed].iter().enumerate() {
        page.add(on_disk(&options, &quipu, &folder.join(disk.to_string()), (disk, preload))?);
    }
    fs::remove_dir_all(&folder)?;
    page.keep(&options.run.out, "commit")
}

fn on_disk(
    options: &Options,
    quipu: &Path,
    folder: &Path,
    (disk, preload): (usize, &Preload),
) -> Result<Row> {
    let node = |strategy: &&str| {
        let flags = ["--commit.strategy", strategy];
        Process::quipu(quipu, &folder.join(strategy), &flags, preload)
    };
    let nodes = STRATEGIES.iter().map(node).collect::<Result<Vec<_>>>()?;
    let (mut raw, mut cells) = (Vec::new(), Vec::new());
    let mut rates: Vec<f64> = loads().map(|_| 20_000.0).collect();
    // The first round learns the rates, and makes the counters.
    for round in 0..=options.run.rounds {
        let seconds = if round == 0 { 0.2 } else { options.seconds };
        for (load, rate) in loads().zip(&mut rates) {
            let count = (*rate * seconds) as u64 + 100;
            for strategy in (0..nodes.len()).map(|turn| (turn + round) % nodes.len()) {
                let (cell, noise) = measure(&nodes[strategy], (disk, strategy, load), count)?;
                *rate = cell.per_second;
                cells.push(cell);
                keep(&mut raw, with(cell.to_json(round), noise));
            }
        }
        if round == 0 {
            raw.clear();
            cells.clear();
        }
    }
    for node in nodes {
        node.stop()?;
    }
    let notes = vec![
        format!(
            "redis-benchmark -c C -P P -r {KEYS} INCR, durable; medians of {} rounds",
            options.run.rounds
        ),
        "each cell: requests/s, p50 and p99 in ms, CPU of the node in us per request".to_owned(),
        match disk {
            0 => "the disk as it is".to_owned(),
            _ => format!("every sync {} ms longer", EXTRA.as_millis()),
        },
    ];
    let name = DISKS[disk];
    Ok(Row { name, lines: Vec::new(), table: table(&cells), notes, cells: raw })
}

fn measure(
    node: &Process,
    (disk, strategy, load): (usize, usize, (u32, u32)),
    count: u64,
) -> Result<(Cell, Value)> {
    let (noise, ticks) = (Noise::watch()?, node.cpu_ticks()?);
    let (connections, pipeline) = load;
    let count = count.max(u64::from(connections * pipeline));
    let mut command = Command::new("redis-benchmark");
    command.args(["-h", "127.0.0.1", "-p", &node.port.to_string(), "--csv", "-r", KEYS]);
    command.args(["-c", &connections.to_string(), "-P", &pipeline.to_string()]);
    command.args(["-n", &count.to_string(), "INCR", "key:__rand_int__"]);
    let output = command.output().context("starting redis-benchmark")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let column = |name| parse::column(&text, name).with_context(|| format!("no {name} in {text}"));
    let ticks = node.cpu_ticks()? - ticks;
    let cell = Cell {
        disk,
        strategy,
        load,
        per_second: column("rps")?,
        p50_ms: column("p50_latency_ms")?,
        p99_ms: column("p99_latency_ms")?,
        cpu_us: ticks as f64 / machine::ticks_per_second()? * 1e6 / count as f64,
    };
    Ok((cell, noise.end(ticks)?))
}

impl Cell {
    fn to_json(self, round: usize) -> Value {
        json!({
            "disk": DISKS[self.disk],
            "strategy": STRATEGIES[self.strategy],
            "connections": self.load.0,
            "pipeline": self.load.1,
            "round": round,
            "per_second": self.per_second,
            "p50_ms": self.p50_ms,
            "p99_ms": self.p99_ms,
            "server_cpu_us": self.cpu_us,
        })
    }
}

/// Connections and pipeline of each cell.
fn loads() -> impl Iterator<Item = (u32, u32)> {
    CONNECTIONS
        .into_iter()
        .flat_map(|connections| PIPELINES.map(|pipeline| (connections, pipeline)))
}

/// One line for each load, one cell for each strategy.
fn table(cells: &[Cell]) -> Vec<String> {
    let mut lines = vec![
        format!("| c | P | {} |", STRATEGIES.join(" | ")),
        format!("|---|---|{}", "---|".repeat(STRATEGIES.len())),
    ];
    for load in loads() {
        let of = |strategy| figures(cells, strategy, load).unwrap_or("-".to_owned());
        let figures: Vec<String> = (0..STRATEGIES.len()).map(of).collect();
        lines.push(format!("| {} | {} | {} |", load.0, load.1, figures.join(" | ")));
    }
    lines
}

fn figures(cells: &[Cell], strategy: usize, load: (u32, u32)) -> Option<String> {
    let median = |of: fn(&Cell) -> f64| {
        let ours = cells.iter().filter(|cell| (cell.strategy, cell.load) == (strategy, load));
        Spread::of(&ours.map(of).collect::<Vec<_>>()).map(|spread| spread.median)
    };
    Some(format!(
        "{:.0}/s {:.2} {:.2} ms {:.2} us",
        median(|cell| cell.per_second)?,
        median(|cell| cell.p50_ms)?,
        median(|cell| cell.p99_ms)?,
        median(|cell| cell.cpu_us)?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_cell_for_each_strategy_and_load() {
        let cell = Cell {
            disk: 0,
            strategy: 1,
            load: (8, 16),
            per_second: 1000.0,
            p50_ms: 0.5,
            p99_ms: 1.25,
            cpu_us: 3.0,
        };
        let lines = table(&[cell]);
        assert_eq!(lines.len(), 2 + CONNECTIONS.len() * PIPELINES.len());
        assert!(lines.contains(&"| 8 | 16 | - | 1000/s 0.50 1.25 ms 3.00 us | - |".to_owned()));
    }

    #[test]
    fn wrong_options_are_refused() {
        for words in [&["--round"][..], &["--seconds"], &["--seconds", "0"]] {
            assert!(Options::parse(words).is_err(), "{words:?}");
        }
    }
}
