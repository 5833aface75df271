//! curl on every HTTP route, and on every row of the table of errors that a client can reach.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clients::fresh_node;
use crate::node::Node;
use crate::tool;

/// A node and the curl that drives it.
struct Web {
    curl: PathBuf,
    node: Node,
    _folder: TempDir,
}

/// A reply that curl received.
#[derive(Debug)]
struct Answer {
    status: u16,
    kind: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }
}

impl Web {
    fn start() -> Option<Self> {
        let curl = tool::find("curl")?;
        let (node, folder) = fresh_node();
        Some(Self { curl, node, _folder: folder })
    }

    /// Runs `curl -X method`, with the words of `headers` as header lines.
    fn curl(&self, method: &str, path: &str, body: &str, headers: &[&str]) -> Answer {
        let mut command = Command::new(Path::new(&self.curl));
        command.args(["-sS", "--globoff", "-X", method, "-w", "\n%{http_code} %{content_type}"]);
        for header in headers {
            command.args(["-H", header]);
        }
        if !body.is_empty() {
            command.args(["-H", "Content-Type: application/json", "-d", body]);
        }
        command.arg(format!("http://{}{path}", self.node.address("http")));
        let said = tool::output_of(&mut command);
        let (body, trailer) = said.rsplit_once('\n').expect("curl writes a trailer");
        let (status, kind) = trailer.split_once(' ').expect("the trailer has two parts");
        let status = status.parse().expect("a status is a number");
        Answer { status, kind: kind.to_owned(), body: body.to_owned() }
    }

    /// Demands a 200 whose JSON has the members of `expected`.
    fn counts(&self, method: &str, path: &str, body: &str, expected: &Value) -> Value {
        let answer = self.curl(method, path, body, &[]);
        assert_eq!(answer.status, 200, "{method} {path} {body}: {answer:?}");
        let got = answer.json();
        for (member, value) in expected.as_object().expect("members") {
            assert_eq!(got[member], *value, "{member} of {method} {path} {body}: {got}");
        }
        got
    }

    /// Demands a problem of this status that counts nothing.
    fn refuses(&self, status: u16, path: &str, body: &str, headers: &[&str]) {
        let answer = self.curl("POST", path, body, headers);
        assert_eq!(answer.status, status, "{path} {body} {headers:?}: {answer:?}");
        let problem = answer.kind.starts_with("application/problem+json");
        assert!(problem, "{path} {body} {headers:?}: {answer:?}");
        assert_eq!(answer.json()["status"], status, "{answer:?}");
    }
}

#[test]
fn curl_reaches_every_route_of_a_counter() {
    let Some(web) = Web::start() else { return };
    let a = "/v1/default/counters/a";
    let added = web.counts("POST", a, r#"{"add":5}"#, &json!({"value": 5, "applied": 5}));
    assert_eq!((&added["repeat"], &added["ack"]), (&json!("none"), &json!("fsync")));
    let position = added["position"].as_str().expect("a position is text");
    assert_eq!(position.split(':').count(), 3, "shard:epoch:batch, not {position}");
    web.counts("POST", a, r#"{"add":9,"max":10}"#, &json!({"value": 5, "applied": 0}));
    let capped = r#"{"add":9,"max":10,"saturate":true}"#;
    web.counts("POST", a, capped, &json!({"value": 10, "applied": 5}));
    web.counts("POST", a, r#"{"add":-2,"min":0}"#, &json!({"value": 8, "applied": -2}));
    web.counts("POST", a, r#"{"add":0,"ttl_ms":600000}"#, &json!({"value": 8}));
    assert!(web.node.resp().call("TTL a").int().is_some_and(|left| left > 500));
    web.counts("PUT", a, r#"{"value":7}"#, &json!({"value": 7}));
    assert_eq!(web.node.resp().call("TTL a").int(), Some(-1), "set clears the TTL");
    web.counts("GET", a, "", &json!({"value": 7}));
    let take = "/v1/default/counters/a/take";
    web.counts("POST", take, "", &json!({"taken": 7, "value": 0}));
    web.counts("GET", a, "", &json!({"value": 0}));
    web.counts("DELETE", a, "", &json!({}));
    assert_eq!(web.node.resp().call("EXISTS a").int(), Some(0));
    let odd = "/v1/default/counters/user%3A1%2Flikes%20caf%C3%A9";
    web.counts("POST", odd, r#"{"add":1}"#, &json!({"value": 1}));
    let (node, name) = (&web.node, "user:1/likes caf\u{e9}");
    let mut socket = node.resp();
    socket.send(&crate::resp::encode(&["GET", name])).expect("the node reads");
    assert_eq!(socket.receive().expect("a reply").int(), Some(1), "one counter on both surfaces");
}

#[test]
fn curl_reaches_batches_lists_streams_and_health() {
    let Some(web) = Web::start() else { return };
    let ops = r#"{"ops":[{"counter":"a","add":1},{"counter":"b","set":7},{"counter":"b","get":true},
        {"counter":"b","take":true},{"counter":"a","delete":true},{"counter":"","add":1}]}"#;
    let answer = web.curl("POST", "/v1/default/batch", ops, &[]);
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = answer.body;
    assert!(text.contains("\"applied\":1") && text.contains("\"status\":400"), "{text}");
    let mut socket = web.node.resp();
    assert_eq!((socket.call("GET b").int(), socket.call("EXISTS a").int()), (Some(0), Some(0)));
    let listed = web.curl("GET", "/v1/default/counters?match=b*&limit=10", "", &[]);
    assert_eq!(listed.status, 200, "{listed:?}");
    assert!(listed.body.contains("\"b\"") && listed.json().get("cursor").is_some(), "{listed:?}");
    let stream = ["Quipu-Stream: log;seq=1"];
    for repeat in ["none", "stream"] {
        let answer = web.curl("POST", "/v1/default/counters/s", r#"{"add":1}"#, &stream);
        assert_eq!((answer.status, &answer.json()["repeat"]), (200, &json!(repeat)));
    }
    for path in ["/v1/default/streams/log", "/health", "/ready", "/metrics"] {
        let answer = web.curl("GET", path, "", &[]);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    let metrics = web.curl("GET", "/metrics", "", &["Accept: application/json"]);
    assert!(metrics.kind.starts_with("application/json"), "{metrics:?}");
    assert!(metrics.json().is_object() || metrics.json().is_array(), "{metrics:?}");
    let memory = web.curl("POST", "/v1/default/counters/m", r#"{"add":1}"#, &["Quipu-Ack: memory"]);
    assert_eq!(memory.json()["ack"], "memory", "{memory:?}");
}

#[test]
fn an_idempotency_key_counts_once_on_both_surfaces() {
    let Some(web) = Web::start() else { return };
    let (path, body) = ("/v1/default/counters/once", r#"{"add":5}"#);
    let first = web.curl("POST", path, body, &["Idempotency-Key: k-1"]).json();
    let again = web.curl("POST", path, body, &["Idempotency-Key: \"k-1\""]).json();
    assert_eq!((&first["repeat"], &again["repeat"]), (&json!("none"), &json!("token")));
    for member in ["value", "applied", "position"] {
        assert_eq!(first[member], again[member], "{member}: {first} {again}");
    }
    let resp = web.node.resp().call("QUIPU.ADD once 5 TOKEN k-1");
    assert_eq!(resp.items()[3].text(), Some("token"), "{resp:?}");
    assert_eq!(web.node.resp().call("GET once").int(), Some(5));
}

#[test]
fn every_error_that_a_client_can_cause_has_its_status() {
    let Some(web) = Web::start() else { return };
    let path = "/v1/default/counters/e";
    web.counts("PUT", path, r#"{"value":9223372036854775807}"#, &json!({}));
    web.refuses(422, path, r#"{"add":1}"#, &[]);
    for body in ["{", r#"{"add":"x"}"#, r#"{"add":1.5}"#, r#"{"add":1,"nosuch":1}"#, "[]", "{}"] {
        web.refuses(400, path, body, &[]);
    }
    let add = r#"{"add":-1}"#;
    let long = format!("Idempotency-Key: {}", "k".repeat(65));
    // Made up for the year 2100: beyond the 5 minutes that a UUIDv7 may be ahead.
    let future = "Idempotency-Key: 03bb2cc3-d800-7000-8000-000000000001";
    for header in [long.as_str(), future, "Quipu-Ack: nosuch", "Quipu-Ack: quorum"] {
        web.refuses(400, path, add, &[header]);
    }
    web.refuses(400, "/v1/default/counters/a%0Ab", add, &[]);
    web.refuses(400, "/v1/default/counters/%FF", add, &[]);
    web.refuses(404, "/v1/default/nosuch", add, &[]);
    // Made in 2001: older than the window.
    let expired = "Idempotency-Key: 00e3f0d4-a000-7000-8000-000000000001";
    web.refuses(410, path, add, &[expired]);
    let key = ["Idempotency-Key: same"];
    assert_eq!(web.curl("POST", path, add, &key).status, 200);
    web.refuses(409, path, r#"{"add":-2}"#, &key);
    assert_eq!(web.node.resp().call("GET e").int(), Some(i64::MAX - 1), "errors count nothing");
    let wrong_method = web.curl("PATCH", path, add, &[]);
    assert!([404, 405].contains(&wrong_method.status), "{wrong_method:?}");
}
