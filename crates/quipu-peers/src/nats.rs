//! NATS JetStream: a key-value bucket, updated with the expected revision.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::nats_wire::{Nats, Published};
use crate::program::{Line, Served, find, free_port, version};
use crate::system::{Client, Life, NoAnswer, Place, System, SystemError};

/// nats-server as one server, with a bucket of one replica in files.
#[derive(Debug, Clone, Copy)]
pub struct JetStream;

/// The stream behind the bucket `counters`.
const STREAM: &str = "KV_counters";

/// The error of JetStream for a subject without a message.
const NOT_FOUND: u64 = 10_037;

/// The error of JetStream for another last sequence than the expected one.
const WRONG_LAST_SEQUENCE: u64 = 10_071;

impl JetStream {
    fn line(data: &str, port: &str) -> Result<Line, SystemError> {
        let words = ["--jetstream", "--store_dir", data, "--addr", "127.0.0.1", "--port", port];
        Ok(Line::new(&find("nats-server")?, words.map(str::to_owned).to_vec()))
    }
}

impl System for JetStream {
    fn key(&self) -> String {
        "nats".to_owned()
    }

    fn title(&self) -> String {
        "NATS JetStream KV, one server".to_owned()
    }

    fn version(&self) -> Result<String, SystemError> {
        version(&find("nats-server")?)
    }

    fn recipe(&self) -> Vec<String> {
        let line = Self::line("DIR", "PORT").map(|line| line.shown());
        let create = format!("$JS.API.STREAM.CREATE.{STREAM} {}", configuration());
        line.into_iter().chain([create]).collect()
    }

    fn operation(&self) -> String {
        "read of the last value, then a publish of the value and one with \
         `Nats-Expected-Last-Subject-Sequence`, acknowledged by the stream; \
         `$JS.API.STREAM.MSG.GET`; every client makes the bucket where it is not there"
            .to_owned()
    }

    fn make(&self, _: &Place, _: &[&str]) -> Result<(), SystemError> {
        find("nats-server").map(drop)
    }

    fn start(&self, place: &Place) -> Result<Box<dyn Life>, SystemError> {
        let port = free_port()?;
        let line = Self::line(&place.data.to_string_lossy(), &port.to_string())?;
        Ok(Box::new(Served::start(&line, place, port, dial)?))
    }
}

/// What client libraries ask for when they make a bucket of one value per key (ADR-8 of NATS).
fn configuration() -> Value {
    json!({
        "name": STREAM,
        "subjects": ["$KV.counters.>"],
        "max_msgs_per_subject": 1,
        "storage": "file",
        "num_replicas": 1,
        "discard": "new",
        "deny_delete": true,
        "allow_rollup_hdrs": true,
    })
}

fn dial(address: SocketAddr) -> Result<Box<dyn Client>, NoAnswer> {
    let mut bucket = Bucket(Nats::connect(address)?);
    bucket.api(&format!("STREAM.CREATE.{STREAM}"), &configuration())?;
    Ok(Box::new(bucket))
}

/// A connection that has seen the bucket.
#[derive(Debug)]
struct Bucket(Nats);

/// A value and its sequence in the stream; both 0 when absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Versioned {
    value: i64,
    sequence: u64,
}

fn subject(counter: &str) -> String {
    format!("$KV.counters.{counter}")
}

fn code(reply: &Value) -> Option<u64> {
    reply.pointer("/error/err_code")?.as_u64()
}

impl Bucket {
    /// Asks the interface of JetStream; an error of its own is an answer only where it says that
    /// there is no message.
    fn api(&mut self, what: &str, body: &Value) -> Result<Value, NoAnswer> {
        let message = Published { subject: format!("$JS.API.{what}"), header: None };
        let reply = self.0.request(&message, body.to_string().as_bytes())?;
        let reply: Value = serde_json::from_slice(&reply).unwrap_or_default();
        let is_answer = reply.is_object() && code(&reply).is_none_or(|code| code == NOT_FOUND);
        if is_answer { Ok(reply) } else { Err(NoAnswer(format!("{what}: {reply}"))) }
    }

    fn get(&mut self, counter: &str) -> Result<Versioned, NoAnswer> {
        let body = json!({ "last_by_subj": subject(counter) });
        let reply = self.api(&format!("STREAM.MSG.GET.{STREAM}"), &body)?;
        versioned(&reply).ok_or_else(|| NoAnswer(format!("MSG.GET: {reply}")))
    }
}

fn versioned(reply: &Value) -> Option<Versioned> {
    if code(reply) == Some(NOT_FOUND) {
        return Some(Versioned::default());
    }
    let message = reply.get("message")?;
    let bytes = STANDARD.decode(message.get("data")?.as_str()?).ok()?;
    let value = std::str::from_utf8(&bytes).ok()?.parse().ok()?;
    Some(Versioned { value, sequence: message.get("seq")?.as_u64()? })
}

impl Client for Bucket {
    fn add(&mut self, counter: &str, _: &str) -> Result<(), NoAnswer> {
        loop {
            let Versioned { value, sequence } = self.get(counter)?;
            let header = format!("Nats-Expected-Last-Subject-Sequence: {sequence}");
            let message = Published { subject: subject(counter), header: Some(header) };
            let reply = self.0.request(&message, (value + 1).to_string().as_bytes())?;
            let reply: Value = serde_json::from_slice(&reply).unwrap_or_default();
            match code(&reply) {
                Some(WRONG_LAST_SEQUENCE) => {}
                None if reply.get("seq").is_some() => return Ok(()),
                _ => return Err(NoAnswer(format!("publish: {reply}"))),
            }
        }
    }

    fn read(&mut self, counter: &str) -> Result<i64, NoAnswer> {
        Ok(self.get(counter)?.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reply: &Value, expected: Option<Versioned>) {
        assert_eq!(versioned(reply), expected, "{reply}");
    }

    #[test]
    fn an_absent_key_is_zero_and_an_error_is_none() {
        let message = json!({ "seq": 7, "data": STANDARD.encode("41") });
        check(&json!({ "message": message }), Some(Versioned { value: 41, sequence: 7 }));
        check(&json!({ "error": { "err_code": NOT_FOUND } }), Some(Versioned::default()));
        check(&json!({ "error": { "err_code": 10_008 } }), None);
    }
}
