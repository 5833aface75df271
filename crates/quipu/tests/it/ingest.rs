//! Lines of real files into a real node, with either side killed on the way.

mod blocks;
mod ended;
mod formats;
mod nginx;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

const QUIPU: &str = env!("CARGO_BIN_EXE_quipu");
const ANY_PORT: &str = "127.0.0.1:0";

/// A node in a directory; killed when the test ends.
struct Node {
    child: Child,
    resp: String,
}

impl Node {
    /// Starts a node in `directory` on free ports.
    fn start(directory: &Path) -> Node {
        Node::start_at(directory, ANY_PORT)
    }

    /// Starts a node in `directory` with its RESP listener at `resp`, and waits until it is ready.
    fn start_at(directory: &Path, resp: &str) -> Node {
        let mut child = Command::new(QUIPU)
            .arg("serve")
            .arg("--data")
            .arg(directory)
            .args(["--resp", resp, "--http", ANY_PORT, "--admin", ANY_PORT])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the node starts");
        let mut resp = String::new();
        let banner = BufReader::new(child.stdout.take().expect("a banner"));
        for line in banner.lines().map_while(Result::ok) {
            if let Some(address) = line.strip_prefix("resp") {
                address.trim().clone_into(&mut resp);
            }
            if line.starts_with("ready") {
                return Node { child, resp };
            }
        }
        panic!("the node ended before it was ready: {:?}", child.wait());
    }

    /// Kills the node with SIGKILL and starts it again on the same directory and address.
    fn restart(mut self, directory: &Path) -> Node {
        self.kill();
        Node::start_at(directory, &self.resp.clone())
    }

    fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Prepares a command that speaks to this node.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(QUIPU);
        command.args(args).args(["--node", &self.resp]);
        command
    }

    /// Runs a command that must succeed, and returns what it printed.
    fn ok(&self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("runs");
        assert_eq!(code(&output), 0, "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Ingests `file` by extension and in total, and returns the summary.
    fn ingest(&self, file: &Path) -> Summary {
        Summary::of(&self.command(&ingest_args(file)).output().expect("runs"))
    }

    /// Returns all counters.
    fn totals(&self) -> BTreeMap<String, u64> {
        let line = |line: &str| {
            let (name, value) = line.split_once('\t').expect("a name and a value");
            (name.to_owned(), value.parse().expect("a number"))
        };
        self.ok(&["scan"]).lines().map(line).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What an ingest said.
struct Summary {
    fields: serde_json::Value,
    stderr: String,
}

impl Summary {
    fn of(output: &Output) -> Summary {
        let stderr = text(&output.stderr);
        assert_eq!(code(output), 0, "{stderr}");
        let fields = serde_json::from_slice(&output.stdout).expect("one JSON object");
        Summary { fields, stderr }
    }

    fn number(&self, field: &str) -> u64 {
        self.fields[field].as_u64().expect("a number")
    }

    /// How much was rejected for `reason`.
    fn rejected(&self, reason: &str) -> u64 {
        self.fields["rejected"][reason].as_u64().unwrap_or(0)
    }

    /// Checks `resumed_from`, `lines` and `added`.
    fn check(&self, resumed_from: u64, lines: u64, added: u64) {
        let found = (self.number("resumed_from"), self.number("lines"), self.number("added"));
        assert_eq!(found, (resumed_from, lines, added), "{}", self.fields);
    }
}

const PATTERN: &str = r"\.(?<ext>[a-z]+)$";

fn ingest_args(file: &Path) -> Vec<&str> {
    let file = file.to_str().expect("UTF-8");
    let counts = ["--count", "ext/{ext}", "--count", "total"];
    [&["ingest", file, "--match", PATTERN, "--json"][..], &counts].concat()
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("no signal")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Writes `lines` lines of three extensions, and returns what they must count to.
fn write_lines(file: &Path, lines: u64) -> BTreeMap<String, u64> {
    let mut content = String::new();
    let mut totals = BTreeMap::new();
    for line in 0..lines {
        let ext = ["rs", "toml", "md"][(line * line % 7 % 3) as usize];
        writeln!(content, "file{line}.{ext}").expect("a string takes it");
        *totals.entry(format!("ext/{ext}")).or_default() += 1;
        *totals.entry("total".to_owned()).or_default() += 1;
    }
    std::fs::write(file, content).expect("written");
    totals
}

fn append(file: &Path, content: &str) {
    let mut file = std::fs::OpenOptions::new().append(true).open(file).expect("opened");
    file.write_all(content.as_bytes()).expect("written");
}

fn totals(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    of.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

/// A directory with a node's data and an input file.
fn place() -> (TempDir, std::path::PathBuf, std::path::PathBuf) {
    let place = TempDir::new().expect("a directory");
    let (data, file) = (place.path().join("data"), place.path().join("input"));
    (place, data, file)
}

/// Reads `acked` lines of a running ingest until one reaches `line`.
fn await_acked(ingest: &mut Child, line: u64) -> BufReader<std::process::ChildStderr> {
    let mut stderr = BufReader::new(ingest.stderr.take().expect("standard error"));
    let mut text = String::new();
    loop {
        text.clear();
        assert_ne!(stderr.read_line(&mut text).expect("read"), 0, "the ingest ended early");
        let acked = text.trim().strip_prefix("acked ").and_then(|line| line.parse().ok());
        if acked.is_some_and(|acked: u64| acked >= line) {
            return stderr;
        }
    }
}

/// Starts an ingest that reports often and keeps little in flight, so that a kill finds it busy.
fn spawn_slow(node: &Node, file: &Path) -> Child {
    node.command(&ingest_args(file))
        .args(["--report-every", "100", "--checkpoint-every", "1000", "--window", "64"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs")
}

#[test]
fn every_line_counts_once_and_a_second_run_adds_nothing() {
    let (_place, data, file) = place();
    let expected = write_lines(&file, 20_000);
    append(&file, "no extension\n");
    let node = Node::start(&data);
    let first = node.ingest(&file);
    first.check(0, 20_001, 40_000);
    assert_eq!((first.number("matched"), first.rejected("no-match")), (20_000, 1));
    assert_eq!(node.totals(), expected);
    node.ingest(&file).check(20_001, 0, 0);
    assert_eq!(node.totals(), expected);
}

#[test]
fn a_node_killed_in_the_middle_loses_and_doubles_nothing() {
    let (_place, data, file) = place();
    let expected = write_lines(&file, 30_000);
    let node = Node::start(&data);
    let mut ingest = spawn_slow(&node, &file);
    let mut stderr = await_acked(&mut ingest, 5_000);
    let node = node.restart(&data);
    std::io::copy(&mut stderr, &mut std::io::sink()).expect("read to its end");
    let summary = Summary::of(&ingest.wait_with_output().expect("ended"));
    assert!(summary.number("reconnects") > 0, "{}", summary.fields);
    assert_eq!(summary.number("lines"), 30_000);
    assert_eq!(node.totals(), expected);
}

#[test]
fn an_ingest_killed_in_the_middle_goes_on_where_it_was() {
    let (_place, data, file) = place();
    let expected = write_lines(&file, 30_000);
    let node = Node::start(&data);
    let mut ingest = spawn_slow(&node, &file);
    let _stderr = await_acked(&mut ingest, 5_000);
    ingest.kill().expect("killed");
    ingest.wait().expect("ended");
    let second = node.ingest(&file);
    assert!(second.number("resumed_from") >= 1_000, "{}", second.fields);
    assert_eq!(second.number("resumed_from") + second.number("lines"), 30_000);
    assert_eq!(node.totals(), expected);
}

#[test]
fn only_the_new_lines_of_a_grown_file_are_counted() {
    let (_place, data, file) = place();
    write_lines(&file, 3);
    let node = Node::start(&data);
    node.ingest(&file).check(0, 3, 6);
    append(&file, "more.rs\nunterminated.c");
    node.ingest(&file).check(3, 2, 4);
    assert_eq!(node.totals()["ext/c"], 1, "an unterminated last line counts at the end");
    append(&file, "\nlast.c\n");
    node.ingest(&file).check(5, 1, 2);
    assert_eq!(node.totals()["ext/c"], 2);
    assert_eq!(node.totals()["total"], 6);
}

#[test]
fn a_renamed_file_is_the_same_source_and_a_changed_first_line_another() {
    let (place, data, file) = place();
    write_lines(&file, 10);
    let node = Node::start(&data);
    node.ingest(&file).check(0, 10, 20);
    let renamed = place.path().join("renamed");
    std::fs::rename(&file, &renamed).expect("renamed");
    node.ingest(&renamed).check(10, 0, 0);
    std::fs::write(&renamed, "other.rs\n").expect("written over");
    node.ingest(&renamed).check(0, 1, 2);
    assert_eq!(node.totals()["total"], 11);
}

#[test]
fn a_file_that_shrank_is_another_source_and_stays_it_when_it_grows_again() {
    let (_place, data, file) = place();
    write_lines(&file, 10);
    let node = Node::start(&data);
    node.ingest(&file).check(0, 10, 20);
    write_lines(&file, 4);
    let shrunk = node.ingest(&file);
    shrunk.check(0, 4, 8);
    assert!(shrunk.stderr.contains("another source: line 10"), "{}", shrunk.stderr);
    write_lines(&file, 20);
    node.ingest(&file).check(4, 16, 32);
    assert_eq!(node.totals()["total"], 30);
}

#[test]
fn a_template_that_joins_later_counts_from_the_start_and_doubles_no_other() {
    let (_place, data, file) = place();
    let mut expected = write_lines(&file, 100);
    let node = Node::start(&data);
    node.ingest(&file).check(0, 100, 200);
    let args = [&ingest_args(&file)[..], &["--count", "also"]].concat();
    let joined = Summary::of(&node.command(&args).output().expect("runs"));
    joined.check(0, 100, 100);
    assert_eq!(joined.number("repeated"), 0, "what is confirmed is not sent again");
    expected.insert("also".to_owned(), 100);
    assert_eq!(node.totals(), expected);
}

#[test]
fn names_that_no_counter_can_have_are_rejected_and_shown() {
    let (_place, data, file) = place();
    let long = "x".repeat(300);
    std::fs::write(&file, format!("ok\n\n{long}\na\tb\n")).expect("written");
    let node = Node::start(&data);
    let file = file.to_str().expect("UTF-8");
    let args = ["ingest", file, "--match", "^(?<all>.*)$", "--count", "{all}", "--json"];
    let summary = Summary::of(&node.command(&args).output().expect("runs"));
    summary.check(0, 4, 1);
    let reasons = ["name-empty", "name-too-long", "name-control"];
    assert_eq!(reasons.map(|reason| summary.rejected(reason)), [1, 1, 1]);
    let shown = summary.fields["examples"].as_array().expect("examples");
    let lines: Vec<_> = shown.iter().map(|example| example["line"].as_u64()).collect();
    assert_eq!(lines, [Some(2), Some(3), Some(4)]);
    assert_eq!(node.totals(), totals(&[("ok", 1)]));
}

#[test]
fn standard_input_is_known_by_its_name() {
    let (_place, data, _file) = place();
    let node = Node::start(&data);
    let ingest = |lines: &str, source: &[&str]| {
        let args = ["ingest", "-", "--match", "(?<all>.+)", "--count", "{all}", "--json"];
        let mut command = node.command(&[&args[..], source].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("runs");
        let mut stdin = child.stdin.take().expect("standard input");
        // A usage error ends the command before it reads.
        stdin.write_all(lines.as_bytes()).unwrap_or_default();
        drop(stdin);
        child.wait_with_output().expect("ended")
    };
    let named = ["--source", "web-1"];
    assert_eq!(code(&ingest("a\n", &[])), 2);
    Summary::of(&ingest("a\nb\na\n", &named)).check(0, 3, 3);
    Summary::of(&ingest("a\nb\na\nc\n", &named)).check(3, 1, 1);
    Summary::of(&ingest("a\n", &["--source", "web-2"])).check(0, 1, 1);
    assert_eq!(code(&ingest("a\n", &named)), 1, "fewer lines than were counted");
    assert_eq!(node.totals(), totals(&[("a", 3), ("b", 1), ("c", 1)]));
}

#[test]
fn an_increment_repeated_with_its_token_counts_once() {
    let (_place, data, _file) = place();
    let node = Node::start(&data);
    for repeat in ["none", "token", "token"] {
        let line = node.ok(&["add", "once", "5", "--token", "t-1", "--json"]);
        let added: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((&added["value"], &added["applied"]), (&5.into(), &5.into()));
        assert_eq!(added["repeat"], repeat);
    }
    assert_eq!(node.ok(&["get", "once"]), "once\t5\n");
}

#[test]
fn what_does_not_exist_or_is_refused_ends_with_one_and_nonsense_with_two() {
    let (_place, data, _file) = place();
    let node = Node::start(&data);
    let run = |args: &[&str]| code(&node.command(args).output().expect("runs"));
    assert_eq!(run(&["get", "absent"]), 1);
    assert_eq!(run(&["take", "absent"]), 1);
    assert_eq!(run(&["add", "bounded", "5", "--max", "3"]), 1);
    assert_eq!(run(&["add", "bounded", "5", "--max", "3", "--saturate"]), 0);
    assert_eq!(node.ok(&["take", "bounded"]), "bounded\t3\n");
    assert_eq!(node.ok(&["get", "bounded"]), "bounded\t0\n");
    assert_eq!(run(&["add"]), 2);
    assert_eq!(run(&["ingest", "/dev/null", "--match", "x", "--count", "y"]), 2);
}

#[test]
fn lines_that_count_for_nothing_never_stop_the_ingest() {
    let (_place, data, file) = place();
    // More than an ingest keeps of lines without a checkpoint.
    let line = format!("{}\n", "x".repeat(999));
    std::fs::write(&file, line.repeat(40_000) + "end.rs\n").expect("written");
    let node = Node::start(&data);
    let summary = node.ingest(&file);
    summary.check(0, 40_001, 2);
    assert_eq!((summary.rejected("no-match"), summary.number("reconnects")), (40_000, 0));
}

/// The run would wait for an hour, and says at once for what.
#[test]
fn a_node_without_memory_is_named_while_the_ingest_waits_for_it() {
    let folder = TempDir::new().expect("a directory");
    let start = crate::node::start(&folder.path().join("data")).flag("memory.max", "1MiB");
    let node = start.run();
    let mut socket = node.resp();
    let mut names = (0..).map(|index| format!("INCR new:{index}"));
    let full = crate::node::poll(crate::node::PATIENCE, || {
        let line = names.next().expect("there is always one more number");
        socket.call(&line).fails_with("OOM").then_some(())
    });
    assert!(full.is_some(), "the node never says that its memory is full");
    let lines = folder.path().join("lines");
    std::fs::write(&lines, "a.rs\n").expect("written");
    let resp = node.address("resp").to_string();
    let mut run = Command::new(QUIPU)
        .args(ingest_args(&lines))
        .args(["--node", &resp, "--give-up", "3600"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    let said = BufReader::new(run.stderr.take().expect("a pipe")).lines().next();
    let waits = run.try_wait().expect("a child can be waited for").is_none();
    run.kill().expect("a child can be killed");
    run.wait().expect("ended");
    let said = said.expect("a line").expect("text");
    assert!(said.contains("waiting: OOM") && waits, "{said}");
}
