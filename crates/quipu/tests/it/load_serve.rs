//! `quipu load serve` against real nodes: orders are carried out and counted, bad ones are refused by
//! field, and results outlive the service.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clients::fresh_node;
use crate::http::{Http, HttpReply, request};
use crate::node::{self, Node, PATIENCE, poll};

/// A burst as users order it, in less than a second: 100 + 300 + 100 requests.
const SHORT: &str = r#"{"testName":"short","baselineRatePerSecond":200,"burstRatePerSecond":1000,
    "baselineDuration":"PT0.5S","burstDuration":"PT0.3S"}"#;
/// One that goes on until it is stopped.
const LONG: &str = r#"{"baselineRatePerSecond":100,"burstRatePerSecond":100,
    "baselineDuration":"PT10M","burstDuration":"PT1M"}"#;

/// A service in a folder of its own; killed when the test ends.
struct Service {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
}

impl Service {
    fn start(folder: &TempDir, targets: &[String]) -> Self {
        let mut command = Command::new(node::binary());
        command.args(["load", "serve", "--listen", "127.0.0.1:0", "--keep", "2", "--results"]);
        command.arg(folder.path().join("results"));
        for target in targets {
            command.args(["--target", target]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = child.spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is a pipe")).lines();
        let mut line = || lines.next().expect("it says where").expect("a line");
        let first = line();
        let address = first.strip_prefix("load   http://").expect("an address");
        let address = address.parse().expect("an address");
        while line() != "ready" {}
        Self { child, lines, address }
    }

    fn call(&self, method: &str, path: &str, body: &str) -> HttpReply {
        Http::connect(self.address).call(&request(method, path, body))
    }

    fn get(&self, path: &str) -> Value {
        let reply = self.call("GET", path, "");
        assert_eq!(reply.status, 200, "{path}: {}", reply.json());
        reply.json()
    }

    /// Begins a test and returns its name.
    fn begin(&self, kind: &str, body: &str) -> String {
        let reply = self.call("POST", &format!("/api/loadtest/{kind}"), body);
        assert_eq!(reply.status, 202, "{}", reply.json());
        reply.json()["id"].as_str().expect("a name").to_owned()
    }

    /// Reads the news of a test to their end: names of events and what they say.
    fn events(&self, id: &str) -> Vec<(String, Value)> {
        let mut socket = TcpStream::connect(self.address).expect("it accepts");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let head = format!(
            "GET /api/loadtest/{id}/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).expect("it reads");
        let mut text = String::new();
        socket.read_to_string(&mut text).expect("the news end");
        let mut name = String::new();
        let mut events = Vec::new();
        for line in text.lines() {
            if let Some(event) = line.strip_prefix("event: ") {
                event.clone_into(&mut name);
            }
            if let Some(data) = line.strip_prefix("data: ") {
                events.push((name.clone(), serde_json::from_str(data).expect("JSON")));
            }
        }
        events
    }

    /// Waits for the end of a test and returns its result.
    fn end(&self, id: &str) -> Value {
        let (name, result) = self.events(id).pop().expect("news");
        assert_eq!((name.as_str(), &result["id"]), ("end", &json!(id)), "{result}");
        result
    }

    /// Ends it as an operator does.
    fn stop(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it runs");
        let said = self.lines.next().expect("it says that it ends").expect("a line");
        assert_eq!(said, "stopped");
        let ended = poll(PATIENCE, || self.child.try_wait().expect("a child can be waited for"));
        ended.expect("it ends")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A node, a service that may test both its surfaces, RESP first, and where both keep things.
fn bench() -> (Service, Node, [TempDir; 2]) {
    let (node, data) = fresh_node();
    let folder = TempDir::new().expect("a temporary directory");
    let service = Service::start(&folder, &targets(&node));
    (service, node, [data, folder])
}

fn targets(node: &Node) -> [String; 2] {
    [format!("redis://{}", node.address("resp")), format!("http://{}", node.address("http"))]
}

/// What the node counted, as it tells itself: the sum of all counters.
fn counted(node: &Node) -> i64 {
    let ranking = node.http().call(&request("GET", "/v1/default/top?n=1000", "")).json();
    assert!(ranking["counters"].as_u64() <= Some(1_000), "a ranking shows all: {ranking}");
    let items = ranking["items"].as_array().expect("counters");
    items.iter().map(|item| item["value"].as_i64().expect("a value")).sum()
}

#[test]
fn what_a_result_says_was_answered_is_what_the_node_counted() {
    let (service, node, _folders) = bench();
    assert_eq!(service.call("GET", "/api/results/latest", "").status, 404);
    let on_http = json!({ "startRatePerSecond": 100, "endRatePerSecond": 300, "rampDuration": "PT1S",
        "holdDuration": "PT0.5S", "target": targets(&node)[1] });
    let mut sum = 0;
    for (kind, body, planned) in [("burst", SHORT, 500), ("ramp", &on_http.to_string(), 350)] {
        let id = service.begin(kind, body);
        let result = service.end(&id);
        sum += planned;
        assert_eq!(service.get("/api/results/latest"), result);
        assert_eq!(result["status"], "completed", "{result}");
        let total = &result["summary"]["total"];
        assert_eq!(total["plannedRequests"], planned, "{total}");
        assert_eq!(total["successfulRequests"], planned, "{total}");
        assert_eq!(total["successRatePercent"], 100.0, "{total}");
        assert!(total["latencyMs"]["p95"].as_f64() > Some(0.0), "{total}");
        assert_eq!(result["summary"]["conservation"]["total"]["counted"], planned);
        assert_eq!(counted(&node), sum);
        let finding = service.get(&format!("/api/results/{id}/finding"));
        assert_eq!(finding["total"]["counts"]["ok"], planned);
    }
    let list = service.get("/api/results");
    let names: Vec<_> = list["results"].as_array().expect("a list").iter().collect();
    assert_eq!((&names[0]["kind"], &names[1]["testName"]), (&json!("ramp"), &json!("short")));
    let metrics = service.call("GET", "/metrics", "").body;
    let metrics = String::from_utf8_lossy(&metrics);
    for line in ["requests_total{outcome=\"ok\"} 850", "ended_total{status=\"completed\"} 2"] {
        assert!(metrics.contains(line), "{line}:\n{metrics}");
    }
}

/// Checks that an order is refused with this status, and that the problem names the field, its
/// value and what to do.
fn check(service: &Service, kind: &str, body: &str, (status, field): (u16, &str)) {
    let reply = service.call("POST", &format!("/api/loadtest/{kind}"), body);
    let problem = reply.json();
    assert_eq!(reply.status, status, "{body}: {problem}");
    assert_eq!(problem["status"], status, "{body}");
    if field.is_empty() {
        assert!(problem["detail"].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        return;
    }
    assert_eq!(problem["field"], field, "{body}: {problem}");
    let sent: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(problem["value"], sent[field], "{body}: {problem}");
    assert!(problem["remedy"].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
}

#[test]
fn an_order_that_cannot_be_is_refused_by_its_field() {
    let (service, _node, _folders) = bench();
    let cases = [
        ("burst", r#"{"testName":7}"#, (400, "testName")),
        ("burst", r#"{"testName":""}"#, (400, "testName")),
        ("burst", r#"{"testName":"a\nb"}"#, (400, "testName")),
        ("burst", r#"{"baselineRatePerSecond":0}"#, (400, "baselineRatePerSecond")),
        ("burst", r#"{"baselineRatePerSecond":-1}"#, (400, "baselineRatePerSecond")),
        ("burst", r#"{"baselineRatePerSecond":1.5}"#, (400, "baselineRatePerSecond")),
        ("burst", r#"{"burstRatePerSecond":"20000"}"#, (400, "burstRatePerSecond")),
        ("burst", r#"{"burstRatePerSecond":50001}"#, (400, "burstRatePerSecond")),
        ("burst", r#"{"burstRatePerSecond":4999}"#, (400, "burstRatePerSecond")),
        ("burst", r#"{"burstRatePerSecond":null}"#, (400, "burstRatePerSecond")),
        ("burst", r#"{"baselineDuration":"2m"}"#, (400, "baselineDuration")),
        ("burst", r#"{"baselineDuration":"PT29M31S"}"#, (400, "baselineDuration")),
        ("burst", r#"{"burstDuration":60}"#, (400, "burstDuration")),
        ("burst", r#"{"burstDuration":"PT0S"}"#, (400, "burstDuration")),
        ("burst", r#"{"burstDuration":"P1M"}"#, (400, "burstDuration")),
        ("burst", r#"{"warmupDuration":"PT2H"}"#, (400, "warmupDuration")),
        ("burst", r#"{"maxInFlight":0}"#, (400, "maxInFlight")),
        ("burst", r#"{"maxInFlight":40001}"#, (400, "maxInFlight")),
        ("burst", r#"{"burstRate":20000}"#, (400, "burstRate")),
        ("burst", r#"{"rampDuration":"PT1M"}"#, (400, "rampDuration")),
        ("ramp", r#"{"burstDuration":"PT1M"}"#, (400, "burstDuration")),
        ("ramp", r#"{"endRatePerSecond":true}"#, (400, "endRatePerSecond")),
        ("ramp", r#"{"rampDuration":"PT55M1S"}"#, (400, "rampDuration")),
        ("ramp", r#"{"holdDuration":"PT0.01S"}"#, (400, "holdDuration")),
        ("burst", r#"{"target":"http://127.0.0.1:1"}"#, (403, "target")),
        ("burst", r#"{"target":["http://127.0.0.1:1"]}"#, (403, "target")),
        ("burst", "[]", (400, "")),
        ("burst", "{", (400, "")),
        ("nosuch", "{}", (405, "")),
    ];
    for (kind, body, expected) in cases {
        check(&service, kind, body, expected);
    }
    check(&service, "burst", &format!("{{\"testName\":\"{}\"}}", "x".repeat(16 << 10)), (413, ""));
    let mut socket = Http::connect(service.address);
    let plain = b"POST /api/loadtest/burst HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
    socket.send_bytes(plain).expect("it reads");
    let reply = socket.receive_within(PATIENCE).expect("a reply").expect("a reply");
    assert_eq!(reply.status, 415, "a form of another page begins no test");
    assert_eq!(service.get("/health")["running"], 0, "nothing was begun");
}

#[test]
fn a_target_has_one_test_at_a_time_and_it_can_be_cancelled() {
    let (service, node, _folders) = bench();
    let first = service.begin("burst", LONG);
    let busy = service.call("POST", "/api/loadtest/ramp", "{}");
    assert_eq!((busy.status, &busy.json()["field"]), (409, &json!("target")), "{}", busy.json());
    assert!(busy.json()["remedy"].as_str().is_some_and(|remedy| remedy.contains(&first)));
    let other = json!({ "target": targets(&node)[1], "baselineRatePerSecond": 100,
        "burstRatePerSecond": 100 });
    let other = service.begin("burst", &other.to_string());
    assert_eq!(service.get("/health")["running"], 2, "another target is another matter");
    assert_eq!(service.get(&format!("/api/results/{first}"))["status"], "running");
    for id in [&first, &other] {
        assert_eq!(service.call("DELETE", &format!("/api/loadtest/{id}"), "").status, 202);
        let result = service.end(id);
        assert_eq!(result["status"], "cancelled", "{result}");
        assert_eq!(result["reason"], "cancelled by a client");
        let again = service.call("DELETE", &format!("/api/loadtest/{id}"), "");
        assert_eq!(again.status, 409, "{}", again.json());
    }
    assert_eq!(service.call("DELETE", "/api/loadtest/nosuch", "").status, 404);
    let id = service.begin("burst", SHORT);
    assert_eq!(service.end(&id)["status"], "completed", "the target is free again");
}

#[test]
fn a_watcher_sees_progress_and_the_end() {
    let (service, _node, _folders) = bench();
    let id = service.begin("burst", SHORT);
    let events = service.events(&id);
    let (last, progress) = events.split_last().expect("news");
    assert!(!progress.is_empty() && progress.iter().all(|(name, _)| name == "progress"));
    assert_eq!(progress[0].1["plannedRequests"], 500, "{progress:?}");
    assert_eq!(last.0, "end");
    assert_eq!(last.1["summary"]["total"]["successfulRequests"], 500);
    let after = service.events(&id);
    assert_eq!(after, std::slice::from_ref(last), "who comes late is told the end");
}

#[test]
fn results_outlive_the_service_and_a_stopped_test_is_told() {
    let (service, node, folders) = bench();
    let first = service.begin("burst", SHORT);
    let kept = service.end(&first);
    let second = service.begin("burst", LONG);
    let resp = || node.resp().call("QUIPU.TOP 1").items().len();
    poll(PATIENCE, || (resp() > 0).then_some(())).expect("requests come");
    assert!(service.stop().success());
    let service = Service::start(&folders[1], &targets(&node));
    assert_eq!(service.get(&format!("/api/results/{first}")), kept);
    let stopped = service.get("/api/results/latest");
    assert_eq!((&stopped["id"], &stopped["status"]), (&json!(second), &json!("cancelled")));
    assert_eq!(stopped["reason"], "the service was stopped");
    let conservation = &stopped["summary"]["conservation"]["total"];
    assert_eq!(conservation["counted"], conservation["acknowledged"], "{conservation}");
    let third = service.begin("burst", SHORT);
    service.end(&third);
    let list = service.get("/api/results");
    let ids: Vec<_> =
        list["results"].as_array().expect("a list").iter().map(|r| &r["id"]).collect();
    assert_eq!(ids, [&json!(third), &json!(second)], "the oldest beyond the bound goes");
}

#[test]
fn a_target_that_is_not_there_is_a_failed_test() {
    let (node, _data) = fresh_node();
    let folder = TempDir::new().expect("a temporary directory");
    let targets = targets(&node);
    drop(node);
    let service = Service::start(&folder, &targets);
    let id = service.begin("burst", SHORT);
    let result = service.end(&id);
    assert_eq!((&result["status"], &result["summary"]), (&json!("failed"), &Value::Null));
    assert!(
        result["reason"].as_str().is_some_and(|why| why.contains("cannot connect")),
        "{result}"
    );
    assert_eq!(service.call("GET", &format!("/api/results/{id}/finding"), "").status, 404);
}

#[test]
fn the_description_names_each_route_and_each_field() {
    let (service, node, _folders) = bench();
    let document = service.get("/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["paths"].as_object().map(serde_json::Map::len), Some(12));
    let order = &document["paths"]["/api/loadtest/burst"]["post"]["requestBody"]["content"];
    let fields = &order["application/json"]["schema"]["properties"];
    assert_eq!(fields["burstRatePerSecond"]["default"], 20_000);
    assert_eq!(fields["baselineDuration"]["default"], "PT2M");
    assert_eq!(fields["target"]["enum"], json!(targets(&node)));
}
