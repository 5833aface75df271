//! `quipu load` with tokens against nodes that die in the middle: what has no answer is sent again
//! after the plan, and then what is counted is exactly what was sent.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::canaries::CANARY;
use crate::load::{Bench, HTTP, checked, finding, started};
use crate::node::{self, poll};

/// Long enough for a node to die and to be there again before the end, on an idle machine.
pub(crate) const PLAN: &str = r#"
version = 1
name = "resend"
seed = 5
[data.key]
dist = "zipf"
count = 100
exponent = 1.01
prefix = "load:"
[[phase]]
name = "main"
rate = 1_000
for = "2s"
[[slo]]
check = ["conserved", "unsettled == 0"]
"#;

const RESP_TOKEN: &str = r#"
[target]
kind = "resp"
address = "127.0.0.1:1"
command = "QUIPU.ADD {{key}} {{delta}} TOKEN {{token}}"
connections = 4
pipeline = 4
timeout = "60s"
"#;

fn resp_stream() -> String {
    RESP_TOKEN.replace("TOKEN {{token}}", "STREAM {{stream}} {{sequence}}")
}

fn http_stream() -> String {
    let stream = "Quipu-Stream = \"{{stream}};seq={{sequence}}\"";
    HTTP.replace("Idempotency-Key = \"{{token}}\"", stream)
}

/// Whether a connection to a frozen node holds bytes that it has not read.
fn has_unread(port: u16) -> bool {
    let table = fs::read_to_string("/proc/net/tcp").expect("the kernel tells of its sockets");
    let local = format!(":{port:04X}");
    table.lines().any(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let queue = fields.get(4).and_then(|queues| queues.split_once(':'));
        let is_established = fields.get(3) == Some(&"01");
        fields.get(1).is_some_and(|address| address.ends_with(&local))
            && is_established
            && queue.is_some_and(|(_, unread)| unread != "00000000")
    })
}

/// Freezes the node, kills it when there are requests under way, and starts it again.
pub(crate) fn kill(bench: &mut Bench, surface: &str) {
    bench.node.freeze();
    let port = bench.node.address(surface).port();
    // Where nothing comes for so long, all connections are full with what the node had read before.
    let has_more = || has_unread(port).then_some(());
    poll(Duration::from_secs(1), has_more).unwrap_or_default();
    bench.restart(&|data| node::start(data));
}

/// Runs the plan against a node that is killed in the middle.
fn killed(target: &str, surface: &str) -> Value {
    let mut bench = Bench::new(PLAN, target);
    let child = started(&bench, surface);
    kill(&mut bench, surface);
    finding(&child.wait_with_output().expect("it ends")).0
}

/// Runs the plan against a node with a bug that dies when a commit is durable and not answered.
fn died(target: &str, surface: &str, canary: &str) -> Value {
    let healthy = |data: &Path| node::start(data).program(&CANARY).variable("QUIPU_CANARY", canary);
    let doomed = |data: &Path| healthy(data).variable("QUIPU_FAILPOINT", "commit_known:50");
    let mut bench = Bench::with(PLAN, target, &doomed);
    let child = bench.run(surface, &[]).stdout(Stdio::piped()).spawn().expect("the program starts");
    bench.node.ended().expect("it dies at its failpoint");
    bench.restart(&healthy);
    finding(&child.wait_with_output().expect("it ends")).0
}

fn number(of: &Value, name: &str) -> u64 {
    of[name].as_u64().unwrap_or_else(|| panic!("{name}: {of}"))
}

fn outcome(finding: &Value, check: &str) -> String {
    let promises = finding["promises"].as_array().expect("promises");
    let promise = promises.iter().find(|promise| promise["check"] == check);
    promise.expect("the promise")["outcome"].as_str().expect("an outcome").to_owned()
}

/// Checks that some requests had no answer, that all of them were settled, that what is counted is what
/// was sent, and that the failures are still failures.
pub(crate) fn conserved(finding: &Value) {
    let conservation = &finding["conservation"];
    let (settlement, total) = (&conservation["settlement"], &conservation["total"]);
    let retried = number(settlement, "retried");
    assert!(retried > 0, "{conservation}");
    assert_eq!((number(settlement, "settled"), number(settlement, "unsettled")), (retried, 0));
    assert_eq!(conservation["is_settled"], true, "{conservation}");
    assert_eq!((&total["lost"], &total["doubled"]), (&0.into(), &0.into()), "{conservation}");
    assert_eq!((&total["counted"], &total["acknowledged"]), (&total["sent"], &total["sent"]));
    let counts = &finding["phases"][0]["counts"];
    let failed = checked(counts, "failed");
    assert!(failed >= retried, "a failure stays one: {counts} {conservation}");
    assert_eq!(number(counts, "planned"), 2_000, "what is sent again is no part of the plan");
    let unwritten = number(settlement, "unwritten");
    assert_eq!(number(total, "sent"), number(counts, "sent") - unwritten, "{conservation}");
    assert_eq!(outcome(finding, "conserved"), "pass");
    assert_eq!(outcome(finding, "unsettled == 0"), "pass");
}

#[test]
fn a_killed_node_has_counted_what_was_sent_with_tokens_over_resp() {
    conserved(&killed(RESP_TOKEN, "resp"));
}

#[test]
fn a_killed_node_has_counted_what_was_sent_with_tokens_over_http() {
    conserved(&killed(HTTP, "http"));
    // Where each request has a connection of its own, one that is not made carries none.
    let fresh = "connections = 4\nreuse = \"per-request\"";
    conserved(&killed(&HTTP.replace("connections = 4", fresh), "http"));
}

#[test]
fn a_killed_node_has_counted_what_was_sent_in_streams() {
    conserved(&killed(&resp_stream(), "resp"));
    conserved(&killed(&http_stream(), "http"));
}

#[test]
fn what_was_counted_and_not_answered_is_not_counted_again() {
    conserved(&died(RESP_TOKEN, "resp", ""));
    conserved(&died(&http_stream(), "http", ""));
}

#[test]
fn a_node_that_forgets_tokens_is_caught_by_what_it_doubled() {
    for (target, surface) in [(RESP_TOKEN, "resp"), (&http_stream(), "http")] {
        let finding = died(target, surface, "no_dedup");
        let conservation = &finding["conservation"];
        let total = &conservation["total"];
        assert!(number(total, "doubled") > 0 && number(total, "lost") == 0, "{conservation}");
        assert!(number(conservation, "wrong_keys") > 0, "{conservation}");
        assert_eq!(outcome(&finding, "conserved"), "fail", "{conservation}");
    }
}

#[test]
fn without_tokens_nothing_is_sent_again() {
    let target = RESP_TOKEN.replace("QUIPU.ADD", "INCRBY").replace(" TOKEN {{token}}", "");
    let finding = killed(&target, "resp");
    let settlement = &finding["conservation"]["settlement"];
    assert_eq!((number(settlement, "retried"), number(settlement, "settled")), (0, 0));
    let untokened = number(settlement, "untokened");
    assert!(untokened > 0 && number(settlement, "unsettled") == untokened, "{settlement}");
    assert_eq!(outcome(&finding, "conserved"), "pass");
    assert_eq!(outcome(&finding, "unsettled == 0"), "fail");
}
