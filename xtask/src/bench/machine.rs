//! What the numbers were measured on, and how busy it was with other things.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::bench::parse::{self, MachineTicks};
use crate::bench::statistics::percentile;
use crate::checkout;

/// Writes of one block of 4 KiB, each followed by a sync: enough for a steady 99th percentile.
const SYNCS: usize = 300;

/// Waits. The bench drives processes that signal nothing, so it looks again after a while.
#[expect(clippy::disallowed_methods, reason = "other processes announce nothing to wait on")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Runs a program and returns the first line that it prints, or why not.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).current_dir(checkout::root()).args(arguments).output();
    match output {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.lines().next().unwrap_or("").to_owned()
        }
        Err(error) => format!("{program}: {error}"),
    }
}

/// Returns the moment in UTC as a name for files: `20260131T235959Z`.
pub(crate) fn timestamp() -> String {
    first_line("date", &["-u", "+%Y%m%dT%H%M%SZ"])
}

/// Returns the ticks of CPU time in a second.
///
/// # Errors
/// `getconf` does not say.
pub(crate) fn ticks_per_second() -> Result<f64> {
    first_line("getconf", &["CLK_TCK"]).parse().context("getconf CLK_TCK")
}

/// Describes the machine and the programs.
///
/// # Errors
/// The folder cannot be written, so the sync time is not known.
pub(crate) fn describe(folder: &Path, quipu: Option<&Path>) -> Result<Value> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("");
    let quipu = quipu.map(|binary| first_line(&binary.to_string_lossy(), &["--version"]));
    Ok(json!({
        "started": timestamp(),
        "commit": first_line("git", &["rev-parse", "HEAD"]),
        "uncommitted_changes": !first_line("git", &["status", "--porcelain"]).is_empty(),
        "quipu": quipu,
        "redis": first_line("redis-server", &["--version"]),
        "redis_benchmark": first_line("redis-benchmark", &["--version"]),
        "rustc": first_line("rustc", &["--version"]),
        "kernel": first_line("uname", &["-sr"]),
        "cpu": model.trim_start_matches([' ', '\t', ':']),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "pressure_cpu_some_avg10_at_start": pressure(),
        "sync_us": sync_times(folder)?,
    }))
}

/// Measures this disk: a block written over zeros in place, then `fdatasync`, in microseconds.
fn sync_times(folder: &Path) -> Result<Value> {
    let path = folder.join("sync-probe");
    let file = File::create(&path)?;
    let block = [7_u8; 4096];
    for index in 0..SYNCS as u64 {
        file.write_all_at(&[0_u8; 4096], index * 4096)?;
    }
    file.sync_all()?;
    let mut times = Vec::with_capacity(SYNCS);
    for index in 0..SYNCS as u64 {
        let began = Instant::now();
        file.write_all_at(&block, index * 4096)?;
        file.sync_data()?;
        times.push(u64::try_from(began.elapsed().as_micros())?);
    }
    fs::remove_file(&path)?;
    let (p50, p99) = (percentile(&mut times, 0.5), percentile(&mut times, 0.99));
    Ok(json!({ "p50": p50, "p99": p99 }))
}

/// Returns the ten-second average of CPU pressure in percent, or None without PSI.
pub(crate) fn pressure() -> Option<f64> {
    parse::pressure_avg10(&fs::read_to_string("/proc/pressure/cpu").ok()?)
}

/// CPU ticks of the whole machine, and of this process with the clients that it waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    machine: MachineTicks,
    bench: u64,
}

impl Load {
    /// Reads the counters.
    ///
    /// # Errors
    /// The kernel does not show them.
    pub(crate) fn now() -> Result<Self> {
        let machine = parse::machine_ticks(&fs::read_to_string("/proc/stat")?);
        let bench = parse::cpu_ticks(&fs::read_to_string("/proc/self/stat")?);
        let (Some(machine), Some(bench)) = (machine, bench) else { bail!("no ticks in /proc") };
        Ok(Self { machine, bench })
    }

    /// The share of the machine since then that was stolen, or busy with neither the bench, its
    /// clients nor the server, which used `server` ticks.
    pub(crate) fn foreign_share_since(self, before: Self, server: u64) -> f64 {
        let busy = self.machine.busy.saturating_sub(before.machine.busy);
        let stolen = self.machine.stolen.saturating_sub(before.machine.stolen);
        let total = self.machine.total.saturating_sub(before.machine.total).max(1);
        let ours = self.bench.saturating_sub(before.bench) + server;
        (busy.saturating_sub(ours) + stolen) as f64 / total as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_is_what_neither_server_nor_bench_used() {
        let load = |busy, stolen, total, bench| Load {
            machine: MachineTicks { busy, stolen, total },
            bench,
        };
        let (before, after) = (load(100, 0, 1_000, 10), load(260, 4, 1_200, 60));
        let share = after.foreign_share_since(before, 100);
        assert!((share - 0.07).abs() < 1e-9, "{share}");
        assert!(before.foreign_share_since(before, 9).abs() < 1e-9);
    }
}
