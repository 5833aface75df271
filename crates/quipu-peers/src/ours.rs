//! Quipu itself, started and driven as the others are.

use std::net::SocketAddr;
use std::path::PathBuf;

use quipu_proof::http::{Http, HttpReply, Request, request};
use quipu_proof::resp::Resp;
use serde_json::Value;

use crate::program::{Dial, Line, Served, free_port, version};
use crate::redis::Plain;
use crate::system::{Client, Life, NoAnswer, Place, Promise, System, SystemError};

/// What clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// As to Redis.
    Resp,
    /// JSON over HTTP.
    Http,
}

/// Quipu with one acknowledgement, on one surface.
#[derive(Debug, Clone)]
pub struct Ours {
    /// The program `quipu`.
    pub binary: PathBuf,
    /// What clients speak.
    pub surface: Surface,
    /// `fsync` or `memory`.
    pub ack: &'static str,
    /// Whether an operation carries a token.
    pub has_tokens: bool,
}

impl Ours {
    fn line(&self, data: &str, port: &str) -> Line {
        let ours = format!("127.0.0.1:{port}");
        let any = "127.0.0.1:0".to_owned();
        let (resp, http) = match self.surface {
            Surface::Resp => (ours, any.clone()),
            Surface::Http => (any.clone(), ours),
        };
        let words = ["serve", "--data", data, "--resp", &resp, "--http", &http, "--admin", &any];
        // The kernel calls a disk behind FUSE a network file system.
        let more = ["--ack.default", self.ack, "--log.allow_network_fs", "true"];
        let words = words.iter().chain(&more).map(|&word| word.to_owned()).collect();
        Line::new(&self.binary, words)
    }

    fn dial(&self) -> Dial {
        match (self.surface, self.has_tokens) {
            (Surface::Resp, false) => |address| Ok(Box::new(Plain(Resp::try_tcp(address)?))),
            (Surface::Resp, true) => {
                |address| Ok(Box::new(Tokened(Plain(Resp::try_tcp(address)?))))
            }
            (Surface::Http, false) => |address| json(address, false),
            (Surface::Http, true) => |address| json(address, true),
        }
    }
}

fn json(address: SocketAddr, has_tokens: bool) -> Result<Box<dyn Client>, NoAnswer> {
    Ok(Box::new(Json { http: Http::try_connect(address)?, has_tokens }))
}

impl System for Ours {
    fn key(&self) -> String {
        let surface = if self.surface == Surface::Resp { "resp" } else { "http" };
        let tokens = if self.has_tokens { "token" } else { "plain" };
        format!("quipu_{surface}_{}_{tokens}", self.ack)
    }

    fn title(&self) -> String {
        let surface = if self.surface == Surface::Resp { "RESP" } else { "HTTP" };
        let tokens = if self.has_tokens { "with tokens" } else { "without tokens" };
        format!("Quipu, {surface}, `ack={}`, {tokens}", self.ack)
    }

    fn version(&self) -> Result<String, SystemError> {
        version(&self.binary)
    }

    fn recipe(&self) -> Vec<String> {
        vec![self.line("DIR/store", "PORT").shown()]
    }

    fn operation(&self) -> String {
        let texts = match (self.surface, self.has_tokens) {
            (Surface::Resp, false) => "`INCR name`; `GET name`",
            (Surface::Resp, true) => "`QUIPU.ADD name 1 TOKEN t`; `GET name`",
            (Surface::Http, false) => "`POST .../name {\"add\":1}`; `GET .../name`",
            (Surface::Http, true) => {
                "`POST .../name {\"add\":1}` with `Idempotency-Key`; `GET .../name`"
            }
        };
        texts.to_owned()
    }

    fn promise(&self) -> Promise {
        let is_fsync = self.ack == "fsync";
        Promise { keeps_acknowledged: is_fsync, counts_once: self.has_tokens, always_starts: true }
    }

    fn make(&self, _: &Place, _: &[&str]) -> Result<(), SystemError> {
        Ok(())
    }

    fn start(&self, place: &Place) -> Result<Box<dyn Life>, SystemError> {
        let port = free_port()?;
        let line = self.line(&place.data.join("store").to_string_lossy(), &port.to_string());
        Ok(Box::new(Served::start(&line, place, port, self.dial())?))
    }
}

/// A RESP connection that sends tokens.
#[derive(Debug)]
struct Tokened(Plain);

impl Client for Tokened {
    fn add(&mut self, counter: &str, token: &str) -> Result<(), NoAnswer> {
        let reply = self.0.0.try_call(&format!("QUIPU.ADD {counter} 1 TOKEN {token}"))?;
        let is_done = reply.items().len() == 4;
        is_done.then_some(()).ok_or_else(|| NoAnswer(format!("QUIPU.ADD: {reply:?}")))
    }

    fn read(&mut self, counter: &str) -> Result<i64, NoAnswer> {
        self.0.read(counter)
    }
}

/// An HTTP connection.
#[derive(Debug)]
struct Json {
    http: Http,
    has_tokens: bool,
}

fn path(counter: &str) -> String {
    format!("/v1/default/counters/{counter}")
}

fn refused(reply: &HttpReply) -> NoAnswer {
    NoAnswer(format!("{}: {}", reply.status, String::from_utf8_lossy(&reply.body)))
}

impl Client for Json {
    fn add(&mut self, counter: &str, token: &str) -> Result<(), NoAnswer> {
        let key = format!("Idempotency-Key: {token}");
        let headers: &[&str] = if self.has_tokens { &[&key] } else { &[] };
        let body = r#"{"add":1}"#;
        let path = path(counter);
        let reply = self.http.try_call(&Request { method: "POST", path: &path, headers, body })?;
        if reply.status == 200 { Ok(()) } else { Err(refused(&reply)) }
    }

    fn read(&mut self, counter: &str) -> Result<i64, NoAnswer> {
        let reply = self.http.try_call(&request("GET", &path(counter), ""))?;
        if reply.status == 404 {
            return Ok(0);
        }
        let value = reply.json().get("value").and_then(Value::as_i64);
        value.ok_or_else(|| refused(&reply))
    }
}
