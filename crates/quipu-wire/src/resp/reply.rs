//! Replies as bytes, appended to a connection's output.

use std::fmt::Display;

use quipu_core::outcome::{Outcome, Position, Refusal, Reply, Verdict};
use quipu_core::top::Top;

use crate::resp::client::ClientLine;
use crate::resp::command::{Many, Shape};
use crate::resp::error::{CommandError, ProtocolError, StateError};
use crate::resp::frame::Request;
use crate::resp::pattern::matches;

/// The protocol version of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Proto {
    /// RESP2, as every connection begins.
    #[default]
    Resp2,
    /// RESP3, after `HELLO 3`.
    Resp3,
}

impl Proto {
    /// Its number.
    pub fn number(self) -> i64 {
        match self {
            Self::Resp2 => 2,
            Self::Resp3 => 3,
        }
    }
}

/// Writes `+OK`.
#[inline]
pub fn ok(out: &mut Vec<u8>) {
    out.extend_from_slice(b"+OK\r\n");
}

/// Writes `+PONG`, or the message that PING came with.
#[inline]
pub fn pong(out: &mut Vec<u8>, message: Option<&[u8]>) {
    match message {
        None => out.extend_from_slice(b"+PONG\r\n"),
        Some(message) => bulk(out, message),
    }
}

/// Writes `+QUEUED`.
#[inline]
pub fn queued(out: &mut Vec<u8>) {
    out.extend_from_slice(b"+QUEUED\r\n");
}

/// Writes a status line. `text` has no line end.
pub fn simple(out: &mut Vec<u8>, text: &str) {
    out.push(b'+');
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes an integer.
#[inline]
pub fn integer(out: &mut Vec<u8>, number: i64) {
    headed(out, b':', number);
}

#[inline]
fn headed(out: &mut Vec<u8>, kind: u8, number: i64) {
    let mut text = itoa::Buffer::new();
    let digits = text.format(number).as_bytes();
    out.reserve(digits.len() + 3);
    out.push(kind);
    out.extend_from_slice(digits);
    out.extend_from_slice(b"\r\n");
}

/// Writes a string.
#[inline]
pub fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    headed(out, b'$', bytes.len() as i64);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Writes a number as a string.
#[inline]
pub fn bulk_integer(out: &mut Vec<u8>, number: i64) {
    bulk(out, itoa::Buffer::new().format(number).as_bytes());
}

/// Writes a text for people: RESP3 says that it is one.
pub fn verbatim(out: &mut Vec<u8>, proto: Proto, text: &str) {
    match proto {
        Proto::Resp2 => bulk(out, text.as_bytes()),
        Proto::Resp3 => {
            headed(out, b'=', text.len() as i64 + 4);
            out.extend_from_slice(b"txt:");
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Writes nothing, as a value.
#[inline]
pub fn null(out: &mut Vec<u8>, proto: Proto) {
    out.extend_from_slice(match proto {
        Proto::Resp2 => b"$-1\r\n",
        Proto::Resp3 => b"_\r\n",
    });
}

/// Writes the head of an array; as many values must follow.
#[inline]
pub fn array(out: &mut Vec<u8>, len: usize) {
    headed(out, b'*', len as i64);
}

/// Writes the head of a map; as many keys, each with its value, must follow.
pub fn map(out: &mut Vec<u8>, proto: Proto, entries: usize) {
    match proto {
        Proto::Resp2 => headed(out, b'*', entries as i64 * 2),
        Proto::Resp3 => headed(out, b'%', entries as i64),
    }
}

/// Writes the head of a set; as many values must follow.
pub fn set(out: &mut Vec<u8>, proto: Proto, len: usize) {
    let kind = if proto == Proto::Resp2 { b'*' } else { b'~' };
    headed(out, kind, len as i64);
}

/// Writes an error: its first word, and a sentence. Line ends within it become spaces.
#[cold]
pub fn error(out: &mut Vec<u8>, code: &str, sentence: &dyn Display) {
    error_line(out, code, sentence.to_string().as_bytes());
}

fn error_line(out: &mut Vec<u8>, code: &str, sentence: &[u8]) {
    out.push(b'-');
    out.extend_from_slice(code.as_bytes());
    out.push(b' ');
    out.extend(sentence.iter().map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { *b }));
    out.extend_from_slice(b"\r\n");
}

/// Writes why a command was not understood. What it repeats of the command is written as it came:
/// see [`crate::resp::error::Echo`].
#[cold]
pub fn command_error(out: &mut Vec<u8>, why: &CommandError) {
    let text = why.to_string();
    let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect();
    error_line(out, why.code(), &bytes);
}

/// Writes why a connection may not do this now.
#[cold]
pub fn state_error(out: &mut Vec<u8>, why: StateError) {
    error(out, why.code(), &why);
}

/// Writes why bytes are not the protocol. The connection is to be closed after it.
#[cold]
pub fn protocol_error(out: &mut Vec<u8>, why: &ProtocolError) {
    error(out, "ERR", why);
}

/// Writes why an operation was not decided.
#[cold]
pub fn refusal(out: &mut Vec<u8>, why: &Refusal) {
    let code = match why {
        Refusal::Held { sequence } => return error(out, "HELD", &format!("{sequence} {why}")),
        Refusal::BadToken { .. }
        | Refusal::BadStream { .. }
        | Refusal::BadSequence
        | Refusal::FutureToken { .. }
        | Refusal::CrossShard => "ERR",
        Refusal::Conflict => "CONFLICT",
        Refusal::Expired => "EXPIRED",
        Refusal::TokensFull | Refusal::StreamsFull { .. } | Refusal::Busy => "BUSY",
        Refusal::NoMemory => "OOM",
        Refusal::NoSpace => "NOSPACE",
        Refusal::Stopping => "UNKNOWN",
    };
    error(out, code, why);
}

/// Writes that the log failed before the answer was safe.
#[cold]
pub fn unknown(out: &mut Vec<u8>) {
    let sentence = "the log failed; this may have been counted, retry with the same token";
    error(out, "UNKNOWN", &sentence);
}

/// Writes the answer to one operation. `now_ms` is the log time from which TTLs are counted.
/// Cost: a few nanoseconds for an INCR.
#[inline]
pub fn answer(out: &mut Vec<u8>, proto: Proto, shape: Shape, reply: &Reply, now_ms: u64) {
    match &reply.result {
        Ok(Outcome { verdict: Verdict::Done, value: Some(value), .. })
            if shape == Shape::Integer =>
        {
            integer(out, *value);
        }
        Ok(outcome) => shaped(out, proto, shape, (outcome, &reply.position), now_ms),
        Err(why) => refusal(out, why),
    }
}

fn shaped(
    out: &mut Vec<u8>,
    proto: Proto,
    shape: Shape,
    (outcome, position): (&Outcome, &Position),
    now_ms: u64,
) {
    let done = outcome.verdict == Verdict::Done;
    match shape {
        // Its bounds are always given, so that only the way to one of them can be too long.
        Shape::Increased if outcome.verdict == Verdict::Overflow => {
            error(out, "ERR", &"applied increment would overflow");
        }
        _ if outcome.verdict == Verdict::Overflow => {
            error(out, "ERR", &"increment or decrement would overflow");
        }
        Shape::Integer => integer(out, outcome.value.unwrap_or(0)),
        Shape::Value => string_or_null(out, proto, outcome.value),
        Shape::Previous => string_or_null(out, proto, outcome.previous),
        Shape::Ok if done => ok(out),
        Shape::Ok => null(out, proto),
        Shape::Flag => integer(out, i64::from(done)),
        Shape::Exists => integer(out, i64::from(outcome.value.is_some())),
        Shape::TtlSeconds => integer(out, ttl(outcome, now_ms, |ms| ms.saturating_add(500) / 1000)),
        Shape::TtlMillis => integer(out, ttl(outcome, now_ms, |ms| ms)),
        Shape::ExpirySeconds => integer(out, ttl(outcome, 0, |ms| ms.saturating_add(500) / 1000)),
        Shape::ExpiryMillis => integer(out, ttl(outcome, 0, |ms| ms)),
        Shape::Type => simple(out, if outcome.value.is_some() { "string" } else { "none" }),
        Shape::Added => {
            array(out, 4);
            integer_or_null(out, proto, outcome.value);
            integer(out, outcome.applied);
            put_position(out, position);
            bulk(out, outcome.repeat.word().as_bytes());
        }
        Shape::Increased => {
            array(out, 2);
            integer(out, outcome.value.unwrap_or(0));
            integer(out, outcome.applied);
        }
        Shape::Found => {
            array(out, 2);
            integer_or_null(out, proto, outcome.value);
            put_position(out, position);
        }
        Shape::Taken => {
            array(out, 3);
            integer_or_null(out, proto, outcome.previous);
            put_position(out, position);
            bulk(out, outcome.repeat.word().as_bytes());
        }
    }
}

fn ttl(outcome: &Outcome, now_ms: u64, unit: impl Fn(u64) -> u64) -> i64 {
    match (outcome.value, outcome.expires_at) {
        (None, _) => -2,
        (Some(_), None) => -1,
        (Some(_), Some(at)) => i64::try_from(unit(at.saturating_sub(now_ms))).unwrap_or(i64::MAX),
    }
}

fn string_or_null(out: &mut Vec<u8>, proto: Proto, value: Option<i64>) {
    match value {
        Some(value) => bulk_integer(out, value),
        None => null(out, proto),
    }
}

fn integer_or_null(out: &mut Vec<u8>, proto: Proto, value: Option<i64>) {
    match value {
        Some(value) => integer(out, value),
        None => null(out, proto),
    }
}

/// Writes `shard:epoch:batch` as a string.
fn put_position(out: &mut Vec<u8>, position: &Position) {
    let Position { shard, epoch, batch } = position;
    let mut texts = [itoa::Buffer::new(), itoa::Buffer::new(), itoa::Buffer::new()];
    let [first, second, third] = &mut texts;
    let parts = [first.format(*shard), second.format(*epoch), third.format(*batch)];
    let colons = parts.len() - 1;
    headed(out, b'$', (parts.iter().map(|part| part.len()).sum::<usize>() + colons) as i64);
    for (part, end) in parts.iter().zip([":", ":", "\r\n"]) {
        out.extend_from_slice(part.as_bytes());
        out.extend_from_slice(end.as_bytes());
    }
}

/// Writes the answer to MGET, DEL or EXISTS of several counters. The first refusal, if any, is the
/// whole answer; the other operations stand nevertheless.
pub fn many(out: &mut Vec<u8>, proto: Proto, what: Many, replies: &[Reply]) {
    if let Some(why) = replies.iter().find_map(|r| r.result.as_ref().err()) {
        return refusal(out, why);
    }
    let outcomes = replies.iter().filter_map(|r| r.result.ok());
    let met = |o: &Outcome| match what {
        Many::Delete => o.verdict == Verdict::Done,
        Many::Get | Many::Exists => o.value.is_some(),
    };
    match what {
        Many::Get => {
            array(out, replies.len());
            outcomes.for_each(|o| string_or_null(out, proto, o.value));
        }
        Many::Delete | Many::Exists => integer(out, outcomes.filter(met).count() as i64),
    }
}

/// Writes the answer to SCAN; cursor 0 says that it is over.
pub fn scan<'n>(out: &mut Vec<u8>, cursor: u64, names: impl ExactSizeIterator<Item = &'n str>) {
    array(out, 2);
    bulk(out, itoa::Buffer::new().format(cursor).as_bytes());
    array(out, names.len());
    names.for_each(|name| bulk(out, name.as_bytes()));
}

/// Writes a sequence: as an integer while it is one of RESP, which are signed, and with all its
/// digits beyond.
fn sequence(out: &mut Vec<u8>, proto: Proto, number: u64) {
    let digits = itoa::Buffer::new().format(number).to_owned();
    match (i64::try_from(number), proto) {
        (Ok(number), _) => integer(out, number),
        (Err(_), Proto::Resp2) => bulk(out, digits.as_bytes()),
        (Err(_), Proto::Resp3) => {
            out.push(b'(');
            out.extend_from_slice(digits.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Writes the answer to QUIPU.STREAM: `checkpoint`, a number or null, and `marks`, pairs of shard
/// and mark.
pub fn stream(out: &mut Vec<u8>, proto: Proto, checkpoint: Option<u64>, marks: &[(u16, u64)]) {
    map(out, proto, 2);
    bulk(out, b"checkpoint");
    match checkpoint {
        Some(checkpoint) => sequence(out, proto, checkpoint),
        None => null(out, proto),
    }
    bulk(out, b"marks");
    array(out, marks.len());
    for (shard, mark) in marks {
        array(out, 2);
        integer(out, i64::from(*shard));
        sequence(out, proto, *mark);
    }
}

/// Writes the answer to QUIPU.TOP: `items`, pairs of name and value, how many `counters` there are,
/// `from` and `to` in log time, and the `positions` of the shards.
pub fn top(out: &mut Vec<u8>, proto: Proto, top: &Top, n: usize) {
    map(out, proto, 5);
    bulk(out, b"items");
    array(out, top.items.len().min(n));
    for ranked in top.items.iter().take(n) {
        array(out, 2);
        bulk(out, ranked.name.as_bytes());
        integer(out, ranked.value);
    }
    for (name, number) in [("counters", top.counters), ("from", top.from_ms), ("to", top.to_ms)] {
        bulk(out, name.as_bytes());
        integer(out, number as i64);
    }
    bulk(out, b"positions");
    array(out, top.positions.len());
    top.positions.iter().for_each(|position| put_position(out, position));
}

/// Writes the answer to CLIENT INFO, of one line, or CLIENT LIST.
pub fn clients<'c>(out: &mut Vec<u8>, proto: Proto, lines: impl Iterator<Item = ClientLine<'c>>) {
    let mut text = String::new();
    for line in lines {
        text.push_str(&line.to_string());
        text.push('\n');
    }
    verbatim(out, proto, &text);
}

/// Facts that HELLO tells.
#[derive(Debug, Clone, Copy)]
pub struct HelloFacts {
    /// The version from this reply on.
    pub proto: Proto,
    /// The connection's number.
    pub id: i64,
}

/// The version of Redis whose behaviour clients may expect.
pub const REDIS_VERSION: &str = "7.4.0";

/// Writes the answer to HELLO, in the version that was chosen.
pub fn hello(out: &mut Vec<u8>, facts: HelloFacts) {
    map(out, facts.proto, 7);
    for (key, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        bulk(out, key.as_bytes());
        bulk(out, value.as_bytes());
    }
    bulk(out, b"proto");
    integer(out, facts.proto.number());
    bulk(out, b"id");
    integer(out, facts.id);
    for (key, value) in [("mode", "standalone"), ("role", "master")] {
        bulk(out, key.as_bytes());
        bulk(out, value.as_bytes());
    }
    bulk(out, b"modules");
    array(out, 0);
}

/// Writes settings, those whose name matches one of `patterns`, as CONFIG GET does. The names are
/// in lower case.
pub fn config(out: &mut Vec<u8>, proto: Proto, settings: &[(&str, &str)], patterns: Request<'_>) {
    let patterns: Vec<_> = patterns.iter().map(<[u8]>::to_ascii_lowercase).collect();
    let is_wanted = |name: &str| patterns.iter().any(|p| matches(p, name.as_bytes()));
    let found: Vec<_> = settings.iter().filter(|(name, _)| is_wanted(name)).collect();
    map(out, proto, found.len());
    for (name, value) in found {
        bulk(out, name.as_bytes());
        bulk(out, value.as_bytes());
    }
}
