//! When a commit comes: after at most `linger`, at the latest when batches fill, and never said
//! before it came.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::http::{Http, Request, request};
use crate::node::{self, Node, PATIENCE, poll};
use crate::resp::{Resp, encode_line};

/// Starts a node with `flags`, whose directory goes with it.
fn node_with(flags: &[(&str, &str)]) -> (Node, TempDir) {
    let folder = TempDir::new().expect("a temporary directory");
    let start = node::start(&folder.path().join("data"));
    let start = flags.iter().fold(start, |start, (name, value)| start.flag(name, *value));
    (start.run(), folder)
}

/// How many frames the node has written.
fn frames(node: &Node) -> u64 {
    let reply = Http::connect(node.address("admin")).call(&request("GET", "/metrics", ""));
    let text = String::from_utf8(reply.body).expect("the page is text");
    let line = text.lines().find_map(|line| line.strip_prefix("quipu_log_frames_total "));
    line.expect("the series is there").parse().expect("a count")
}

const LINGER: [(&str, &str); 2] = [("commit.strategy", "committer"), ("linger", "100ms")];

/// Waits until the node has decided the `count`th increment of a counter, durable or not.
fn until_visible(look: &mut Resp, name: &str, count: i64) {
    let line = format!("QUIPU.GET {name} READ latest");
    let seen = poll(PATIENCE, || (look.call(&line).items()[0].int() == Some(count)).then_some(()));
    assert!(seen.is_some(), "increment {count} was not decided");
}

#[test]
fn what_arrives_while_a_commit_lingers_joins_it() {
    const JOINING: i64 = 8;
    let (node, _folder) = node_with(&LINGER);
    let (mut look, mut sockets) = (node.resp(), Vec::new());
    sockets.resize_with(JOINING as usize, || node.resp());
    // On a machine that stands still for 100 ms a round may take two commits, but not all rounds.
    let joined = (0..20).find(|round| {
        let (name, before) = (format!("round-{round}"), frames(&node));
        for (count, socket) in (1..).zip(&mut sockets) {
            socket.send(&encode_line(&format!("INCR {name}"))).expect("the node reads");
            // Each comes when the one before is decided and held.
            until_visible(&mut look, &name, count);
        }
        for (count, socket) in (1..).zip(&mut sockets) {
            assert_eq!(socket.receive().expect("a reply").int(), Some(count));
        }
        frames(&node) == before + 1
    });
    assert!(joined.is_some(), "no commit had company");
}

#[test]
fn a_commit_lingers_no_longer_when_others_keep_arriving() {
    let (node, _folder) = node_with(&LINGER);
    let (mut first, mut others) = (node.resp(), node.resp());
    first.send(&encode_line("INCR a")).expect("the node reads");
    let deadline = Instant::now() + PATIENCE;
    loop {
        others.send(&encode_line("INCR b")).expect("the node reads");
        let reply = first.receive_within(Duration::from_millis(1)).expect("the socket lives");
        if let Some(reply) = reply {
            assert_eq!(reply.int(), Some(1));
            return;
        }
        assert!(Instant::now() < deadline, "the first of many is never answered");
    }
}

/// With `ack=memory` nobody asks for a commit, and the next flush is a minute away.
#[test]
fn batches_that_fill_are_committed_before_anybody_is_refused() {
    /// Beyond half of the room, which is pressed, and below all of it, which would be refused.
    const COUNTERS: usize = 600 * 1024 / 280;
    let flags = [
        ("ack.default", "memory"),
        ("flush.interval", "60s"),
        ("log.segment_bytes", "4MiB"),
        ("log.frame_bytes_max", "1MiB"),
    ];
    let (node, _folder) = node_with(&flags);
    let mut socket = node.resp();
    for round in 0..3 {
        let before = frames(&node);
        let name = |n| format!("{round}-{n:0>240}");
        for n in 1..=COUNTERS {
            let reply = socket.call(&format!("INCR {}", name(n)));
            assert_eq!(reply.int(), Some(1), "{reply:?}");
        }
        let committed = poll(PATIENCE, || (frames(&node) > before).then_some(()));
        assert!(committed.is_some(), "round {round}: a batch that fills is not committed");
        // The next round begins with empty batches, however slow the disk.
        socket.call(&format!("QUIPU.GET {} READ committed", name(COUNTERS)));
    }
}

#[test]
fn a_latest_read_says_whether_what_it_shows_is_durable() {
    let (node, _folder) = node_with(&[("flush.interval", "60s")]);
    let mut http = node.http();
    let mut check = |method, body, header, expected: &str| {
        let headers = &[header];
        let asked = Request { headers, ..request(method, "/v1/default/counters/a", body) };
        let answer = http.call(&asked).json();
        assert_eq!((&answer["value"], &answer["ack"]), (&1.into(), &expected.into()), "{asked:?}");
    };
    check("POST", "{\"add\":1}", "Quipu-Ack: memory", "memory");
    check("GET", "", "Quipu-Read: latest", "memory");
    check("GET", "", "Quipu-Read: committed", "fsync");
    check("GET", "", "Quipu-Read: latest", "fsync");
}
