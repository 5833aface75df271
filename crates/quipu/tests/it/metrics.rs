//! No metric is dead: after work that touches everything, every series of `/metrics` has moved.

use std::collections::{BTreeMap, BTreeSet};

use tempfile::TempDir;

use crate::http::{Http, Request, request};
use crate::node::{self};
use crate::node::{Node, PATIENCE, Start, poll};
use crate::resp::{encode, encode_line};

/// Series that move only when something breaks, or a clock is wrong.
const NEED_A_FAULT: [&str; 7] = [
    // No descriptor is left.
    "quipu_server_connections_refused_total{reason=\"accept\"}",
    // The disk is full.
    "quipu_shard_refused_total{reason=\"nospace\"}",
    // The log has failed or the node is stopping.
    "quipu_shard_refused_total{reason=\"unknown\"}",
    // The disk fails.
    "quipu_log_sync_failures_total",
    "quipu_fold_failures_total",
    // The clock was set.
    "quipu_log_time_deviation_seconds",
    // A crash tore the end of the log.
    "quipu_recovery_truncated_bytes",
];

/// What a series of `/metrics` was seen to do.
#[derive(Debug, Default)]
struct Seen {
    all: BTreeSet<String>,
    moved: BTreeSet<String>,
}

impl Seen {
    /// Reads `/metrics` of the admin listener, unless it has no place. Of a distribution only the
    /// count matters.
    fn look(&mut self, node: &Node) {
        let asked = Http::connect(node.address("admin")).try_call(&request("GET", "/metrics", ""));
        let Some(reply) = asked.ok().filter(|reply| reply.status == 200) else { return };
        let text = String::from_utf8(reply.body).expect("the page is text");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').expect("a series has a value");
            let name = series.split('{').next().expect("a series has a name");
            if name.ends_with("_bucket") || name.ends_with("_sum") {
                continue;
            }
            self.all.insert(series.to_owned());
            if value.parse::<f64>().expect("a value is a number") != 0.0 {
                self.moved.insert(series.to_owned());
            }
        }
    }

    /// Returns the series that never moved and should have.
    fn still(&self) -> Vec<&String> {
        let still = self.all.difference(&self.moved);
        still.filter(|series| !NEED_A_FAULT.contains(&series.as_str())).collect()
    }
}

/// Every kind of operation and every way in which one ends, as RESP lines. Some depend on earlier
/// ones.
const COMMANDS: [&str; 24] = [
    "INCR plain",
    "GET plain",
    "SET edge 9223372036854775807",
    "INCR edge",
    "QUIPU.ADD plain 5 MAX 3",
    "QUIPU.TAKE plain",
    "DEL plain",
    "SET lasting 1",
    "EXPIRE lasting 1000",
    "SET short 1 PX 1",
    "SCAN 0",
    "QUIPU.ADD told 1 TOKEN t1",
    "QUIPU.ADD told 1 TOKEN t1",
    "QUIPU.ADD told 2 TOKEN t1",
    "QUIPU.ADD told 1 TOKEN t2",
    // Two tokens are remembered at most.
    "QUIPU.ADD told 1 TOKEN t3",
    // Made in 2001, and in 10889.
    "QUIPU.ADD told 1 TOKEN 00e40000-0000-7000-8000-000000000000",
    "QUIPU.ADD told 1 TOKEN ffff0000-0000-7000-8000-000000000000",
    "QUIPU.ADD told 1 STREAM s 1",
    "QUIPU.ADD told 1 STREAM s 1",
    "QUIPU.STREAM s",
    "QUIPU.CHECKPOINT s 1",
    "QUIPU.TOP 1",
    "QUIPU.ADD behind 1 ACK memory",
];

/// Clients that the node closes: each for a reason of its own.
fn misbehave(node: &Node) {
    let mut nonsense = node.resp();
    nonsense.send(b"*nonsense\r\n").expect("the node reads");
    let mut slow = node.http();
    slow.send_bytes(b"GET /he").expect("the node reads");
    let large = "1".repeat(2000);
    let reply = node.http().call(&request("POST", "/v1/default/counters/large", &large));
    assert_eq!(reply.status, 413);
    let mut unread = node.resp();
    let echo = encode(&[&b"ECHO"[..], &[b'x'; 1000]]).repeat(100);
    let ended = (0..1_000).find_map(|_| unread.send(&echo).err());
    assert!(ended.is_some(), "a client that does not read is not closed");
    assert!(nonsense.closes() && slow.closes());
}

/// Fills all places for connections and asks for one more.
fn crowd(node: &Node) {
    let mut crowd = Vec::new();
    let refused = poll(PATIENCE, || {
        let mut one_more = node.resp();
        let refused = one_more.try_call("PING").map_or(true, |reply| reply.error().is_some());
        crowd.push(one_more);
        refused.then_some(())
    });
    assert!(refused.is_some(), "{} connections and no end", crowd.len());
}

/// A node on which the least work makes everything move: it lingers so that answers are held for
/// long enough to be seen.
fn node_of_small_bounds(folder: &TempDir) -> Node {
    let flags = BTreeMap::from([
        ("commit.strategy", "committer"),
        ("linger", "100ms"),
        ("log.segment_bytes", "1MiB"),
        ("log.frame_bytes_max", "256KiB"),
        ("fold.log_bytes_min", "16KiB"),
        ("log.retain_time", "1s"),
        ("token.max", "2"),
        ("resp.idle_timeout", "2s"),
        ("http.header_timeout", "100ms"),
        ("limits.body_bytes", "1KiB"),
        ("limits.output_bytes", "64KiB"),
        ("limits.connections", "16"),
    ]);
    let start = node::start(&folder.path().join("data"));
    flags.into_iter().fold(start, |start, (name, value)| start.flag(name, value)).run()
}

/// The refusals of a node whose memory is full.
fn look_when_memory_is_full(seen: &mut Seen) {
    let folder = TempDir::new().expect("a temporary directory");
    let start = node::start(&folder.path().join("data")).flag("memory.max", "1MiB");
    let node = start.run();
    let mut socket = node.resp();
    // The node looks at its memory every now and then, so the first ones may still be new.
    let mut names = (0..).map(|index| format!("INCR new:{index}"));
    let full = poll(PATIENCE, || {
        let line = names.next().expect("there is always one more number");
        socket.call(&line).fails_with("OOM").then_some(())
    });
    assert!(full.is_some(), "a process of less than 1 MiB");
    assert!(socket.call("QUIPU.ADD other 1 STREAM s 1").fails_with("OOM"));
    assert!(socket.call("QUIPU.ADD other 1 STREAM s 2").fails_with("HELD"));
    seen.look(&node);
}

#[test]
fn every_metric_moves_when_what_it_counts_happens() {
    let mut seen = Seen::default();
    look_when_memory_is_full(&mut seen);
    let folder = TempDir::new().expect("a temporary directory");
    let node = node_of_small_bounds(&folder);
    let mut socket = node.resp();
    for line in COMMANDS {
        socket.call(line);
    }
    let key = ["Idempotency-Key: t1"];
    let post = request("POST", "/v1/default/counters/web", r#"{"add":1}"#);
    assert_eq!(node.http().call(&post).status, 200);
    node.http().call(&Request { headers: &key, ..post });
    misbehave(&node);
    crowd(&node);
    // While the crowd leaves, a connection may find no place: the next one does.
    let none_left = poll(PATIENCE, || {
        let mut busy = node.resp();
        busy.send(&encode_line("INCR a").repeat(20)).ok()?;
        busy.send(&encode_line("DEL a")).ok()?;
        let _open = node.http();
        seen.look(&node);
        while busy.receive().ok()?.int() != Some(1) {}
        seen.still().is_empty().then_some(())
    });
    assert!(!seen.all.is_empty(), "the node never showed its metrics");
    let still = seen.still();
    assert!(none_left.is_some(), "these never moved: {still:#?}");
}

#[test]
fn the_listeners_of_clients_share_one_bound_on_connections() {
    let folder = TempDir::new().expect("a temporary directory");
    let node = node::start(&folder.path().join("data")).flag("limits.connections", "2").run();
    let mut admin = Http::connect(node.address("admin"));
    assert_eq!(admin.call(&request("GET", "/health", "")).status, 200);
    let (mut resp, mut http) = (node.resp(), node.http());
    assert_eq!(resp.call("PING").text(), Some("PONG"));
    assert_eq!(http.call(&request("GET", "/health", "")).status, 200);
    assert!(node.resp().closes(), "a third client is served");
    assert_eq!(node.http().call(&request("GET", "/health", "")).status, 503);
}

#[test]
fn a_log_smaller_than_a_segment_is_folded() {
    let folder = TempDir::new().expect("a temporary directory");
    let start = node::start(&folder.path().join("data")).flag("fold.log_bytes_min", "64KiB");
    let node = start.run();
    let mut socket = node.resp();
    let folded = poll(PATIENCE, || {
        assert!(socket.call("INCR a").int().is_some());
        folder_has_snapshot(&start).then_some(())
    });
    assert!(folded.is_some(), "64 KiB of log in a segment of 64 MiB are never folded");
    let value = socket.call("GET a").int();
    drop(node);
    assert_eq!(start.run().resp().call("GET a").int(), value);
}

fn folder_has_snapshot(start: &Start) -> bool {
    let entries = std::fs::read_dir(start.data()).expect("the node has a directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names.into_iter().any(|name| name.to_string_lossy().starts_with("snapshot-"))
}
