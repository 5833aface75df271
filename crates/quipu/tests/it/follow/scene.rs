//! A node, an ingest that follows, a folder of logs, and the books of what was written to it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::chance::Chance;
use crate::node::{self, Node, PATIENCE, poll};
use crate::tool;

const KEYS: [&str; 5] = ["red", "green", "blue", "white", "black"];

/// How logrotate is told to rotate, beyond `rotate 99` and `missingok`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rotation<'a>(pub(super) &'a str);

/// A node and what it is to have counted.
pub(super) struct Scene {
    folder: TempDir,
    node: Option<Node>,
    resp: String,
    ingest: Option<Child>,
    wanted: Vec<PathBuf>,
    books: BTreeMap<String, u64>,
    written: u64,
}

impl Scene {
    /// Starts a node; `wanted` is what the ingest will be told to follow, in the folder of logs.
    pub(super) fn new(wanted: &[&str]) -> Scene {
        let folder = TempDir::new().expect("a folder");
        let logs = folder.path().join("logs");
        fs::create_dir(&logs).expect("made");
        let node = node::start(&folder.path().join("data")).run();
        let resp = node.address("resp").to_string();
        let wanted = wanted.iter().map(|wanted| logs.join(wanted)).collect();
        let books = BTreeMap::new();
        Scene { folder, node: Some(node), resp, ingest: None, wanted, books, written: 0 }
    }

    /// Returns the path of the log `name`.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join("logs").join(name)
    }

    /// Starts the ingest.
    pub(super) fn follow(&mut self) {
        assert!(self.ingest.is_none(), "one ingest at a time");
        let stderr = OpenOptions::new().create(true).append(true).open(self.stderr());
        let child = self
            .command(&["--follow", "--settle", "200ms"])
            .stdout(File::create(self.folder.path().join("stdout")).expect("made"))
            .stderr(stderr.expect("made"))
            .spawn();
        self.ingest = Some(child.expect("runs"));
    }

    fn stderr(&self) -> PathBuf {
        self.folder.path().join("ingest.stderr")
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(node::binary());
        command.arg("ingest").args(&self.wanted).args(["--match", r"key=(?<key>\w+)", "--json"]);
        command.args(["--count", "key/{key}", "--count", "total", "--node", &self.resp]);
        command.args(more);
        command
    }

    /// Ingests to the end of everything and returns the summary.
    pub(super) fn ingest_once(&self) -> serde_json::Value {
        let said = tool::output_of(&mut self.command(&[]));
        serde_json::from_str(&said).expect("one JSON object")
    }

    /// Returns the next line, entered into the books.
    fn next_line(&mut self) -> String {
        let key = KEYS[Chance::new(self.written).below(KEYS.len())];
        self.written += 1;
        for name in [format!("key/{key}"), "total".to_owned()] {
            *self.books.entry(name).or_default() += 1;
        }
        format!("{} key={key}\n", self.written)
    }

    /// Appends `lines` lines to the open file `log`, one write each.
    pub(super) fn write_to(&mut self, log: &mut File, lines: u64) {
        for _ in 0..lines {
            log.write_all(self.next_line().as_bytes()).expect("written");
        }
    }

    /// Appends `lines` lines to the log `name`, which is opened for that.
    pub(super) fn write(&mut self, name: &str, lines: u64) {
        let mut log = self.open(name);
        self.write_to(&mut log, lines);
    }

    /// Appends the begin of a line, which is entered into the books as a whole one.
    pub(super) fn write_unterminated(&mut self, name: &str) {
        let line = self.next_line();
        let mut log = self.open(name);
        log.write_all(line.trim_end().as_bytes()).expect("written");
    }

    /// Opens the log `name` to append.
    pub(super) fn open(&self, name: &str) -> File {
        OpenOptions::new().create(true).append(true).open(self.log(name)).expect("opened")
    }

    /// Lets logrotate rotate `access.log` now; false where there is no logrotate.
    pub(super) fn rotate(&self, rotation: Rotation<'_>) -> bool {
        let command = self.rotation(rotation);
        command.map(|mut command| tool::output_of(&mut command)).is_some()
    }

    /// Prepares a rotation of `access.log`; `None` where there is no logrotate.
    pub(super) fn rotation(&self, rotation: Rotation<'_>) -> Option<Command> {
        let program = tool::find("logrotate")?;
        let configuration = self.folder.path().join("logrotate.conf");
        let log = self.log("access.log");
        let text = format!("{} {{\nrotate 99\nmissingok\n{}\n}}\n", log.display(), rotation.0);
        fs::write(&configuration, text).expect("written");
        let mut command = Command::new(program);
        command.arg("--force").arg("--state").arg(self.folder.path().join("state"));
        command.arg(&configuration);
        Some(command)
    }

    /// Waits until the node has counted exactly what was written.
    pub(super) fn await_counted(&mut self) {
        let counted = poll(PATIENCE, || (self.totals() == self.books).then_some(()));
        let found = self.found();
        assert!(counted.is_some(), "{:?} is not {:?}:\n{found}", self.totals(), self.books);
    }

    /// Waits until the node has counted at least `lines` lines.
    pub(super) fn await_lines(&self, lines: u64) {
        let counted = || self.totals().get("total").copied().unwrap_or_default();
        let there = poll(PATIENCE, || (counted() >= lines).then_some(()));
        assert!(there.is_some(), "{} of {lines} lines are counted:\n{}", counted(), self.found());
    }

    /// Returns what the ingest said and which files there are, for whoever looks for a mistake.
    fn found(&self) -> String {
        let said = fs::read_to_string(self.stderr()).unwrap_or_default();
        let files = tool::output_of(Command::new("ls").arg("-li").arg(self.log("")));
        format!("{said}{files}")
    }

    /// Returns how many lines were written.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    fn totals(&self) -> BTreeMap<String, u64> {
        let mut scan = Command::new(node::binary());
        scan.args(["scan", "--node", &self.resp]);
        let line = |line: &str| {
            let (name, value) = line.split_once('\t').expect("a name and a value");
            (name.to_owned(), value.parse().expect("a number"))
        };
        tool::output_of(&mut scan).lines().map(line).collect()
    }

    /// Waits until the ingest has said `text`.
    pub(super) fn await_said(&self, text: &str) {
        let said = || fs::read_to_string(self.stderr()).unwrap_or_default();
        let there = poll(PATIENCE, || said().contains(text).then_some(()));
        assert!(there.is_some(), "'{text}' is not in:\n{}", said());
    }

    /// Kills the ingest with SIGKILL.
    pub(super) fn kill_ingest(&mut self) {
        if let Some(mut ingest) = self.ingest.take() {
            ingest.kill().expect("killed");
            ingest.wait().expect("ended");
        }
    }

    /// Kills the ingest, writes some more lines where there is a `chance`, and starts it again.
    pub(super) fn kill_ingest_and_follow(&mut self, chance: Option<&mut Chance>) {
        self.kill_ingest();
        if let Some(chance) = chance {
            self.write("access.log", chance.below(500) as u64);
        }
        self.follow();
    }

    /// Takes the first `lines` lines of the log `name`, which must not count, out of the books.
    pub(super) fn forget(&mut self, lines: usize, name: &str) {
        let text = fs::read_to_string(self.log(name)).expect("read");
        let keys = text.lines().filter_map(|line| line.split_once("key=")).map(|(_, key)| key);
        for key in keys.take(lines) {
            for name in [format!("key/{key}"), "total".to_owned()] {
                *self.books.entry(name).or_default() -= 1;
            }
        }
        self.books.retain(|_, count| *count > 0);
    }

    /// Kills the node with SIGKILL and starts it again at the same address.
    pub(super) fn restart_node(&mut self) {
        let mut node = self.node.take().expect("a node");
        node.kill();
        drop(node);
        let start = node::start(&self.folder.path().join("data")).flag("resp", self.resp.as_str());
        self.node = Some(start.run());
    }

    /// Ends the ingest with SIGTERM, which it must take in order, and returns its summary.
    pub(super) fn stop(&mut self) -> serde_json::Value {
        let mut ingest = self.ingest.take().expect("an ingest");
        let pid = Pid::from_raw(ingest.id() as i32).expect("positive");
        kill_process(pid, Signal::TERM).expect("signalled");
        let status = poll(PATIENCE, || ingest.try_wait().expect("waited for"));
        let said = fs::read_to_string(self.stderr()).unwrap_or_default();
        assert!(status.is_some_and(|status| status.success()), "{status:?}:\n{said}");
        let stdout = fs::read_to_string(self.folder.path().join("stdout")).expect("read");
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
    }

    /// Checks that all is counted once, and that a new ingest that looks at everything again
    /// counts only what is new.
    pub(super) fn check(mut self) {
        self.await_counted();
        self.stop();
        self.follow();
        self.write("access.log", 3);
        self.await_counted();
        self.stop();
        self.await_counted();
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.kill_ingest();
    }
}

/// Moves the log at `from` to `to`.
pub(super) fn rename(from: &Path, to: &Path) {
    fs::rename(from, to).expect("renamed");
}
