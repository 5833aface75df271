//! `quipu load selftest` and `quipu load stall`: what is reported of a stall is what arithmetic says of
//! its measured length, and a later report carries the statement.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::node;
use crate::tool::text_of;

/// How much lower than the truth a right p99 may be, as a share of the run: a slot each at the ends of
/// the stall and of the share of the quantile (2,000/s in 3 s are 6,000 slots), twice over.
const SLOTS_RATIO: f64 = 4.0 / 6_000.0;
/// Three digits of a histogram.
const DIGITS_RATIO: f64 = 0.001;

fn load(state: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(node::binary());
    command.arg("load").args(args).env("XDG_STATE_HOME", state);
    command
}

fn run(command: &mut Command) -> (Output, i32) {
    let output = command.output().expect("the program starts");
    let code = output.status.code().unwrap_or_else(|| panic!("killed: {}", text_of(&output)));
    (output, code)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The least p99 that a right generator can report of a stall: no machine, however busy, makes a wait
/// shorter.
fn least_p99_ns(stall_ns: f64, run_ns: f64) -> f64 {
    let truth_ns = stall_ns - 0.01 * run_ns;
    (truth_ns - SLOTS_RATIO * run_ns) * (1.0 - DIGITS_RATIO)
}

/// Whether the machine was busy with other things, by the limits of the self-test.
fn is_disturbed(machine: &Value) -> bool {
    number(&machine["steal_ratio"]) > 0.01
        || machine["cpu_pressure_ratio"].as_f64().is_some_and(|ratio| ratio > 0.1)
}

#[test]
fn a_stall_is_reported_as_arithmetic_says_and_later_reports_carry_the_statement() {
    let folder = TempDir::new().expect("a temporary directory");
    let state = folder.path().join("state");
    let out = folder.path().join("out").to_string_lossy().into_owned();
    let args = ["selftest", "--quick", "--json", "--out", &out];
    let (output, code) = run(&mut load(&state, &args));
    let accuracy: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let stalls = accuracy["stalls"].as_array().expect("stalls");
    assert_eq!(stalls.len(), 2);
    let is_disturbed = is_disturbed(&accuracy["machine"]);
    let mut is_right = true;
    for stall in stalls {
        let [stall_ns, run_ns, reported_ns] =
            ["stall_ns", "run_ns", "reported_p99_ns"].map(|name| number(&stall[name]));
        assert!(stall_ns >= 100e6, "it stalls at least as long as it was told: {stall}");
        assert!(reported_ns >= least_p99_ns(stall_ns, run_ns), "{stall}");
        let truth_ns = stall_ns - 0.01 * run_ns;
        assert!(is_disturbed || reported_ns <= 1.1 * truth_ns, "{stall}");
        is_right &= stall["lost"] == 0 && (reported_ns - truth_ns).abs() <= 0.03 * truth_ns;
    }
    let expected = if is_right {
        0
    } else if is_disturbed {
        98
    } else {
        1
    };
    assert_eq!(code, expected, "{}", text_of(&output));
    let kept = state.join("quipu/load-accuracy.json").exists();
    assert_eq!(kept, code != 98, "only what says something is kept");
    let page = std::fs::read_to_string(Path::new(&out).join("accuracy.txt")).expect("a page");
    assert!(page.contains("10000/s precise") && page.contains("20000/s balanced"), "{page}");
}

/// The built-in target, as a program.
struct Target {
    child: Child,
    lines: BufReader<ChildStdout>,
    address: String,
}

impl Target {
    fn start(args: &[&str]) -> Self {
        let mut command = load(Path::new("/nowhere"), &["stall"]);
        let mut child =
            command.args(args).stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line");
        let said: Value = serde_json::from_str(&line).expect("JSON");
        let address = said["address"].as_str().expect("an address").to_owned();
        Self { child, lines, address }
    }

    /// Ends it and returns what it saw.
    fn finish(mut self) -> Value {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).expect("what it saw");
        assert!(self.child.wait().expect("it ends").success());
        serde_json::from_str(&rest).expect("JSON")
    }
}

/// A scenario over few connections, so that during the stall nearly all requests wait at the
/// generator: a count from the write sees nothing of it.
const SCENARIO: &str = r#"
version = 1
name = "stalled"
[target]
kind = "http"
connections = 8
timeout = "60s"
[arrival]
model = "open"
pacing = "precise"
[[phase]]
name = "main"
rate = 2_000
for = "3s"
"#;

#[test]
fn a_stall_of_any_target_counts_from_the_moment_of_the_plan_and_from_the_write_it_does_not() {
    let folder = TempDir::new().expect("a temporary directory");
    let file = folder.path().join("s.toml").to_string_lossy().into_owned();
    std::fs::write(&file, SCENARIO).expect("a file");
    let target = Target::start(&["--after", "1500ms", "--for", "300ms"]);
    let url = format!("http://{}/", target.address);
    let (output, _) = run(&mut load(
        folder.path(),
        &["run", "--json", "--threads", "1", "--target", &url, &file],
    ));
    let finding: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let seen = target.finish();
    let least_ns = least_p99_ns(number(&seen["stall_ns"]), 3e9);
    let total = &finding["total"];
    assert_eq!(total["counts"]["ok"], 6_000);
    let p99_ns = |latency: &str| number(&total[latency]["p99_ns"]);
    assert!(p99_ns("response") >= least_ns, "{} against {least_ns}", p99_ns("response"));
    // Eight requests were under way when it stalled, of 60 that the quantile leaves out. A busy machine
    // stalls by itself.
    let is_disturbed = is_disturbed(&finding["generator"]["machine"]);
    assert!(
        is_disturbed || p99_ns("service") < least_ns,
        "{} against {least_ns}",
        p99_ns("service")
    );
    assert_eq!(finding["accuracy"], Value::Null, "there was no self-test");
}
