//! One cell of a round: redis-benchmark against one server at one pipeline depth.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::bench::bars::{Measure, Side};
use crate::bench::machine::{self, Load};
use crate::bench::parse;
use crate::bench::server::Server;

/// Connections of redis-benchmark.
const CLIENTS: &str = "50";

/// Distinct keys.
const KEYS: &str = "100000";

/// Beyond the wanted time, because a later round may be faster than the one it was planned by.
const MARGIN: f64 = 1.15;

/// What a cell is to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) side: Side,
    pub(crate) pipeline: u32,
    /// The least time it runs.
    pub(crate) seconds: f64,
}

/// What a cell measured.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) side: Side,
    pub(crate) pipeline: u32,
    pub(crate) round: usize,
    pub(crate) requests: u64,
    pub(crate) requests_per_second: f64,
    pub(crate) server_cpu_us: f64,
    pub(crate) threads: usize,
    pub(crate) folds: Option<f64>,
    pub(crate) pressure: Option<f64>,
    pub(crate) foreign_cpu_share: f64,
}

impl Cell {
    /// How long the requests took.
    pub(crate) fn seconds(&self) -> f64 {
        self.requests as f64 / self.requests_per_second
    }

    /// The measure that a bar compares.
    pub(crate) fn measure(&self, measure: Measure) -> f64 {
        match measure {
            Measure::Throughput => self.requests_per_second,
            Measure::Cpu => self.server_cpu_us,
        }
    }

    /// The cell as raw result.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "side": self.side.name(),
            "pipeline": self.pipeline,
            "round": self.round,
            "requests": self.requests,
            "seconds": self.seconds(),
            "requests_per_second": self.requests_per_second,
            "server_cpu_us_per_request": self.server_cpu_us,
            "server_threads": self.threads,
            "folds_ended": self.folds,
            "pressure_cpu_some_avg10": self.pressure,
            "foreign_cpu_share": self.foreign_cpu_share,
        })
    }
}

/// Returns how many requests fill the time at the rate, in whole pipelines of all clients.
pub(crate) fn requests_for(plan: Plan, requests_per_second: f64) -> u64 {
    let round = 50 * u64::from(plan.pipeline);
    let wanted = (requests_per_second * plan.seconds * MARGIN) as u64;
    wanted.div_ceil(round).max(1) * round
}

/// Finds the rate of a cell in two short probes, which also create the keys.
///
/// # Errors
/// redis-benchmark fails.
pub(crate) fn probe(server: &Server, plan: Plan) -> Result<f64> {
    let first = benchmark(server, plan, 20_000 * u64::from(plan.pipeline).min(10))?;
    let second = Plan { seconds: 0.7, ..plan };
    benchmark(server, plan, requests_for(second, first))
}

/// Runs a cell at the rate that was last seen and returns what it measured.
///
/// # Errors
/// redis-benchmark fails, or the server is gone or does not show its metrics.
pub(crate) fn run(server: &Server, plan: Plan, expected_rate: f64, round: usize) -> Result<Cell> {
    let requests = requests_for(plan, expected_rate);
    let (folds_before, load_before) = (server.folds()?, Load::now()?);
    let ticks_before = server.cpu_ticks()?;
    let rate = benchmark(server, plan, requests)?;
    let ticks = server.cpu_ticks()? - ticks_before;
    let foreign = Load::now()?.foreign_share_since(load_before, ticks);
    let pressure = machine::pressure();
    let threads = server.threads()?;
    // A fold that the cell began is the cell's: its end is waited for, its time is not measured.
    server.settle()?;
    let folds = server.folds()?.zip(folds_before).map(|(after, before)| after - before);
    let cpu_seconds = ticks as f64 / machine::ticks_per_second()?;
    Ok(Cell {
        side: plan.side,
        pipeline: plan.pipeline,
        round,
        requests,
        requests_per_second: rate,
        server_cpu_us: cpu_seconds * 1e6 / requests as f64,
        threads,
        folds,
        pressure,
        foreign_cpu_share: foreign,
    })
}

/// Runs redis-benchmark and returns its requests per second.
fn benchmark(server: &Server, plan: Plan, requests: u64) -> Result<f64> {
    let (port, pipeline) = (server.resp_port().to_string(), plan.pipeline.to_string());
    let requests = requests.to_string();
    let mut command = Command::new("redis-benchmark");
    command.args(["-h", "127.0.0.1", "-p", &port, "-t", "incr", "-c", CLIENTS, "--csv"]);
    command.args(["-n", &requests, "-P", &pipeline]);
    if plan.side != Side::QuipuHot {
        command.args(["-r", KEYS]);
    }
    let output = command.output().context("starting redis-benchmark")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        bail!("redis-benchmark ended with {}: {said}{text}", output.status);
    }
    parse::requests_per_second(&text).with_context(|| format!("redis-benchmark: {said}{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_planned_in_whole_pipelines_and_never_shorter_than_asked() {
        let check = |pipeline, rate, expected| {
            let plan = Plan { side: Side::QuipuDurable, pipeline, seconds: 5.0 };
            let requests = requests_for(plan, rate);
            assert_eq!(requests, expected, "pipeline {pipeline} at {rate}");
            assert!(requests as f64 >= rate * 5.0);
        };
        check(1, 100_000.0, 575_000);
        check(64, 1_000_000.0, 5_750_400);
        check(64, 1.0, 3_200);
    }
}
