//! Starts the real program, `quipu serve`, and stops it by pid.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::http::Http;
use crate::resp::Resp;

/// How long anything that must come may take. Measured: where four others want each of two cores, a
/// start takes more than 20 s now and then, and so does a fold, which stands back behind all of them.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Lines of a banner that may wait unread (guess; a banner has about ten).
const BANNER_LINES_MAX: usize = 1024;

/// Calls `probe` until it answers something; answers `None` when `patience` is over.
pub fn poll<T>(patience: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::park_timeout(Duration::from_millis(1));
    }
}

/// What to start: program, data directory, flags and environment.
#[derive(Debug, Clone)]
pub struct Start {
    program: PathBuf,
    data: PathBuf,
    stderr: Option<PathBuf>,
    has_own_group: bool,
    flags: Vec<OsString>,
    environment: Vec<(String, OsString)>,
}

impl Start {
    /// Returns a start of `program` on the directory `data`, all listeners on port 0.
    pub fn new(program: &Path, data: &Path) -> Self {
        Self {
            program: program.to_path_buf(),
            data: data.to_path_buf(),
            stderr: None,
            has_own_group: false,
            flags: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// Adds the flag `--name value`.
    #[must_use]
    pub fn flag(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.flags.push(format!("--{name}").into());
        self.flags.push(value.into());
        self
    }

    /// Writes what the program says on stderr to this file, and not beside its data.
    #[must_use]
    pub fn stderr_to(mut self, path: &Path) -> Self {
        self.stderr = Some(path.to_path_buf());
        self
    }

    /// Adds a variable to the environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Keeps a Ctrl-C in the terminal from the node: it is for the process that started it.
    #[must_use]
    pub fn in_own_group(mut self) -> Self {
        self.has_own_group = true;
        self
    }

    /// Starts another build of the program instead.
    #[must_use]
    pub fn program(mut self, program: &Path) -> Self {
        self.program = program.to_path_buf();
        self
    }

    /// Returns the program that is started.
    pub fn binary(&self) -> &Path {
        &self.program
    }

    /// Returns the data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Starts the node and waits until its banner says `ready`.
    ///
    /// # Panics
    /// If it ends or stays silent instead; the message holds what it printed.
    pub fn run(&self) -> Node {
        self.try_run().unwrap_or_else(|text| panic!("{text}"))
    }

    /// Starts the node and waits until its banner says `ready`.
    ///
    /// # Errors
    /// It ends or stays silent instead; the text holds what it printed.
    pub fn try_run(&self) -> Result<Node, String> {
        let beside = || self.data.with_extension("stderr");
        let stderr = self.stderr.clone().unwrap_or_else(beside);
        let command = self.command(&stderr).spawn();
        let mut child = command.map_err(|error| format!("{}: {error}", self.program.display()))?;
        let lines = lines_of(child.stdout.take().expect("stdout is a pipe"));
        let mut node = Node { child, addresses: BTreeMap::new(), stderr };
        node.read_banner(&lines).map_err(|reason| {
            let printed = fs::read_to_string(&node.stderr).unwrap_or_default();
            format!("the node did not become ready ({reason}); its stderr:\n{printed}")
        })?;
        Ok(node)
    }

    /// Starts the program, which must refuse: end by itself, with an error, before it is ready.
    /// Returns what it said.
    pub fn refusal(&self) -> String {
        let stderr = self.data.with_extension("refusal");
        let mut child = self.command(&stderr).spawn().expect("the binary starts");
        let lines = lines_of(child.stdout.take().expect("stdout is a pipe"));
        let status = poll(PATIENCE, || child.try_wait().expect("a child can be waited for"));
        if status.is_none() {
            child.kill().expect("a running child can be killed");
            child.wait().expect("a killed child ends");
        }
        let stdout: Vec<String> = lines.iter().collect();
        let said = format!(
            "{}\n{}",
            stdout.join("\n"),
            fs::read_to_string(&stderr).expect("the stderr file is readable")
        );
        let status = status.unwrap_or_else(|| panic!("the program serves; it said:\n{said}"));
        assert!(!status.success(), "a refusal ends with an error; it said:\n{said}");
        said
    }

    fn command(&self, stderr: &Path) -> Command {
        let stderr = File::create(stderr).expect("the test's directory takes a file");
        let mut command = Command::new(&self.program);
        command.arg("serve").arg("--data").arg(&self.data);
        for listener in ["resp", "http", "admin"] {
            let flag = format!("--{listener}");
            if !self.flags.iter().any(|given| *given == *flag) {
                command.arg(flag).arg("127.0.0.1:0");
            }
        }
        command.args(&self.flags).envs(self.environment.iter().map(|(k, v)| (k, v)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        if self.has_own_group {
            command.process_group(0);
        }
        command
    }
}

/// Hands on the lines of a pipe until it closes; later lines than fit are read and dropped, so
/// that the writer never waits.
fn lines_of(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::sync_channel(BANNER_LINES_MAX);
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            drop(sender.try_send(line));
        }
    });
    receiver
}

/// A running node; dropping it kills the process.
#[derive(Debug)]
pub struct Node {
    child: Child,
    addresses: BTreeMap<String, SocketAddr>,
    stderr: PathBuf,
}

impl Node {
    fn read_banner(&mut self, lines: &Receiver<String>) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = match lines.recv_timeout(left) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => return Err("no line `ready`".into()),
                Err(RecvTimeoutError::Disconnected) => return Err("stdout closed".into()),
            };
            if line.split_whitespace().next() == Some("ready") {
                return Ok(());
            }
            self.note_address(&line);
        }
    }

    /// Notes the address of a line `name address`; other lines of the banner are for people.
    fn note_address(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(Ok(address))) = (words.next(), words.next().map(str::parse)) {
            self.addresses.insert(name.to_owned(), address);
        }
    }

    /// Returns the address of the listener that the banner calls `name`.
    pub fn address(&self, name: &str) -> SocketAddr {
        *self.addresses.get(name).unwrap_or_else(|| {
            panic!("the banner names no {name} listener, only {:?}", self.addresses)
        })
    }

    /// Connects a RESP client.
    pub fn resp(&self) -> Resp {
        Resp::tcp(self.address("resp"))
    }

    /// Connects an HTTP client.
    pub fn http(&self) -> Http {
        Http::connect(self.address("http"))
    }

    /// Returns what the node has written to stderr so far.
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// Sends SIGKILL without waiting for the end; dropping the node waits.
    pub fn kill(&mut self) {
        self.child.kill().expect("a running child can be killed");
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGSTOP: it does nothing any more, and its sockets still take what is sent.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a pid is positive"), signal).expect("the child takes signals");
    }

    /// Waits for the end of the process; `None` if it still runs when patience is over.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        poll(PATIENCE, || self.child.try_wait().expect("a child can be waited for"))
    }

    /// Returns whether the process still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// Kills a child that still runs, and waits for its end.
fn stop(child: &mut Child) {
    // Errors mean that it has ended already, which is what is wanted.
    drop(child.kill());
    drop(child.wait());
}
