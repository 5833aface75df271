//! The servers under comparison as processes on free loopback ports, each in a fresh directory.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::bench::FOLD_FLAGS;
use crate::bench::connection::{Connection, Reply, fetch};
use crate::bench::{machine, parse};

/// A start includes recovery of an empty directory only; more than this is a fault.
const START_MAX: Duration = Duration::from_secs(20);

/// An end includes a sync and, for Redis, nothing else.
const STOP_MAX: Duration = Duration::from_secs(20);

/// How the syncs of a server are slowed: the preloaded library and what it waits.
#[derive(Debug, Clone)]
pub(crate) struct SlowSync {
    pub(crate) library: PathBuf,
    pub(crate) extra: Duration,
}

/// Which program, and how it keeps what it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    RedisVolatile,
    RedisAlways,
    QuipuDurable,
    QuipuMemory,
}

/// The binary of Quipu and the flags that every node of the bench gets.
#[derive(Debug, Clone)]
pub(crate) struct Quipu {
    pub(crate) binary: PathBuf,
    pub(crate) flags: Vec<String>,
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    kind: Kind,
    child: Child,
    folder: PathBuf,
    resp: u16,
    http: u16,
}

impl Server {
    /// Starts a server in a fresh folder and waits until it answers PING.
    ///
    /// # Errors
    /// The program is missing, ends at once, or does not answer in time.
    pub(crate) fn start(
        kind: Kind,
        quipu: &Quipu,
        folder: &Path,
        slow: Option<&SlowSync>,
    ) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let (resp, http) = (free_port()?, free_port()?);
        let mut command = match kind {
            Kind::RedisVolatile => redis(resp, folder, "no"),
            Kind::RedisAlways => redis(resp, folder, "yes"),
            Kind::QuipuDurable => node(quipu, folder, resp, http, "fsync"),
            Kind::QuipuMemory => node(quipu, folder, resp, http, "memory"),
        };
        if let Some(slow) = slow {
            command.env("LD_PRELOAD", &slow.library);
            command.env("SLOWSYNC_NS", slow.extra.as_nanos().to_string());
            command.env("SLOWSYNC_REPORT", folder.join("slowsync"));
        }
        let log = File::create(folder.join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("starting {program}"))?;
        let mut server = Self { kind, child, folder: folder.to_owned(), resp, http };
        server.await_answer()?;
        Ok(server)
    }

    fn await_answer(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_MAX;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("{:?} ended with {status}: {}", self.kind, self.log());
            }
            let pong = self.connect().and_then(|mut connection| connection.call(&["PING"]));
            if matches!(pong, Ok(Reply::Text(text)) if text == "PONG") {
                return Ok(());
            }
            machine::pause(Duration::from_millis(20));
        }
        bail!("{:?} did not answer in {START_MAX:?}: {}", self.kind, self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Which server this is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The port that speaks RESP.
    pub(crate) fn resp_port(&self) -> u16 {
        self.resp
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// The server does not listen.
    pub(crate) fn connect(&self) -> Result<Connection> {
        Connection::open(self.resp)
    }

    /// Ticks of CPU that the process and its ended children have used.
    ///
    /// # Errors
    /// The process is gone.
    pub(crate) fn cpu_ticks(&self) -> Result<u64> {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        parse::cpu_ticks(&stat).with_context(|| format!("{path} has no CPU times"))
    }

    /// The number of threads of the process.
    ///
    /// # Errors
    /// The process is gone.
    pub(crate) fn threads(&self) -> Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/task", self.child.id()))?.count())
    }

    /// Folds that ended since the start; None for Redis.
    ///
    /// # Errors
    /// The node does not show the metric.
    pub(crate) fn folds(&self) -> Result<Option<f64>> {
        if matches!(self.kind, Kind::RedisVolatile | Kind::RedisAlways) {
            return Ok(None);
        }
        self.metric("quipu_folds_total").map(Some)
    }

    /// Reads a metric of a node.
    ///
    /// # Errors
    /// The node does not answer or does not show the metric.
    pub(crate) fn metric(&self, name: &str) -> Result<f64> {
        let page = fetch(self.http, "/metrics")?;
        parse::metric_sum(&page, name).with_context(|| format!("/metrics does not show {name}"))
    }

    /// Waits until what the last cell left behind (a fold, a log rewrite) is done.
    ///
    /// # Errors
    /// The process is gone, or is busy for too long.
    pub(crate) fn settle(&self) -> Result<()> {
        let deadline = Instant::now() + STOP_MAX;
        while Instant::now() < deadline {
            let before = self.cpu_ticks()?;
            machine::pause(Duration::from_millis(200));
            if self.cpu_ticks()? <= before + 1 && !self.is_rewriting()? {
                return Ok(());
            }
        }
        bail!("{:?} is still busy after {STOP_MAX:?}", self.kind);
    }

    fn is_rewriting(&self) -> Result<bool> {
        if self.kind != Kind::RedisAlways {
            return Ok(false);
        }
        let Reply::Text(info) = self.connect()?.call(&["INFO", "persistence"])? else {
            bail!("INFO is not text");
        };
        Ok(parse::info_field(&info, "aof_rewrite_in_progress") == Some("1"))
    }

    /// Ends the server in an orderly way.
    ///
    /// # Errors
    /// It cannot be asked, or does not end in time.
    pub(crate) fn stop(mut self) -> Result<()> {
        let process = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &process]).status()?;
        let deadline = Instant::now() + STOP_MAX;
        while Instant::now() < deadline {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            machine::pause(Duration::from_millis(20));
        }
        bail!("{:?} did not end in {STOP_MAX:?}", self.kind);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        if self.child.kill().is_ok() && self.child.wait().is_err() {
            eprintln!("process {} could not be waited for", self.child.id());
        }
    }
}

fn redis(port: u16, folder: &Path, appendonly: &str) -> Command {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
    command.args(["--appendonly", appendonly, "--appendfsync", "always", "--daemonize", "no"]);
    command.arg("--dir").arg(folder);
    command
}

fn node(quipu: &Quipu, folder: &Path, resp: u16, http: u16, ack: &str) -> Command {
    let mut command = Command::new(&quipu.binary);
    command.arg("serve").arg("--data").arg(folder.join("data"));
    command.args(["--resp", &format!("127.0.0.1:{resp}"), "--http", &format!("127.0.0.1:{http}")]);
    command.args(["--admin", "127.0.0.1:0", "--ack.default", ack]);
    // What makes folds fall into every durable round is not for the other side: with the default
    // sizes its open batches coalesce as they do for users.
    let own = if ack == "fsync" { 0 } else { FOLD_FLAGS.len() };
    command.args(quipu.flags.get(own..).unwrap_or_default());
    command
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
