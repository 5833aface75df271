//! etcd: a read and a compare-and-swap on `mod_revision`, through its JSON gateway.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quipu_proof::http::{Http, request};
use serde_json::{Value, json};

use crate::program::{Line, Served, find, free_port, version};
use crate::system::{Client, Life, NoAnswer, Place, System, SystemError};

/// etcd as one member, which syncs every transaction by default.
#[derive(Debug, Clone, Copy)]
pub struct Etcd;

impl Etcd {
    fn line(data: &str, port: &str) -> Result<Line, SystemError> {
        let url = format!("http://127.0.0.1:{port}");
        let words = ["--data-dir", data, "--listen-client-urls", &url];
        // Nobody is to call at the port for other members, so any will do.
        let more = ["--advertise-client-urls", &url, "--listen-peer-urls", "http://127.0.0.1:0"];
        let words = words.iter().chain(&more).map(|&word| word.to_owned()).collect();
        Ok(Line::new(&find("etcd")?, words))
    }
}

impl System for Etcd {
    fn key(&self) -> String {
        "etcd".to_owned()
    }

    fn title(&self) -> String {
        "etcd, one member".to_owned()
    }

    fn version(&self) -> Result<String, SystemError> {
        version(&find("etcd")?)
    }

    fn recipe(&self) -> Vec<String> {
        Self::line("DIR/member", "PORT").map(|line| line.shown()).into_iter().collect()
    }

    fn operation(&self) -> String {
        "`/v3/kv/range`, then `/v3/kv/txn` that puts the value and one if `mod_revision` is still \
         the same; `/v3/kv/range`"
            .to_owned()
    }

    fn make(&self, _: &Place, _: &[&str]) -> Result<(), SystemError> {
        find("etcd").map(drop)
    }

    fn start(&self, place: &Place) -> Result<Box<dyn Life>, SystemError> {
        let port = free_port()?;
        let data = place.data.join("member");
        let line = Self::line(&data.to_string_lossy(), &port.to_string())?;
        Ok(Box::new(Served::start(&line, place, port, dial)?))
    }
}

fn dial(address: SocketAddr) -> Result<Box<dyn Client>, NoAnswer> {
    Ok(Box::new(Gateway(Http::try_connect(address)?)))
}

/// A connection to the JSON gateway.
#[derive(Debug)]
struct Gateway(Http);

/// A value and the revision of its last change; both 0 when absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Versioned {
    value: i64,
    revision: i64,
}

impl Gateway {
    fn call(&mut self, path: &str, body: &Value) -> Result<Value, NoAnswer> {
        let reply = self.0.try_call(&request("POST", path, &body.to_string()))?;
        let text = || String::from_utf8_lossy(&reply.body).into_owned();
        if reply.status == 200 {
            Ok(reply.json())
        } else {
            Err(NoAnswer(format!("{path}: {}: {}", reply.status, text())))
        }
    }

    fn get(&mut self, counter: &str) -> Result<Versioned, NoAnswer> {
        let reply = self.call("/v3/kv/range", &json!({ "key": STANDARD.encode(counter) }))?;
        versioned(&reply).ok_or_else(|| NoAnswer(format!("range: {reply}")))
    }
}

/// Numbers are texts in this JSON, and bytes are base64.
fn versioned(reply: &Value) -> Option<Versioned> {
    // Every good reply has a header; one without keys has found nothing.
    reply.get("header")?;
    let Some(pair) = reply.pointer("/kvs/0") else { return Some(Versioned::default()) };
    let revision = pair.get("mod_revision")?.as_str()?.parse().ok()?;
    let bytes = STANDARD.decode(pair.get("value")?.as_str()?).ok()?;
    let value = std::str::from_utf8(&bytes).ok()?.parse().ok()?;
    Some(Versioned { value, revision })
}

impl Client for Gateway {
    fn add(&mut self, counter: &str, _: &str) -> Result<(), NoAnswer> {
        let key = STANDARD.encode(counter);
        loop {
            let Versioned { value, revision } = self.get(counter)?;
            let value = STANDARD.encode((value + 1).to_string());
            let same = json!({ "key": key, "target": "MOD", "result": "EQUAL",
                               "mod_revision": revision.to_string() });
            let put = json!({ "request_put": { "key": key, "value": value } });
            let body = json!({ "compare": [same], "success": [put] });
            let reply = self.call("/v3/kv/txn", &body)?;
            // Absent means false in this JSON: somebody else was in between.
            if reply.get("succeeded").and_then(Value::as_bool) == Some(true) {
                return Ok(());
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
        let pair = json!({ "mod_revision": "7", "value": STANDARD.encode("41") });
        check(&json!({ "header": {}, "kvs": [pair] }), Some(Versioned { value: 41, revision: 7 }));
        check(&json!({ "header": {} }), Some(Versioned::default()));
        check(&json!({ "error": "no leader" }), None);
    }
}
