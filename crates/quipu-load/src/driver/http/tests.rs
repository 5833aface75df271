//! Answers as they come, in any pieces; requests as they leave.

use quipu_lab::request::{Requests, Run, Stream};
use quipu_lab::scenario::Scenario;
use quipu_lab::slot::Slot;

use crate::driver::http::Http;
use crate::driver::{Done, Driver as _};

const SLOT: Slot = Slot { number: 7, phase: 0, due_ns: 0 };

/// A driver for a target whose table has these lines too.
fn driver(lines: &str) -> Http {
    let text = format!(
        "version = 1\nname = \"test\"\n[target]\nkind = \"http\"\nurl = \"http://h:1/a/{{{{n}}}}\"\n\
         {lines}\n[[phase]]\nname = \"main\"\nrate = 1\nfor = \"1s\"\n"
    );
    let scenario = Scenario::parse(&text, None, &|_| Err(String::new())).expect("a good scenario");
    let requests = Requests::new(&scenario, Run { id: 1, start_wall_ms: 0 });
    Http::new(requests, "h:1")
}

/// Checks how a request ends, whatever the pieces in which its answer comes: `name` is that of the
/// failure, `ok`, or `broken` if the connection ends.
fn check(lines: &str, answer: &str, name: &str) {
    for piece in [1, 2, 7, answer.len()] {
        let mut http = driver(lines);
        let mut output = Vec::new();
        http.send(&SLOT, Stream::of(0), &mut output);
        assert_eq!(received(&mut http, answer, piece), name, "{answer:?} by {piece}");
    }
}

fn received(http: &mut Http, answer: &str, piece: usize) -> String {
    let (mut input, mut done) = (Vec::new(), Vec::new());
    for bytes in answer.as_bytes().chunks(piece) {
        input.extend_from_slice(bytes);
        match http.receive(&input, &mut Vec::new(), &mut done) {
            Ok(taken) => drop(input.drain(..taken)),
            Err(_) => return "broken".to_owned(),
        }
    }
    if done.is_empty() {
        http.end(&mut done);
    }
    match done.as_slice() {
        [] => "nothing".to_owned(),
        [Done { outcome: Ok(()), .. }] => "ok".to_owned(),
        [Done { outcome: Err(failure), .. }] => failure.to_string(),
        _ => "more than one".to_owned(),
    }
}

#[test]
fn an_answer_ends_where_its_framing_says() {
    check("", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "ok");
    check("", "HTTP/1.1 204 No Content\r\n\r\n", "ok");
    check("", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "ok");
    check("", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "ok");
    check(
        "",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n0\r\nT: 1\r\n\r\n",
        "ok",
    );
    check("", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "ok");
    check("", "HTTP/1.0 200 OK\r\n\r\nuntil the end", "ok");
    check("method = \"HEAD\"", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", "ok");
    check("", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", "nothing");
    check("", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "nothing");
}

#[test]
fn an_answer_is_judged_by_its_status_and_by_what_was_expected() {
    check("", "HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n", "429");
    check("", "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "4xx");
    check("", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "5xx");
    check("", "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "validation");
    let contains = "expect = { contains = \"ell\" }";
    check(contains, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "ok");
    check(contains, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nworld", "validation");
    let chunks =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
    check(contains, chunks, "ok");
}

#[test]
fn what_is_no_answer_breaks_the_connection() {
    check("", "+OK\r\n\r\n", "broken");
    check("", "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "broken");
    check("", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "broken");
}

#[test]
fn an_answer_without_a_request_is_refused() {
    let mut http = driver("");
    assert_eq!(received(&mut http, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 99), "broken");
}

#[test]
fn the_length_of_a_body_stands_before_it() {
    let mut http = driver("method = \"POST\"\nbody = \"n={{n}}\"\nheaders = { X-N = \"{{n}}\" }");
    let mut output = Vec::new();
    http.send(&SLOT, Stream::of(0), &mut output);
    let expected =
        "POST /a/7 HTTP/1.1\r\nHost: h:1\r\nX-N: 7\r\nContent-Length:          3\r\n\r\nn=7";
    assert_eq!(String::from_utf8_lossy(&output), expected);
}

#[test]
fn a_connection_that_the_target_ends_is_not_used_again() {
    let mut http = driver("");
    http.send(&SLOT, Stream::of(0), &mut Vec::new());
    received(&mut http, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 99);
    assert!(http.is_last());
    http.open(&mut Vec::new());
    assert!(!http.is_last());
}
