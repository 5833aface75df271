//! What a token costs: `QUIPU.ADD` with a fresh key token against plain `INCR`, both durable.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use crate::bench::machine;
use crate::bench::process::Process;
use crate::bench::row::{Bar, Noise, Row, keep, with};
use crate::bench::scale::Bench;
use crate::bench::scale::sweep::{self, Load, Shape, mixed, put_digits, put_incr};

const BAR: Bar = Bar {
    what: "QUIPU.ADD with a fresh token / INCR, both durable, pipeline 16, throughput",
    close: 0.5,
    aim: 0.7,
    less_is_better: false,
};

/// As redis-benchmark has it in the rows of throughput.
const SHAPE: Shape = Shape { connections: 50, pipeline: 16 };

/// Counters that are added to.
const COUNTERS: u64 = 100_000;

/// The sides, as they are named in results.
const SIDES: [&str; 2] = ["INCR", "QUIPU.ADD TOKEN"];

/// Measures the row.
///
/// # Errors
/// The server fails, or refuses a token.
pub(crate) fn run(bench: &Bench<'_>) -> Result<Row> {
    // The token's memory holds what all rounds bring.
    let flags = ["--token.max", "200000000"];
    let server = Process::quipu(&bench.quipu, &bench.folder("token"), &flags, &Vec::new())?;
    let add_lines = reply_lines(server.port)?;
    let mut first = 0;
    let mut cells = Vec::new();
    let (mut plain, mut tokened) = (Vec::new(), Vec::new());
    let mut rates = [200_000.0, 200_000.0];
    for round in 0..=bench.options.run.rounds {
        for side in [round % 2, 1 - round % 2] {
            let count = (rates[side] * bench.options.seconds) as u64 + 1_000;
            let load = Load { first, count, rate: None, reply_lines: [1, add_lines][side] };
            let (noise, ticks) = (Noise::watch()?, server.cpu_ticks()?);
            let took = match side {
                0 => sweep::run(server.port, SHAPE, load, put_plain)?,
                _ => sweep::run(server.port, SHAPE, load, put_tokened)?,
            };
            first += count;
            let ticks = server.cpu_ticks()? - ticks;
            rates[side] = count as f64 / took.as_secs_f64();
            let noise = noise.end(ticks)?;
            server.settle()?;
            // The first round is there to learn the rates.
            if round == 0 {
                continue;
            }
            [&mut plain, &mut tokened][side].push(rates[side]);
            let cell = json!({
                "side": SIDES[side],
                "round": round,
                "per_second": rates[side],
                "server_cpu_us": ticks as f64 / machine::ticks_per_second()? * 1e6 / count as f64,
            });
            keep(&mut cells, with(cell, noise));
        }
    }
    let remembered = server.metric("quipu_shard_tokens")?;
    server.stop()?;
    let notes = vec![
        format!("one client of {} connections over {COUNTERS} counters", SHAPE.connections),
        format!("tokens remembered at the end: {remembered}"),
    ];
    Ok(Row {
        name: "token",
        lines: vec![BAR.line(&tokened, &plain)?],
        table: Vec::new(),
        notes,
        cells,
    })
}

fn put_plain(number: u64, out: &mut Vec<u8>) {
    put_incr(mixed(number) % COUNTERS, out);
}

/// Tokens have 20 bytes and never repeat.
fn put_tokened(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"*5\r\n$9\r\nQUIPU.ADD\r\n$16\r\nkey:");
    put_digits(mixed(number) % COUNTERS, out);
    out.extend_from_slice(b"\r\n$1\r\n1\r\n$5\r\nTOKEN\r\n$20\r\nrequest-");
    put_digits(number, out);
    out.extend_from_slice(b"\r\n");
}

/// Asks once, and counts the lines of the reply.
fn reply_lines(port: u16) -> Result<u64> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let mut bytes = Vec::new();
    put_tokened(999_999_999_999, &mut bytes);
    stream.write_all(&bytes)?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    let (mut buffer, mut reply) = ([0; 1024], String::new());
    // The reply has no more lines once nothing follows.
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        let read = buffer.get(..count).context("a read beyond its buffer")?;
        reply.push_str(std::str::from_utf8(read)?);
    }
    Ok(reply.lines().count() as u64)
}
