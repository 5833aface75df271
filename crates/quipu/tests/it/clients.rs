//! The clients that people have, unchanged: redis-cli, redis-benchmark, redis-py and curl.

mod groups;
mod lossy;
mod safe_retry;
mod web;

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::node::Node;
use crate::node::{self};
use crate::tool;
use crate::venv;

/// The version of redis-py that the test installs; the same as in scripts/install-deps.sh.
const REDIS_PY: &str = "redis==5.2.1";

/// Starts a node in a directory of its own.
pub(crate) fn fresh_node() -> (Node, TempDir) {
    let folder = TempDir::new().expect("a temporary directory");
    (node::start(&folder.path().join("data")).run(), folder)
}

/// Runs redis-cli with `arguments` and demands its output.
fn cli(program: &Path, node: &Node, arguments: &str, expected: &str) {
    let mut command = Command::new(program);
    command.arg("-p").arg(node.address("resp").port().to_string());
    let said = tool::output_of(command.args(arguments.split(' ')));
    assert_eq!(said.trim_end(), expected, "redis-cli {arguments}");
}

#[test]
fn redis_cli_counts_and_reads() {
    let Some(program) = tool::find("redis-cli") else { return };
    let (node, _folder) = fresh_node();
    for (arguments, expected) in [
        ("INCR hits", "1"),
        ("--no-raw INCRBY hits 41", "(integer) 42"),
        ("--no-raw GET hits", "\"42\""),
        ("-3 --no-raw GET absent", "(nil)"),
        ("EXPIRE hits 1000", "1"),
        ("TYPE hits", "string"),
        ("--scan", "hits"),
        ("DBSIZE", "1"),
        (
            "SET hits abc",
            "ERR value is not an integer or out of range (a counter holds a 64-bit integer)",
        ),
        ("QUIPU.ADD once 5 TOKEN t1", "5\n5"),
    ] {
        if arguments.starts_with("QUIPU") {
            // The position differs from run to run: value and applied come first.
            token_of_cli(&program, &node, arguments, expected);
        } else {
            cli(&program, &node, arguments, expected);
        }
    }
}

fn token_of_cli(program: &Path, node: &Node, arguments: &str, expected: &str) {
    for repeat in ["none", "token", "token"] {
        let mut command = Command::new(program);
        command.arg("-p").arg(node.address("resp").port().to_string());
        let said = tool::output_of(command.args(arguments.split(' ')));
        assert!(said.starts_with(expected), "{arguments}: {said}");
        assert!(said.trim_end().ends_with(repeat), "{arguments}: {said}");
    }
}

/// Runs redis-benchmark on a node.
fn benchmark(program: &Path, node: &Node, arguments: &str) -> Output {
    let mut command = Command::new(program);
    command.arg("-p").arg(node.address("resp").port().to_string());
    command.args(arguments.split(' ')).output().expect("redis-benchmark starts")
}

#[test]
fn redis_benchmark_runs_and_every_increment_is_counted() {
    let Some(program) = tool::find("redis-benchmark") else { return };
    let (node, _folder) = fresh_node();
    for arguments in [
        "-n 2000 -c 10 -q -t ping,incr,get",
        "-n 2000 -c 10 -P 16 -q -t incr,get",
        "-n 2000 -c 10 -r 100 -q -t incr",
        "-n 2000 -c 10 -3 -q -t incr",
        "-n 2000 -c 10 --threads 2 -q -t incr",
    ] {
        let output = benchmark(&program, &node, arguments);
        let said = tool::text_of(&output);
        assert!(output.status.success(), "redis-benchmark {arguments}:\n{said}");
        let troubled = ["rror", "WARN", "Could not"].iter().any(|word| said.contains(word));
        assert!(!troubled, "redis-benchmark {arguments}:\n{said}");
    }
    let counted = node.resp().call("GET counter:__rand_int__").int();
    assert_eq!(counted, Some(8_000), "four of the runs increment one counter");
}

#[test]
fn redis_benchmark_with_values_that_are_no_integers_is_told_so() {
    let Some(program) = tool::find("redis-benchmark") else { return };
    let (node, _folder) = fresh_node();
    let output = benchmark(&program, &node, "-n 100 -c 1 -q -t set");
    let said = tool::text_of(&output);
    assert!(said.contains("not an integer"), "redis-benchmark -t set:\n{said}");
    assert_eq!(node.resp().call("DBSIZE").int(), Some(0));
}

#[test]
fn redis_py_counts_in_pipelines_transactions_and_both_protocols() {
    let Some(python) = venv::python("redis-py", REDIS_PY) else { return };
    let (node, _folder) = fresh_node();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients/client.py");
    let mut command = Command::new(python);
    command.arg(script).arg(node.address("resp").port().to_string());
    assert_eq!(tool::output_of(&mut command), "protocol 2 ok\nprotocol 3 ok\n");
}

#[test]
fn health_asks_a_node_whether_it_serves() {
    let (mut node, _folder) = fresh_node();
    let ask = |address: &str| {
        let mut command = Command::new(node::binary());
        command.args(["health", "--admin", address]).output().expect("the binary starts")
    };
    let addresses = ["admin", "http"].map(|listener| node.address(listener).to_string());
    for address in &addresses {
        let output = ask(address);
        assert!(output.status.success(), "{}", tool::text_of(&output));
        assert_eq!(tool::text_of(&output), "ready\n");
    }
    let resp = ask(&node.address("resp").to_string());
    assert_eq!(resp.status.code(), Some(1), "RESP is no HTTP: {}", tool::text_of(&resp));
    node.kill();
    node.ended().expect("a killed process ends");
    let output = ask(&addresses[0]);
    assert_eq!(output.status.code(), Some(1), "{}", tool::text_of(&output));
    assert!(tool::text_of(&output).contains("does not answer"), "{}", tool::text_of(&output));
}
