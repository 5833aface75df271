//! The tail of a durable client's latency while counters grow from none to all of them.
//!
//! A probe sends durable INCRs at 1,000 per second on a schedule, each alone, whether or not earlier
//! ones were answered; its latency counts from its time on the schedule. Beside it another client
//! creates all counters at an even pace. Folds (Redis: rewrites of its log) run as they come.
//!
//! "Less overlapping syncs": a library preloaded into both servers notes when each sync of the log
//! began and ended. From the time between schedule and answer, what any such sync covers is taken
//! off. What is left is the server's own doing, and the machine's.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use crate::bench::connection::{Replies, Reply, encode};
use crate::bench::machine;
use crate::bench::process::Process;
use crate::bench::row::{Bar, Noise, Row, keep, with};
use crate::bench::scale::sweep::{self, Load, Shape};
use crate::bench::scale::synclog::{self, Stretch, now_ns};
use crate::bench::scale::{Bench, remove};
use crate::bench::statistics::percentile;

const BAR: Bar = Bar {
    what: "p99.9 of a durable client at 1,000/s less overlapping syncs, while counters grow and \
           folds run, quipu / redis appendfsync always",
    close: 1.0,
    aim: 0.3,
    less_is_better: true,
};

/// Time in which the counters grow: an even 167,000/s to ten million, which both sides keep up
/// with.
const GROWTH: Duration = Duration::from_secs(60);

/// Time between two probes.
const INTERVAL_NS: u64 = 1_000_000;

/// The last part of a wait is spun, because a sleep ends late by the timer's slack (50 us).
const SPIN_NS: u64 = 80_000;

/// Counters that the probe increments.
const PROBED: u64 = 1_000;

/// Rounds; each takes twice the time of the growth.
const ROUNDS: usize = 2;

/// Both sides make their log smaller for the first time at the same size.
const REDIS: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];
const QUIPU: [&str; 2] = ["--fold.log_bytes_min", "64MiB"];

/// The sides, as they are named in results.
const SIDES: [&str; 2] = ["redis appendfsync always", "quipu"];

/// Measures the row.
///
/// # Errors
/// A server fails, or syncs where the library does not see it.
pub(crate) fn run(bench: &Bench<'_>) -> Result<Row> {
    let library = synclog::compile(&bench.folder("growth"))?;
    let (mut cells, mut values) = (Vec::new(), [Vec::new(), Vec::new()]);
    for round in 0..ROUNDS.min(bench.options.run.rounds) {
        for side in [round % 2, 1 - round % 2] {
            let folder = bench.folder(&format!("growth-{round}-{side}"));
            let notes = bench.folder(&format!("growth-{round}-{side}.syncs"));
            let preload = synclog::preload(&library, &notes);
            let server = match side {
                0 => Process::redis(&folder, &REDIS, &preload)?,
                _ => Process::quipu(&bench.quipu, &folder, &QUIPU, &preload)?,
            };
            let (p999_us, cell) = probed(bench, &server, &notes)?;
            values[side].push(p999_us);
            let name = SIDES[side];
            keep(&mut cells, with(json!({ "side": name, "round": round }), cell));
            server.stop()?;
            remove(&folder)?;
            remove(&notes)?;
        }
    }
    let [theirs, ours] = values;
    let notes = vec![
        "latency from the schedule to the answer, less what syncs on the way of answers cover: of \
         the process itself, all threads but those of folds and of segments to come"
            .to_owned(),
        format!("redis: {}; quipu: {}", REDIS.join(" "), QUIPU.join(" ")),
    ];
    Ok(Row {
        name: "growth",
        lines: vec![BAR.line(&ours, &theirs)?],
        table: Vec::new(),
        notes,
        cells,
    })
}

/// Probes a server while it grows; returns the 99.9th percentile in microseconds, and all figures.
fn probed(bench: &Bench<'_>, server: &Process, notes: &Path) -> Result<(f64, Value)> {
    let growth = if bench.options.run.quick { GROWTH / 12 } else { GROWTH };
    let counters = bench.options.counters;
    let count = growth.as_nanos() as u64 / INTERVAL_NS;
    let (noise, ticks, folds) = (Noise::watch()?, server.cpu_ticks()?, server.folds()?);
    let (stretches, took) = thread::scope(|scope| -> Result<_> {
        let growing = scope.spawn(move || {
            let rate = Some(counters as f64 / growth.as_secs_f64());
            let load = Load { rate, ..Load::new(0, counters) };
            sweep::run(server.port, Shape { connections: 8, pipeline: 200 }, load, sweep::put_incr)
        });
        let stretches = probe(server, count);
        let took = growing.join().map_err(|_| anyhow!("the growing client panicked"))??;
        Ok((stretches?, took))
    })?;
    let ticks = server.cpu_ticks()? - ticks;
    let noise = noise.end(ticks)?;
    server.settle()?;
    let syncs = synclog::read(notes, server.id())?;
    let mut whole: Vec<u64> = stretches.iter().map(|(begin, end)| end - begin).collect();
    let mut own: Vec<u64> =
        stretches.iter().map(|stretch| synclog::outside(*stretch, &syncs)).collect();
    let us = |latencies: &mut Vec<u64>, share| {
        percentile(latencies, share).map(|ns| ns as f64 / 1e3).context("no probe was answered")
    };
    let p999_us = us(&mut own, 0.999)?;
    let figures = json!({
        "p50_us": us(&mut own, 0.5)?,
        "p99_us": us(&mut own, 0.99)?,
        "p99.9_us": p999_us,
        "max_us": us(&mut own, 1.0)?,
        "with_syncs_p99.9_us": us(&mut whole, 0.999)?,
        "with_syncs_max_us": us(&mut whole, 1.0)?,
        "syncs": syncs.len(),
        "folds_or_rewrites": server.folds()? - folds,
        "growth_seconds": took.as_secs_f64(),
        "server_cpu_seconds": ticks as f64 / machine::ticks_per_second()?,
    });
    Ok((p999_us, with(figures, noise)))
}

/// Sends probes on the schedule; returns from when to when each one waited.
fn probe(server: &Process, count: u64) -> Result<Vec<Stretch>> {
    let (sender, replies) = server.connect()?.split();
    let start = now_ns() + 100 * INTERVAL_NS;
    thread::scope(|scope| {
        let sending = scope.spawn(move || send(sender, start, count));
        let stretches = receive(replies, start, count);
        sending.join().map_err(|_| anyhow!("the sender panicked"))??;
        stretches
    })
}

fn send(mut sender: TcpStream, start: u64, count: u64) -> Result<()> {
    for index in 0..count {
        let due = start + INTERVAL_NS * index;
        machine::pause(Duration::from_nanos(due.saturating_sub(now_ns() + SPIN_NS)));
        while now_ns() < due {
            std::hint::spin_loop();
        }
        sender.write_all(&encode(&["INCR", &format!("probe:{}", index % PROBED)]))?;
    }
    Ok(())
}

fn receive(
    mut replies: Replies<BufReader<TcpStream>>,
    start: u64,
    count: u64,
) -> Result<Vec<Stretch>> {
    let mut stretches = Vec::with_capacity(count as usize);
    for index in 0..count {
        let reply = replies.next()?;
        stretches.push((start + INTERVAL_NS * index, now_ns()));
        let expected = (index / PROBED + 1) as i64;
        if reply != Reply::Integer(expected) {
            bail!("probe {index} was answered {reply:?}, not {expected}");
        }
    }
    Ok(stretches)
}
