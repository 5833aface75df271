//! The express lane and hyper answer alike, byte for byte, and agree where a request ends.

use crate::http::tests::client::request;
use crate::http::tests::node::Server;

const A: &str = "/v1/default/counters/a";
const ADD: &str = "{\"add\":1}";

/// What ends a connection that is still open after `text`.
const LAST: &str = "GET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

/// What comes back for `text` on a connection that has sent `before`, but for the dates.
fn answers(before: &str, text: &str) -> String {
    let server = Server::start();
    let mut client = server.connect();
    client.send(before);
    if !before.is_empty() {
        assert_eq!(client.receive().status, 200);
    }
    client.send(&format!("{text}{LAST}"));
    let rest = client.rest();
    rest.split_inclusive("\r\n").filter(|line| !line.starts_with("date: ")).collect()
}

/// A request that is not plain takes a connection out of the express lane.
fn check(text: &str, statuses: &[&str]) {
    let (express, hyper) = (answers("", text), answers(&request("GET", "/health", &[], ""), text));
    assert_eq!(express, hyper, "{text:?}");
    let found = express.split("HTTP/1.1 ").skip(1).filter_map(|response| response.get(..3));
    assert_eq!(found.collect::<Vec<_>>(), statuses, "{text:?}\n{express}");
}

#[test]
fn operations_on_a_counter_are_answered_alike() {
    let ask = |method, body: &str| request(method, A, &[], body);
    let bounded = "{\"add\":9,\"max\":5}";
    check(&ask("POST", ADD), &["200", "200"]);
    check(&ask("GET", ""), &["404", "200"]);
    check(&ask("POST", bounded), &["200", "200"]);
    check(&ask("POST", "{\"ad\":1}"), &["400", "200"]);
    check(&ask("POST", ""), &["400", "200"]);
    check(&ask("GET", "x"), &["400", "200"]);
    let greatest = ask("PUT", &format!("{{\"value\":{}}}", i64::MAX));
    check(&format!("{greatest}{}", ask("POST", ADD)), &["200", "422", "200"]);
    let all = [ask("PUT", "{\"value\":7,\"ttl_ms\":60000}"), ask("GET", ""), ask("DELETE", "")];
    check(&all.concat(), &["200", "200", "200", "200"]);
    let keep = request("POST", A, &["Connection: keep-alive", "Quipu-Ack: memory"], ADD);
    check(&keep, &["200", "200"]);
    let conflict =
        [ADD, "{\"add\":2}"].map(|body| request("POST", A, &["Idempotency-Key: k"], body));
    check(&conflict.concat(), &["200", "409", "200"]);
    check(&request("POST", A, &["Quipu-Stream: s;seq=2"], "{"), &["400", "200"]);
}

#[test]
fn both_agree_where_a_request_ends() {
    let check_lines = |lines: &str, body: &str, statuses: &[&str]| {
        check(&format!("POST {A} HTTP/1.1\r\n{lines}\r\n\r\n{body}"), statuses);
    };
    let chunked = format!("9\r\n{ADD}\r\n0\r\n\r\n");
    check_lines("Transfer-Encoding: chunked", &chunked, &["200", "200"]);
    check_lines("Content-Length: 4\r\nTransfer-Encoding: chunked", &chunked, &["200"]);
    check_lines("Transfer-Encoding: chunked\r\nContent-Length: 4", &chunked, &["200"]);
    check_lines("Transfer-Encoding: identity\r\nContent-Length: 9", ADD, &["400"]);
    check_lines("Content-Length: 9\r\nContent-Length: 9", ADD, &["200", "200"]);
    check_lines("Content-Length: 9\r\nContent-Length: 8", ADD, &["400"]);
    check_lines("Content-Length: +9", ADD, &["400"]);
    check_lines("Content-Length: 9, 9", ADD, &["400"]);
    check_lines("Content-Length: 000009", ADD, &["200", "200"]);
    check_lines("Content-Length : 9", ADD, &["400"]);
    check_lines("Content-Length: 9\r\n Content-Length: 8", ADD, &["400"]);
    check_lines("Content-Length: 9\r\nConnection: close", ADD, &["200"]);
    check_lines("X: y\nContent-Length: 9", ADD, &["200", "200"]);
}

#[test]
fn what_is_not_plain_is_answered_where_it_stands() {
    let add = request("POST", A, &[], ADD);
    let batch = request("POST", "/v1/default/batch", &[], "{\"ops\":[]}");
    check(&format!("{add}{batch}{add}"), &["200", "200", "200", "200"]);
    check(&format!("{add}{}{add}", request("HEAD", A, &[], "")), &["200", "200", "200", "200"]);
    check(&format!("{add}nonsense\r\n\r\n"), &["200", "400"]);
}

#[test]
fn a_request_may_come_in_pieces() {
    let server = Server::start();
    let mut client = server.connect();
    let text = request("POST", A, &[], ADD);
    for at in 1..text.len() {
        let (first, second) = text.split_at(at);
        client.send(first);
        assert_eq!(server.connect().call("GET", "/health", "").status, 200);
        client.send(second);
        assert_eq!(client.receive().json()["value"], at);
    }
}
