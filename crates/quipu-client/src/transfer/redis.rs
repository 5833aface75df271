//! Entries from a live Redis: its keys that hold integers.
//!
//! It walks with SCAN and reads each page with two writes. A key that exists throughout comes once,
//! with a value that it had at some moment of the walk; what Redis counts after that is not in it.

use std::collections::VecDeque;
use std::time::Duration;

use quipu_wire::resp::value::{Value, put_command};

use crate::client::ClientError;
use crate::connection::{Connection, ConnectionError};
use crate::refusal::Refusal;
use crate::transfer::address::Address;
use crate::transfer::entry::{Entry, Expiry, Kind, Unfit};
use crate::transfer::export::scanned;
use crate::transfer::import::{Entries, Item, SourceError};
use crate::transfer::seen::Seen;

/// Keys that one page asks for. Guess: a Redis is held up for well under a millisecond.
const PAGE: &[u8] = b"1000";

/// Bytes of a key or a value that an example shows.
const SHOWN_BYTES: usize = 60;

/// The keys of a Redis, page by page.
#[derive(Debug)]
pub struct Redis {
    connection: Connection,
    pattern: Vec<u8>,
    /// Where the next page begins; none after the last.
    cursor: Option<Vec<u8>>,
    page: VecDeque<Result<Entry, Unfit>>,
    seen: Seen,
    number: u64,
}

impl Redis {
    /// Connects to a Redis and enters it; `timeout` bounds every wait, and `seed` should be random.
    ///
    /// # Errors
    /// It is not there, or does not let this client in.
    pub fn connect(
        address: &Address,
        pattern: &str,
        timeout: Duration,
        seed: u64,
    ) -> Result<Self, ClientError> {
        let mut connection = Connection::connect(&address.host, timeout)?;
        if let Some(password) = &address.password {
            let mut parts: Vec<&[u8]> = vec![b"AUTH"];
            parts.extend(address.user.as_ref().map(String::as_bytes));
            parts.push(password.as_bytes());
            accepted(connection.call(&parts)?)?;
        }
        if address.database != 0 {
            accepted(connection.call(&[b"SELECT", address.database.to_string().as_bytes()])?)?;
        }
        Ok(Self {
            connection,
            pattern: pattern.as_bytes().to_vec(),
            cursor: Some(b"0".to_vec()),
            page: VecDeque::new(),
            seen: Seen::new(seed),
            number: 0,
        })
    }

    /// Returns how many keys it has, of any kind.
    ///
    /// # Errors
    /// It does not say, or the connection broke.
    pub fn count(&mut self) -> Result<u64, ClientError> {
        match accepted(self.connection.call(&[b"DBSIZE"])?)? {
            Value::Integer(count) => Ok(u64::try_from(count).unwrap_or(0)),
            _ => Err(ConnectionError::Unexpected.into()),
        }
    }

    fn read_page(&mut self, cursor: &[u8]) -> Result<(), ClientError> {
        let parts: [&[u8]; 6] = [b"SCAN", cursor, b"MATCH", &self.pattern, b"COUNT", PAGE];
        let (next, mut keys) = scanned(self.connection.call(&parts)?)?;
        self.cursor = (next != b"0").then_some(next);
        keys.retain(|key| self.seen.is_new(key));
        for key in &keys {
            for command in [b"TYPE".as_slice(), b"PTTL"] {
                put_command(self.connection.out(), &[command, key]);
            }
        }
        let facts = self.connection.replies(2 * keys.len())?;
        let facts = facts.chunks_exact(2).map(<[Value]>::to_vec);
        let (kept, other): (Vec<_>, Vec<_>) = keys
            .into_iter()
            .zip(facts)
            .partition(|(_, facts)| facts.first() == Some(&Value::Simple(b"string".to_vec())));
        self.page.extend(other.into_iter().filter_map(|(key, facts)| other_type(&key, &facts)));
        for (key, _) in &kept {
            put_command(self.connection.out(), &[b"GET", key]);
        }
        let values = self.connection.replies(kept.len())?;
        for ((key, facts), value) in kept.into_iter().zip(values) {
            let expiry = facts.into_iter().nth(1).unwrap_or(Value::Null);
            self.page.extend(entry(key, value, accepted(expiry)?)?);
        }
        Ok(())
    }
}

fn accepted(reply: Value) -> Result<Value, ClientError> {
    match reply {
        Value::Error(line) => Err(Refusal::parse(&line).into()),
        value => Ok(value),
    }
}

/// What is said of a key that is no string; nothing of one that went away.
fn other_type(key: &[u8], facts: &[Value]) -> Option<Result<Entry, Unfit>> {
    let kind = match facts.first() {
        Some(Value::Simple(kind)) => String::from_utf8_lossy(kind).into_owned(),
        _ => "of no known type".to_owned(),
    };
    let why = format!("{} is a {kind}", shown(key));
    (kind != "none").then_some(Err(Unfit { kind: Kind::OtherType, why }))
}

type Line = Option<Result<Entry, Unfit>>;

/// The entry of a string; none of one that went away.
fn entry(key: Vec<u8>, value: Value, ttl: Value) -> Result<Line, ClientError> {
    let (value, ttl) = match (value, ttl) {
        (Value::Null, _) | (_, Value::Integer(-2)) => return Ok(None),
        (Value::Bulk(value), Value::Integer(ttl)) => (value, ttl),
        (Value::Error(line), _) if line.starts_with(b"WRONGTYPE") => {
            let why = format!("{} became another type", shown(&key));
            return Ok(Some(Err(Unfit { kind: Kind::OtherType, why })));
        }
        (Value::Error(line), _) => return Err(Refusal::parse(&line).into()),
        _ => return Err(ConnectionError::Unexpected.into()),
    };
    let Some(number) = integer(&value) else {
        let why = format!("{} is {}", shown(&key), shown(&value));
        return Ok(Some(Err(Unfit { kind: Kind::NotInteger, why })));
    };
    let name = shown(&key);
    let expiry = u64::try_from(ttl).ok().map(|ms| Expiry::After(ms.max(1)));
    let named = |unfit: Unfit| Unfit { why: format!("{name}: {}", unfit.why), ..unfit };
    Ok(Some(Entry::new(key, number, expiry).map_err(named)))
}

/// A number as Redis writes integers: no blanks, no plus sign, no leading zeros.
fn integer(value: &[u8]) -> Option<i64> {
    let text = str::from_utf8(value).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn shown(bytes: &[u8]) -> String {
    let head = bytes.get(..SHOWN_BYTES).unwrap_or(bytes);
    let rest = if head.len() < bytes.len() { "..." } else { "" };
    format!("\"{}{rest}\"", String::from_utf8_lossy(head).escape_debug())
}

impl Entries for Redis {
    fn next(&mut self) -> Result<Option<Item>, SourceError> {
        loop {
            if let Some(entry) = self.page.pop_front() {
                self.number += 1;
                return Ok(Some(Item { number: self.number, entry }));
            }
            let Some(cursor) = self.cursor.take() else { return Ok(None) };
            self.read_page(&cursor).map_err(SourceError::Redis)?;
        }
    }

    fn bytes(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::integer;

    #[test]
    fn only_what_redis_would_increment_is_an_integer() {
        let check = |text: &str, expected| assert_eq!(integer(text.as_bytes()), expected, "{text}");
        check("0", Some(0));
        check("-9223372036854775808", Some(i64::MIN));
        for text in ["", "+1", "01", " 1", "1.0", "9223372036854775808", "-0", "hello"] {
            check(text, None);
        }
    }
}
