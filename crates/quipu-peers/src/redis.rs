//! redis-server: `INCR`, in the append-only file.

use std::net::SocketAddr;

use quipu_proof::resp::Resp;

use crate::program::{Line, Served, find, free_port, version};
use crate::system::{Client, Life, NoAnswer, Place, System, SystemError};

/// redis-server with one value of `appendfsync`.
#[derive(Debug, Clone, Copy)]
pub struct Redis {
    /// `always`, `everysec` or `no`.
    pub appendfsync: &'static str,
}

impl Redis {
    fn line(self, data: &str, port: &str) -> Result<Line, SystemError> {
        let words = ["--bind", "127.0.0.1", "--port", port, "--dir", data];
        let kept = ["--appendonly", "yes", "--appendfsync", self.appendfsync];
        let words = words.iter().chain(&kept).map(|&word| word.to_owned()).collect();
        Ok(Line::new(&find("redis-server")?, words))
    }
}

impl System for Redis {
    fn key(&self) -> String {
        format!("redis_{}", self.appendfsync)
    }

    fn title(&self) -> String {
        format!("Redis, `appendfsync {}`", self.appendfsync)
    }

    fn version(&self) -> Result<String, SystemError> {
        version(&find("redis-server")?)
    }

    fn recipe(&self) -> Vec<String> {
        self.line("DIR", "PORT").map(|line| line.shown()).into_iter().collect()
    }

    fn operation(&self) -> String {
        "`INCR name`; `GET name`".to_owned()
    }

    fn make(&self, _: &Place, _: &[&str]) -> Result<(), SystemError> {
        find("redis-server").map(drop)
    }

    fn start(&self, place: &Place) -> Result<Box<dyn Life>, SystemError> {
        let port = free_port()?;
        let line = self.line(&place.data.to_string_lossy(), &port.to_string())?;
        Ok(Box::new(Served::start(&line, place, port, dial)?))
    }
}

fn dial(address: SocketAddr) -> Result<Box<dyn Client>, NoAnswer> {
    Ok(Box::new(Plain(Resp::try_tcp(address)?)))
}

/// A connection that knows no tokens.
#[derive(Debug)]
pub(crate) struct Plain(pub(crate) Resp);

impl Client for Plain {
    fn add(&mut self, counter: &str, _: &str) -> Result<(), NoAnswer> {
        let reply = self.0.try_call(&format!("INCR {counter}"))?;
        reply.int().map(drop).ok_or_else(|| NoAnswer(format!("INCR: {reply:?}")))
    }

    fn read(&mut self, counter: &str) -> Result<i64, NoAnswer> {
        let reply = self.0.try_call(&format!("GET {counter}"))?;
        let value = if reply.is_null() { Some(0) } else { reply.int() };
        value.ok_or_else(|| NoAnswer(format!("GET: {reply:?}")))
    }
}
