//! The order of a run: all sides side by side in every round, forwards and backwards in turn.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use crate::bench::Options;
use crate::bench::bars::{PIPELINES, Side};
use crate::bench::cell::{self, Cell, Plan};
use crate::bench::reader::{self, ReaderRun};
use crate::bench::server::{Kind, Quipu, Server};

/// Returns the server that answers for a side. One hot key meets the same node as many keys.
fn kind_of(side: Side) -> Kind {
    match side {
        Side::RedisVolatile => Kind::RedisVolatile,
        Side::RedisAlways => Kind::RedisAlways,
        Side::QuipuDurable | Side::QuipuHot => Kind::QuipuDurable,
        Side::QuipuMemory => Kind::QuipuMemory,
    }
}

fn sides(options: &Options) -> Vec<Side> {
    let is_peer = |side: &Side| matches!(side, Side::RedisVolatile | Side::RedisAlways);
    Side::ALL.into_iter().filter(|side| !options.peers_only || is_peer(side)).collect()
}

/// What stands beside what changes places from round to round, so that no side is always first.
fn in_turn<T>(mut items: Vec<T>, round: usize) -> Vec<T> {
    if round % 2 == 1 {
        items.reverse();
    }
    items
}

/// Runs the rounds of the throughput table.
///
/// # Errors
/// A server or redis-benchmark fails.
pub(crate) fn throughput(options: &Options, quipu: &Quipu, folder: &Path) -> Result<Vec<Cell>> {
    let sides = sides(options);
    let mut servers: Vec<Server> = Vec::new();
    for side in &sides {
        let kind = kind_of(*side);
        if !servers.iter().any(|server| server.kind() == kind) {
            servers.push(Server::start(kind, quipu, &folder.join(format!("{kind:?}")), None)?);
        }
    }
    let server_of = |side: Side| {
        let found = servers.iter().find(|server| server.kind() == kind_of(side));
        found.expect("a server was started for every side")
    };
    let plan = |side, pipeline| Plan { side, pipeline, seconds: options.seconds };
    let mut rates: BTreeMap<(&str, u32), f64> = BTreeMap::new();
    for pipeline in PIPELINES {
        for side in &sides {
            let rate = cell::probe(server_of(*side), plan(*side, pipeline))?;
            server_of(*side).settle()?;
            rates.insert((side.name(), pipeline), rate);
        }
    }
    let mut cells = Vec::new();
    for round in 0..options.run.rounds {
        for pipeline in PIPELINES {
            for side in in_turn(sides.clone(), round) {
                let expected = rates.entry((side.name(), pipeline)).or_insert(1.0);
                let cell = cell::run(server_of(side), plan(side, pipeline), *expected, round)?;
                *expected = cell.requests_per_second;
                show(&cell);
                cells.push(cell);
            }
        }
    }
    for server in servers {
        server.stop()?;
    }
    Ok(cells)
}

fn show(cell: &Cell) {
    println!(
        "round {} P={:<2} {:<30} {:>9.0}/s {:>6.2} us CPU {:>4.1} s, folds {}, foreign CPU {:.0} %",
        cell.round + 1,
        cell.pipeline,
        cell.side.name(),
        cell.requests_per_second,
        cell.server_cpu_us,
        cell.seconds(),
        cell.folds.map_or("-".to_owned(), |folds| folds.to_string()),
        cell.foreign_cpu_share * 100.0,
    );
}

/// Runs the rounds of the reader's row.
///
/// # Errors
/// A server fails, or the library that slows syncs cannot be made.
pub(crate) fn reader(options: &Options, quipu: &Quipu, folder: &Path) -> Result<Vec<ReaderRun>> {
    let slow = reader::compile_shim(folder)?;
    let mut kinds = vec![Kind::RedisAlways];
    if !options.peers_only {
        kinds.push(Kind::QuipuDurable);
    }
    let mut runs = Vec::new();
    for round in 0..options.run.rounds {
        for kind in in_turn(kinds.clone(), round) {
            let fresh = folder.join(format!("reader-{round}-{kind:?}"));
            let run = reader::run(kind, quipu, &fresh, &slow, (round, options.seconds))?;
            println!(
                "round {} GET p99 {:>6} us of {kind:?}, {:.0} writes/s, sync {:.2} ms",
                round + 1,
                run.p99_us,
                run.writes_per_second,
                run.own_sync_ms,
            );
            runs.push(run);
        }
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_other_round_runs_backwards() {
        assert_eq!(in_turn(vec![1, 2, 3], 0), [1, 2, 3]);
        assert_eq!(in_turn(vec![1, 2, 3], 1), [3, 2, 1]);
    }
}
