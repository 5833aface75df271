//! RESP replies: what a client makes of the bytes that come back.
//!
//! An even first byte: the rest is a stream of replies, cut into pieces as the second byte says.
//! Their ends are found the same way however it is cut, a found reply is never cut short, and its
//! tree reads back when it is written again. An odd first byte: a reply of a node is made from the
//! rest, written as the node writes it, and read as the client reads it.

use quipu_client::refusal::Refusal as ClientRefusal;
use quipu_client::request;
use quipu_core::outcome::{Outcome, Position, Refusal, Repeat, Reply, Verdict};
use quipu_wire::resp::command::{Many, Shape};
use quipu_wire::resp::reply::{self, Proto};
use quipu_wire::resp::value::{DecodeError, Scanner, Value};
use stdx::prng::Prng;

use crate::script::Script;

/// Tries one input.
pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    if script.byte() & 1 == 1 {
        return written(&mut script);
    }
    let seed = u64::from(script.byte());
    let bytes = script.rest();
    let whole = ends(bytes, |left| left);
    assert_eq!(ends(bytes, |_| 1), whole, "byte by byte");
    let mut random = Prng::new(seed);
    assert_eq!(ends(bytes, |left| 1 + random.below(left as u64) as usize), whole, "in pieces");
    let mut start = 0;
    for end in whole.0 {
        read(&bytes[start..end]);
        start = end;
    }
}

/// Finds the ends of all replies in a stream that arrives in pieces, and the error that ended it.
fn ends(bytes: &[u8], mut piece: impl FnMut(usize) -> usize) -> (Vec<usize>, Option<DecodeError>) {
    let (mut scanner, mut ends) = (Scanner::default(), Vec::new());
    let (mut start, mut end) = (0, 0);
    while end < bytes.len() {
        end += piece(bytes.len() - end);
        loop {
            match scanner.end(&bytes[start..end]) {
                Ok(None) => break,
                Ok(Some(length)) => start += length,
                Err(error) => return (ends, Some(error)),
            }
            ends.push(start);
        }
    }
    (ends, None)
}

/// Reads one whole reply in every way that the client has.
fn read(reply: &[u8]) {
    drop((request::read_add(reply), request::read_checkpoint(reply)));
    let value = match Value::decode(reply) {
        Ok(value) => value,
        Err(error) => return assert_eq!(error, DecodeError::TooBig, "only nesting is found late"),
    };
    let mut out = Vec::new();
    write(&value, &mut out);
    assert_eq!(Value::decode(&out).as_ref(), Ok(&value), "a tree reads back");
    if let Value::Error(line) = &value {
        assert!(ClientRefusal::parse(line).text.len() >= line.len(), "the whole line is kept");
    }
}

/// Writes a tree in types that take any bytes.
fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Simple(line) => out.extend([b"+", line.as_slice(), b"\r\n"].concat()),
        Value::Error(line) => {
            out.extend(format!("!{}\r\n", line.len()).into_bytes());
            out.extend([line.as_slice(), b"\r\n"].concat());
        }
        Value::Bulk(bytes) => reply::bulk(out, bytes),
        Value::Integer(number) => reply::integer(out, *number),
        Value::Boolean(truth) => out.extend(if *truth { b"#t\r\n" } else { b"#f\r\n" }),
        Value::Null => reply::null(out, Proto::Resp3),
        Value::Array(values) => {
            reply::array(out, values.len());
            for value in values {
                write(value, out);
            }
        }
    }
}

const SHAPES: [Shape; 15] = [
    Shape::Integer,
    Shape::Value,
    Shape::Previous,
    Shape::Ok,
    Shape::Flag,
    Shape::Exists,
    Shape::TtlSeconds,
    Shape::TtlMillis,
    Shape::ExpirySeconds,
    Shape::ExpiryMillis,
    Shape::Type,
    Shape::Added,
    Shape::Increased,
    Shape::Found,
    Shape::Taken,
];

/// Writes replies of a node and reads them as a client does.
fn written(script: &mut Script<'_>) {
    let proto = if script.chance(128) { Proto::Resp2 } else { Proto::Resp3 };
    let shape = SHAPES[script.below(SHAPES.len())];
    let answer = node_reply(script);
    let mut out = Vec::new();
    reply::answer(&mut out, proto, shape, &answer, script.number());
    one(&out);
    // An ingest sends no keys, so nothing repeats one.
    let by_key = answer.result.is_ok_and(|o| o.repeat == Repeat::Token);
    if shape == Shape::Added && !by_key {
        let read = request::read_add(&out).expect("the client understands the node");
        let overflowed = answer.result.is_ok_and(|o| o.verdict == Verdict::Overflow);
        let refused = answer.result.is_err() || overflowed;
        let is_count = matches!(read, request::Outcome::Added | request::Outcome::Repeated);
        assert!(!(refused && is_count), "a refusal never counts: {read:?}");
    }
    out.clear();
    let replies = [answer, node_reply(script), node_reply(script)];
    let many = [Many::Get, Many::Delete, Many::Exists][script.below(3)];
    reply::many(&mut out, proto, many, &replies[..=script.below(3)]);
    one(&out);
    out.clear();
    let checkpoint = script.chance(128).then(|| script.number());
    reply::stream(&mut out, proto, checkpoint, &[(3, script.number()), (4, script.number())]);
    one(&out);
    out.clear();
    let sentence = String::from_utf8_lossy(script.rest()).into_owned();
    reply::error(&mut out, "ERR", &sentence);
    one(&out);
}

/// There is one whole reply.
fn one(bytes: &[u8]) {
    assert_eq!(Scanner::default().end(bytes), Ok(Some(bytes.len())), "{}", bytes.escape_ascii());
    read(bytes);
}

fn node_reply(script: &mut Script<'_>) -> Reply {
    let position = Position { shard: 3, epoch: script.number(), batch: script.number() };
    let result = if script.chance(200) { Ok(outcome(script)) } else { Err(refusal(script)) };
    Reply { result, position, depends: quipu_core::outcome::Dependency::default() }
}

fn outcome(script: &mut Script<'_>) -> Outcome {
    Outcome {
        verdict: Verdict::from_byte(script.byte() & 3).expect("two bits are a verdict"),
        value: script.chance(200).then(|| script.signed()),
        previous: script.chance(200).then(|| script.signed()),
        applied: script.signed(),
        expires_at: script.chance(128).then(|| script.number()),
        repeat: [Repeat::None, Repeat::Token, Repeat::Stream][script.below(3)],
    }
}

fn refusal(script: &mut Script<'_>) -> Refusal {
    match script.below(12) {
        0 => Refusal::BadToken { bytes: script.number() as usize },
        1 => Refusal::BadSequence,
        2 => Refusal::FutureToken { ahead_ms: script.number() },
        3 => Refusal::Conflict,
        4 => Refusal::Held { sequence: script.number() },
        5 => Refusal::Expired,
        6 => Refusal::TokensFull,
        7 => Refusal::Busy,
        8 => Refusal::NoMemory,
        9 => Refusal::NoSpace,
        10 => Refusal::CrossShard,
        _ => Refusal::Stopping,
    }
}
