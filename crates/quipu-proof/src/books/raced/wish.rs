//! What a racer wants of a counter, in the words of both surfaces.

use std::fmt;

use quipu_history::event::Call;
use serde_json::Value;

use crate::chance::Chance;
use crate::http::{HttpReply, Request};
use crate::resp::Reply;
use crate::{Violation, demand};

/// One wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    /// The number of the counter.
    pub(super) counter: usize,
    /// What is asked.
    pub(super) call: Call,
    /// What makes a repeat of an add recognisable.
    pub(super) token: Option<String>,
    /// One of the ways to say it, where there are several.
    is_long: bool,
}

impl Wish {
    /// A read.
    pub(super) fn read(counter: usize, is_long: bool) -> Self {
        Self { counter, call: Call::Read, token: None, is_long }
    }

    /// Draws one: mostly adds and reads. `token` is for an add that should have one.
    pub(super) fn draw(chance: &mut Chance, counter: usize, token: String) -> Self {
        let value = chance.below(9) as i64 - 2;
        let call = match chance.below(20) {
            0 => Call::Set(value),
            1 => Call::Take,
            2..=7 => Call::Read,
            _ => Call::Add(if value == 0 { 7 } else { value }),
        };
        let has_token = matches!(call, Call::Add(_)) && chance.percent(50);
        Self { counter, call, token: has_token.then_some(token), is_long: chance.percent(50) }
    }

    fn name(&self) -> String {
        format!("raced:{}", self.counter)
    }

    /// The command.
    pub(super) fn command(&self) -> String {
        let name = self.name();
        match (self.call, &self.token, self.is_long) {
            (Call::Add(delta), Some(token), _) => format!("QUIPU.ADD {name} {delta} TOKEN {token}"),
            (Call::Add(delta), None, true) => format!("QUIPU.ADD {name} {delta}"),
            (Call::Add(delta), None, false) => format!("INCRBY {name} {delta}"),
            (Call::Set(value), ..) => format!("SET {name} {value}"),
            (Call::Take, ..) => format!("GETDEL {name}"),
            (Call::Read, _, true) => format!("QUIPU.GET {name} READ committed"),
            (Call::Read, _, false) => format!("GET {name}"),
        }
    }

    /// The value in the reply to the command, where it tells one.
    ///
    /// # Errors
    /// It is no reply to that.
    pub(super) fn value(&self, reply: &Reply) -> Result<Option<i64>, Violation> {
        if matches!(self.call, Call::Set(_)) {
            demand(reply.text() == Some("OK"), "form", || self.garbled(reply))?;
            return Ok(None);
        }
        let reply = reply.items().first().unwrap_or(reply);
        let value = if reply.is_null() { Some(0) } else { reply.int() };
        value.map(Some).ok_or_else(|| Violation::new("form", self.garbled(reply)))
    }

    fn garbled(&self, reply: &impl fmt::Debug) -> String {
        format!("{}: {reply:?}", self.command())
    }

    /// Hands the same as a request of HTTP to `call`.
    pub(super) fn request<T>(&self, call: impl FnOnce(&Request<'_>) -> T) -> T {
        let (method, action, body) = match self.call {
            Call::Add(delta) => ("POST", "", format!("{{\"add\":{delta}}}")),
            Call::Set(value) => ("PUT", "", format!("{{\"value\":{value}}}")),
            Call::Take => ("POST", "/take", String::new()),
            Call::Read => ("GET", "", String::new()),
        };
        let path = format!("/v1/default/counters/{}{action}", self.name());
        let token = self.token.as_ref().map(|token| format!("Idempotency-Key: {token}"));
        let read = (self.call == Call::Read).then(|| "Quipu-Read: committed".to_owned());
        let headers: Vec<&str> = token.iter().chain(&read).map(String::as_str).collect();
        call(&Request { method, path: &path, headers: &headers, body: &body })
    }

    /// The value in the reply to the request.
    ///
    /// # Errors
    /// It is no reply to that.
    pub(super) fn value_of_http(&self, reply: &HttpReply) -> Result<i64, Violation> {
        let json = reply.json();
        let field = if self.call == Call::Take { "taken" } else { "value" };
        let value = match (reply.status, &json[field]) {
            // Nothing is there.
            (404, _) | (200, Value::Null) => Some(0),
            (200, value) => value.as_i64(),
            _ => None,
        };
        value.ok_or_else(|| Violation::new("form", self.garbled(reply)))
    }
}
