//! A stall of 1 s in 30 s at 2,000/s: the p99 that each generator reports, against the true one.
//!
//! The truth is arithmetic over the length of the stall by the target's clock: of requests over T at an
//! even rate a share S/T waits, uniformly up to S, so the p99 is S - T/100.

use anyhow::Result;
use serde_json::json;

use crate::bench::bars::Line;
use crate::bench::load::Bench;
use crate::bench::load::peers::{PEERS, Report};
use crate::bench::load::target::Target;
use crate::bench::load::tool::is_installed;
use crate::bench::machine;
use crate::bench::row::{Row, keep};
use crate::bench::statistics::Spread;

/// Within this of the truth a generator is right.
const ERROR_MAX: f64 = 0.03;

/// Measures the row.
///
/// # Errors
/// The target or our generator fails. A peer that fails is a note.
pub(super) fn run(bench: &Bench) -> Result<Row> {
    let seconds = bench.seconds(30, 6);
    let (after, lasting) = (format!("{}s", seconds * 2 / 3), format!("{}ms", seconds * 1_000 / 30));
    let (mut lines, mut cells, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let head = [
        "| generator | reported p99 | true p99 | error | verdict | note |",
        "|---|---|---|---|---|---|",
    ];
    let mut table: Vec<String> = head.map(str::to_owned).into();
    for peer in PEERS {
        if !peer.program.is_empty() && !is_installed(peer.program) {
            table.push(format!("| {} | not installed | | | | |", peer.name));
            continue;
        }
        let target = Target::start(&bench.quipu, Some((&after, &lasting)))?;
        let report = (peer.measure)(bench, &target, seconds);
        let true_ms = target.finish()? - seconds as f64 * 10.0;
        let Report { p99_ms, note } = match report {
            Ok(report) => report,
            Err(error) if !peer.program.is_empty() => {
                notes.push(format!("{} FAILED: {error:#}", peer.name));
                continue;
            }
            Err(error) => return Err(error),
        };
        let error = (p99_ms - true_ms) / true_ms;
        let verdict = if error.abs() <= ERROR_MAX { "right" } else { "WRONG" };
        let name = peer.name;
        table.push(format!(
            "| {name} | {p99_ms:.1} ms | {true_ms:.1} ms | {:+.1} % | {verdict} | {note} |",
            error * 100.0
        ));
        if peer.program.is_empty() {
            lines.push(line(name, error.abs() / ERROR_MAX));
        }
        let pressure = machine::pressure();
        let cell = json!({
            "generator": name, "p99_ms": p99_ms, "true_ms": true_ms, "psi_cpu_some_avg10": pressure,
        });
        keep(&mut cells, cell);
    }
    notes.push(format!("a stall of {lasting} in {seconds} s at 2,000/s"));
    Ok(Row { name: "stall", lines, table, notes, cells })
}

fn line(name: &str, value: f64) -> Line {
    Line {
        what: format!("error of the p99 of a stall, {name}, of 3 %"),
        ratio: Spread { median: value, least: value, most: value },
        close: 1.0,
        aim: 0.5,
        less_is_better: true,
    }
}
