//! What is kept of a log, told and counted again: `quipu recount` and `quipu audit`, of a node that
//! runs and of one that is stopped.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tempfile::TempDir;

use crate::canaries::CANARY;
use crate::http::request;
use crate::node::{self, Node, Start};
use crate::tool::text_of;

/// Audits of one node under load.
const AUDITS: usize = 6;

/// A start whose log folds often and keeps what it says.
pub(crate) fn folding(data: &Path, retain_bytes: &str) -> Start {
    let start = node::start(data).flag("log.segment_bytes", "1MiB");
    let start = start.flag("log.frame_bytes_max", "256KiB").flag("fold.log_bytes_min", "64KiB");
    start.flag("log.retain_bytes", retain_bytes)
}

/// Runs the tested program.
pub(crate) fn quipu(args: &[&str]) -> Output {
    Command::new(node::binary()).args(args).output().expect("the program starts")
}

/// Runs the tested program, which must succeed, and returns what it printed.
pub(crate) fn quipu_ok(args: &[&str]) -> String {
    let output = quipu(args);
    assert!(output.status.success(), "{args:?}:\n{}", text_of(&output));
    String::from_utf8(output.stdout).expect("it prints text")
}

/// The address of the node's RESP listener.
pub(crate) fn resp_of(node: &Node) -> String {
    node.address("resp").to_string()
}

/// The changes that were told, as (position, delta, value after, tokens).
fn changes(told: &str) -> Vec<(String, Option<i64>, Option<i64>, usize)> {
    let lines =
        told.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let change = |line: serde_json::Value| {
        let change = line.get("change")?.clone();
        let slot = change["slots"].as_array().and_then(|slots| slots.last().cloned());
        let slot = slot.unwrap_or_default();
        let tokens = change["tokens"].as_array().map_or(0, Vec::len);
        let position = change["position"].as_str().expect("a position").to_owned();
        Some((position, slot["delta"].as_i64(), slot["after"].as_i64(), tokens))
    };
    lines.filter_map(change).collect()
}

#[test]
fn every_change_of_a_counter_is_told_by_the_running_and_by_the_stopped_node() {
    let folder = TempDir::new().expect("a temporary directory");
    let data = folder.path().join("data");
    let mut node = folding(&data, "1GiB").run();
    let mut resp = node.resp();
    let mut expected = Vec::new();
    for (line, delta, after, tokens) in [
        ("QUIPU.ADD a/b 3 TOKEN order-17", Some(3), Some(3), 1),
        ("QUIPU.ADD a/b -1", Some(-1), Some(2), 0),
        ("QUIPU.ADD a/b 100 MAX 50 TOKEN order-18", None, None, 1),
        ("QUIPU.ADD a/b 8 TOKEN order-19", Some(8), Some(10), 1),
    ] {
        let position = resp.call(line).items()[2].text().expect("a position").to_owned();
        expected.push((position, delta, after, tokens));
    }
    resp.call("QUIPU.ADD a/b 3 TOKEN order-17");
    resp.call("SET a/b 7 EX 1000");
    resp.call("DEL a/b");
    let live = quipu_ok(&["recount", "a/b", "--json", "--node", &resp_of(&node)]);
    let told = changes(&live);
    assert_eq!(told[..4], expected, "{live}");
    assert_eq!((told.len(), told[4].2, told[5].2), (6, Some(7), None), "{live}");
    assert!(live.starts_with(r#"{"oldest":{"frame":0,"#), "{live}");
    let text = quipu_ok(&["recount", "a/b", "--node", &resp_of(&node)]);
    assert!(text.starts_with("from the beginning of the store"), "{text}");
    assert!(text.contains("order-18(rejected)") && text.contains("deleted"), "{text}");
    node.terminate();
    node::poll(node::PATIENCE, || node.ended()).expect("the node ends");
    let data = data.to_str().expect("a path in UTF-8");
    let stopped = quipu_ok(&["recount", "a/b", "--json", "--data", data]);
    assert_eq!(changes(&stopped), told);
}

#[test]
fn what_is_not_kept_is_not_told_and_that_is_said() {
    let folder = TempDir::new().expect("a temporary directory");
    let node = folding(&folder.path().join("data"), "0").run();
    let mut resp = node.resp();
    resp.call("INCRBY early 41");
    quipu_ok(&["backup", &path(&folder, "backup"), "--node", &resp_of(&node)]);
    resp.call("INCR early");
    // The fold that the backup asked for made the older log history, of which nothing is kept.
    let told = node::poll(node::PATIENCE, || {
        let told = quipu_ok(&["recount", "early", "--node", &resp_of(&node)]);
        told.starts_with("from frame").then_some(told)
    })
    .expect("history is given up");
    assert!(told.contains("what was before is not kept") && told.contains("then 41"), "{told}");
    assert!(told.contains("now 42"), "{told}");
    let audited = quipu_ok(&["audit", "--node", &resp_of(&node)]);
    assert!(audited.contains("older history is not kept"), "{audited}");
    // Figures of the files are taken every now and then.
    let figure = |name: &str| {
        let metrics = node.http().call(&request("GET", "/metrics", "")).body;
        let metrics = String::from_utf8(metrics).expect("metrics are text");
        metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
    };
    let moved = || (figure("quipu_log_retained_position") > Some(0)).then_some(());
    node::poll(node::PATIENCE, moved).expect("the beginning of history moves");
    assert_eq!(figure("quipu_log_retained_bytes"), Some(0));
}

/// A file of the test's directory.
pub(crate) fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().expect("a path in UTF-8").to_owned()
}

/// Writes all kinds of operations until told to stop.
fn work(mut resp: crate::resp::Resp, worker: usize, stop: &AtomicBool) -> u64 {
    let mut done = 0;
    while !stop.load(Ordering::Relaxed) {
        let lines: Vec<String> = (0..40_u64)
            .map(|n| {
                let step = done + n;
                let name = format!("c{}", (step * 7 + worker as u64) % 3000);
                match step % 11 {
                    0 => format!("SET {name} {step}"),
                    1 => format!("DEL {name}"),
                    2 => format!("SET {name} 5 PX 3"),
                    3 => format!("QUIPU.TAKE {name}"),
                    4 => format!("QUIPU.ADD {name} 2 TOKEN {worker}-{step}"),
                    5 => format!("EXPIRE {name} 100"),
                    6 => "INCR hot".to_owned(),
                    _ => format!("INCRBY {name} 3"),
                }
            })
            .collect();
        let bytes: Vec<u8> = lines.iter().flat_map(|line| crate::resp::encode_line(line)).collect();
        resp.send(&bytes).expect("the node reads");
        for _ in &lines {
            drop(resp.receive().expect("the node answers"));
        }
        done += lines.len() as u64;
    }
    done
}

#[test]
fn a_node_under_load_is_audited_while_it_folds() {
    let folder = TempDir::new().expect("a temporary directory");
    let mut node = folding(&folder.path().join("data"), "4MiB").run();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let stop = &stop;
        let workers: Vec<_> = (0..2)
            .map(|worker| (node.resp(), worker))
            .map(|(resp, worker)| scope.spawn(move || work(resp, worker, stop)))
            .collect();
        let audited: Vec<Output> =
            (0..AUDITS).map(|_| quipu(&["audit", "--node", &resp_of(&node)])).collect();
        stop.store(true, Ordering::Relaxed);
        let done: u64 = workers.into_iter().map(|worker| worker.join().expect("it works")).sum();
        assert!(done > 1000, "{done} operations are no load");
        for output in audited {
            let said = text_of(&output);
            assert!(output.status.success() && said.contains("\nconsistent: "), "{said}");
        }
    });
    node.terminate();
    node::poll(node::PATIENCE, || node.ended()).expect("the node ends");
    let audited = quipu_ok(&["audit", &path(&folder, "data")]);
    assert!(audited.contains("consistent"), "{audited}");
}

/// The audit of a node of the canary build on which groups of many counters were written.
fn audited_canary(canary: &str) -> Output {
    let folder = TempDir::new().expect("a temporary directory");
    let start = node::start(&folder.path().join("data")).program(&CANARY);
    let node = start.variable("QUIPU_CANARY", canary).run();
    let mut resp = node.resp();
    resp.call("MULTI");
    (0..300).for_each(|n| drop(resp.call(&format!("INCR n{n}"))));
    assert_eq!(resp.call("EXEC").items().len(), 300);
    quipu(&["audit", "--node", &resp_of(&node)])
}

#[test]
fn an_effect_that_is_not_in_the_log_is_caught_by_the_audit_of_the_running_node() {
    let sound = audited_canary("");
    assert!(sound.status.success(), "{}", text_of(&sound));
    let found = audited_canary("effect_outside_batch");
    let said = text_of(&found);
    assert_eq!(found.status.code(), Some(1), "{said}");
    assert!(said.contains("NOT consistent") && said.contains("the log says None"), "{said}");
}
