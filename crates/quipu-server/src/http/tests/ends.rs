//! How connections go on and end.

use std::time::Duration;

use quipu_core::op::Ack;
use serde_json::json;

use crate::http::api::Event;
use crate::http::limits::HttpLimits;
use crate::http::tests::client::request;
use crate::http::tests::node::Server;

const A: &str = "/v1/default/counters/a";
const ADD: &str = "{\"add\":1}";

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let server = Server::start();
    let mut client = server.connect();
    for n in 1..=100 {
        assert_eq!(client.call("POST", A, ADD).json()["value"], n);
    }
    assert_eq!(server.node.heard(|event| *event == Event::Opened), 1);
    let last = client.call_with("GET", A, &["Connection: close"], "");
    assert_eq!(last.json()["value"], 100);
    client.closes();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(&request("POST", A, &[], ADD).repeat(1000));
    for n in 1..=1000 {
        assert_eq!(client.receive().json()["value"], n);
    }
}

#[test]
fn a_part_of_the_next_request_keeps_no_reply_back() {
    let server = Server::start();
    let mut client = server.connect();
    let add = request("POST", A, &[], ADD);
    let (head, tail) = add.split_at(20);
    client.send(&format!("{add}{head}"));
    assert_eq!(client.receive().json()["value"], 1);
    client.send(tail);
    assert_eq!(client.receive().json()["value"], 2);
}

#[test]
fn a_stop_answers_what_was_asked_and_closes_the_rest() {
    let mut server = Server::start();
    server.node.freeze();
    let (mut idle, mut fresh, mut waiting) = (server.connect(), server.connect(), server.connect());
    assert_eq!(idle.call("GET", "/health", "").status, 200);
    waiting.send(&request("POST", A, &[], ADD));
    server.node.hear(1, |event| *event == Event::Held);
    server.shut_down();
    idle.closes();
    fresh.closes();
    assert!(waiting.has_nothing());
    server.node.thaw();
    let response = waiting.receive();
    assert_eq!(response.json()["value"], 1);
    waiting.closes();
    server.join();
    assert_eq!(server.node.heard(|event| *event == Event::Closed), 3);
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let limits = HttpLimits { drain_timeout: Duration::from_millis(50), ..HttpLimits::default() };
    let mut server = Server::with(limits, Ack::Fsync);
    server.node.freeze();
    let mut waiting = server.connect();
    waiting.send(&request("POST", A, &[], ADD));
    server.node.hear(1, |event| *event == Event::Held);
    server.join();
    waiting.closes();
    assert_eq!(server.node.heard(|event| *event == Event::Closed), 1);
    assert_eq!(server.node.heard(|event| matches!(event, Event::Released(_))), 1);
}

#[test]
fn traffic_is_counted() {
    let server = Server::start();
    let mut client = server.connect();
    let text = request("GET", "/health", &[], "");
    client.send(&text);
    assert_eq!(client.receive().json(), json!({"status": "ok"}));
    server.node.hear(1, |event| *event == Event::Received(text.len() as u64));
    drop(client);
    server.node.hear(1, |event| matches!(event, Event::Sent(bytes) if *bytes > 100));
    assert_eq!(server.node.heard(|event| matches!(event, Event::Answered(_))), 1);
}
