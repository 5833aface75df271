//! The reader's row: GETs of one connection on a schedule while others write durably, on a slow
//! disk.
//!
//! The schedule is open: a GET is sent at its time whether or not the one before was answered, and
//! its latency counts from the time at which it should have been sent.

use std::fs;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::bench::connection::{Replies, Reply, encode};
use crate::bench::machine;
use crate::bench::server::{Kind, Quipu, Server, SlowSync};
use crate::bench::statistics::percentile;
use crate::checkout;

/// The reader sends one GET per interval: 1,000 in a second.
const INTERVAL: Duration = Duration::from_millis(1);

/// Connections that write, each waiting for every answer.
const WRITERS: u64 = 8;

/// Keys that are read; none of them is written.
const READ_KEYS: u64 = 1_000;

/// Keys that are written.
const WRITTEN_KEYS: u64 = 100_000;

/// What every sync takes longer. The bar asks for at least 2 ms.
pub(crate) const EXTRA: Duration = Duration::from_millis(2);

/// The last part of a wait is spun, because a sleep ends late by the timer's slack (50 us).
const SPIN: Duration = Duration::from_micros(80);

/// What one run against one server measured.
#[derive(Debug, Clone)]
pub(crate) struct ReaderRun {
    pub(crate) kind: Kind,
    pub(crate) round: usize,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
    pub(crate) writes_per_second: f64,
    /// Syncs as the preloaded library saw them.
    pub(crate) shim: ShimReport,
    /// The mean of the syncs that the server itself tells, in milliseconds: all of them from Quipu,
    /// the longest of each second from Redis, which keeps no others.
    pub(crate) own_sync_ms: f64,
}

impl ReaderRun {
    /// Whether both witnesses saw syncs of at least 2 ms.
    pub(crate) fn is_slowed(&self) -> bool {
        self.shim.syncs > 0 && self.shim.least_ms() >= 2.0 && self.own_sync_ms >= 2.0
    }

    /// The run as raw result.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "server": format!("{:?}", self.kind),
            "round": self.round,
            "get_p50_us": self.p50_us,
            "get_p99_us": self.p99_us,
            "get_max_us": self.max_us,
            "writes_per_second": self.writes_per_second,
            "shim_syncs": self.shim.syncs,
            "shim_mean_ms": self.shim.mean_ms(),
            "shim_least_ms": self.shim.least_ms(),
            "own_sync_ms": self.own_sync_ms,
        })
    }
}

/// What the preloaded library counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ShimReport {
    syncs: u64,
    total_ns: u64,
    least_ns: u64,
}

impl ShimReport {
    /// Reads the three numbers of the library's report.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let number = |index: usize| {
            let bytes = bytes.get(index * 8..index * 8 + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        Some(Self { syncs: number(0)?, total_ns: number(1)?, least_ns: number(2)? })
    }

    /// The report in words.
    pub(crate) fn describe(self) -> String {
        let (mean, least) = (self.mean_ms(), self.least_ms());
        format!("{} syncs, mean {mean:.2} ms, least {least:.2} ms", self.syncs)
    }

    fn mean_ms(self) -> f64 {
        self.total_ns as f64 / 1e6 / self.syncs.max(1) as f64
    }

    fn least_ms(self) -> f64 {
        self.least_ns as f64 / 1e6
    }
}

/// Compiles the library that slows syncs.
///
/// # Errors
/// There is no C compiler, or it fails.
pub(crate) fn compile_shim(folder: &Path) -> Result<SlowSync> {
    let library = folder.join("slowsync.so");
    let source = checkout::root().join("xtask/shim/slowsync.c");
    let mut command = Command::new("cc");
    command.args(["-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o"]).arg(&library).arg(source);
    let status = command.arg("-ldl").status().context("starting cc")?;
    if !status.success() {
        bail!("cc ended with {status}");
    }
    Ok(SlowSync { library, extra: EXTRA })
}

/// Runs the row once against one server.
///
/// # Errors
/// The server or a connection fails.
pub(crate) fn run(
    kind: Kind,
    quipu: &Quipu,
    folder: &Path,
    slow: &SlowSync,
    plan: (usize, f64),
) -> Result<ReaderRun> {
    let (round, seconds) = plan;
    let server = Server::start(kind, quipu, folder, Some(slow))?;
    if kind == Kind::RedisAlways {
        server.connect()?.call(&["CONFIG", "SET", "latency-monitor-threshold", "1"])?;
    }
    create_keys(&server)?;
    if kind == Kind::RedisAlways {
        server.connect()?.call(&["LATENCY", "RESET"])?;
    }
    let own_before = own_syncs(&server)?;
    let stop = AtomicBool::new(false);
    let (latencies, writes, elapsed) = thread::scope(|scope| -> Result<_> {
        let began = Instant::now();
        let (server, stop) = (&server, &stop);
        let writers = (0..WRITERS).map(|seed| scope.spawn(move || write(server, seed, stop)));
        let writers: Vec<_> = writers.collect();
        let latencies = read(server, seconds);
        stop.store(true, Ordering::Relaxed);
        let elapsed = began.elapsed();
        let mut writes = 0;
        for writer in writers {
            writes += writer.join().map_err(|_| anyhow::anyhow!("a writer panicked"))??;
        }
        Ok((latencies?, writes, elapsed))
    })?;
    let own_sync_ms = own_syncs(&server)?.milliseconds_since(own_before)?;
    server.stop()?;
    let shim = ShimReport::parse(&fs::read(folder.join("slowsync"))?);
    let shim = shim.context("the report of the slowed syncs is short")?;
    let mut latencies = latencies;
    let mut at = |share| percentile(&mut latencies, share).context("no GET was answered");
    Ok(ReaderRun {
        kind,
        round,
        p50_us: at(0.5)?,
        p99_us: at(0.99)?,
        max_us: at(1.0)?,
        writes_per_second: f64::from(writes) / elapsed.as_secs_f64(),
        shim,
        own_sync_ms,
    })
}

fn create_keys(server: &Server) -> Result<()> {
    let (mut sender, mut replies) = server.connect()?.split();
    let commands = (0..READ_KEYS).map(|key| encode(&["INCR", &format!("read:{key}")]));
    sender.write_all(&commands.collect::<Vec<_>>().concat())?;
    for _ in 0..READ_KEYS {
        replies.next()?;
    }
    Ok(())
}

/// Increments keys until told to stop and returns how many were answered.
fn write(server: &Server, seed: u64, stop: &AtomicBool) -> Result<u32> {
    let mut connection = server.connect()?;
    let mut state = seed + 1;
    let mut answered = 0;
    while !stop.load(Ordering::Relaxed) {
        // Knuth's MMIX generator; its high bits are good enough to choose keys.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let key = format!("write:{}", (state >> 33) % WRITTEN_KEYS);
        connection.call(&["INCR", &key])?;
        answered += 1;
    }
    Ok(answered)
}

/// Sends GETs on the schedule and returns the latency of each in microseconds.
fn read(server: &Server, seconds: f64) -> Result<Vec<u64>> {
    let count = (seconds / INTERVAL.as_secs_f64()) as u32;
    let (sender, replies) = server.connect()?.split();
    // The writers are at work by then.
    let start = Instant::now() + Duration::from_millis(300);
    thread::scope(|scope| {
        let sending = scope.spawn(move || send(sender, start, count));
        let latencies = receive(replies, start, count);
        sending.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        latencies
    })
}

fn send(mut sender: TcpStream, start: Instant, count: u32) -> Result<()> {
    for index in 0..count {
        let due = start + INTERVAL * index;
        machine::pause(due.saturating_duration_since(Instant::now() + SPIN));
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        let key = format!("read:{}", u64::from(index) % READ_KEYS);
        sender.write_all(&encode(&["GET", &key]))?;
    }
    Ok(())
}

fn receive(
    mut replies: Replies<BufReader<TcpStream>>,
    start: Instant,
    count: u32,
) -> Result<Vec<u64>> {
    let mut latencies = Vec::with_capacity(count as usize);
    for index in 0..count {
        let reply = replies.next()?;
        let due = start + INTERVAL * index;
        latencies.push(u64::try_from(due.elapsed().as_micros())?);
        if reply != Reply::Text("1".to_owned()) {
            bail!("a key that nobody writes answered {reply:?}");
        }
    }
    Ok(latencies)
}

/// Syncs as the server itself counts them.
#[derive(Debug, Clone, Copy)]
struct OwnSyncs {
    count: f64,
    milliseconds: f64,
}

impl OwnSyncs {
    fn milliseconds_since(self, before: Self) -> Result<f64> {
        let count = self.count - before.count;
        if count <= 0.0 {
            bail!("the server itself saw no sync");
        }
        Ok((self.milliseconds - before.milliseconds) / count)
    }
}

fn own_syncs(server: &Server) -> Result<OwnSyncs> {
    match server.kind() {
        Kind::QuipuDurable | Kind::QuipuMemory => Ok(OwnSyncs {
            count: server.metric("quipu_log_sync_duration_seconds_count")?,
            milliseconds: server.metric("quipu_log_sync_duration_seconds_sum")? * 1e3,
        }),
        Kind::RedisVolatile | Kind::RedisAlways => redis_syncs(server),
    }
}

/// Redis keeps the longest `aof-fsync-always` of each second, of the last 160.
fn redis_syncs(server: &Server) -> Result<OwnSyncs> {
    let history = server.connect()?.call(&["LATENCY", "HISTORY", "aof-fsync-always"])?;
    let Reply::Array(samples) = history else { bail!("LATENCY HISTORY is not an array") };
    let mut syncs = OwnSyncs { count: 0.0, milliseconds: 0.0 };
    for sample in samples {
        let Reply::Array(pair) = sample else { bail!("a sample is not an array") };
        let [_, Reply::Integer(milliseconds)] = pair[..] else { bail!("a sample is not a pair") };
        syncs.count += 1.0;
        syncs.milliseconds += milliseconds as f64;
    }
    Ok(syncs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(syncs: u64, least_ns: u64) -> Vec<u8> {
        [syncs, 6_000_000, least_ns].iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    #[test]
    fn the_report_of_the_library_is_read() {
        let found = ShimReport::parse(&report(2, 2_500_000)).unwrap();
        assert!((found.mean_ms() - 3.0).abs() < 1e-9 && (found.least_ms() - 2.5).abs() < 1e-9);
        assert_eq!(ShimReport::parse(&report(2, 1)[..23]), None);
    }

    #[test]
    fn a_run_without_slow_syncs_is_not_slowed() {
        let run = |shim: Vec<u8>, own_sync_ms| ReaderRun {
            kind: Kind::QuipuDurable,
            round: 0,
            p50_us: 0,
            p99_us: 0,
            max_us: 0,
            writes_per_second: 0.0,
            shim: ShimReport::parse(&shim).unwrap(),
            own_sync_ms,
        };
        assert!(run(report(5, 2_000_000), 2.1).is_slowed());
        assert!(!run(report(0, 0), 2.1).is_slowed());
        assert!(!run(report(5, 1_900_000), 2.1).is_slowed());
        assert!(!run(report(5, 2_000_000), 0.1).is_slowed());
    }
}
