//! A server of a row as a process: Redis, a node, nginx, with the flags that the row needs.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::bench::connection::{Connection, Reply, fetch};
use crate::bench::{machine, parse};

/// Longest start or end: ten million counters are read and written in it.
const PATIENCE: Duration = Duration::from_secs(180);

/// How often a process is looked at that announces nothing.
const LOOK: Duration = Duration::from_millis(10);

/// What is preloaded into a server: variables of its environment.
pub(crate) type Preload = Vec<(&'static str, PathBuf)>;

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    folder: PathBuf,
    pub(crate) port: u16,
    pub(crate) http: u16,
    is_node: bool,
    /// From its start to its first answer.
    pub(crate) start_time: Duration,
}

impl Process {
    /// Starts Redis in a folder that may hold what it is to load.
    ///
    /// # Errors
    /// It is missing, ends, or does not answer.
    pub(crate) fn redis(folder: &Path, flags: &[&str], preload: &Preload) -> Result<Self> {
        let port = free_port()?;
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--daemonize", "no"]);
        command.args(["--save", ""]).args(flags).arg("--dir").arg(folder);
        Self::start(command, folder, (port, 0), preload)
    }

    /// Starts a node in a folder that may hold a store.
    ///
    /// # Errors
    /// It is missing, ends, or does not answer.
    pub(crate) fn quipu(
        binary: &Path,
        folder: &Path,
        flags: &[&str],
        preload: &Preload,
    ) -> Result<Self> {
        let (port, http) = (free_port()?, free_port()?);
        let mut command = Command::new(binary);
        command.arg("serve").arg("--data").arg(folder.join("data"));
        command.args(["--resp", &format!("127.0.0.1:{port}")]);
        command.args(["--http", &format!("127.0.0.1:{http}"), "--admin", "127.0.0.1:0"]);
        command.args(flags);
        Self::start(command, folder, (port, http), preload)
    }

    fn start(
        mut command: Command,
        folder: &Path,
        (port, http): (u16, u16),
        preload: &Preload,
    ) -> Result<Self> {
        fs::create_dir_all(folder)?;
        for (name, value) in preload {
            command.env(name, value);
        }
        let log = File::create(folder.join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let program = command.get_program().to_string_lossy().into_owned();
        let began = Instant::now();
        let child = command.spawn().with_context(|| format!("starting {program}"))?;
        let (is_node, start_time) = (http != 0, Duration::ZERO);
        let mut server = Self { child, folder: folder.to_owned(), port, http, is_node, start_time };
        server.await_answer(began)?;
        server.start_time = began.elapsed();
        Ok(server)
    }

    /// A server that loads answers PING with an error or not at all.
    fn await_answer(&mut self, began: Instant) -> Result<()> {
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended with {status}: {}", self.log());
            }
            let pong = self.connect().and_then(|mut connection| connection.call(&["PING"]));
            if matches!(pong, Ok(Reply::Text(text)) if text == "PONG") {
                return Ok(());
            }
            machine::pause(LOOK);
        }
        bail!("no answer in {PATIENCE:?}: {}", self.log());
    }

    /// What it said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// It does not listen.
    pub(crate) fn connect(&self) -> Result<Connection> {
        Connection::open(self.port)
    }

    fn proc(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).with_context(|| format!("reading {path}"))
    }

    /// Ticks of CPU that it and its ended children have used.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) fn cpu_ticks(&self) -> Result<u64> {
        parse::cpu_ticks(&self.proc("stat")?).context("no CPU times in /proc")
    }

    /// Memory that is resident, in bytes.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        let kib = field(&self.proc("status")?, "VmRSS").context("no VmRSS in /proc")?;
        Ok(kib * 1024)
    }

    /// A metric of a node.
    ///
    /// # Errors
    /// It does not show it.
    pub(crate) fn metric(&self, name: &str) -> Result<f64> {
        let page = fetch(self.http, "/metrics")?;
        parse::metric_sum(&page, name).with_context(|| format!("/metrics does not show {name}"))
    }

    /// A field of Redis's INFO.
    ///
    /// # Errors
    /// It does not answer, or there is no such field.
    pub(crate) fn info(&self, name: &str) -> Result<String> {
        let Reply::Text(info) = self.connect()?.call(&["INFO"])? else { bail!("INFO is no text") };
        let found = parse::info_field(&info, name).map(str::to_owned);
        found.with_context(|| format!("INFO does not show {name}"))
    }

    /// Folds that a node ended, or rewrites of Redis's log.
    ///
    /// # Errors
    /// It does not say.
    pub(crate) fn folds(&self) -> Result<f64> {
        if self.is_node {
            return self.metric("quipu_folds_total");
        }
        Ok(self.info("aof_rewrites")?.parse()?)
    }

    /// Waits until what the last cell left behind (a fold, a rewrite of the log) is done.
    ///
    /// # Errors
    /// It is gone, or is busy for too long.
    pub(crate) fn settle(&self) -> Result<()> {
        let began = Instant::now();
        let mut quiet = 0;
        while began.elapsed() < PATIENCE {
            let before = self.cpu_ticks()?;
            machine::pause(Duration::from_millis(200));
            let rewriting = !self.is_node && self.info("aof_rewrite_in_progress")? == "1";
            quiet = if self.cpu_ticks()? <= before + 2 && !rewriting { quiet + 1 } else { 0 };
            if quiet == 3 {
                return Ok(());
            }
        }
        bail!("still busy after {PATIENCE:?}");
    }

    /// Ends it in an orderly way.
    ///
    /// # Errors
    /// It cannot be asked, or does not end in time.
    pub(crate) fn stop(mut self) -> Result<()> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            machine::pause(LOOK);
        }
        bail!("no end in {PATIENCE:?}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        if self.child.kill().is_ok() && self.child.wait().is_err() {
            eprintln!("process {} could not be waited for", self.child.id());
        }
    }
}

/// Returns the number after `name:`.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Returns a port that is free now.
///
/// # Errors
/// There is none.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn a_field_of_proc_is_found_by_its_whole_name() {
        let status = "VmHWM:\t  99 kB\nVmRSS:\t  77 kB\n";
        assert_eq!(field(status, "VmRSS"), Some(77));
        assert_eq!(field(status, "RSS"), None);
    }
}
