//! CPU for one durable INCR while the node holds a thousand, a hundred thousand, ten million
//! counters, each as likely as the other.

use anyhow::Result;
use serde_json::json;

use crate::bench::bars::Line;
use crate::bench::machine;
use crate::bench::process::Process;
use crate::bench::row::{Bar, Noise, Row, keep, with};
use crate::bench::scale::{Bench, redis_benchmark, sweep};

const BAR: Bar = Bar {
    what: "CPU per durable INCR over 1 k, 100 k and all counters, most / least of the medians",
    close: 2.0,
    aim: 1.5,
    less_is_better: true,
};

/// Pipeline depths: at 16 the kernel's share is small enough for the table to show.
const PIPELINE: u32 = 16;

/// Measures the row.
///
/// # Errors
/// A server or redis-benchmark fails.
pub(crate) fn run(bench: &Bench<'_>) -> Result<Row> {
    let sizes = [1_000, 100_000.min(bench.options.counters), bench.options.counters];
    let mut servers = Vec::new();
    for size in sizes {
        let folder = bench.folder(&format!("cpu-{size}"));
        let server = Process::quipu(&bench.quipu, &folder, &[], &Vec::new())?;
        sweep::grow(server.port, size)?;
        server.settle()?;
        servers.push((server, size, 300_000.0));
    }
    let (mut cells, mut values) = (Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
    for round in 0..bench.options.run.rounds {
        let mut order: Vec<usize> = (0..servers.len()).collect();
        order.rotate_left(round % sizes.len());
        for index in order {
            let Some((server, size, rate)) = servers.get_mut(index) else { continue };
            let count = (*rate * bench.options.seconds) as u64 + 1_000;
            let (noise, ticks, folds) = (Noise::watch()?, server.cpu_ticks()?, server.folds()?);
            *rate = redis_benchmark(server.port, PIPELINE, *size, count)?;
            // A fold that this began is waited for: its CPU belongs to the increments.
            server.settle()?;
            let ticks = server.cpu_ticks()? - ticks;
            let cpu_us = ticks as f64 / machine::ticks_per_second()? * 1e6 / count as f64;
            values[index].push(cpu_us);
            let cell = json!({
                "counters": *size,
                "round": round,
                "server_cpu_us": cpu_us,
                "per_second": *rate,
                "folds": server.folds()? - folds,
            });
            keep(&mut cells, with(cell, noise.end(ticks)?));
        }
    }
    for (server, ..) in servers {
        server.stop()?;
    }
    let notes = vec![
        format!("redis-benchmark -c 50 -P {PIPELINE} -r COUNTERS, default settings"),
        "all threads of the node, folds that started included".to_owned(),
    ];
    Ok(Row { name: "cpu", lines: vec![line(&values)?], table: Vec::new(), notes, cells })
}

/// The most of each round against the least of it.
fn line(values: &[Vec<f64>; 3]) -> Result<Line> {
    let rounds = values.iter().map(Vec::len).min().unwrap_or(0);
    let of = |round: usize| values.iter().filter_map(move |side| side.get(round).copied());
    let most: Vec<f64> = (0..rounds).map(|round| of(round).fold(0.0, f64::max)).collect();
    let least: Vec<f64> = (0..rounds).map(|round| of(round).fold(f64::MAX, f64::min)).collect();
    BAR.line(&most, &least)
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn the_range_is_most_over_least_of_each_round() {
        let found = line(&[vec![1.0, 2.0], vec![2.0, 2.0], vec![3.0, 4.0]]).unwrap();
        assert!((found.ratio.least - 2.0).abs() < 1e-9 && (found.ratio.most - 3.0).abs() < 1e-9);
    }
}
