//! HTTP adds, durable, over kept connections, against nginx that answers from memory.
//!
//! `wrk` with one thread and 64 connections drives both. nginx has one worker and `return 200` with
//! a body as long as ours. The script of wrk is the same for both sides: a counter's name by
//! chance, the same body.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::bench::machine;
use crate::bench::parse;
use crate::bench::process::{Process, free_port};
use crate::bench::row::{Bar, Noise, Row, keep, with};
use crate::bench::scale::Bench;

const BAR: Bar = Bar {
    what: "HTTP add, durable, 64 kept connections / nginx `return 200` with one worker, throughput",
    close: 0.7,
    aim: 0.9,
    less_is_better: false,
};

/// What wrk sends: an add of 1 to one of 1,000 counters.
const SCRIPT: &str = r#"wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"add":1}'
local requests, at = {}, 0
init = function()
  for i = 1, 1000 do
    requests[i] = wrk.format(nil, string.format("/v1/default/counters/key:%012d", i * 97))
  end
end
request = function()
  at = at % 1000 + 1
  return requests[at]
end
"#;

/// How long nginx may take to listen.
const START_MAX: Duration = Duration::from_secs(10);

/// The sides, as they are named in results.
const SIDES: [&str; 2] = ["nginx", "quipu"];

/// Measures the row.
///
/// # Errors
/// A server is missing or fails, or an answer is not 200.
pub(crate) fn run(bench: &Bench<'_>) -> Result<Row> {
    let folder = bench.folder("http");
    let quipu = Process::quipu(&bench.quipu, &folder.join("quipu"), &[], &Vec::new())?;
    let body = answer(quipu.http)?;
    let nginx = Nginx::start(&folder.join("nginx"), &body)?;
    let script = folder.join("add.lua");
    fs::write(&script, SCRIPT)?;
    let (mut cells, mut values) = (Vec::new(), [Vec::new(), Vec::new()]);
    wrk(quipu.http, &script, 0.5)?;
    for round in 0..bench.options.run.rounds {
        for side in [round % 2, 1 - round % 2] {
            let port = [nginx.port, quipu.http][side];
            let cpu = || if side == 0 { nginx.cpu_ticks() } else { quipu.cpu_ticks() };
            let (noise, ticks) = (Noise::watch()?, cpu()?);
            let (rate, p99) = wrk(port, &script, bench.options.seconds)?;
            let ticks = cpu()? - ticks;
            values[side].push(rate);
            let cpu_us = ticks as f64 / machine::ticks_per_second()? * 1e6
                / (rate * bench.options.seconds.ceil());
            let cell = json!({
                "side": SIDES[side],
                "round": round,
                "per_second": rate,
                "p99": p99,
                "server_cpu_us": cpu_us,
            });
            keep(&mut cells, with(cell, noise.end(ticks)?));
            quipu.settle()?;
        }
    }
    quipu.stop()?;
    let [theirs, ours] = values;
    let notes = vec![
        format!("wrk -t1 -c64; POST of {{\"add\":1}}; both answer {body}"),
        "nginx answers from memory and keeps nothing".to_owned(),
    ];
    Ok(Row {
        name: "http",
        lines: vec![BAR.line(&ours, &theirs)?],
        table: Vec::new(),
        notes,
        cells,
    })
}

/// The body of an answer to an add, for nginx to answer alike.
fn answer(port: u16) -> Result<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let body = r#"{"add":1}"#;
    write!(
        stream,
        "POST /v1/default/counters/key:000000000097 HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").context("an answer without a body")?;
    if !head.starts_with("HTTP/1.1 200") || body.contains('\'') {
        bail!("the node answered {text}");
    }
    Ok(body.to_owned())
}

/// Runs wrk and returns the requests per second and the 99th percentile as it prints it.
fn wrk(port: u16, script: &Path, seconds: f64) -> Result<(f64, String)> {
    let mut command = Command::new("wrk");
    command.args(["-t1", "-c64", "--latency", "-d", &format!("{}s", seconds.ceil()), "-s"]);
    command.arg(script).arg(format!("http://127.0.0.1:{port}/"));
    let output = command.output().context("starting wrk (Debian package wrk)")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() || text.contains("Non-2xx") || text.contains("Socket errors") {
        bail!("wrk: {text}{}", String::from_utf8_lossy(&output.stderr));
    }
    let word = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name))?;
        line.split_whitespace().next().map(str::to_owned)
    };
    let rate = word("Requests/sec:").context("wrk printed no rate")?;
    Ok((rate.parse()?, word("99%").unwrap_or_default()))
}

/// nginx with one worker. Dropping it ends it.
#[derive(Debug)]
struct Nginx {
    master: Child,
    port: u16,
}

impl Nginx {
    fn start(folder: &Path, body: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let port = free_port()?;
        let at = folder.display();
        let config = format!(
            "daemon off; worker_processes 1; pid {at}/pid; error_log {at}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; keepalive_requests 1000000000; default_type application/json;\n\
             client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;\n\
             fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
             server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{body}'; }} }} }}\n"
        );
        let path = folder.join("nginx.conf");
        fs::write(&path, config)?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder).arg("-c").arg(&path).stdin(Stdio::null());
        let master = command.spawn().context("starting nginx (Debian package nginx-light)")?;
        let mut nginx = Self { master, port };
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = nginx.master.try_wait()? {
                bail!("nginx ended with {status}");
            }
            if began.elapsed() > START_MAX {
                bail!("nginx does not listen");
            }
            machine::pause(Duration::from_millis(10));
        }
        Ok(nginx)
    }

    /// CPU of the master's only child.
    fn cpu_ticks(&self) -> Result<u64> {
        let id = self.master.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        let worker = children.split_whitespace().next().context("nginx has no worker")?;
        let stat = fs::read_to_string(format!("/proc/{worker}/stat"))?;
        parse::cpu_ticks(&stat).context("no CPU times in /proc")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Quick shutdown of master and worker; a master that is gone already needs none.
        let id = self.master.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status();
        if asked.is_err() || self.master.wait().is_err() {
            eprintln!("nginx could not be ended");
        }
    }
}
