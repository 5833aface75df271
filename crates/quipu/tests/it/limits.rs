//! Bounds on everything: too long, too many, too slow, too full, not allowed. Each is refused or
//! closed with a sentence, and the node goes on serving the others.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::http::{Http, Request, request};
use crate::node::{self};
use crate::node::{Node, PATIENCE, Start, poll};
use crate::resp::{Reply, Resp, encode, encode_line, is_timeout};
use crate::tool;

/// A node with some flags, in a directory of its own.
struct Bounded {
    node: Node,
    start: Start,
    folder: TempDir,
}

/// Starts a node with `flags`.
fn node_with(flags: &[(&str, &str)]) -> Bounded {
    let folder = TempDir::new().expect("a temporary directory");
    let mut start = node::start(&folder.path().join("data"));
    for (name, value) in flags {
        start = start.flag(name, *value);
    }
    Bounded { node: start.run(), start, folder }
}

/// Demands that the node still answers everybody else.
fn still_serves(node: &mut Node) {
    assert!(node.runs(), "the node ended; its stderr:\n{}", node.stderr());
    assert_eq!(node.resp().call("PING").text(), Some("PONG"));
}

/// Sends bytes that exceed a bound: an error that contains `expected`, then the end.
fn refused_and_closed(flags: &[(&str, &str)], bytes: &[u8], expected: &str) {
    let mut bounded = node_with(flags);
    let mut socket = bounded.node.resp();
    // A server that closes early may refuse the rest: its reply decides.
    drop(socket.send(bytes));
    let reply = socket.receive().expect("a refusal has a reply");
    assert!(reply.error().is_some_and(|text| text.contains(expected)), "{flags:?}: {reply:?}");
    assert!(socket.closes(), "{flags:?}: the connection stays open");
    still_serves(&mut bounded.node);
}

#[test]
fn a_bulk_string_beyond_its_bound_is_refused_and_closed() {
    let bytes = b"*2\r\n$3\r\nGET\r\n$1025\r\n";
    refused_and_closed(&[("limits.bulk_bytes", "1KiB")], bytes, "invalid bulk length");
}

#[test]
fn an_array_beyond_its_bound_is_refused_and_closed() {
    let bytes = b"*17\r\n";
    refused_and_closed(&[("limits.array_len", "16")], bytes, "invalid multibulk length");
}

#[test]
fn an_inline_command_beyond_its_bound_is_refused_and_closed() {
    refused_and_closed(&[("limits.inline_bytes", "128")], &[b'a'; 129], "too big inline request");
}

#[test]
fn a_length_line_that_never_ends_is_refused_and_closed() {
    let mut bytes = b"*1\r\n$".to_vec();
    bytes.resize(70 * 1024, b'1');
    refused_and_closed(&[], &bytes, "Protocol error");
}

#[test]
fn a_command_within_every_bound_is_served() {
    let bounded = node_with(&[("limits.bulk_bytes", "1KiB"), ("limits.array_len", "16")]);
    let mut socket = bounded.node.resp();
    let payload = vec![b'x'; 1024];
    socket.send(&encode(&[&b"ECHO"[..], &payload])).expect("the node reads");
    assert_eq!(socket.receive().expect("a reply").text().map(str::len), Some(1024));
    let mut exists = vec!["EXISTS"];
    exists.resize(16, "k");
    assert_eq!(socket.call(&exists.join(" ")).int(), Some(0));
}

#[test]
fn a_pipeline_beyond_its_bound_is_answered_in_order_while_the_client_reads() {
    let mut bounded = node_with(&[("limits.pipeline_bytes", "128KiB")]);
    let mut socket = bounded.node.resp();
    let pipeline = encode_line("INCR piped").repeat(500);
    for round in 0..20 {
        socket.send(&pipeline).expect("the node reads");
        for index in 1..=500 {
            assert_eq!(socket.receive().expect("a reply").int(), Some(round * 500 + index));
        }
    }
    still_serves(&mut bounded.node);
}

#[test]
fn a_connection_beyond_the_bound_is_refused_and_a_freed_place_is_given_again() {
    let bounded = node_with(&[("limits.connections", "4")]);
    let mut held: Vec<Resp> = (0..4).map(|_| bounded.node.resp()).collect();
    for socket in &mut held {
        assert_eq!(socket.call("PING").text(), Some("PONG"));
    }
    let mut fifth = bounded.node.resp();
    assert!(fifth.closes(), "a fifth connection is served");
    drop(held.pop());
    let served = poll(PATIENCE, || {
        let reply = bounded.node.resp().try_call("PING").ok()?;
        (reply.text() == Some("PONG")).then_some(())
    });
    assert!(served.is_some(), "a freed place is not given again");
}

#[test]
fn a_node_that_is_full_of_clients_can_still_be_looked_at() {
    let bounded = node_with(&[("limits.connections", "2")]);
    let mut clients = [bounded.node.resp(), bounded.node.resp()];
    for client in &mut clients {
        assert_eq!(client.call("PING").text(), Some("PONG"));
    }
    assert_eq!(bounded.node.http().call(&request("GET", "/health", "")).status, 503);
    let admin = bounded.node.address("admin");
    let mut looking: Vec<Http> = (0..16).map(|_| Http::connect(admin)).collect();
    for http in &mut looking {
        assert_eq!(http.call(&request("GET", "/metrics", "")).status, 200);
    }
    let reply = Http::connect(admin).receive_within(PATIENCE).expect("a refusal has a reply");
    assert_eq!(reply.map(|reply| reply.status), Some(503), "they have a bound, too");
    drop(looking);
    assert_eq!(clients[0].call("PING").text(), Some("PONG"));
}

#[test]
fn a_client_that_does_not_read_is_closed_and_the_others_are_served() {
    let mut bounded = node_with(&[("limits.output_bytes", "64KiB")]);
    let mut socket = bounded.node.resp();
    let payload = vec![b'x'; 16 * 1024];
    let pipeline = encode(&[&b"ECHO"[..], &payload]).repeat(16);
    // Socket buffers of both sides hold some MiB; far beyond that only a server that closes ends
    // the loop: one that stops reading makes the write time out instead.
    let ended = (0..1_000).find_map(|_| socket.send(&pipeline).err());
    let error = ended.expect("the node buffers 256 MiB for a client that does not read");
    assert!(!is_timeout(&error), "the client is neither read nor closed: {error}");
    still_serves(&mut bounded.node);
}

/// Connects, sends `bytes`, and demands that the node closes although more was announced.
fn closed_in_time(flag: &str, bytes: &[u8]) {
    let mut bounded = node_with(&[(flag, "200ms")]);
    let mut socket = bounded.node.http();
    let begin = Instant::now();
    socket.send_bytes(bytes).expect("the node reads");
    assert!(socket.closes(), "{flag}: the connection stays open");
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(150), "{flag}: closed early, after {took:?}");
    // Far below every default, so it was this timeout.
    assert!(took < Duration::from_secs(8), "{flag}: closed late, after {took:?}");
    still_serves(&mut bounded.node);
}

#[test]
fn a_head_that_does_not_come_is_closed_in_time() {
    closed_in_time("http.header_timeout", b"GET /health HTTP/1.1\r\nHost: loc");
}

#[test]
fn a_body_that_does_not_come_is_closed_in_time() {
    let head = b"POST /v1/default/counters/a HTTP/1.1\r\nHost: l\r\nContent-Length: 10\r\n\r\n{";
    closed_in_time("http.body_timeout", head);
}

#[test]
fn an_idle_connection_is_closed_in_time() {
    closed_in_time("http.idle_timeout", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

/// Sends an HTTP request with one part too long and demands a status.
fn http_refused(flag: (&str, &str), head: &str, body: &str, expected: &[u16]) {
    let mut bounded = node_with(&[flag]);
    let mut socket = bounded.node.http();
    let length = body.len();
    let bytes = format!("{head}Host: l\r\nContent-Length: {length}\r\n\r\n{body}");
    // A server that closes early may refuse the rest: its reply decides.
    drop(socket.send_bytes(bytes.as_bytes()));
    let reply = socket.receive_within(PATIENCE).expect("a refusal has a reply").expect("in time");
    assert!(expected.contains(&reply.status), "{flag:?}: {reply:?}");
    still_serves(&mut bounded.node);
}

#[test]
fn a_body_beyond_its_bound_is_refused() {
    let body = format!("{{\"add\":1{}}}", " ".repeat(2048));
    let head = "POST /v1/default/counters/a HTTP/1.1\r\n";
    http_refused(("limits.body_bytes", "1KiB"), head, &body, &[413]);
}

#[test]
fn a_head_beyond_its_bound_is_refused() {
    let head = format!("GET /health HTTP/1.1\r\nX-Long: {}\r\n", "x".repeat(9 * 1024));
    http_refused(("limits.header_bytes", "8KiB"), &head, "", &[400, 431]);
}

#[test]
fn more_header_lines_than_the_bound_are_refused() {
    let head = format!("GET /health HTTP/1.1\r\n{}", "X-Many: 1\r\n".repeat(9));
    http_refused(("limits.headers", "8"), &head, "", &[400, 431]);
}

#[test]
fn an_http_batch_beyond_its_bound_is_refused() {
    let bounded = node_with(&[("limits.batch_ops", "2")]);
    let body =
        r#"{"ops":[{"counter":"a","add":1},{"counter":"a","add":1},{"counter":"a","add":1}]}"#;
    let reply = bounded.node.http().call(&request("POST", "/v1/default/batch", body));
    assert!([400, 413].contains(&reply.status), "{reply:?}");
    assert!(bounded.node.resp().call("GET a").is_null(), "a refused batch counted");
}

/// Demands that a start is refused with a sentence that contains all of `expected`.
fn start_refused(start: &Start, expected: &[&str]) {
    let said = start.refusal();
    for word in expected {
        assert!(said.contains(word), "the refusal does not say `{word}`:\n{said}");
    }
}

#[test]
fn an_address_that_is_not_loopback_is_refused() {
    let folder = TempDir::new().expect("a temporary directory");
    for listener in ["resp", "http", "admin"] {
        let start = node::start(&folder.path().join(listener)).flag(listener, "0.0.0.0:0");
        start_refused(&start, &["loopback"]);
    }
}

#[test]
fn a_second_process_on_the_same_directory_is_refused() {
    let mut bounded = node_with(&[]);
    let data = bounded.start.data().display().to_string();
    start_refused(&bounded.start, &[&data]);
    still_serves(&mut bounded.node);
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_name() {
    let folder = TempDir::new().expect("a temporary directory");
    let file = folder.path().join("quipu.toml");
    fs::write(&file, "[limits]\nbulk_byte = \"1KiB\"\n").expect("the directory takes a file");
    let start = node::start(&folder.path().join("data")).flag("config", file.as_os_str());
    start_refused(&start, &["bulk_byte", "limits.bulk_bytes"]);
}

#[test]
fn a_value_outside_its_range_is_refused_by_name() {
    let folder = TempDir::new().expect("a temporary directory");
    let start = node::start(&folder.path().join("data")).flag("limits.bulk_bytes", "1");
    start_refused(&start, &["limits.bulk_bytes"]);
}

#[test]
fn sigterm_drains_and_everything_answered_is_there_after_a_restart() {
    let mut bounded = node_with(&[("flush.interval", "1m")]);
    let mut socket = bounded.node.resp();
    socket.send(&encode_line("INCR drained").repeat(200)).expect("the node reads");
    assert_eq!(socket.receive().expect("a first reply").int(), Some(1));
    let behind = bounded.node.resp().call("QUIPU.ADD behind 7 ACK memory");
    assert!(behind.error().is_none(), "{behind:?}");
    bounded.node.terminate();
    let answered = 1 + std::iter::from_fn(|| socket.receive().ok()?.int()).count() as i64;
    let status = bounded.node.ended().expect("the node drains in time");
    assert!(status.success(), "SIGTERM ended with {status}:\n{}", bounded.node.stderr());
    let node = bounded.start.run();
    let mut socket = node.resp();
    let counted = socket.call("GET drained").int().expect("the counter is there");
    assert!((answered..=200).contains(&counted), "{counted} counted, {answered} answered");
    assert_eq!(socket.call("GET behind").int(), Some(7), "a clean stop syncs write-behind too");
}

/// Adds new counters with long names until the node refuses one; answers how many fitted.
fn fill_memory(socket: &mut Resp) -> usize {
    let long = "n".repeat(240);
    for block in 0..10_000 {
        let names = (0..100).map(|index| format!("QUIPU.ADD {long}:{block}:{index} 1 ACK memory"));
        let bytes: Vec<u8> = names.flat_map(|line| encode_line(&line)).collect();
        socket.send(&bytes).expect("the node reads");
        let replies: Vec<_> = (0..100).map(|_| socket.receive().expect("a reply")).collect();
        if let Some(refused) = replies.iter().position(|reply| reply.error().is_some()) {
            assert!(replies[refused].fails_with("OOM"), "{:?}", replies[refused]);
            return block * 100 + refused;
        }
    }
    panic!("a million counters with long names fit into memory.max");
}

#[test]
fn when_memory_is_full_new_counters_are_refused_and_existing_ones_go_on() {
    let mut bounded = node_with(&[("memory.max", "32MiB")]);
    let mut socket = bounded.node.resp();
    assert_eq!(socket.call("INCR existing").int(), Some(1));
    let fitted = fill_memory(&mut socket);
    assert!(fitted >= 1_000, "only {fitted} counters fit into 32 MiB");
    assert_eq!(socket.call("INCR existing").int(), Some(2));
    assert!(socket.call("INCR new").fails_with("OOM"));
    assert!(socket.call("GET new").is_null());
    let mut http = bounded.node.http();
    let refused = http.call(&request("POST", "/v1/default/counters/new", r#"{"add":1}"#));
    assert_eq!(refused.status, 507, "{refused:?}");
    let counted = http.call(&request("POST", "/v1/default/counters/existing", r#"{"add":1}"#));
    assert_eq!((counted.status, counted.json()["value"].as_i64()), (200, Some(3)));
    // A refusal holds the stream on that shard: its mark must not pass what was not counted.
    assert!(socket.call("QUIPU.ADD new 1 STREAM s 1").fails_with("OOM"));
    assert!(socket.call("QUIPU.ADD new 1 STREAM s 2").fails_with("HELD 1"));
    still_serves(&mut bounded.node);
}

#[test]
fn when_token_memory_is_full_new_tokens_are_refused_and_all_else_goes_on() {
    let bounded = node_with(&[("token.max", "2")]);
    let mut socket = bounded.node.resp();
    for (token, value) in [("t1", 1), ("t2", 2)] {
        let reply = socket.call(&format!("QUIPU.ADD full 1 TOKEN {token}"));
        assert_eq!(reply.items().first().and_then(Reply::int), Some(value), "{reply:?}");
    }
    assert!(socket.call("QUIPU.ADD full 1 TOKEN t3").fails_with("BUSY"));
    let key = ["Idempotency-Key: t3"];
    let path = "/v1/default/counters/full";
    let asked = Request { headers: &key, ..request("POST", path, r#"{"add":1}"#) };
    let refused = bounded.node.http().call(&asked);
    assert!([429, 503].contains(&refused.status), "{refused:?}");
    let repeat = socket.call("QUIPU.ADD full 1 TOKEN t1");
    assert_eq!(repeat.items().last().and_then(Reply::text), Some("token"), "{repeat:?}");
    assert_eq!(socket.call("INCR full").int(), Some(3), "a refusal or a repeat counted");
}

#[test]
fn when_stream_memory_is_full_new_streams_are_refused_and_old_ones_go_on() {
    let bounded = node_with(&[("stream.max", "1")]);
    let mut socket = bounded.node.resp();
    assert!(socket.call("QUIPU.ADD full 1 STREAM first 1").error().is_none());
    let refused = socket.call("QUIPU.ADD full 1 STREAM second 1");
    assert!(refused.fails_with("BUSY"));
    let remedy = ["there are 1 streams", "stream.max", "quipu stream end"];
    let why = refused.error().unwrap_or_default().to_owned();
    assert!(remedy.iter().all(|word| why.contains(word)), "{why}");
    let reply = socket.call("QUIPU.ADD full 1 STREAM first 2");
    assert_eq!(reply.items().first().and_then(Reply::int), Some(2), "{reply:?}");
    let node = bounded.node.address("resp").to_string();
    let mut end = Command::new(node::binary());
    tool::output_of(end.args(["stream", "end", "first", "--node", &node]));
    let reply = socket.call("QUIPU.ADD full 1 STREAM second 1");
    assert_eq!(reply.items().first().and_then(Reply::int), Some(3), "{reply:?}");
}

#[test]
fn a_group_beyond_its_bound_is_refused_whole() {
    let bounded = node_with(&[("limits.multi_commands", "2")]);
    let mut socket = bounded.node.resp();
    assert_eq!(socket.call("MULTI").text(), Some("OK"));
    assert_eq!(socket.call("INCR grouped").text(), Some("QUEUED"));
    assert_eq!(socket.call("INCR grouped").text(), Some("QUEUED"));
    assert!(socket.call("INCR grouped").error().is_some());
    assert!(socket.call("EXEC").fails_with("EXECABORT"));
    assert!(socket.call("GET grouped").is_null());
}

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    let Some(promtool) = tool::find("promtool") else { return };
    let bounded = node_with(&[]);
    assert_eq!(bounded.node.resp().call("INCR a").int(), Some(1));
    let reply = bounded.node.http().call(&request("GET", "/metrics", ""));
    assert_eq!(reply.status, 200);
    let text = bounded.folder.path().join("metrics");
    fs::write(&text, &reply.body).expect("the directory takes a file");
    let input = fs::File::open(&text).expect("the file was just written");
    let mut check = Command::new(promtool);
    check.args(["check", "metrics"]).stdin(Stdio::from(input));
    let output = check.output().expect("promtool starts");
    let said = tool::text_of(&output);
    assert!(output.status.success() && said.trim().is_empty(), "promtool says:\n{said}");
}
