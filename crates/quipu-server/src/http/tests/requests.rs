//! What each request does.

use quipu_core::op::Ack;
use serde_json::json;

use crate::http::limits::{HttpLimits, Surface};
use crate::http::tests::client::{Client, Response};
use crate::http::tests::node::{Server, TOKENS_MAX};

/// Calls as `METHOD path body` and compares status and some fields.
fn check(client: &mut Client, call: &str, status: u16, fields: &serde_json::Value) -> Response {
    check_with(client, call, &[], (status, fields))
}

fn check_with(
    client: &mut Client,
    call: &str,
    headers: &[&str],
    (status, fields): (u16, &serde_json::Value),
) -> Response {
    let mut parts = call.splitn(3, ' ');
    let (method, path) = (parts.next().unwrap(), parts.next().unwrap());
    let path = format!("/v1/default/{path}");
    let response = client.call_with(method, &path, headers, parts.next().unwrap_or_default());
    let body = response.json();
    assert_eq!(response.status, status, "{call}: {body}");
    for (name, value) in fields.as_object().unwrap() {
        assert_eq!(&body[name], value, "{call}: {name} in {body}");
    }
    let kind = if status < 400 { "application/json" } else { "application/problem+json" };
    assert_eq!(response.headers["content-type"], kind, "{call}");
    response
}

#[test]
fn a_counter_is_added_to_read_set_taken_and_deleted() {
    let server = Server::start();
    let client = &mut server.connect();
    let added = json!({"counter": "a/b", "value": 3, "previous": null, "applied": 3,
        "verdict": "done", "repeat": "none", "ack": "fsync"});
    let added = check(client, "POST counters/a%2Fb {\"add\":3}", 200, &added);
    let position = added.json()["position"].as_str().unwrap().to_owned();
    assert!(position.ends_with(":1:1"), "{position}");
    let read = json!({"value": 3, "read": "committed", "position": position});
    check(client, "GET counters/a%2Fb", 200, &read);
    check(client, "PUT counters/a%2Fb {\"value\":7}", 200, &json!({"value": 7, "previous": 3}));
    let taken = json!({"value": 0, "taken": 7, "verdict": "done"});
    check(client, "POST counters/a%2Fb/take", 200, &taken);
    check(client, "DELETE counters/a%2Fb", 200, &json!({"value": null, "previous": 0}));
    let miss = json!({"value": null, "counter": "a/b", "ack": "fsync", "counted": null});
    check(client, "GET counters/a%2Fb", 404, &miss);
    check(client, "DELETE counters/a%2Fb", 200, &json!({"value": null, "verdict": "unmet"}));
    check(client, "POST counters/a%2Fb/take {}", 200, &json!({"value": null, "taken": null}));
}

#[test]
fn bounds_reject_or_saturate_and_overflow_is_a_problem() {
    let server = Server::start();
    let client = &mut server.connect();
    check(client, "POST counters/a {\"add\":3,\"max\":3}", 200, &json!({"value": 3}));
    let rejected = json!({"value": 3, "applied": 0, "verdict": "rejected"});
    check(client, "POST counters/a {\"add\":1,\"max\":3}", 200, &rejected);
    let capped = json!({"value": 5, "applied": 2, "verdict": "done"});
    check(client, "POST counters/a {\"add\":9,\"max\":5,\"saturate\":true}", 200, &capped);
    let largest = format!("PUT counters/a {{\"value\":{}}}", i64::MAX);
    check(client, &largest, 200, &json!({"value": i64::MAX}));
    let overflow = json!({"value": i64::MAX, "applied": 0, "counted": "no"});
    check(client, "POST counters/a {\"add\":1}", 422, &overflow);
    let expiring = check(client, "PUT counters/a {\"value\":1,\"ttl_ms\":5000}", 200, &json!({}));
    assert_eq!(expiring.json()["expires_at_ms"], 1_005_000);
}

#[test]
fn a_retry_with_its_key_counts_once_and_gets_the_first_answer() {
    let server = Server::start();
    let client = &mut server.connect();
    let key: &[&str] = &["Idempotency-Key: \"order-17\""];
    let add = "POST counters/a {\"add\":2}";
    let first = check_with(client, add, key, (200, &json!({"value": 2, "repeat": "none"})));
    check(client, add, 200, &json!({"value": 4}));
    let bare: &[&str] = &["idempotency-key: order-17"];
    let again = json!({"value": 2, "applied": 2, "repeat": "token"});
    let repeat = check_with(client, add, bare, (200, &again));
    assert_eq!(repeat.json()["position"], first.json()["position"]);
    let other = "POST counters/a {\"add\":3}";
    check_with(client, other, key, (409, &json!({"type": "urn:quipu:problem:conflict"})));
    check_with(client, "GET counters/a", key, (200, &json!({"value": 4, "repeat": "none"})));
}

#[test]
fn a_stream_counts_each_sequence_once_and_holds_after_a_refusal() {
    let server = Server::start();
    let client = &mut server.connect();
    let add = "POST counters/a {\"add\":1}";
    check_with(client, add, &["Quipu-Stream: s;seq=1"], (200, &json!({"value": 1})));
    let again = json!({"value": 1, "applied": 0, "repeat": "stream"});
    check_with(client, add, &["Quipu-Stream: s;seq=1"], (200, &again));
    let bad = "POST counters/a {\"ad\":1}";
    check_with(client, bad, &["Quipu-Stream: s;seq=2"], (400, &json!({"counted": "no"})));
    let held = json!({"sequence": 2, "type": "urn:quipu:problem:held"});
    check_with(client, add, &["Quipu-Stream: s;seq=3"], (409, &held));
    check_with(client, add, &["Quipu-Stream: s;seq=2"], (200, &json!({"value": 2})));
    check_with(client, add, &["Quipu-Stream: s;seq=3"], (200, &json!({"value": 3})));
    let view = check(client, "GET streams/s", 200, &json!({"stream": "s", "checkpoint": null}));
    assert_eq!(view.json()["marks"][0]["mark"], 3);
    check(client, "GET streams/t", 404, &json!({"stream": "t"}));
}

#[test]
fn a_batch_answers_each_item_in_order() {
    let server = Server::start();
    let client = &mut server.connect();
    let batch = "POST batch {\"ops\":[{\"counter\":\"a\",\"add\":1},{\"counter\":\"b\",\"set\":7},\
        {\"counter\":\"c\",\"get\":true},{\"counter\":\"b\",\"take\":true},{\"counter\":\"\",\
        \"add\":1},{\"counter\":\"a\",\"delete\":true},{\"counter\":\"a\",\"add\":5}]}";
    let key: &[&str] = &["Idempotency-Key: k"];
    let answer = check_with(client, batch, key, (200, &json!({"ack": "fsync"})));
    let results = answer.json()["results"].clone();
    let field = |name: &str| -> Vec<_> {
        results.as_array().unwrap().iter().map(|result| result[name].clone()).collect()
    };
    assert_eq!(json!(field("value")), json!([1, 7, null, 0, null, null, 5]));
    assert_eq!(json!(field("status")), json!([null, null, 404, null, 400, null, null]));
    assert_eq!(json!(field("index")), json!([null, null, 2, null, 4, null, null]));
    check_with(client, batch, key, (200, &json!({})));
    check(client, "GET counters/a", 200, &json!({"value": 5}));
    check(client, "GET counters/b", 200, &json!({"value": 0}));
}

#[test]
fn an_atomic_batch_is_all_or_nothing() {
    let server = Server::start();
    let client = &mut server.connect();
    let batch = |max: i64| {
        format!(
            "POST batch {{\"atomic\":true,\"ops\":[{{\"counter\":\"a\",\"add\":1}},\
             {{\"counter\":\"b\",\"add\":1,\"max\":{max}}}]}}"
        )
    };
    let aborted = json!({"index": 1, "counter": "b", "type": "urn:quipu:problem:rejected"});
    check(client, &batch(0), 422, &aborted);
    check(client, "GET counters/a", 404, &json!({}));
    check(client, &batch(1), 200, &json!({}));
    check(client, "GET counters/a", 200, &json!({"value": 1}));
    let wrong = "POST batch {\"atomic\":true,\"ops\":[{\"counter\":\"a\",\"add\":1},\
        {\"counter\":\"b\"}]}";
    check(client, wrong, 400, &json!({"index": 1}));
    let unmet = "POST batch {\"atomic\":true,\"ops\":[{\"counter\":\"a\",\"add\":1},\
        {\"counter\":\"z\",\"delete\":true}]}";
    check(client, unmet, 422, &json!({"index": 1, "counter": "z"}));
    check(client, "GET counters/a", 200, &json!({"value": 1}));
    let stream: &[&str] = &["Quipu-Stream: s;seq=1"];
    check_with(client, &batch(9), stream, (400, &json!({"counted": "no"})));
}

#[test]
fn a_listing_sees_every_counter_page_by_page() {
    let server = Server::start();
    let client = &mut server.connect();
    for i in 0..50 {
        check(client, &format!("POST counters/n{i} {{\"add\":{i}}}"), 200, &json!({}));
    }
    let (mut seen, mut cursor) = (std::collections::BTreeMap::new(), String::new());
    loop {
        let call = format!("GET counters?match=n%2A&limit=7{cursor}");
        let page = check(client, &call, 200, &json!({"ack": "fsync"})).json();
        for item in page["items"].as_array().unwrap() {
            seen.insert(item["counter"].as_str().unwrap().to_owned(), item["value"].clone());
        }
        let Some(next) = page["cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen.len(), 50);
    assert_eq!(seen["n17"], 17);
    let one = check(client, "GET counters?match=n4&limit=1000", 200, &json!({"cursor": null}));
    assert_eq!(one.json()["items"], json!([{"counter": "n4", "value": 4}]));
    check(client, "GET counters?limit=0", 400, &json!({}));
    let top = check(client, "GET top?n=2", 200, &json!({"counters": 50, "ack": "fsync"})).json();
    assert_eq!(
        top["items"],
        json!([{"counter": "n49", "value": 49}, {"counter": "n48", "value": 48}])
    );
    check(client, "GET top?n=0", 400, &json!({}));
}

#[test]
fn what_cannot_be_done_is_refused_with_its_reason() {
    let server = Server::start();
    let client = &mut server.connect();
    let bad = json!({"type": "urn:quipu:problem:bad-request", "counted": "no"});
    check(client, "POST counters/a {\"add\":1,", 400, &bad);
    check(client, "POST counters/a", 400, &bad);
    check(client, "DELETE counters/a {\"add\":1}", 400, &bad);
    let add = "POST counters/a {\"add\":1}";
    check_with(client, add, &["Quipu-Ack: quorum"], (400, &bad));
    check_with(client, add, &["Quipu-Read: cached"], (400, &bad));
    check_with(client, add, &["Idempotency-Key: k", "Quipu-Stream: s;seq=1"], (400, &bad));
    let wrong = check(client, "PATCH counters/a", 405, &json!({}));
    assert_eq!(wrong.headers["allow"], "GET, HEAD, POST, PUT, DELETE");
    check(client, "GET nothing", 404, &json!({"type": "urn:quipu:problem:no-path"}));
    let acme = client.call("GET", "/v1/acme/counters/a", "");
    assert_eq!(acme.status, 404);
    assert_eq!(acme.json()["type"], "urn:quipu:problem:no-namespace");
    check(client, "GET counters/a", 404, &json!({"type": "urn:quipu:problem:absent"}));
}

#[test]
fn a_node_that_takes_no_writes_says_why_and_goes_on_reading() {
    let server = Server::start();
    let client = &mut server.connect();
    let add = "POST counters/a {\"add\":1}";
    check(client, add, 200, &json!({}));
    server.node.fill(false);
    let busy = check(client, add, 429, &json!({"counted": "no"}));
    assert_eq!(busy.headers["retry-after"], "1");
    server.node.fill(true);
    check(client, add, 507, &json!({"type": "urn:quipu:problem:no-space"}));
    check(client, "GET counters/a", 200, &json!({"value": 1}));
    server.node.empty();
    check(client, add, 200, &json!({"value": 2}));
    server.node.stop();
    let stopping = check(client, add, 503, &json!({"type": "urn:quipu:problem:stopping"}));
    assert_eq!(stopping.headers["retry-after"], "1");
}

#[test]
fn a_full_token_memory_refuses_new_tokens_alone() {
    let server = Server::start();
    let client = &mut server.connect();
    let add = "POST counters/a {\"add\":1}";
    for n in 1..=TOKENS_MAX {
        check_with(client, add, &[&format!("Idempotency-Key: {n}")], (200, &json!({"value": n})));
    }
    let full = json!({"type": "urn:quipu:problem:full", "counted": "no"});
    let refused = check_with(client, add, &["Idempotency-Key: more"], (503, &full));
    assert_eq!(refused.headers["retry-after"], "1");
    check_with(client, add, &["Idempotency-Key: 1"], (200, &json!({"repeat": "token"})));
    check(client, add, 200, &json!({"value": TOKENS_MAX + 1}));
}

#[test]
fn operators_ask_for_health_readiness_and_metrics() {
    let server = Server::start();
    let client = &mut server.connect();
    assert_eq!(client.call("GET", "/health", "").json(), json!({"status": "ok"}));
    assert_eq!(client.call("GET", "/ready", "").status, 200);
    let text = client.call("GET", "/metrics", "");
    assert_eq!(text.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert!(text.body.starts_with(b"# HELP quipu_"));
    let accept: &[&str] = &["Accept: text/html, application/json;q=0.9"];
    let json = client.call_with("GET", "/metrics", accept, "");
    assert_eq!(json.headers["content-type"], "application/json");
    assert!(json.json().is_object());
    client.send("HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = client.receive_of(false);
    assert_eq!((head.status, head.headers["content-length"].as_str()), (200, "15"));
    server.node.fail();
    assert_eq!(client.call("GET", "/ready", "").status, 503);
}

#[test]
fn the_admin_listener_knows_no_counters() {
    let limits = HttpLimits { surface: Surface::Admin, ..HttpLimits::default() };
    let server = Server::with(limits, Ack::Fsync);
    let client = &mut server.connect();
    assert_eq!(client.call("GET", "/health", "").status, 200);
    assert_eq!(client.call("GET", "/metrics", "").status, 200);
    assert_eq!(client.call("POST", "/v1/default/counters/a", "{\"add\":1}").status, 404);
}
