//! A value of a knob: read from text and checked against the knob's bounds.

use core::net::SocketAddr;
use std::fmt;
use std::path::PathBuf;

use stdx::units::{Bytes, Nanos, Ratio, UnitError};

use crate::knob::{Domain, Knob, Range};

/// A value that is known to be in the domain of its knob.
#[derive(Debug, Clone, PartialEq)]
pub enum KnobValue {
    /// Of [`Domain::Bytes`].
    Bytes(Bytes),
    /// Of [`Domain::Duration`].
    Duration(Nanos),
    /// Of [`Domain::Count`].
    Count(u64),
    /// Of [`Domain::Ratio`].
    Ratio(Ratio),
    /// Of [`Domain::Choice`].
    Choice(&'static str),
    /// Of [`Domain::Switch`].
    Switch(bool),
    /// Of [`Domain::Loopback`].
    Address(SocketAddr),
    /// Of [`Domain::Path`].
    Path(PathBuf),
}

/// Why a text is no value of a knob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The text is no amount of the right unit.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// The text is no whole number.
    #[error("`{0}` is not a whole number")]
    Count(String),
    /// The text is none of the words.
    #[error("`{0}` is none of the choices")]
    Choice(String),
    /// The text is not an address with a port.
    #[error("`{0}` is not an IP address with a port")]
    Address(String),
    /// The address can be reached from other machines.
    #[error("{0} is not an address of this machine alone, and there is no authentication yet")]
    NotLoopback(SocketAddr),
    /// The text is empty.
    #[error("the value is empty")]
    Empty,
    /// The amount is outside of the bounds.
    #[error("{0} is out of range")]
    OutOfRange(String),
}

impl Knob {
    /// Reads a value of this knob.
    ///
    /// # Errors
    /// If the text has the wrong form or the value is out of bounds.
    pub fn parse(&self, text: &str) -> Result<KnobValue, ValueError> {
        let text = text.trim();
        match self.domain {
            Domain::Bytes(range) => {
                let bytes: Bytes = text.parse()?;
                in_range(range, bytes.0, text).map(|()| KnobValue::Bytes(bytes))
            }
            Domain::Duration(range) => {
                let span: Nanos = text.parse()?;
                in_range(range, span.0, text).map(|()| KnobValue::Duration(span))
            }
            Domain::Count(range) => {
                let count = text.parse().map_err(|_| ValueError::Count(text.to_owned()))?;
                in_range(range, count, text).map(|()| KnobValue::Count(count))
            }
            Domain::Ratio => Ok(KnobValue::Ratio(text.parse()?)),
            Domain::Choice(words) => word(text, words).map(KnobValue::Choice),
            Domain::Switch => {
                word(text, &["false", "true"]).map(|word| KnobValue::Switch(word == "true"))
            }
            Domain::Loopback => loopback(text).map(KnobValue::Address),
            Domain::Path if text.is_empty() => Err(ValueError::Empty),
            Domain::Path => Ok(KnobValue::Path(PathBuf::from(text))),
        }
    }
}

impl fmt::Display for KnobValue {
    /// Writes the value so that the knob reads it back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Duration(span) => span.fmt(f),
            Self::Count(count) => count.fmt(f),
            Self::Ratio(ratio) => ratio.fmt(f),
            Self::Choice(word) => word.fmt(f),
            Self::Switch(on) => on.fmt(f),
            Self::Address(address) => address.fmt(f),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

fn in_range(range: Range, number: u64, text: &str) -> Result<(), ValueError> {
    if range.holds(number) { Ok(()) } else { Err(ValueError::OutOfRange(text.to_owned())) }
}

fn word(text: &str, words: &[&'static str]) -> Result<&'static str, ValueError> {
    let known = words.iter().find(|word| **word == text);
    known.copied().ok_or_else(|| ValueError::Choice(text.to_owned()))
}

/// Reads an address; `localhost` is the IPv4 one, so that no resolver is asked.
fn loopback(text: &str) -> Result<SocketAddr, ValueError> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    let address: SocketAddr = numeric.parse().map_err(|_| ValueError::Address(text.to_owned()))?;
    if address.ip().is_loopback() { Ok(address) } else { Err(ValueError::NotLoopback(address)) }
}

#[cfg(test)]
mod tests {
    use crate::knob::Key;

    /// Reads `text` as a value of the key and compares what is printed, value or error.
    fn check(key: Key, text: &str, expected: &str) {
        let shown = match key.knob().parse(text) {
            Ok(value) => value.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{key} = {text}");
    }

    #[test]
    fn values_are_read_with_their_units() {
        check(Key::LogSegmentBytes, "1024KiB", "1MiB");
        check(Key::Linger, " 2ms ", "2ms");
        check(Key::Shards, "128", "128");
        check(Key::CommitStrategy, "committer", "committer");
        check(Key::LogAllowNetworkFs, "true", "true");
        check(Key::RespAddr, "localhost:0", "127.0.0.1:0");
        check(Key::HttpAddr, "[::1]:80", "[::1]:80");
        check(Key::DataDir, "/var/lib/quipu", "/var/lib/quipu");
    }

    #[test]
    fn zero_is_a_word_where_the_table_says_so() {
        check(Key::MemoryMax, "0", "0");
        check(Key::RespIdleTimeout, "0", "0");
        check(Key::HttpIdleTimeout, "0", "0 is out of range");
        check(Key::MemoryMax, "1B", "1B is out of range");
    }

    #[test]
    fn values_out_of_bounds_are_refused() {
        check(Key::Shards, "100", "100 is out of range");
        check(Key::Shards, "2048", "2048 is out of range");
        check(Key::LogSegmentBytes, "3MiB", "3MiB is out of range");
        check(Key::Linger, "1h", "1h is out of range");
    }

    #[test]
    fn wrong_forms_are_refused() {
        check(Key::Shards, "many", "`many` is not a whole number");
        check(Key::AckDefault, "quorum", "`quorum` is none of the choices");
        check(Key::LogAllowNetworkFs, "yes", "`yes` is none of the choices");
        check(Key::RespAddr, "7411", "`7411` is not an IP address with a port");
        check(Key::DataDir, "", "the value is empty");
        check(
            Key::Linger,
            "5",
            "`5` is not a span of time: write a whole number with ns, us, ms, s, m, h or d, such \
             as 10ms or 1h, or plain 0",
        );
    }

    #[test]
    fn no_listener_is_opened_to_other_machines() {
        let expected = "0.0.0.0:7411 is not an address of this machine alone, and there is no \
                        authentication yet";
        check(Key::RespAddr, "0.0.0.0:7411", expected);
    }
}
