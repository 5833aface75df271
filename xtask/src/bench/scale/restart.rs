//! Restart: from starting the process to its first answer, with all counters to load.
//!
//! The node has them in a snapshot, and 1 GiB of log after it, in which counters chosen by chance
//! were incremented at pipeline 64. Redis loads the same counters from its RDB file, and from a log
//! of the INCRs that made them, without anything more.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::json;

use crate::bench::connection::Reply;
use crate::bench::machine;
use crate::bench::process::Process;
use crate::bench::row::{Bar, Noise, Row, keep, with};
use crate::bench::scale::Bench;
use crate::bench::scale::memory::NO_FOLDS;
use crate::bench::scale::sweep::{self, Load, Shape, mixed, put_incr};

const AGAINST_RDB: Bar = Bar {
    what: "restart with a snapshot and 1 GiB of log, time, quipu / redis from RDB",
    close: 1.0,
    aim: 0.333,
    less_is_better: true,
};

const AGAINST_AOF: Bar =
    Bar { what: "the same, quipu / redis from AOF (its INCRs, not rewritten)", ..AGAINST_RDB };

/// Bytes of log after the snapshot.
const TAIL_BYTES: f64 = (1_u64 << 30) as f64;

/// A load of writes by chance: 50 clients, as redis-benchmark has them.
const SHAPE: Shape = Shape { connections: 50, pipeline: 64 };

/// Increments between two looks at the log's size.
const STEP: u64 = 1_000_000;

/// Redis without a log; it loads the RDB file that it finds.
const VOLATILE: [&str; 2] = ["--appendonly", "no"];

/// Redis with a log that is not rewritten. While it is made, syncs do not matter.
const AOF: [&str; 8] = [
    "--appendonly",
    "yes",
    "--appendfsync",
    "no",
    "--auto-aof-rewrite-percentage",
    "0",
    "--aof-use-rdb-preamble",
    "no",
];

/// The sides, as they are named in results.
const SIDES: [&str; 3] = ["redis RDB", "redis AOF", "quipu"];

/// Measures the row.
///
/// # Errors
/// A server fails, or does not hold all counters after its start.
pub(crate) fn run(bench: &Bench<'_>) -> Result<Row> {
    let folders = ["rdb", "aof", "quipu"].map(|name| bench.folder(&format!("restart-{name}")));
    let [rdb, aof, quipu] = &folders;
    make_rdb(bench, rdb)?;
    make_aof(bench, aof)?;
    let tail = make_store(bench, quipu)?;
    let (mut cells, mut values) = (Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
    for round in 0..bench.options.run.rounds {
        let mut order = [0, 1, 2];
        order.rotate_left(round % 3);
        for side in order {
            let noise = Noise::watch()?;
            let server = start(bench, side, &folders)?;
            let (seconds, ticks) = (server.start_time.as_secs_f64(), server.cpu_ticks()?);
            let noise = noise.end(ticks)?;
            check(&server, side, bench.options.counters)?;
            let resident = server.resident_bytes()?;
            server.stop()?;
            values[side].push(seconds);
            let cell = json!({
                "side": SIDES[side],
                "round": round,
                "seconds": seconds,
                "cpu_seconds": ticks as f64 / machine::ticks_per_second()?,
                "resident_mib": resident >> 20,
            });
            keep(&mut cells, with(cell, noise));
        }
    }
    let [from_rdb, from_aof, ours] = values;
    let lines = vec![AGAINST_RDB.line(&ours, &from_rdb)?, AGAINST_AOF.line(&ours, &from_aof)?];
    let notes = vec![
        format!("log after the snapshot: {:.0} MiB; folds held off", tail / f64::from(1 << 20)),
        "from the start of the process to its first PONG; files are in the page cache on all sides"
            .to_owned(),
    ];
    Ok(Row { name: "restart", lines, table: Vec::new(), notes, cells })
}

fn start(bench: &Bench<'_>, side: usize, folders: &[PathBuf; 3]) -> Result<Process> {
    match side {
        0 => Process::redis(&folders[0], &VOLATILE, &Vec::new()),
        1 => Process::redis(&folders[1], &AOF, &Vec::new()),
        _ => Process::quipu(&bench.quipu, &folders[2], &NO_FOLDS, &Vec::new()),
    }
}

/// What was loaded must be all.
fn check(server: &Process, side: usize, counters: u64) -> Result<()> {
    let found = match side {
        2 => server.metric("quipu_shard_counters")? as u64,
        _ => match server.connect()?.call(&["DBSIZE"])? {
            Reply::Integer(count) => count as u64,
            other => bail!("DBSIZE answered {other:?}"),
        },
    };
    if found != counters {
        bail!("{found} counters were loaded, not {counters}");
    }
    Ok(())
}

fn make_rdb(bench: &Bench<'_>, folder: &Path) -> Result<()> {
    let server = Process::redis(folder, &VOLATILE, &Vec::new())?;
    sweep::grow(server.port, bench.options.counters)?;
    server.connect()?.call(&["BGSAVE"])?;
    while server.info("rdb_bgsave_in_progress")? != "0" {
        machine::pause(Duration::from_millis(100));
    }
    server.stop()
}

fn make_aof(bench: &Bench<'_>, folder: &Path) -> Result<()> {
    let server = Process::redis(folder, &AOF, &Vec::new())?;
    sweep::grow(server.port, bench.options.counters)?;
    server.settle()?;
    server.stop()
}

/// Makes a store whose snapshot holds all counters, and whose log goes on after it. Returns the
/// bytes of that log.
fn make_store(bench: &Bench<'_>, folder: &Path) -> Result<f64> {
    let counters = bench.options.counters;
    let soon = ["--fold.log_bytes_min", "1MiB"];
    let node = Process::quipu(&bench.quipu, folder, &soon, &Vec::new())?;
    sweep::grow(node.port, counters)?;
    node.settle()?;
    let (mut first, folds) = (0, node.folds()?);
    // The next fold takes up all of the growth: it lies in segments that are closed by then.
    while node.folds()? <= folds {
        increment(&node, &mut first, STEP, counters)?;
        machine::pause(Duration::from_millis(200));
    }
    node.settle()?;
    node.stop()?;
    let node = Process::quipu(&bench.quipu, folder, &NO_FOLDS, &Vec::new())?;
    let wanted = if bench.options.run.quick { TAIL_BYTES / 16.0 } else { TAIL_BYTES };
    let log = |node: &Process| node.metric("quipu_log_since_snapshot_bytes");
    while log(&node)? < wanted {
        increment(&node, &mut first, STEP, counters)?;
        machine::pause(Duration::from_millis(200));
    }
    let bytes = log(&node)?;
    node.stop()?;
    Ok(bytes)
}

fn increment(node: &Process, first: &mut u64, count: u64, counters: u64) -> Result<()> {
    let put = |number, out: &mut Vec<u8>| put_incr(mixed(number) % counters, out);
    sweep::run(node.port, SHAPE, Load::new(*first, count), put)?;
    *first += count;
    Ok(())
}
