//! HTTP requests: target, headers and body as the node reads them, and its replies as JSON.
//!
//! The input is a request as text: `METHOD target`, header lines, an empty line, the body. No part
//! panics; a route that was found is found again by the path that is made from it; a body that was
//! understood reads back when its meaning is written again; every reply and problem is JSON that
//! says what it was made from.

use std::fmt::Write;

use quipu_core::node::StreamView;
use quipu_core::op::{Ack, Action, Op, ReadLevel, Token, Ttl};
use quipu_core::outcome::{Dependency, Outcome, Position, Refusal, Repeat, Reply, Verdict};
use quipu_wire::http::ask::{self, Asks};
use quipu_wire::http::problem::Problem;
use quipu_wire::http::query;
use quipu_wire::http::route::{self, Endpoint, ROUTES, Route};
use quipu_wire::json::reply::{self, Body, Reached, ScanReply};
use quipu_wire::json::request::{self, BodyError, Item};
use quipu_wire::json::streams::{EndReply, StreamReply, StreamsReply};
use serde_json::{Map, Value, json};

/// Most operations of a batch here.
const OPS_MAX: usize = 8;

/// Tries one input.
pub fn run(input: &[u8]) {
    let (head, body) = split(input, b"\n\n");
    let (first, headers) = split(head, b"\n");
    let first = String::from_utf8_lossy(first);
    let (method, target) = first.split_once(' ').unwrap_or(("GET", &first));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let asks = asks(headers);
    scan(query);
    match route::find(method, path, |_| true) {
        Ok(route) => {
            again(&route);
            answer(&route, asks, body);
        }
        Err(error) => problem(&error.into()),
    }
}

/// The bytes before and after the first `mark`.
fn split<'a>(bytes: &'a [u8], mark: &[u8]) -> (&'a [u8], &'a [u8]) {
    match bytes.windows(mark.len()).position(|window| window == mark) {
        Some(at) => (&bytes[..at], &bytes[at + mark.len()..]),
        None => (bytes, &[]),
    }
}

/// Reads the headers; what they ask for reads back when it is written again.
fn asks(headers: &[u8]) -> Asks<'_> {
    let lines = headers.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let pairs = lines.map(|line| {
        let (name, value) = split(line, b":");
        (str::from_utf8(name).unwrap_or_default(), value)
    });
    let none = Asks { token: Token::None, ack: None, read: None };
    let asks = match ask::parse(pairs) {
        Ok(asks) => asks,
        Err(error) => {
            problem(&error.into());
            return none;
        }
    };
    let mut written: Vec<(&str, Vec<u8>)> = Vec::new();
    match asks.token {
        Token::None => {}
        Token::Key { key, item } => {
            assert_eq!(item, 0);
            written.push(("Idempotency-Key", [b"\"", key, b"\""].concat()));
        }
        Token::Stream { name, sequence } => {
            let place = format!("; seq={sequence}");
            written.push(("Quipu-Stream", [name, place.as_bytes()].concat()));
        }
    }
    written.extend(asks.ack.map(|ack| ("quipu-ack", ask::ack_word(ack).into())));
    let word = |read| if read == ReadLevel::Latest { "latest" } else { "committed" };
    written.extend(asks.read.map(|read| ("Quipu-Read", word(read).into())));
    let again = ask::parse(written.iter().map(|(name, value)| (*name, value.as_slice())));
    assert_eq!(again.as_ref(), Ok(&asks), "headers read back");
    asks
}

/// A listing's query reads back when it is written again.
fn scan(text: &str) {
    let scan = match query::parse_scan(text) {
        Ok(scan) => scan,
        Err(error) => return problem(&error.into()),
    };
    let pattern = scan.pattern.as_deref().map(|p| format!("&match={}", encode(p)));
    let (cursor, limit) = (scan.cursor, scan.limit);
    let written = format!("cursor={cursor}&limit={limit}{}", pattern.unwrap_or_default());
    assert_eq!(query::parse_scan(&written).as_ref(), Ok(&scan), "{written}");
}

/// A ranking's query is understood or refused.
fn ranking(body: &[u8]) {
    if let Err(error) = query::parse_top(&String::from_utf8_lossy(body)) {
        problem(&error.into());
    }
}

/// Encodes every byte that is not a letter or a digit.
fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => text.push(char::from(*byte)),
            other => write!(text, "%{other:02X}").expect("a string takes all"),
        }
    }
    text
}

/// The path that is made from a route leads to it.
fn again(route: &Route<'_>) {
    let entry = ROUTES.iter().find(|entry| entry.endpoint == route.endpoint);
    let entry = entry.expect("what was found is in the table");
    let path = entry.path.replace("{namespace}", "default").replace("{name}", &encode(&route.name));
    assert_eq!(route::find(entry.method, &path, |_| true).as_ref(), Ok(route), "{path}");
}

/// Reads the body as the route wants it and words what a node may answer.
fn answer(route: &Route<'_>, asks: Asks<'_>, body: &[u8]) {
    let bare = |action| request::parse_empty(body).map(|()| action);
    let action = match route.endpoint {
        Endpoint::Batch => return batch(asks, body),
        Endpoint::Stream | Endpoint::EndStream => return stream(&route.name, body),
        Endpoint::Scan => return listing(body),
        Endpoint::Add => request::parse_add(body),
        Endpoint::Put => request::parse_put(body),
        Endpoint::Delete => bare(Action::Delete),
        Endpoint::Take => bare(Action::Take),
        Endpoint::Get => bare(Action::Get),
        Endpoint::Health | Endpoint::Ready | Endpoint::Metrics | Endpoint::OpenApi => return,
        Endpoint::Top => return ranking(body),
        Endpoint::Page | Endpoint::PageScript | Endpoint::PageStyle | Endpoint::Live => return,
        Endpoint::History | Endpoint::Audit | Endpoint::Backup | Endpoint::Streams => return,
    };
    match action {
        Ok(action) => {
            body_again(route.endpoint, action);
            let name = route.counter().expect("the route has checked the name");
            reply_to(&Op { name, action, token: asks.token }, body);
        }
        Err(error) => problem(&error.into()),
    }
}

/// What a body means, written again, means the same.
fn body_again(endpoint: Endpoint, action: Action) {
    let (Action::Add(_) | Action::Set(_)) = action else { return };
    let mut fields = fields(action);
    let read = if endpoint == Endpoint::Add {
        request::parse_add(text(&fields).as_bytes())
    } else {
        let value = fields.remove("set").expect("a replacement has a value");
        fields.insert("value".to_owned(), value);
        request::parse_put(text(&fields).as_bytes())
    };
    assert_eq!(read, Ok(action), "{fields:?}");
}

fn text(fields: &Map<String, Value>) -> String {
    serde_json::to_string(fields).expect("a map of numbers is JSON")
}

/// The fields of an item of a batch that does `action`.
fn fields(action: Action) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| _ = fields.insert(name.to_owned(), value);
    let ttl = match action {
        Action::Add(add) => {
            put("add", json!(add.delta));
            add.min.into_iter().for_each(|min| put("min", json!(min)));
            add.max.into_iter().for_each(|max| put("max", json!(max)));
            put("saturate", json!(add.saturate));
            add.ttl
        }
        Action::Set(set) => {
            put("set", json!(set.value));
            set.ttl
        }
        Action::Get => return Map::from_iter([("get".to_owned(), json!(true))]),
        Action::Take => return Map::from_iter([("take".to_owned(), json!(true))]),
        Action::Delete => return Map::from_iter([("delete".to_owned(), json!(true))]),
        Action::Expire(_) => panic!("no body changes an expiry alone"),
    };
    match ttl {
        Ttl::After(ms) => put("ttl_ms", json!(ms)),
        Ttl::Keep | Ttl::Clear => {}
        Ttl::At(_) | Ttl::AfterIfNone(_) | Ttl::AtIfNone(_) => panic!("no body says this"),
    }
    fields
}

fn batch(asks: Asks<'_>, body: &[u8]) {
    let batch = match request::parse_batch(body, OPS_MAX) {
        Ok(batch) => batch,
        Err(error) => return problem(&error.into()),
    };
    assert!(batch.items.len() <= OPS_MAX);
    let good: Vec<&Item<'_>> = batch.items.iter().filter(|item| item.action.is_ok()).collect();
    let ops: Vec<Value> = good.iter().map(|item| written(item)).collect();
    let body = json!({"ops": ops, "atomic": batch.atomic}).to_string();
    let again = request::parse_batch(body.as_bytes(), OPS_MAX).expect("what was understood");
    assert_eq!(again.atomic, batch.atomic);
    let pairs = again.items.iter().zip(&good);
    assert!(pairs.clone().all(|(a, b)| a.counter == b.counter && a.action == b.action));
    assert_eq!(again.items.len(), good.len());
    let key = match asks.token {
        Token::Key { key, .. } => Some(key),
        _ => None,
    };
    let ops = batch.ops(key);
    assert_eq!(ops.len(), good.len(), "every good item is an operation");
    for op in &ops {
        assert_eq!(op.token != Token::None, key.is_some() && op.action.is_write());
        reply_to(op, body.as_bytes());
    }
    for item in &batch.items {
        if let Err(error) = item.action {
            problem(&reply::at_item(BodyError::from(error).into(), 1, false));
        }
    }
}

fn written(item: &Item<'_>) -> Value {
    let mut fields = fields(item.action.expect("it is good"));
    fields.insert("counter".to_owned(), json!(item.counter));
    Value::Object(fields)
}

/// Words what a node may answer to an operation; `noise` chooses it.
fn reply_to(op: &Op<'_>, noise: &[u8]) {
    let hash = stdx::hash::hash64(0, noise);
    let verdict = Verdict::from_byte(hash as u8 & 3).expect("two bits are a verdict");
    let number = |shift: u32| (hash.rotate_left(shift) as i64) >> (hash % 64);
    let outcome = Outcome {
        verdict,
        value: (hash & 4 == 0).then(|| number(8)),
        previous: (hash & 8 == 0).then(|| number(16)),
        applied: number(24),
        expires_at: (hash & 16 == 0).then_some(hash),
        repeat: if hash & 32 == 0 { Repeat::None } else { Repeat::Token },
    };
    let held = Refusal::Held { sequence: hash };
    let result = if hash & 0x1C0 == 0 { Err(held) } else { Ok(outcome) };
    let position = Position { shard: 7, epoch: hash, batch: 1 };
    let reply = Reply { result, position, depends: Dependency::default() };
    let reached = Reached { ack: Ack::Fsync, read: ReadLevel::Committed };
    match reply::word(op, &reply, reached) {
        Err(error) => problem(&error),
        Ok(answer) => {
            let mut out = Vec::new();
            reply::write(&answer, &mut out);
            let read: Value = serde_json::from_slice(&out).expect("a reply is JSON");
            assert_eq!(read["counter"], json!(op.name));
            assert_eq!(read["value"], json!(outcome.value));
            assert_eq!(read["position"], json!(position.to_string()));
        }
    }
    problem(&reply::word_abort(3, op, &reply, reached));
}

/// A body as its reader takes it.
fn told(body: &impl Body) -> Value {
    let mut out = Vec::new();
    reply::write(body, &mut out);
    serde_json::from_slice(&out).expect("a reply is JSON")
}

fn stream(name: &[u8], body: &[u8]) {
    let marks = [(0, stdx::hash::hash64(1, body)), (1023, 0)];
    let checkpoint = Some(marks[0].1);
    let view = StreamView { checkpoint, marks: marks.into(), ..StreamView::default() };
    let (ack, next) = (Ack::Fsync, Some(name));
    let one = told(&StreamReply { name, view: &view, ack });
    assert_eq!(one["checkpoint"], json!(checkpoint));
    let ended = told(&EndReply { name, view: &view });
    assert_eq!(ended["marks"], one["marks"]);
    let items = vec![(name, &view)];
    let page = told(&StreamsReply { items, next, ack });
    let path = page["items"][0]["path"].as_str().expect("a path");
    let route = route::find("DELETE", path, |_| true).expect("it leads to the stream");
    assert_eq!((route.endpoint, &*route.name), (Endpoint::EndStream, name));
}

/// The body stands for the names of counters.
fn listing(body: &[u8]) {
    let names = body.split(|byte| *byte == b'\n');
    let items: Vec<(String, i64)> =
        names.map(|name| (String::from_utf8_lossy(name).into_owned(), -1)).collect();
    let first = items.first().cloned().unwrap_or_default();
    let mut out = Vec::new();
    reply::write(&ScanReply { items, next: 9, ack: Ack::Memory }, &mut out);
    let read: Value = serde_json::from_slice(&out).expect("a reply is JSON");
    assert_eq!(read["items"][0]["counter"], json!(first.0));
}

/// A problem is JSON with its own status, and says what it is about.
fn problem(problem: &Problem) {
    let text = serde_json::to_string(problem).expect("a problem is JSON");
    let read: Value = serde_json::from_str(&text).expect("a problem reads back");
    assert_eq!(read["status"], json!(problem.status()));
    assert_eq!(read["detail"], json!(problem.detail));
    assert!((400..600).contains(&problem.status()));
}
