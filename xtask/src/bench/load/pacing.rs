//! How late requests leave, at 10,000/s in precise and at 20,000/s in balanced mode, over one thread.
//!
//! What counts is the best of the tries on which the machine let it be measured: less than 10 % CPU
//! pressure and 1 % steal during the run. Without such a try the row says so, with the figures.

use anyhow::Result;
use serde_json::{Value, json};

use crate::bench::bars::Line;
use crate::bench::load::Bench;
use crate::bench::load::target::Target;
use crate::bench::load::tool::{Finding, ours, run_ours};
use crate::bench::row::{Row, keep};
use crate::bench::statistics::Spread;

/// What is asked for and what is to be kept: lag in microseconds, and the share of a core.
#[derive(Debug, Clone, Copy)]
struct Case {
    rate: u64,
    pacing: &'static str,
    is_realtime: bool,
    p50_us: f64,
    p99_us: f64,
    busy: f64,
}

const CASES: [Case; 3] = [
    Case {
        rate: 10_000,
        pacing: "precise",
        is_realtime: false,
        p50_us: 60.0,
        p99_us: 300.0,
        busy: 1.0,
    },
    Case {
        rate: 10_000,
        pacing: "precise",
        is_realtime: true,
        p50_us: 60.0,
        p99_us: 150.0,
        busy: 1.0,
    },
    Case {
        rate: 20_000,
        pacing: "balanced",
        is_realtime: false,
        p50_us: 250.0,
        p99_us: 1_000.0,
        busy: 0.5,
    },
];

/// One try, against what is to be kept: 1.0 is at the limit.
#[derive(Debug, Clone, Copy)]
struct Try {
    p50: f64,
    p99: f64,
    busy: f64,
}

const TARGET: &str = "kind = \"resp\"\ncommand = \"PING\"\nconnections = 50\npipeline = 16";

/// Measures the row.
///
/// # Errors
/// The target or the generator fails.
pub(super) fn run(bench: &Bench) -> Result<Row> {
    let target = Target::start(&bench.quipu, None)?;
    let (mut lines, mut cells, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for case in CASES {
        let mut tries: Vec<Try> = Vec::new();
        let mut denied = None;
        for _ in 0..bench.run.rounds {
            let finding = measure(bench, &target, case)?;
            if case.is_realtime && finding.text("/generator/notes/0").contains("real-time") {
                denied = Some(finding.text("/generator/notes/0").to_owned());
                break;
            }
            let (cell, tried) = judge(case, &finding)?;
            keep(&mut cells, cell);
            tries.extend(tried);
        }
        match tries.iter().min_by(|one, other| one.p99.total_cmp(&other.p99)) {
            Some(best) => lines.extend(lines_of(case, best)),
            None => notes.push(match denied {
                Some(why) => format!("{}: {why}", name(case)),
                None => format!(
                    "{}: NOT MEASURABLE HERE, no try was valid with less than 10 % CPU pressure and \
                     1 % steal; the figures are below",
                    name(case)
                ),
            }),
        }
    }
    target.finish()?;
    notes.push(format!("the best of {} tries by p99; 1.0 is the limit", bench.run.rounds));
    Ok(Row { name: "pacing", lines, table: Vec::new(), notes, cells })
}

fn name(case: Case) -> String {
    let priority = if case.is_realtime { ", real-time priority" } else { "" };
    format!("{}/s {}{priority}", case.rate, case.pacing)
}

fn measure(bench: &Bench, target: &Target, case: Case) -> Result<Finding> {
    let arrival = format!("model = \"open\"\npacing = \"{}\"", case.pacing);
    let phase = format!("rate = {}\nfor = \"{}s\"", case.rate, bench.seconds(5, 1));
    let url = format!("redis://{}", target.address);
    let mut command = ours(bench, &[TARGET, &arrival, &phase], &url)?;
    if case.is_realtime {
        command.arg("--realtime");
    }
    run_ours(&mut command)
}

/// Returns the raw figures, and the try if the machine let it be measured.
fn judge(case: Case, finding: &Finding) -> Result<(Value, Option<Try>)> {
    let us =
        |name: &str| -> Result<f64> { Ok(finding.number(&format!("/total/lag/{name}"))? / 1e3) };
    let (p50_us, p99_us) = (us("p50_ns")?, us("p99_ns")?);
    let busy = finding.number("/generator/threads/0/busy_ratio")?;
    let steal = finding.number("/generator/machine/steal_ratio")?;
    let pressure = finding.number("/generator/machine/cpu_pressure_ratio").unwrap_or(f64::NAN);
    let verdict = finding.text("/validity/verdict");
    let cell = json!({
        "case": name(case),
        "lag_us_p50": p50_us,
        "lag_us_p99": p99_us,
        "busy_ratio": busy,
        "verdict": verdict,
        "cpu_pressure": pressure,
        "steal": steal,
    });
    let is_measured = pressure < 0.1 && steal < 0.01 && verdict.eq_ignore_ascii_case("valid");
    let tried =
        Try { p50: p50_us / case.p50_us, p99: p99_us / case.p99_us, busy: busy / case.busy };
    Ok((cell, is_measured.then_some(tried)))
}

fn lines_of(case: Case, best: &Try) -> Vec<Line> {
    let line = |what: String, value: f64| Line {
        what,
        ratio: Spread { median: value, least: value, most: value },
        close: 1.0,
        aim: 0.5,
        less_is_better: true,
    };
    vec![
        line(format!("lag p50 at {}, of {} us", name(case), case.p50_us), best.p50),
        line(format!("lag p99 at {}, of {} us", name(case), case.p99_us), best.p99),
        line(
            format!("one thread at {}, of {:.0} % of a core", name(case), case.busy * 100.0),
            best.busy,
        ),
    ]
}
