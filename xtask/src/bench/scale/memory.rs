//! Memory per counter: growth of the resident memory from none to all counters, names of 16 bytes.
//!
//! Redis keeps nothing on disk here. Its table of buckets grows beside the old one; commands drive
//! that to its end before its memory is read, so that it is seen at its best.

use anyhow::Result;
use serde_json::json;

use crate::bench::process::Process;
use crate::bench::row::{Bar, Noise, Row, keep, with};
use crate::bench::scale::sweep::{self, Load, Shape};
use crate::bench::scale::{Bench, remove};

const BAR: Bar = Bar {
    what: "memory per counter (growth of RSS), folds held off, quipu / redis without persistence",
    close: 0.75,
    aim: 0.5,
    less_is_better: true,
};

const BAR_WITH_FOLDS: Bar = Bar {
    what: "memory per counter (growth of RSS), folds running, quipu / redis without persistence",
    ..BAR
};

/// No fold starts in a row with this.
pub(crate) const NO_FOLDS: [&str; 2] = ["--fold.log_bytes_min", "1TiB"];

/// Rounds: resident memory hardly varies.
const ROUNDS: usize = 2;

/// The sides, as they are named in results.
const SIDES: [&str; 3] = ["redis", "quipu", "quipu with folds"];

/// Measures the row.
///
/// # Errors
/// A server fails.
pub(crate) fn run(bench: &Bench<'_>) -> Result<Row> {
    let (mut cells, mut per_counter) = (Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
    for round in 0..ROUNDS.min(bench.options.run.rounds) {
        for (side, values) in per_counter.iter_mut().enumerate() {
            let name = SIDES[side];
            let folder = bench.folder(&format!("memory-{round}-{side}"));
            let noise = Noise::watch()?;
            let server = match side {
                0 => Process::redis(&folder, &["--appendonly", "no"], &Vec::new())?,
                1 => Process::quipu(&bench.quipu, &folder, &NO_FOLDS, &Vec::new())?,
                _ => Process::quipu(&bench.quipu, &folder, &[], &Vec::new())?,
            };
            let (bytes, seconds) = grown(&server, bench.options.counters, side == 0)?;
            let noise = noise.end(server.cpu_ticks()?)?;
            values.push(bytes);
            let cell = json!({
                "side": name,
                "round": round,
                "bytes_per_counter": bytes,
                "growth_seconds": seconds,
            });
            keep(&mut cells, with(cell, noise));
            server.stop()?;
            remove(&folder)?;
        }
    }
    let [redis, quipu, folding] = per_counter;
    let lines = vec![BAR.line(&quipu, &redis)?, BAR_WITH_FOLDS.line(&folding, &redis)?];
    let notes = vec![
        "bytes per counter = (VmRSS after - VmRSS before) / counters, 8 connections, pipeline 200"
            .to_owned(),
        "Redis: after as many EXISTS as it takes to end the rehash of its table".to_owned(),
    ];
    Ok(Row { name: "memory", lines, table: Vec::new(), notes, cells })
}

/// Grows a server and returns bytes per counter and the seconds it took.
fn grown(server: &Process, counters: u64, is_redis: bool) -> Result<(f64, f64)> {
    server.settle()?;
    let before = server.resident_bytes()?;
    let took = sweep::grow(server.port, counters)?;
    if is_redis {
        let put =
            |_, out: &mut Vec<u8>| out.extend_from_slice(b"*2\r\n$6\r\nEXISTS\r\n$1\r\nx\r\n");
        sweep::run(
            server.port,
            Shape { connections: 8, pipeline: 200 },
            Load::new(0, counters),
            put,
        )?;
    }
    server.settle()?;
    let grown = server.resident_bytes()?.saturating_sub(before);
    Ok((grown as f64 / counters as f64, took.as_secs_f64()))
}
