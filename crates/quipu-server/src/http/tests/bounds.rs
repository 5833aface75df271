//! Everything that a client can make grow or last has a bound.

use std::time::Duration;

use quipu_core::op::Ack;
use quipu_metrics::label::{ConnectionCut, ConnectionRefusal};

use crate::http::api::Event;
use crate::http::limits::HttpLimits;
use crate::http::tests::client::request;
use crate::http::tests::node::Server;

const A: &str = "/v1/default/counters/a";
const ADD: &str = "{\"add\":1}";
const SOON: Duration = Duration::from_millis(50);

fn server(change: impl FnOnce(&mut HttpLimits)) -> Server {
    let mut limits = HttpLimits::default();
    change(&mut limits);
    Server::with(limits, Ack::Fsync)
}

#[test]
fn a_head_that_does_not_end_is_cut_off() {
    let server = server(|limits| limits.header_timeout = SOON);
    let mut slow = server.connect();
    slow.send("GET /health HTTP/1.1\r\nHost: ");
    let response = slow.receive();
    assert_eq!(response.status, 408);
    assert_eq!(response.json()["type"], "urn:quipu:problem:slow");
    slow.closes();
    server.node.hear(1, |event| *event == Event::Cut(ConnectionCut::Slow));
    server.node.hear(1, |event| *event == Event::Closed);
}

#[test]
fn the_deadline_of_a_head_is_not_that_of_an_idle_connection() {
    let server = server(|limits| limits.header_timeout = SOON);
    let mut idle = server.connect();
    let mut slow = server.connect();
    slow.send("GET /");
    assert_eq!(slow.receive().status, 408);
    assert_eq!(idle.call("GET", "/health", "").status, 200);
}

#[test]
fn a_body_that_does_not_end_is_cut_off_and_its_stream_held() {
    let server = server(|limits| limits.body_timeout = SOON);
    let mut slow = server.connect();
    let stream: &[&str] = &["Quipu-Stream: s;seq=1"];
    let whole = request("POST", A, stream, ADD);
    slow.send(whole.strip_suffix('}').unwrap());
    let response = slow.receive();
    assert_eq!(response.status, 408);
    assert_eq!(response.headers["connection"], "close");
    slow.closes();
    let mut next = server.connect();
    let held = next.call_with("POST", A, &["Quipu-Stream: s;seq=2"], ADD);
    assert_eq!((held.status, held.json()["sequence"].as_u64()), (409, Some(1)));
    assert_eq!(next.call_with("POST", A, stream, ADD).json()["value"], 1);
}

#[test]
fn a_connection_without_requests_is_closed() {
    let server = server(|limits| limits.idle_timeout = SOON);
    let (mut fresh, mut used) = (server.connect(), server.connect());
    assert_eq!(used.call("GET", "/health", "").status, 200);
    fresh.closes();
    used.closes();
    server.node.hear(2, |event| *event == Event::Cut(ConnectionCut::Idle));
}

#[test]
fn a_held_reply_outlasts_every_deadline() {
    let server = server(|limits| {
        limits.idle_timeout = SOON;
        limits.header_timeout = SOON;
        limits.body_timeout = SOON;
    });
    server.node.freeze();
    let mut client = server.connect();
    client.send(&request("POST", A, &[], ADD));
    server.node.hear(1, |event| *event == Event::Held);
    // An idle connection that came later has gone: the deadlines have passed.
    server.connect().closes();
    assert!(client.has_nothing());
    server.node.thaw();
    assert_eq!(client.receive().json()["value"], 1);
}

#[test]
fn a_body_that_is_too_big_is_refused_before_it_comes() {
    let server = server(|limits| limits.body_bytes = 64);
    let mut client = server.connect();
    client.send("POST /v1/default/counters/a HTTP/1.1\r\nHost: h\r\nContent-Length: 65\r\n\r\n");
    let response = client.receive();
    assert_eq!((response.status, response.headers["connection"].as_str()), (413, "close"));
    client.closes();
    let mut client = server.connect();
    let chunk = format!("28\r\n{}\r\n", " ".repeat(40));
    let head =
        "POST /v1/default/counters/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(&format!("{head}{chunk}{chunk}"));
    assert_eq!(client.receive().status, 413);
    client.closes();
    let mut client = server.connect();
    let padded = format!("{ADD}{}", " ".repeat(64 - ADD.len()));
    assert_eq!(client.call("POST", A, &padded).json()["value"], 1);
}

#[test]
fn a_refused_client_that_goes_on_sending_is_not_reset() {
    let server = server(|limits| limits.body_bytes = 64);
    let mut client = server.connect();
    let body = " ".repeat(2_000_000);
    let whole = request("POST", A, &[], &body);
    let (head, rest) = whole.split_at(whole.len() - body.len());
    client.send(head);
    assert_eq!(client.receive().status, 413);
    client.send(rest);
    client.finish();
    client.closes();
}

#[test]
fn heads_and_targets_have_bounds() {
    let server = server(|limits| {
        limits.header_bytes = 8192;
        limits.headers = 8;
        limits.target_bytes = 100;
    });
    let long = format!("/v1/default/counters?match={}", "a".repeat(100));
    let mut client = server.connect();
    assert_eq!(client.call("GET", &long, "").status, 414);
    assert_eq!(client.call("GET", "/health", "").status, 200);
    let big = format!("X-Big: {}", "x".repeat(9000));
    let many = "X-Many: 1\r\n".repeat(9);
    let garbage = "GET /health HTTP/9\r\n\r\n";
    let check = |text: &str, status, word| {
        let mut client = server.connect();
        client.send(text);
        let response = client.receive();
        let kind = response.headers["content-type"].as_str();
        assert_eq!((response.status, kind), (status, "application/problem+json"), "{text}");
        assert_eq!(response.json()["type"], format!("urn:quipu:problem:{word}"));
        client.closes();
    };
    check(&request("GET", "/health", &[&big], ""), 431, "big-head");
    check(&request("GET", "/health", &[many.trim_end()], ""), 431, "big-head");
    check(garbage, 400, "bad-request");
    server.node.hear(3, |event| *event == Event::Cut(ConnectionCut::Protocol));
}

#[test]
fn what_was_answered_before_nonsense_is_answered_whole() {
    let server = server(|_| {});
    let mut client = server.connect();
    let asked = request("POST", A, &[], ADD);
    client.send(&format!("{asked}{asked}nonsense\r\n\r\n"));
    let values = [1, 2].map(|_| client.receive().json()["value"].clone());
    assert_eq!(values, [1, 2]);
    let last = client.receive();
    assert_eq!((last.status, last.json()["counted"].as_str()), (400, Some("no")));
    client.closes();
}

#[test]
fn a_batch_has_a_longest_length() {
    let server = server(|limits| limits.batch_ops = 2);
    let mut client = server.connect();
    let item = "{\"counter\":\"a\",\"add\":1}";
    let batch = |n: usize| format!("{{\"ops\":[{}]}}", vec![item; n].join(","));
    assert_eq!(client.call("POST", "/v1/default/batch", &batch(2)).status, 200);
    assert_eq!(client.call("POST", "/v1/default/batch", &batch(3)).status, 413);
    let mut client = server.connect();
    assert_eq!(client.call("GET", A, "").json()["value"], 2);
}

#[test]
fn a_connection_too_many_is_told_so() {
    let server = server(|limits| limits.connections = 2);
    let (mut first, mut second) = (server.connect(), server.connect());
    assert_eq!(first.call("GET", "/health", "").status, 200);
    assert_eq!(second.call("GET", "/health", "").status, 200);
    let mut third = server.connect();
    let response = third.receive();
    assert_eq!((response.status, response.headers["retry-after"].as_str()), (503, "1"));
    third.closes();
    server.node.hear(1, |event| *event == Event::Refused(ConnectionRefusal::Limit));
    drop(first);
    server.node.hear(1, |event| *event == Event::Closed);
    assert_eq!(second.call("GET", "/health", "").status, 200);
}

#[test]
fn bodies_in_flight_have_a_bound_together() {
    let server = server(|limits| limits.inflight_bytes = 2 * ADD.len());
    server.node.freeze();
    let mut waiting: Vec<_> = (1..=2)
        .map(|n| {
            let mut client = server.connect();
            client.send(&request("POST", A, &[], ADD));
            server.node.hear(n, |event| *event == Event::Held);
            client
        })
        .collect();
    let mut third = server.connect();
    let busy = third.call("POST", A, ADD);
    assert_eq!((busy.status, busy.headers["retry-after"].as_str()), (429, "1"));
    server.node.thaw();
    assert_eq!(waiting.iter_mut().map(|c| c.receive().status).collect::<Vec<_>>(), [200, 200]);
    assert_eq!(third.call("POST", A, ADD).json()["value"], 3);
}

#[test]
fn a_client_that_reads_nothing_is_cut_off() {
    let server = server(|limits| {
        limits.body_timeout = SOON;
        limits.idle_timeout = Duration::from_secs(3600);
    });
    let ask = request("GET", "/metrics", &[], "").repeat(16);
    let sent = server.connect().send_until_closed(ask.as_bytes());
    assert!(sent > 0);
    server.node.hear(1, |event| *event == Event::Cut(ConnectionCut::Unread));
}
