//! Bytes sent to the disk for each durable increment, with all that folds and rewrites write.
//!
//! Both servers work on a file system of their own on a loop device, one after the other, and the
//! device counts what reaches it, the file system's journal included. `/proc/PID/io` does not do:
//! the kernel books a whole folio of the page cache for the first byte that is written to it, up to
//! ten times of what it then writes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::bench::machine;
use crate::bench::process::Process;
use crate::bench::row::{Bar, Noise, Row, keep, with};
use crate::bench::scale::{Bench, redis_benchmark};

const BAR: Bar = Bar {
    what: "disk bytes per durable INCR, pipeline 64, folds included, quipu / redis appendfsync \
           always with its rewrite",
    close: 1.0,
    aim: 0.5,
    less_is_better: true,
};

/// Increments of one round: at the size below, each side folds or rewrites several times in it.
const INCREMENTS: u64 = 10_000_000;

/// Counters that are incremented.
const COUNTERS: u64 = 100_000;

/// Room for both servers, of which only what is written takes any.
const DISK_BYTES: u64 = 8 << 30;

/// Bytes of a sector in the counters of the kernel, whatever the device has.
const SECTOR_BYTES: u64 = 512;

/// Both sides make their log smaller for the first time at the same size, and then by the same
/// rule: when it has outgrown what it was made into.
const REDIS: [&str; 6] =
    ["--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-min-size", "64mb"];

const QUIPU: [&str; 2] = ["--fold.log_bytes_min", "64MiB"];

/// The sides, as they are named in results.
const SIDES: [&str; 2] = ["redis appendfsync always", "quipu"];

/// Measures the row.
///
/// # Errors
/// A server or redis-benchmark fails, or a file system cannot be mounted.
pub(crate) fn run(bench: &Bench<'_>) -> Result<Row> {
    let increments = if bench.options.run.quick { INCREMENTS / 10 } else { INCREMENTS };
    let disk = Disk::mount(&bench.folder("disk"))?;
    let redis = Process::redis(&disk.folder.join("redis"), &REDIS, &Vec::new())?;
    let quipu = Process::quipu(&bench.quipu, &disk.folder.join("quipu"), &QUIPU, &Vec::new())?;
    let (mut cells, mut values) = (Vec::new(), [Vec::new(), Vec::new()]);
    // The first round brings both to where they stay: files that are used again, keys that are there.
    for round in 0..=bench.options.run.rounds {
        for side in [round % 2, 1 - round % 2] {
            let server = [&redis, &quipu][side];
            let (noise, ticks) = (Noise::watch()?, server.cpu_ticks()?);
            let (before, folds) = (disk.written_bytes()?, server.folds()?);
            let rate = redis_benchmark(server.port, 64, COUNTERS, increments)?;
            // What the round began is the round's: its end is waited for.
            server.settle()?;
            let ticks = server.cpu_ticks()? - ticks;
            let bytes = (disk.written_bytes()? - before) as f64 / increments as f64;
            let cell = json!({
                "side": SIDES[side],
                "round": round,
                "bytes_per_increment": bytes,
                "folds_or_rewrites": server.folds()? - folds,
                "per_second": rate,
                "server_cpu_us": ticks as f64 / machine::ticks_per_second()? * 1e6
                    / increments as f64,
            });
            if round > 0 {
                values[side].push(bytes);
            }
            keep(&mut cells, with(cell, noise.end(ticks)?));
        }
    }
    redis.stop()?;
    quipu.stop()?;
    disk.unmount()?;
    let [theirs, ours] = values;
    let notes = vec![
        format!("{increments} increments a round by redis-benchmark -c 50 -P 64 -r {COUNTERS}"),
        "sectors written to a loop device with ext4; round 0 is not judged: in it the node fills its \
         first segments with zeros, later they are used again"
            .to_owned(),
        format!("redis: {}; quipu: {}", REDIS.join(" "), QUIPU.join(" ")),
    ];
    let lines = vec![BAR.line(&ours, &theirs)?];
    Ok(Row { name: "disk", lines, table: Vec::new(), notes, cells })
}

/// A file system on a loop device. Dropping it unmounts it.
#[derive(Debug)]
struct Disk {
    folder: PathBuf,
    device: String,
    is_mounted: bool,
}

impl Disk {
    fn mount(at: &Path) -> Result<Self> {
        let (image, folder) = (at.join("image"), at.join("mounted"));
        fs::create_dir_all(&folder)?;
        fs::File::create(&image)?.set_len(DISK_BYTES)?;
        let why = "this row needs root and a loop device";
        call("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), image.as_path()]).context(why)?;
        call("mount", &["-o".as_ref(), "loop".as_ref(), &image, &folder]).context(why)?;
        let mut disk = Self { folder, device: String::new(), is_mounted: true };
        disk.device = device_of(&disk.folder)?;
        Ok(disk)
    }

    /// Bytes written to the device since it was made, all that was written before included.
    fn written_bytes(&self) -> Result<u64> {
        call("sync", &["-f".as_ref(), &self.folder])?;
        let stat = fs::read_to_string(format!("/sys/block/{}/stat", self.device))?;
        // Field 7 of the kernel's Documentation/block/stat.rst.
        let sectors = stat.split_whitespace().nth(6).context("the device has no counters")?;
        Ok(sectors.parse::<u64>()? * SECTOR_BYTES)
    }

    fn unmount(mut self) -> Result<()> {
        self.is_mounted = false;
        call("umount", &[&self.folder])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Servers that still run keep it busy; lazily it goes when they do.
        if self.is_mounted && call("umount", &["-l".as_ref(), &self.folder]).is_err() {
            eprintln!("{} could not be unmounted", self.folder.display());
        }
    }
}

/// The name of the device that is mounted at a folder, such as `loop0`.
fn device_of(folder: &Path) -> Result<String> {
    let folder = folder.canonicalize()?;
    let mounts = fs::read_to_string("/proc/mounts")?;
    let line = mounts.lines().find(|line| line.split(' ').nth(1) == folder.to_str());
    let device = line.and_then(|line| line.split(' ').next()?.strip_prefix("/dev/"));
    device.map(str::to_owned).context("the file system has no device")
}

fn call(program: &str, arguments: &[&Path]) -> Result<()> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("starting {program}"))?;
    if !output.status.success() {
        bail!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
