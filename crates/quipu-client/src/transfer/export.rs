//! Every counter of a node, each name once.

use std::time::Duration;

use quipu_wire::resp::value::{Value, put_command};

use crate::client::ClientError;
use crate::connection::{Connection, ConnectionError};
use crate::refusal::Refusal;
use crate::transfer::seen::Seen;

/// Names that one page asks for. Guess: replies of some tens of kilobytes.
const PAGE: &[u8] = b"1000";

/// A counter as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub value: i64,
    /// The Unix time at which it expires, in milliseconds, if it does.
    pub expires_at_ms: Option<u64>,
}

/// Returns how many counters the node at `address` has; `timeout` bounds every wait.
///
/// # Errors
/// The node refused, or the connection broke.
pub fn count(address: &str, timeout: Duration) -> Result<u64, ClientError> {
    match Connection::connect(address, timeout)?.call(&[b"DBSIZE"])? {
        Value::Integer(count) => Ok(u64::try_from(count).unwrap_or(0)),
        Value::Error(line) => Err(Refusal::parse(&line).into()),
        _ => Err(ConnectionError::Unexpected.into()),
    }
}

/// Hands every counter of the node at `address` whose name matches `pattern` to `each`, once.
///
/// A counter that exists throughout comes exactly once, with a value and an expiry that it had at
/// some moment of the walk; it is no cut over several counters. It takes about 40 bytes of memory
/// per counter. `seed` should be random.
///
/// # Errors
/// The node refused, the connection broke, or `each` failed.
pub fn export<E: From<ClientError>>(
    (address, timeout): (&str, Duration),
    pattern: &str,
    seed: u64,
    mut each: impl FnMut(Found<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut connection = Connection::connect(address, timeout).map_err(ClientError::from)?;
    let mut seen = Seen::new(seed);
    let mut cursor = b"0".to_vec();
    loop {
        let (next, mut names) = page(&mut connection, &cursor, pattern)?;
        names.retain(|name| seen.is_new(name.as_bytes()));
        for (name, state) in names.iter().zip(states(&mut connection, &names)?) {
            // A counter that went away since its name was found is not there any more.
            let Some((value, expires_at_ms)) = state else { continue };
            each(Found { name, value, expires_at_ms })?;
        }
        if next == b"0" {
            return Ok(());
        }
        cursor = next;
    }
}

/// One page of names, and where the next one begins.
fn page(
    connection: &mut Connection,
    cursor: &[u8],
    pattern: &str,
) -> Result<(Vec<u8>, Vec<String>), ClientError> {
    let parts = [b"SCAN", cursor, b"MATCH", pattern.as_bytes(), b"COUNT", PAGE];
    let (next, names) = scanned(connection.call(&parts)?)?;
    let text = |name| String::from_utf8(name).map_err(|_| ConnectionError::Unexpected);
    Ok((next, names.into_iter().map(text).collect::<Result<_, _>>()?))
}

/// Reads the answer to SCAN: the next cursor, and names.
pub(crate) fn scanned(reply: Value) -> Result<(Vec<u8>, Vec<Vec<u8>>), ClientError> {
    let unexpected = || ClientError::from(ConnectionError::Unexpected);
    let elements = match reply {
        Value::Array(elements) => elements,
        Value::Error(line) => return Err(Refusal::parse(&line).into()),
        _ => return Err(unexpected()),
    };
    let [Value::Bulk(cursor), Value::Array(names)] =
        <[Value; 2]>::try_from(elements).map_err(|_| unexpected())?
    else {
        return Err(unexpected());
    };
    let bytes = |name| match name {
        Value::Bulk(bytes) => Ok(bytes),
        _ => Err(unexpected()),
    };
    Ok((cursor, names.into_iter().map(bytes).collect::<Result<_, _>>()?))
}

type State = Option<(i64, Option<u64>)>;

/// What the counters of `names` are, asked with one write.
fn states(connection: &mut Connection, names: &[String]) -> Result<Vec<State>, ClientError> {
    for name in names {
        put_command(connection.out(), &[b"GET", name.as_bytes()]);
        put_command(connection.out(), &[b"PEXPIRETIME", name.as_bytes()]);
    }
    let mut replies = connection.replies(2 * names.len())?.into_iter();
    let mut next = || replies.next().ok_or(ConnectionError::Unexpected);
    names.iter().map(|_| state(next()?, next()?)).collect()
}

fn state(value: Value, expiry: Value) -> Result<State, ClientError> {
    let value = match value {
        Value::Null => return Ok(None),
        Value::Error(line) => return Err(Refusal::parse(&line).into()),
        Value::Bulk(digits) => str::from_utf8(&digits).ok().and_then(|text| text.parse().ok()),
        _ => None,
    };
    match (value, expiry) {
        (Some(value), Value::Integer(-1)) => Ok(Some((value, None))),
        // It went away between the two questions.
        (Some(_), Value::Integer(-2)) => Ok(None),
        (Some(value), Value::Integer(at)) => Ok(Some((value, u64::try_from(at).ok()))),
        (_, Value::Error(line)) => Err(Refusal::parse(&line).into()),
        _ => Err(ConnectionError::Unexpected.into()),
    }
}
