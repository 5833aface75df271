//! Requests per CPU-second of the generator in a closed loop, against wrk and redis-benchmark.
//!
//! Both sides use one thread and 50 connections to the same target, in turn; the CPU is that of the
//! whole process, from its start to its end.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use crate::bench::load::Bench;
use crate::bench::load::target::Target;
use crate::bench::load::tool::{is_installed, ours, run as run_tool, run_ours};
use crate::bench::row::{Bar, Noise, Row, keep, with};

/// What is compared: the protocol and how many requests are under way on a connection.
const CASES: [(&str, u32, Bar); 3] = [
    ("http", 1, bar("requests per generator CPU-second, HTTP/1.1, quipu / wrk")),
    ("resp", 1, bar("requests per generator CPU-second, RESP P=1, quipu / redis-benchmark")),
    ("resp", 16, bar("requests per generator CPU-second, RESP P=16, quipu / redis-benchmark")),
];

const fn bar(what: &'static str) -> Bar {
    Bar { what, close: 0.75, aim: 1.0, less_is_better: false }
}

/// Connections, and in a closed loop without a pipeline users.
const CONNECTIONS: u32 = 50;
/// Requests per second that redis-benchmark is given to do without a pipeline: about what it does on a
/// core. It counts requests, not time.
const RATE_GUESS: u64 = 80_000;

/// Measures the row.
///
/// # Errors
/// The target or a generator fails.
pub(super) fn run(bench: &Bench) -> Result<Row> {
    let target = Target::start(&bench.quipu, None)?;
    let (mut lines, mut cells, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for (protocol, pipeline, bar) in CASES {
        let peer = if protocol == "http" { "wrk" } else { "redis-benchmark" };
        if !is_installed(peer) {
            notes.push(format!("{peer} is not installed: {protocol} has no comparison"));
            continue;
        }
        let mut values = [Vec::new(), Vec::new()];
        for round in 0..bench.run.rounds {
            for side in [round % 2, 1 - round % 2] {
                let noise = Noise::watch()?;
                let (sent, cpu_seconds) = match side {
                    0 => measure_ours(bench, &target, (protocol, pipeline))?,
                    _ if protocol == "http" => wrk(bench, &target)?,
                    _ => redis_benchmark(bench, &target, pipeline)?,
                };
                let per_cpu_second = sent / cpu_seconds;
                values[side].push(per_cpu_second);
                let cell = json!({
                    "side": if side == 0 { "quipu" } else { peer },
                    "protocol": protocol,
                    "pipeline": pipeline,
                    "round": round,
                    "requests": sent,
                    "cpu_seconds": cpu_seconds,
                    "per_cpu_second": per_cpu_second,
                });
                keep(&mut cells, with(cell, noise.end(0)?));
            }
        }
        lines.push(bar.line(&values[0], &values[1])?);
    }
    target.finish()?;
    notes.push("the target is counted among the others: its CPU is in foreign_cpu_share".into());
    Ok(Row { name: "cost", lines, table: Vec::new(), notes, cells })
}

fn measure_ours(
    bench: &Bench,
    target: &Target,
    (protocol, pipeline): (&str, u32),
) -> Result<(f64, f64)> {
    let (kind, url) = match protocol {
        "http" => (String::new(), target.url()),
        _ => (
            format!("command = \"PING\"\npipeline = {pipeline}\n"),
            format!("redis://{}", target.address),
        ),
    };
    let kind = format!("kind = \"{protocol}\"\n{kind}connections = {CONNECTIONS}");
    let arrival = format!("model = \"closed\"\nusers = {}", CONNECTIONS * pipeline);
    let phase = format!("for = \"{}s\"", bench.seconds(4, 1));
    let finding = run_ours(&mut ours(bench, &[&kind, &arrival, &phase], &url)?)?;
    Ok((finding.number("/total/counts/ok")?, finding.cpu_seconds))
}

fn wrk(bench: &Bench, target: &Target) -> Result<(f64, f64)> {
    let mut command = Command::new("wrk");
    command.args(["-t1", "-c", &CONNECTIONS.to_string()]);
    command.args(["-d", &format!("{}s", bench.seconds(4, 1)), &target.url()]);
    let output = run_tool(&mut command, &[])?;
    let line = output.text.lines().find(|line| line.contains(" requests in "));
    let count = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    Ok((count.with_context(|| format!("wrk printed {}", output.text))?, output.cpu_seconds))
}

fn redis_benchmark(bench: &Bench, target: &Target, pipeline: u32) -> Result<(f64, f64)> {
    // A pipeline of 16 is done about eight times as fast.
    let requests = RATE_GUESS * bench.seconds(4, 1) * u64::from(pipeline.div_ceil(2));
    let mut command = Command::new("redis-benchmark");
    command.args(["-p", target.port(), "-c", &CONNECTIONS.to_string(), "--csv"]);
    command.args(["-P", &pipeline.to_string(), "-n", &requests.to_string(), "PING"]);
    let output = run_tool(&mut command, &[])?;
    Ok((requests as f64, output.cpu_seconds))
}
