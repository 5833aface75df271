//! `quipu load` against real nodes: what was planned is sent or missed, what was acknowledged is
//! counted, and a target that goes away is told by its classes.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::node::{self, Node, PATIENCE, Start, poll};
use crate::tool::text_of;

/// Adds over RESP, pipelined, with a promise that speaks of the counters.
pub(crate) const RESP: &str = r#"
[target]
kind = "resp"
address = "127.0.0.1:1"
command = "INCRBY {{key}} {{delta}}"
connections = 4
pipeline = 4
timeout = "60s"
"#;

/// The same over HTTP, with tokens.
pub(crate) const HTTP: &str = r#"
[target]
kind = "http"
url = "http://127.0.0.1:1/v1/default/counters/{{key}}"
body = '{"add": {{delta}}}'
connections = 4
timeout = "60s"
[target.headers]
Idempotency-Key = "{{token}}"
"#;

/// Two phases of which the first is no part of the result.
const PHASES: &str = r#"
version = 1
name = "short"
seed = 5
[data.key]
dist = "zipf"
count = 100
exponent = 1.01
prefix = "load:"
[[phase]]
name = "warmup"
rate = 500
for = "200ms"
record = false
[[phase]]
name = "main"
rate = 1_500
for = "1s"
[[slo]]
check = ["errors == 0", "missed == 0", "conserved"]
"#;

/// A closed loop of eight users.
const CLOSED: &str = r#"
version = 1
name = "closed"
[data.key]
dist = "uniform"
count = 10
[arrival]
model = "closed"
users = 8
[[phase]]
name = "main"
for = "300ms"
[[slo]]
check = ["errors == 0", "conserved"]
"#;

/// A scenario in a file of its own, and a node.
pub(crate) struct Bench {
    folder: TempDir,
    pub(crate) node: Node,
}

impl Bench {
    pub(crate) fn new(plan: &str, target: &str) -> Self {
        Self::with(plan, target, &|data| node::start(data))
    }

    /// A node that `start` makes of a directory.
    pub(crate) fn with(plan: &str, target: &str, start: &dyn Fn(&Path) -> Start) -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let node = start(&folder.path().join("data")).run();
        let mut file = std::fs::File::create(folder.path().join("s.toml")).expect("a file");
        write!(file, "{plan}\n{target}").expect("it takes a text");
        Self { folder, node }
    }

    /// Starts the node that has ended, or is killed, again at the same addresses.
    pub(crate) fn restart(&mut self, start: &dyn Fn(&Path) -> Start) {
        self.node.kill();
        self.node.ended().expect("a killed node ends");
        let address = |surface| self.node.address(surface).to_string();
        let start = start(&self.folder.path().join("data"));
        self.node = start.flag("resp", address("resp")).flag("http", address("http")).run();
    }

    /// Where a run may leave its result.
    pub(crate) fn result(&self) -> PathBuf {
        self.folder.path().join("result")
    }

    pub(crate) fn scenario(&self) -> PathBuf {
        self.folder.path().join("s.toml")
    }

    pub(crate) fn url(&self, surface: &str) -> String {
        let scheme = if surface == "resp" { "redis" } else { "http" };
        format!("{scheme}://{}", self.node.address(surface))
    }

    pub(crate) fn run(&self, surface: &str, flags: &[&str]) -> Command {
        let mut command = Command::new(node::binary());
        command.args(["load", "run", "--json", "--target", &self.url(surface)]).args(flags);
        command.arg(self.scenario());
        command
    }
}

/// The finding that a run printed, and its exit code.
pub(crate) fn finding(output: &Output) -> (Value, i32) {
    let parsed = serde_json::from_slice(&output.stdout);
    let finding = parsed.unwrap_or_else(|error| panic!("{error}:\n{}", text_of(output)));
    (finding, output.status.code().expect("it was not killed"))
}

/// Checks what must hold of the counts of every run that has ended: no slot and no request is
/// forgotten. Returns the count of `name`.
pub(crate) fn checked(counts: &Value, name: &str) -> u64 {
    let count = |name: &str| counts[name].as_u64().expect("a count");
    assert_eq!(count("planned"), count("sent") + count("missed"), "{counts}");
    assert_eq!(count("sent"), count("ok") + count("failed"), "{counts}");
    count(name)
}

/// Checks a whole run of the two phases on an idle node. The machine may be too busy for a valid
/// run, which is told by 98; a broken promise would be 99.
fn check(target: &str, surface: &str, flags: &[&str]) {
    let bench = Bench::new(PHASES, target);
    let output = bench.run(surface, flags).output().expect("the program starts");
    let (finding, code) = finding(&output);
    assert!(code == 0 || code == 98, "{code}: {}", finding["promises"]);
    let phases = &finding["phases"];
    assert_eq!(checked(&phases[0]["counts"], "ok"), 100);
    assert_eq!(checked(&phases[1]["counts"], "ok"), 1_500);
    assert_eq!(checked(&finding["total"]["counts"], "planned"), 1_500);
    for latency in ["response", "service", "lag"] {
        assert_eq!(finding["total"][latency]["count"], 1_500, "{latency}");
    }
    let total = &finding["conservation"]["total"];
    assert_eq!((&total["sent"], &total["counted"]), (&Value::from(1_600), &Value::from(1_600)));
    let windows = finding["windows"].as_array().expect("windows");
    let ok: u64 =
        windows.iter().map(|window| window["counts"]["ok"].as_u64().expect("a count")).sum();
    assert_eq!(ok, 1_600);
}

#[test]
fn every_planned_request_is_sent_and_every_acknowledged_one_is_counted() {
    check(RESP, "resp", &[]);
    check(RESP, "resp", &["--threads", "2"]);
    check(HTTP, "http", &[]);
}

#[test]
fn a_connection_can_be_used_for_one_request_or_for_some() {
    for reuse in ["reuse = \"per-request\"", "reuse = { every = 7 }"] {
        check(&HTTP.replace("connections = 4", &format!("connections = 4\n{reuse}")), "http", &[]);
    }
}

#[test]
fn a_closed_loop_sends_when_it_is_answered() {
    let bench = Bench::new(CLOSED, RESP);
    let (finding, _) = finding(&bench.run("resp", &[]).output().expect("the program starts"));
    assert_eq!(finding["plan"]["is_closed"], true);
    let ok = checked(&finding["total"]["counts"], "ok");
    assert!(ok > 8, "{ok}");
    let total = &finding["conservation"]["total"];
    assert_eq!(total["counted"].as_u64(), Some(ok));
    let lag = finding["total"]["lag"]["p50_ns"].as_u64().expect("a latency");
    assert!(lag <= 128, "a slot is due when it can be sent: {lag}");
}

#[test]
fn refusals_of_the_target_have_their_own_class() {
    let bench = Bench::new(PHASES, &RESP.replace("INCRBY {{key}} {{delta}}", "INCRBY {{key}} no"));
    let (finding, code) = finding(&bench.run("resp", &[]).output().expect("the program starts"));
    assert!(code == 99 || code == 98, "{code}");
    assert_eq!(checked(&finding["total"]["counts"], "failed"), 1_500);
    assert_eq!(finding["total"]["failures"]["resp:ERR"]["count"], 1_500);
    assert_eq!(finding["total"]["response"]["count"], 0, "failures are in no latency");
}

/// Starts a run and waits until its requests come.
pub(crate) fn started(bench: &Bench, surface: &str) -> Child {
    let child = bench.run(surface, &[]).stdout(Stdio::piped()).spawn().expect("the program starts");
    wait_for_requests(&bench.node);
    child
}

/// Waits until requests of a run have come to a node.
pub(crate) fn wait_for_requests(node: &Node) {
    let mut resp = node.resp();
    poll(PATIENCE, || (!resp.call("GET load:0").is_null()).then_some(())).expect("requests come");
}

fn lasting(seconds: u32) -> String {
    PHASES.replace("1_500", "500").replace("for = \"1s\"", &format!("for = \"{seconds}s\""))
}

#[test]
fn a_target_that_is_killed_is_told_by_its_classes() {
    let mut bench = Bench::new(&lasting(4), RESP);
    let child = started(&bench, "resp");
    bench.node.kill();
    let (finding, code) = finding(&child.wait_with_output().expect("it ends"));
    assert!(code == 99 || code == 98, "{code}");
    let phase = &finding["phases"][1];
    assert!(checked(&phase["counts"], "failed") > 0);
    assert_eq!(checked(&phase["counts"], "planned"), 2_000, "an outage changes no plan");
    let failures = phase["failures"].as_object().expect("classes");
    assert!(failures.contains_key("connect-refused"), "{:?}", failures.keys());
}

#[test]
fn a_run_that_is_stopped_tells_what_it_found() {
    let bench = Bench::new(&lasting(600), RESP);
    let child = started(&bench, "resp");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    let (finding, _) = finding(&child.wait_with_output().expect("it ends"));
    assert_eq!(finding["stopped"], true);
    let planned: u64 =
        [0, 1].map(|n| checked(&finding["phases"][n]["counts"], "planned")).iter().sum();
    assert!(planned > 0 && planned < 300_000, "{planned}");
    let total = &finding["conservation"]["total"];
    assert_eq!(total["counted"], total["acknowledged"]);
}

#[test]
fn a_target_that_is_not_there_is_an_invalid_run() {
    let mut bench = Bench::new(PHASES, RESP);
    let mut command = bench.run("resp", &[]);
    bench.node.kill();
    let output = command.output().expect("the program starts");
    assert_eq!(output.status.code(), Some(98));
    assert!(text_of(&output).contains("connect-refused"), "{}", text_of(&output));
}

#[test]
fn what_makes_no_sense_is_told_with_its_place() {
    let bench = Bench::new(PHASES, &RESP.replace("pipeline", "pipelines"));
    let output = bench.run("resp", &[]).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(text_of(&output).contains("pipelines"), "{}", text_of(&output));
}

#[test]
fn a_plan_says_its_totals_and_sends_nothing() {
    let args = ["load", "plan", "burst", "--target", "redis://127.0.0.1:1"];
    let output = Command::new(node::binary()).args(args).output().expect("the program starts");
    assert!(output.status.success(), "{}", text_of(&output));
    assert!(text_of(&output).contains("2,400,000 events, 5m00s recorded"), "{}", text_of(&output));
}

#[test]
fn the_script_runs_a_test_against_a_node_of_its_own_and_leaves_its_result() {
    let folder = TempDir::new().expect("a temporary directory");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../load-test.sh");
    let out = folder.path().join("out");
    let mut command = Command::new(script);
    command.args(["--resp", "--out"]).arg(&out).arg("mix").env("QUIPU", node::binary());
    let output = command.output().expect("the script starts");
    let code = output.status.code().expect("it was not killed");
    let text = text_of(&output);
    // A machine that is busy makes a run invalid or slow, which is told by 98 or 99.
    assert!([0, 98, 99].contains(&code) && text.contains(&format!("mix {code}")), "{code}: {text}");
    let finding = std::fs::read(out.join("mix/finding.json")).expect("a result");
    let finding: Value = serde_json::from_slice(&finding).expect("JSON");
    assert!(checked(&finding["total"]["counts"], "ok") > 0, "{text}");
    let refused = Command::new(script).arg("nosuch").output().expect("the script starts");
    assert_eq!(refused.status.code(), Some(1), "{}", text_of(&refused));
}
