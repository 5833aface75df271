//! No byte of a reply leaves before what it depends on is durable.

use quipu_core::op::Ack;
use serde_json::json;

use crate::http::api::Event;
use crate::http::limits::HttpLimits;
use crate::http::tests::client::{Client, request};
use crate::http::tests::node::Server;

const A: &str = "/v1/default/counters/a";
const ADD: &str = "{\"add\":1}";

/// Sends a request and shows that its reply is held: the server says so, has since turned to
/// another client and answered it, and nothing has come.
fn held(server: &Server, text: &str) -> Client {
    let before = server.node.heard(|event| *event == Event::Held);
    let mut client = server.connect();
    client.send(text);
    server.node.hear(before + 1, |event| *event == Event::Held);
    assert_eq!(server.connect().call("GET", "/health", "").status, 200);
    assert!(client.has_nothing(), "{text}");
    client
}

#[test]
fn replies_that_depend_on_a_frozen_sync_wait_for_it() {
    let server = Server::start();
    for path in ["a", "gone", "full"] {
        let path = format!("/v1/default/counters/{path}");
        server.connect().call("PUT", &path, "{\"value\":5}");
    }
    server.node.freeze();
    let ask = |method: &str, path: &str, body: &str| {
        request(method, &format!("/v1/default/{path}"), &[], body)
    };
    let keyed = request("POST", A, &["Idempotency-Key: k"], ADD);
    let conflict = request("POST", A, &["Idempotency-Key: k"], "{\"add\":2}");
    let streamed = request("POST", A, &["Quipu-Stream: s;seq=1"], ADD);
    let texts = [
        ask("POST", "counters/a", ADD),
        ask("GET", "counters/a", ""),
        ask("POST", "counters/a", "{\"add\":1,\"max\":1}"),
        ask("PUT", "counters/full", &format!("{{\"value\":{}}}", i64::MAX)),
        ask("POST", "counters/full", ADD),
        ask("DELETE", "counters/gone", ""),
        ask("GET", "counters/gone", ""),
        ask("DELETE", "counters/gone", ""),
        ask("POST", "counters/gone/take", ""),
        keyed.clone(),
        keyed,
        conflict,
        streamed.clone(),
        streamed,
        ask("GET", "streams/s", ""),
        ask("GET", "counters", ""),
        ask("GET", "top?n=1", ""),
        ask("POST", "batch", "{\"ops\":[{\"counter\":\"a\",\"get\":true}]}"),
        ask("POST", "batch", "{\"atomic\":true,\"ops\":[{\"counter\":\"a\",\"add\":1,\"max\":1}]}"),
    ];
    let mut clients: Vec<Client> = texts.iter().map(|text| held(&server, text)).collect();
    assert!(clients.iter_mut().all(Client::has_nothing));
    server.node.thaw();
    let statuses: Vec<u16> = clients.iter_mut().map(|client| client.receive().status).collect();
    let expected = [
        200, 200, 200, 200, 422, 200, 404, 200, 200, 200, 200, 409, 200, 200, 200, 200, 200, 200,
        422,
    ];
    assert_eq!(statuses, expected);
}

#[test]
fn what_depends_on_nothing_undurable_leaves_at_once() {
    let server = Server::start();
    let client = &mut server.connect();
    let durable = client.call("POST", A, ADD).json();
    server.node.freeze();
    assert_eq!(client.call("GET", A, "").json()["position"], durable["position"]);
    assert_eq!(client.call("GET", "/v1/default/counters/never", "").status, 404);
    let memory: &[&str] = &["Quipu-Ack: memory"];
    let reply = client.call_with("POST", A, memory, ADD).json();
    assert_eq!((&reply["value"], &reply["ack"]), (&json!(2), &json!("memory")));
    let latest: &[&str] = &["Quipu-Read: latest"];
    let reply = client.call_with("GET", A, latest, "").json();
    assert_eq!((&reply["value"], &reply["ack"]), (&json!(2), &json!("memory")));
    assert_eq!(reply["read"], "latest");
    let batch = "{\"ops\":[{\"counter\":\"a\",\"add\":1},{\"counter\":\"a\",\"get\":true}]}";
    let both: &[&str] = &["Quipu-Ack: memory", "Quipu-Read: latest"];
    let reply = client.call_with("POST", "/v1/default/batch", both, batch).json();
    assert_eq!((&reply["results"][1]["value"], &reply["ack"]), (&json!(3), &json!("memory")));
    held(&server, &request("GET", A, memory, ""));
}

#[test]
fn a_node_of_memory_acknowledgements_reads_the_latest() {
    let server = Server::with(HttpLimits::default(), Ack::Memory);
    server.node.freeze();
    let client = &mut server.connect();
    assert_eq!(client.call("POST", A, ADD).json()["ack"], "memory");
    let reply = client.call("GET", A, "").json();
    assert_eq!((&reply["value"], &reply["read"]), (&json!(1), &json!("latest")));
    held(&server, &request("POST", A, &["Quipu-Ack: fsync"], ADD));
    held(&server, &request("GET", A, &["Quipu-Read: committed"], ""));
    server.node.thaw();
}

#[test]
fn a_failed_log_leaves_writes_unknown() {
    let server = Server::start();
    server.node.freeze();
    let mut write = held(&server, &request("POST", A, &[], ADD));
    let mut read = held(&server, &request("GET", A, &[], ""));
    server.node.fail();
    let reply = write.receive();
    assert_eq!((reply.status, reply.headers["retry-after"].as_str()), (503, "1"));
    let problem = reply.json();
    assert_eq!(problem["counted"], "maybe");
    let sentence = "it may have been counted; retry with the same token";
    assert!(problem["detail"].as_str().unwrap().ends_with(sentence), "{problem}");
    assert_eq!(read.receive().status, 503);
}

#[test]
fn a_held_reply_keeps_back_what_follows_but_not_what_came_before() {
    let server = Server::start();
    server.node.freeze();
    let mut client = server.connect();
    let (health, add) = (request("GET", "/health", &[], ""), request("POST", A, &[], ADD));
    client.send(&format!("{health}{add}{health}"));
    assert_eq!(client.receive().json(), json!({"status": "ok"}));
    server.node.hear(1, |event| *event == Event::Held);
    assert_eq!(server.connect().call("GET", "/health", "").status, 200);
    assert!(client.has_nothing());
    server.node.thaw();
    assert_eq!(client.receive().json()["value"], 1);
    assert_eq!(client.receive().json(), json!({"status": "ok"}));
}

#[test]
fn a_client_that_leaves_gives_its_place_back() {
    let server = Server::start();
    server.node.freeze();
    let client = held(&server, &request("POST", A, &[], ADD));
    drop(client);
    server.node.hear(1, |event| matches!(event, Event::Released(_)));
    server.node.hear(2, |event| *event == Event::Closed);
    server.node.thaw();
    assert_eq!(server.connect().call("GET", A, "").json()["value"], 1);
}
