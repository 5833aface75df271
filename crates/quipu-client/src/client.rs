//! Single operations, one at a time.

use std::time::Duration;

use quipu_wire::resp::value::Value;
use thiserror::Error;

use crate::connection::{Connection, ConnectionError};
use crate::refusal::Refusal;

/// How many names one page of a scan asks for. Guess: a reply of some tens of kilobytes.
const PAGE: &[u8] = b"1000";

/// Why an operation has no result.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The connection is of no further use; whether the operation was done is not known.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The node refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// An increment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Add {
    /// The counter.
    pub name: String,
    /// How much to add.
    pub delta: i64,
    /// A retry with the same token does not count again.
    pub token: Option<String>,
    /// The least value that the counter may take.
    pub min: Option<i64>,
    /// The greatest value that the counter may take.
    pub max: Option<i64>,
    /// Whether to go as far as a bound rather than not at all.
    pub saturate: bool,
    /// Time to live from now on, in milliseconds.
    pub ttl_ms: Option<u64>,
    /// How durable the answer must be; `None` leaves it to the node.
    pub ack: Option<&'static str>,
}

/// What became of an increment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The value after it.
    pub value: i64,
    /// What was really added.
    pub applied: i64,
    /// `shard:epoch:batch`.
    pub position: String,
    /// `none`, `token` or `stream`.
    pub repeat: String,
}

/// A value that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The value; `None` if there is no such counter.
    pub value: Option<i64>,
    /// `shard:epoch:batch`.
    pub position: String,
}

/// A value that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The value before; `None` if there is no such counter.
    pub value: Option<i64>,
    /// `shard:epoch:batch`.
    pub position: String,
    /// `none` or `token`.
    pub repeat: String,
}

/// What a node knows of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamState {
    /// The stored checkpoint: all up to this sequence was answered.
    pub checkpoint: Option<u64>,
    /// The highest sequence counted on any shard.
    pub highest_mark: Option<u64>,
}

/// The greatest counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Top {
    /// Names and values, the greatest first.
    pub items: Vec<(String, i64)>,
    /// How many counters there are.
    pub counters: u64,
    /// The node's time of its first look, in milliseconds.
    pub from_ms: u64,
    /// The node's time of its last look, in milliseconds.
    pub to_ms: u64,
}

/// A connection that carries one operation at a time.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
}

impl Client {
    /// Connects to the node at `address`; `timeout` bounds every wait.
    ///
    /// # Errors
    /// Nobody accepts there.
    pub fn connect(address: &str, timeout: Duration) -> Result<Client, ClientError> {
        Ok(Client { connection: Connection::connect(address, timeout)? })
    }

    /// Adds.
    ///
    /// # Errors
    /// The node refused, or the connection broke: then only a token makes a retry safe.
    pub fn add(&mut self, add: &Add) -> Result<Added, ClientError> {
        let parts = add_parts(add);
        let parts: Vec<_> = parts.iter().map(String::as_bytes).collect();
        let mut reply = Elements::of(self.call(&parts)?)?;
        Ok(Added {
            value: reply.integer()?,
            applied: reply.integer()?,
            position: reply.text()?,
            repeat: reply.text()?,
        })
    }

    /// Reads one counter; `latest` does not wait for what is not durable yet.
    ///
    /// # Errors
    /// The node refused, or the connection broke.
    pub fn get(&mut self, name: &str, latest: bool) -> Result<Read, ClientError> {
        let parts: [&[u8]; 4] = [b"QUIPU.GET", name.as_bytes(), b"READ", b"latest"];
        let parts = parts.get(..if latest { 4 } else { 2 }).unwrap_or_default();
        let mut reply = Elements::of(self.call(parts)?)?;
        Ok(Read { value: reply.maybe_integer()?, position: reply.text()? })
    }

    /// Takes the value of a counter and leaves 0.
    ///
    /// # Errors
    /// The node refused, or the connection broke: then only a token makes a retry safe.
    pub fn take(&mut self, name: &str, token: Option<&str>) -> Result<Taken, ClientError> {
        let mut parts: Vec<&[u8]> = vec![b"QUIPU.TAKE", name.as_bytes()];
        if let Some(token) = token {
            parts.extend([b"TOKEN", token.as_bytes()]);
        }
        let mut reply = Elements::of(self.call(&parts)?)?;
        Ok(Taken { value: reply.maybe_integer()?, position: reply.text()?, repeat: reply.text()? })
    }

    /// Hands every counter whose name matches `pattern`, with its value, to `each`.
    ///
    /// A counter that exists throughout comes at least once; one may come twice while the
    /// node's tables grow.
    ///
    /// # Errors
    /// The node refused, the connection broke, or `each` failed.
    pub fn scan<E: From<ClientError>>(
        &mut self,
        pattern: &str,
        mut each: impl FnMut(&str, i64) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut cursor = "0".to_owned();
        loop {
            let (next, names) = self.page(&cursor, pattern)?;
            for (name, value) in names.iter().zip(self.values(&names)?) {
                // A counter that went away since its name was found is not there any more.
                value.map_or(Ok(()), |value| each(name, value))?;
            }
            if next == "0" {
                return Ok(());
            }
            cursor = next;
        }
    }

    fn page(&mut self, cursor: &str, pattern: &str) -> Result<(String, Vec<String>), ClientError> {
        let parts: [&[u8]; 6] =
            [b"SCAN", cursor.as_bytes(), b"MATCH", pattern.as_bytes(), b"COUNT", PAGE];
        let mut reply = Elements::of(self.call(&parts)?)?;
        let next = reply.text()?;
        let names = Elements::of(reply.next()?)?;
        let names = names.0.map(text).collect::<Result<_, _>>()?;
        Ok((next, names))
    }

    /// Reads the values of several counters; `None` where there is no such counter.
    ///
    /// # Errors
    /// The node refused, or the connection broke.
    pub fn values(&mut self, names: &[impl AsRef<str>]) -> Result<Vec<Option<i64>>, ClientError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut parts: Vec<&[u8]> = vec![b"MGET"];
        parts.extend(names.iter().map(|name| name.as_ref().as_bytes()));
        let values = Elements::of(self.call(&parts)?)?;
        Ok(values.0.map(maybe_integer).collect::<Result<_, _>>()?)
    }

    /// Reads the `n` greatest counters.
    ///
    /// # Errors
    /// The node refused, or the connection broke.
    pub fn top(&mut self, n: u64) -> Result<Top, ClientError> {
        let n = n.to_string();
        let mut fields = Elements::of(self.call(&[b"QUIPU.TOP", n.as_bytes()])?)?;
        let mut top = Top::default();
        while let Ok(field) = fields.text() {
            match field.as_str() {
                "items" => top.items = ranked(fields.next()?)?,
                "counters" => top.counters = sequence(fields.next()?)?.unwrap_or(0),
                "from" => top.from_ms = sequence(fields.next()?)?.unwrap_or(0),
                "to" => top.to_ms = sequence(fields.next()?)?.unwrap_or(0),
                _ => drop(fields.next()?),
            }
        }
        Ok(top)
    }

    /// Reads what the node knows of the stream `name`.
    ///
    /// # Errors
    /// The node refused, or the connection broke.
    pub fn stream(&mut self, name: &str) -> Result<StreamState, ClientError> {
        let reply = self.call(&[b"QUIPU.STREAM", name.as_bytes()])?;
        let mut state = StreamState::default();
        if reply == Value::Null {
            return Ok(state);
        }
        let mut fields = Elements::of(reply)?;
        while let Ok(field) = fields.text() {
            match field.as_str() {
                "checkpoint" => state.checkpoint = sequence(fields.next()?)?,
                "marks" => state.highest_mark = highest(fields.next()?)?,
                _ => drop(fields.next()?),
            }
        }
        Ok(state)
    }

    /// Stores that every sequence of the stream `name` up to `sequence` was answered.
    ///
    /// # Errors
    /// The node refused, or the connection broke.
    pub fn checkpoint(&mut self, name: &str, sequence: u64) -> Result<(), ClientError> {
        let sequence = sequence.to_string();
        self.call(&[b"QUIPU.CHECKPOINT", name.as_bytes(), sequence.as_bytes()])?;
        Ok(())
    }

    /// Returns the connection, to carry many requests at once; an operation of the client needs it
    /// with nothing in flight.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Gives the connection away, to carry many requests at once.
    pub fn into_connection(self) -> Connection {
        self.connection
    }

    fn call(&mut self, parts: &[&[u8]]) -> Result<Value, ClientError> {
        match self.connection.call(parts)? {
            Value::Error(line) => Err(Refusal::parse(&line).into()),
            value => Ok(value),
        }
    }
}

fn add_parts(add: &Add) -> Vec<String> {
    let mut parts = vec!["QUIPU.ADD".to_owned(), add.name.clone(), add.delta.to_string()];
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            parts.extend([name.to_owned(), value]);
        }
    };
    option("TOKEN", add.token.clone());
    option("MIN", add.min.map(|min| min.to_string()));
    option("MAX", add.max.map(|max| max.to_string()));
    option("PX", add.ttl_ms.map(|ttl| ttl.to_string()));
    option("ACK", add.ack.map(ToOwned::to_owned));
    if add.saturate {
        parts.push("SATURATE".to_owned());
    }
    parts
}

/// The elements of an array reply, taken in order.
struct Elements(std::vec::IntoIter<Value>);

impl Elements {
    fn of(value: Value) -> Result<Elements, ConnectionError> {
        match value {
            Value::Array(elements) => Ok(Elements(elements.into_iter())),
            _ => Err(ConnectionError::Unexpected),
        }
    }

    fn next(&mut self) -> Result<Value, ConnectionError> {
        self.0.next().ok_or(ConnectionError::Unexpected)
    }

    fn integer(&mut self) -> Result<i64, ConnectionError> {
        self.maybe_integer()?.ok_or(ConnectionError::Unexpected)
    }

    fn maybe_integer(&mut self) -> Result<Option<i64>, ConnectionError> {
        maybe_integer(self.next()?)
    }

    fn text(&mut self) -> Result<String, ConnectionError> {
        text(self.next()?)
    }
}

/// Reads a number, which Redis commands send as text.
fn maybe_integer(value: Value) -> Result<Option<i64>, ConnectionError> {
    match value {
        Value::Null => Ok(None),
        Value::Integer(number) => Ok(Some(number)),
        value => text(value)?.parse().map(Some).map_err(|_| ConnectionError::Unexpected),
    }
}

fn text(value: Value) -> Result<String, ConnectionError> {
    match value {
        Value::Bulk(bytes) | Value::Simple(bytes) => {
            String::from_utf8(bytes).map_err(|_| ConnectionError::Unexpected)
        }
        _ => Err(ConnectionError::Unexpected),
    }
}

fn sequence(value: Value) -> Result<Option<u64>, ConnectionError> {
    match value {
        Value::Null => Ok(None),
        // A sequence beyond the signed range travels as text.
        Value::Integer(number) => {
            u64::try_from(number).map(Some).map_err(|_| ConnectionError::Unexpected)
        }
        value => text(value)?.parse().map(Some).map_err(|_| ConnectionError::Unexpected),
    }
}

/// Returns the pairs of `[[name, value], ...]`.
fn ranked(items: Value) -> Result<Vec<(String, i64)>, ConnectionError> {
    let pair = |item| {
        let mut pair = Elements::of(item)?;
        Ok((pair.text()?, pair.integer()?))
    };
    Elements::of(items)?.0.map(pair).collect()
}

/// Returns the highest mark of `[[shard, mark], ...]`.
fn highest(marks: Value) -> Result<Option<u64>, ConnectionError> {
    let mut highest = None;
    for mark in Elements::of(marks)?.0 {
        let mut pair = Elements::of(mark)?;
        pair.next()?;
        highest = highest.max(sequence(pair.next()?)?);
    }
    Ok(highest)
}

#[cfg(test)]
mod tests {
    use quipu_wire::resp::value::Value;

    use super::{Add, add_parts, highest};

    #[test]
    fn only_the_options_that_were_given_are_sent() {
        let plain = Add { name: "a".to_owned(), delta: -2, ..Add::default() };
        assert_eq!(add_parts(&plain).join(" "), "QUIPU.ADD a -2");
        let full = Add {
            token: Some("t".to_owned()),
            min: Some(-5),
            max: Some(9),
            saturate: true,
            ttl_ms: Some(1500),
            ack: Some("memory"),
            ..plain
        };
        assert_eq!(
            add_parts(&full).join(" "),
            "QUIPU.ADD a -2 TOKEN t MIN -5 MAX 9 PX 1500 ACK memory SATURATE"
        );
    }

    #[test]
    fn the_highest_mark_of_all_shards_is_what_was_counted_at_most() {
        let pair = |shard, mark| Value::Array(vec![Value::Integer(shard), Value::Integer(mark)]);
        let marks = Value::Array(vec![pair(1, 5), pair(2, 9), pair(3, 7)]);
        assert_eq!(highest(marks).expect("marks"), Some(9));
        assert_eq!(highest(Value::Array(vec![])).expect("marks"), None);
    }
}
