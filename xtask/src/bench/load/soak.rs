//! The memory of the generator over time: constant but for its windows, of which there are never more
//! than [`WINDOWS_MAX`].

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::bench::bars::Line;
use crate::bench::load::Bench;
use crate::bench::load::target::Target;
use crate::bench::load::tool::ours;
use crate::bench::machine;
use crate::bench::row::{Row, keep};
use crate::bench::statistics::Spread;

/// The most windows that a run of any length keeps; as in `quipu-lab/src/window.rs`.
const WINDOWS_MAX: f64 = 4_096.0;
/// What the generator may use, in MiB.
const LIMIT_MIB: f64 = 50.0;
/// Beginnings that are left out: buffers grow to their size.
const START: Duration = Duration::from_secs(5);

const TARGET: &str = "kind = \"resp\"\ncommand = \"PING\"\nconnections = 50\npipeline = 16";

/// Measures the row.
///
/// # Errors
/// The target or the generator fails.
pub(super) fn run(bench: &Bench) -> Result<Row> {
    let target = Target::start(&bench.quipu, None)?;
    let seconds = bench.seconds(60, 10);
    let arrival = "model = \"open\"\npacing = \"balanced\"";
    let phase = format!("rate = 20_000\nfor = \"{seconds}s\"");
    let url = format!("redis://{}", target.address);
    let points = sample(&mut ours(bench, &[TARGET, arrival, &phase], &url)?)?;
    target.finish()?;
    let slope = slope(&points).context("too few readings: the run ended early")?;
    let last = points.last().map_or(0.0, |(_, mib)| *mib);
    // A window is a second, so a run grows for as many seconds as there are windows, and no longer.
    let most = last + slope.max(0.0) * (WINDOWS_MAX - seconds as f64).max(0.0);
    let mut cells = Vec::new();
    let cell = json!({
        "seconds": seconds, "rss_mib": last, "slope_kib_per_s": slope * 1024.0, "most_mib": most,
    });
    keep(&mut cells, cell);
    let spread = |value: f64| Spread { median: value, least: value, most: value };
    let line = |what: &str, mib: f64| Line {
        what: format!("{what}, of {LIMIT_MIB} MiB"),
        ratio: spread(mib / LIMIT_MIB),
        close: 1.0,
        aim: 0.5,
        less_is_better: true,
    };
    let lines = vec![
        line(&format!("memory after {seconds} s at 20,000/s"), last),
        line("memory with all windows that a run of any length keeps", most),
    ];
    let notes = vec![
        "the second line is the first and the slope over the windows that are left; unit tests bound \
         the windows"
            .to_owned(),
    ];
    Ok(Row { name: "soak", lines, table: Vec::new(), notes, cells })
}

/// Runs a generator and returns its memory in MiB by seconds since its start.
fn sample(command: &mut Command) -> Result<Vec<(f64, f64)>> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let (began, mut points) = (Instant::now(), Vec::new());
    loop {
        if let Some(status) = child.try_wait()? {
            // 98 is an invalid run: its memory is as good.
            if !matches!(status.code(), Some(0 | 98)) {
                bail!("the generator ended with {status}");
            }
            return Ok(points);
        }
        let status = fs::read_to_string(format!("/proc/{}/status", child.id()));
        let kib = status.ok().as_deref().and_then(resident_kib);
        if let Some(kib) = kib.filter(|_| began.elapsed() > START) {
            points.push((began.elapsed().as_secs_f64(), kib / 1024.0));
        }
        machine::pause(Duration::from_millis(500));
    }
}

fn resident_kib(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The slope of a line through points, by least squares.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let mean = |value: fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let shared: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    (points.len() >= 4 && spread > 0.0).then(|| shared / spread)
}

#[cfg(test)]
mod tests {
    use super::{resident_kib, slope};

    #[test]
    fn a_slope_is_that_of_the_line_through_the_points() {
        let line: Vec<(f64, f64)> =
            (0..9).map(|x| (f64::from(x), f64::from(x) * 3.0 + 1.0)).collect();
        assert!((slope(&line).unwrap() - 3.0).abs() < 1e-9);
        assert_eq!(slope(&line[..2]), None);
        assert_eq!(resident_kib("VmHWM:\t 9 kB\nVmRSS:\t 77 kB\n"), Some(77.0));
    }
}
