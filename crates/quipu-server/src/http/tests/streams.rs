//! Streams over HTTP: who may list them, and the operator's word that ends one.

use quipu_core::op::{Ack, Action, Add, Op, Token};
use serde_json::{Value, json};

use crate::http::api::NodeApi as _;
use crate::http::limits::{HttpLimits, Surface};
use crate::http::tests::node::Server;

const STREAMS: &str = "/v1/default/streams";

fn admin() -> Server {
    let limits = HttpLimits { surface: Surface::Admin, ..HttpLimits::default() };
    Server::with(limits, Ack::Fsync)
}

/// Adds one to a counter of this name at a place of a stream; returns its value.
fn count(server: &Server, (name, stream): (&str, &[u8]), sequence: u64) -> Option<i64> {
    let token = Token::Stream { name: stream, sequence };
    let op = Op { name, action: Action::Add(Add::plain(1)), token };
    server.node.execute(&op).result.expect("it is admitted").value
}

fn check(server: &Server, (method, path): (&str, &str), status: u16, fields: &Value) -> Value {
    let answer = server.connect().call(method, &format!("{STREAMS}{path}"), "");
    let body = answer.json();
    assert_eq!(answer.status, status, "{method} {path}: {body}");
    for (name, value) in fields.as_object().expect("an object of fields") {
        assert_eq!(&body[name], value, "{method} {path}: {name} in {body}");
    }
    body
}

#[test]
fn an_operator_ends_a_stream_on_all_shards_and_its_sequences_count_again() {
    let server = admin();
    for (name, sequence) in [("a", 5), ("b", 6), ("c", 7)] {
        assert_eq!(count(&server, (name, b"s/1"), sequence), Some(1));
    }
    let known = check(&server, ("GET", "/s%2F1"), 200, &json!({"stream": "s/1"}));
    let marks = known["marks"].as_array().expect("marks").len();
    assert!(marks > 1, "the counters are on several shards: {known}");
    let ended = json!({"stream": "s/1", "ended": true, "marks": known["marks"], "held": null,
        "checkpoint": null, "ack": "fsync"});
    check(&server, ("DELETE", "/s%2F1"), 200, &ended);
    check(&server, ("GET", "/s%2F1"), 404, &json!({"stream": "s/1"}));
    check(&server, ("DELETE", "/s%2F1"), 404, &json!({"stream": "s/1"}));
    for name in ["a", "b", "c"] {
        assert_eq!(count(&server, (name, b"s/1"), 1), Some(2));
    }
}

#[test]
fn streams_are_listed_page_by_page_with_names_of_any_bytes() {
    let server = admin();
    for stream in [&b"a b"[..], b"\xFF", b"b"] {
        count(&server, ("c", stream), 9);
    }
    let page = check(&server, ("GET", "?limit=1"), 200, &json!({"cursor": "a%20b"}));
    let item = json!({"stream": "a b", "checkpoint": null, "held": null, "used_since_start": true,
        "marks": page["items"][0]["marks"], "path": "/v1/default/streams/a%20b"});
    assert_eq!(page["items"], json!([item]));
    assert_eq!(page["items"][0]["marks"][0]["mark"], 9);
    let next = check(&server, ("GET", "?limit=2&cursor=a%20b"), 200, &json!({"cursor": null}));
    let paths: Vec<&Value> = next["items"].as_array().unwrap().iter().map(|i| &i["path"]).collect();
    assert_eq!(paths, ["/v1/default/streams/b", "/v1/default/streams/%ff"]);
    let matched = check(&server, ("GET", "?match=a*"), 200, &json!({"cursor": null}));
    assert_eq!(matched["items"], json!([item]));
    check(&server, ("DELETE", "/%ff"), 200, &json!({"ended": true}));
    check(&server, ("GET", "?match=[^ab]*"), 200, &json!({"items": []}));
}

#[test]
fn a_stream_that_is_held_is_ended_by_force_only() {
    let server = admin();
    count(&server, ("a", b"s"), 1);
    server.node.hold_stream("a", b"s", 2);
    let refused = json!({"type": "urn:quipu:problem:held", "sequence": 2});
    let problem = check(&server, ("DELETE", "/s"), 409, &refused);
    assert!(problem["detail"].as_str().unwrap().contains("force=true"), "{problem}");
    check(&server, ("DELETE", "/s?force=yes"), 400, &json!({}));
    check(&server, ("DELETE", "/s?force=true"), 200, &json!({"ended": true, "held": 2}));
}

#[test]
fn an_end_waits_for_the_log() {
    let server = admin();
    count(&server, ("a", b"s"), 1);
    server.node.fail();
    check(&server, ("DELETE", "/s"), 503, &json!({"type": "urn:quipu:problem:unknown"}));
}

#[test]
fn only_the_admin_listener_lists_and_ends_streams() {
    let server = Server::start();
    count(&server, ("a", b"s"), 1);
    check(&server, ("GET", ""), 404, &json!({}));
    check(&server, ("DELETE", "/s"), 405, &json!({}));
    check(&server, ("GET", "/s"), 200, &json!({}));
}
