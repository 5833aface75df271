//! `quipu load ab`, `compare`, `search` and `fit` against a real node: what they run, and what they
//! say of it. How often their claims are false is proved on made-up machines in quipu-lab.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::load::{Bench, RESP};
use crate::node;
use crate::tool::text_of;

/// A closed loop of four users, whose slices are valid on the busiest machine.
const CLOSED: &str = r#"
version = 1
name = "closed"
seed = 7
[data.key]
dist = "uniform"
count = 10
[arrival]
model = "closed"
users = 4
[[phase]]
name = "main"
for = "300ms"
"#;

/// A search that ends after some trials, whatever the machine does meanwhile.
const SEARCH: &str = r#"
version = 1
name = "search"
[data.key]
dist = "uniform"
count = 10
[validity]
lag_p99 = "1m"
generator_cpu = "100%"
[search]
where = ["errors <= 50%"]
from = 100
to = 400
precision = "50%"
trial = "200ms"
cooldown = "10ms"
confirm = { runs = 2, for = "300ms" }
"#;

fn quipu(args: &[&str]) -> Command {
    let mut command = Command::new(node::binary());
    command.arg("load").args(args);
    command
}

/// Runs a command and returns its JSON and exit code.
fn json(command: &mut Command) -> (Value, i32) {
    let output = command.arg("--json").output().expect("the program starts");
    let parsed = serde_json::from_slice(&output.stdout);
    let value = parsed.unwrap_or_else(|error| panic!("{error}:\n{}", text_of(&output)));
    (value, code(&output))
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it was not killed")
}

fn len(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

#[test]
fn two_equal_sides_take_turns_and_get_a_claim() {
    let bench = Bench::new(CLOSED, RESP);
    let url = bench.url("resp");
    let mut command = quipu(&["ab", "--target-a", &url, "--target-b", &url, "--slice", "300ms"]);
    command.args(["--pairs", "6", "--metrics", "throughput,p50"]).arg(bench.scenario());
    let (found, code) = json(&mut command);
    assert!(matches!(code, 0 | 3 | 98), "{found}");
    for side in ["baseline", "candidate"] {
        assert_eq!(found[side]["target"], Value::from(url.as_str()), "{found}");
        assert_eq!(found[side]["name"], "closed");
    }
    assert_eq!(code == 3, found["claim"] == "regressed", "{found}");
    if code == 98 {
        // A disk that answered nothing for a whole slice.
        assert_ne!(found["ending"], "complete", "{found}");
        return;
    }
    assert_eq!((found["ending"].as_str(), found["pairs"].as_u64()), (Some("complete"), Some(6)));
    assert_eq!(found["plan"]["pairs"], 6);
    let slices = found["slices"].as_array().expect("slices");
    let sides: Vec<&str> = slices.iter().filter_map(|slice| slice["side"].as_str()).collect();
    assert_eq!(sides.len(), 12);
    for block in sides.chunks(4).map(<[&str]>::concat) {
        assert!(block == "ABBA" || block == "BAAB", "{sides:?}");
    }
    for metric in found["metrics"].as_array().expect("metrics") {
        assert_eq!((len(&metric["baseline"]), len(&metric["candidate"])), (6, 6));
        assert_eq!(len(&metric["interval"]), 2, "{metric}");
    }
}

/// Runs the closed loop once and returns the folder of its result.
fn saved(bench: &Bench, name: &str) -> PathBuf {
    let folder = bench.scenario().with_file_name(name);
    let mut command = quipu(&["run", "--target", &bench.url("resp"), "--out"]);
    let output = command.arg(&folder).arg(bench.scenario()).output().expect("the program starts");
    assert_eq!(code(&output), 0, "{}", text_of(&output));
    folder
}

/// The same result so many times, as a folder.
fn copies(folder: &Path, count: usize) -> PathBuf {
    let many = folder.with_extension("many");
    fs::create_dir_all(&many).expect("a folder");
    for number in 0..count {
        let copy = many.join(format!("{number}.json"));
        fs::copy(folder.join("finding.json"), copy).expect("the result was saved");
    }
    many
}

#[test]
fn saved_results_are_compared_and_kept() {
    let bench = Bench::new(CLOSED, RESP);
    let (one, two) = (saved(&bench, "one"), saved(&bench, "two"));
    let (found, exit) = json(quipu(&["compare"]).args([&one, &two]));
    assert_eq!((exit, &found["claim"]), (0, &Value::Null), "{found}");
    let doubts = found["doubts"].to_string();
    assert!(doubts.contains("at least 6 results per side"), "{doubts}");
    assert!(!doubts.contains("environments differ"), "{doubts}");

    // The same result on both sides, as often as a verdict takes.
    let many = copies(&one, 6);
    let (found, exit) = json(quipu(&["compare", "--metrics", "throughput"]).args([&many, &many]));
    assert_eq!((exit, &found["claim"]), (0, &Value::from("equivalent")), "{found}");
    let old = found["metrics"][0]["old"].as_f64().expect("a rate");
    let point = found["metrics"][0]["old_points"][0].as_f64().expect("a rate");
    assert!((old / point - 1.0).abs() < 1e-9, "{found}");

    let history = bench.scenario().with_file_name("history.jsonl");
    let keep = |results: &[&PathBuf]| {
        let mut command = quipu(&["compare", "--append", "--commit", "c1", "--history"]);
        json(command.arg(&history).args(results))
    };
    keep(&[&one]);
    let (trends, exit) = keep(&[&two, &many]);
    assert_eq!((exit, trends[0]["entries"].as_u64()), (0, Some(8)), "{trends}");
    let lines = fs::read_to_string(&history).expect("a history");
    assert!(lines.lines().all(|line| line.contains("\"commit\":\"c1\"")), "{lines}");
}

#[test]
fn a_search_says_what_it_tried_and_what_follows() {
    let bench = Bench::new(SEARCH, RESP);
    let mut command = quipu(&["search", "--target", &bench.url("resp")]);
    let (found, exit) = json(command.arg(bench.scenario()));
    assert!(matches!(exit, 0 | 98 | 99), "{found}");
    let trials = found["trials"].as_array().expect("trials");
    assert_eq!(trials[0]["rate_per_s"], 100.0);
    if exit == 0 {
        assert_eq!(found["confirmed"], 2, "{found}");
        let passed = trials.iter().filter(|trial| {
            trial["outcome"] == "pass" && trial["rate_per_s"] == found["highest_pass_per_s"]
        });
        assert!(passed.count() >= 3, "one short trial and two confirmations: {found}");
    }
    if let (Some(low), Some(high)) =
        (found["highest_pass_per_s"].as_f64(), found["lowest_fail_per_s"].as_f64())
    {
        assert!(low < high, "{found}");
    }

    let closed = Bench::new(CLOSED, RESP);
    let mut command = quipu(&["search", "--target", &closed.url("resp")]);
    let output = command.arg(closed.scenario()).output().expect("the program starts");
    assert_eq!(code(&output), 2, "{}", text_of(&output));
    assert!(text_of(&output).contains("no [search] table"), "{}", text_of(&output));
}

#[test]
fn levels_are_run_up_and_down_and_the_model_is_set_beside_them() {
    let bench = Bench::new(CLOSED, RESP);
    let url = bench.url("resp");
    let mut command = quipu(&["fit", "--target", &url, "--users", "1,2,3,4,5,6", "--slice"]);
    command.args(["200ms", "--passes", "1", "--known", "memory=1us", "--target-rate", "100000"]);
    let (found, exit) = json(command.arg(bench.scenario()));
    assert_eq!(exit, 0, "{found}");
    let levels = found["scaling"]["levels"].as_array().expect("levels");
    let users: Vec<f64> = levels.iter().filter_map(|level| level["users"].as_f64()).collect();
    assert_eq!(users, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert!(found["scaling"]["law"].is_object() != found["scaling"]["no_law"].is_string());
    assert_eq!(found["model"]["target_per_s"], 100_000.0);

    let mut command = quipu(&["fit", "--measure", "single=333", "--measure", "writes:3=1500"]);
    command.args(["--measure", "reads:4=250", "--target-rate", "9900"]);
    let (found, exit) = json(&mut command);
    assert_eq!((exit, &found["model"]["nodes_by_model"]), (0, &Value::from(20)), "{found}");
    let output = quipu(&["fit"]).output().expect("the program starts");
    assert_eq!(code(&output), 2, "{}", text_of(&output));
}
