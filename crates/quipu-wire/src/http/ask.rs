//! What the headers of a request ask for: a token, a durability, a read level.

use quipu_core::limits::{STREAM_BYTES_MAX, TOKEN_BYTES_MAX};
use quipu_core::op::{Ack, ReadLevel, Token};

use crate::http::query::number;

/// The headers that mean something to a counter, in lower case.
pub const HEADERS: &[&str] = &["idempotency-key", "quipu-stream", "quipu-ack", "quipu-read"];

/// What the headers of one request ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asks<'a> {
    /// What makes a repeat recognisable; of item 0.
    pub token: Token<'a>,
    /// When an answer to a write may leave, where it is said.
    pub ack: Option<Ack>,
    /// What a read shows, where it is said.
    pub read: Option<ReadLevel>,
}

/// Headers that ask for what there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// A header that stands twice.
    #[error("the header {name} stands twice")]
    Twice {
        /// Its name.
        name: &'static str,
    },
    /// Both forms of a token.
    #[error("an operation has one token: send Idempotency-Key or Quipu-Stream, not both")]
    TwoTokens,
    /// Empty or too long.
    #[error("an Idempotency-Key has 1 to {TOKEN_BYTES_MAX} bytes, this one has {bytes}")]
    Key {
        /// Its length.
        bytes: usize,
    },
    /// Not of the form of a stream token.
    #[error("Quipu-Stream has the form name;seq=n with n from 1")]
    Stream,
    /// The name of a stream is empty or too long.
    #[error("a stream name has 1 to {STREAM_BYTES_MAX} bytes, this one has {bytes}")]
    StreamName {
        /// Its length.
        bytes: usize,
    },
    /// Not a durability.
    #[error("Quipu-Ack is memory or fsync")]
    Ack,
    /// The durability of clusters.
    #[error("Quipu-Ack: quorum needs a cluster on a Kafka log, this is a single node; use fsync")]
    Quorum,
    /// Not a read level.
    #[error("Quipu-Read is committed or latest")]
    Read,
    /// The read level of clusters.
    #[error("Quipu-Read: cached needs a cluster, this is a single node; use latest")]
    Cached,
}

/// Reads the headers of a request; names may have any case, others are passed over.
///
/// # Errors
/// Says which header is wrong.
pub fn parse<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<Asks<'a>, AskError> {
    let (mut key, mut stream, mut ack, mut read) = (None, None, None, None);
    for (name, value) in headers {
        let Some(known) = HEADERS.iter().find(|known| known.eq_ignore_ascii_case(name)) else {
            continue;
        };
        let value = value.trim_ascii();
        let had = match *known {
            "idempotency-key" => key.replace(value),
            "quipu-stream" => stream.replace(value),
            "quipu-ack" => ack.replace(value),
            _ => read.replace(value),
        };
        if had.is_some() {
            return Err(AskError::Twice { name: known });
        }
    }
    let token = match (key, stream) {
        (None, None) => Token::None,
        (Some(key), None) => parse_key(key)?,
        (None, Some(stream)) => parse_stream(stream)?,
        (Some(_), Some(_)) => return Err(AskError::TwoTokens),
    };
    Ok(Asks {
        token,
        ack: ack.map(parse_ack).transpose()?,
        read: read.map(parse_read).transpose()?,
    })
}

/// One pair of quotes is stripped: the draft of the header has them, many clients have not.
fn parse_key(value: &[u8]) -> Result<Token<'_>, AskError> {
    let bare = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\""));
    let key = bare.unwrap_or(value);
    if key.is_empty() || key.len() > TOKEN_BYTES_MAX {
        return Err(AskError::Key { bytes: key.len() });
    }
    Ok(Token::Key { key, item: 0 })
}

/// The last semicolon parts name and sequence, so a name may hold others.
fn parse_stream(value: &[u8]) -> Result<Token<'_>, AskError> {
    let at = memchr::memrchr(b';', value).ok_or(AskError::Stream)?;
    let (name, rest) = value.split_at_checked(at).ok_or(AskError::Stream)?;
    let (name, rest) = (name.trim_ascii(), rest.trim_ascii());
    let digits = rest.strip_prefix(b";").and_then(|r| r.trim_ascii().strip_prefix(b"seq="));
    let sequence = digits.and_then(number).filter(|n| *n > 0).ok_or(AskError::Stream)?;
    if name.is_empty() || name.len() > STREAM_BYTES_MAX {
        return Err(AskError::StreamName { bytes: name.len() });
    }
    Ok(Token::Stream { name, sequence })
}

fn parse_ack(value: &[u8]) -> Result<Ack, AskError> {
    match value {
        b"memory" => Ok(Ack::Memory),
        b"fsync" => Ok(Ack::Fsync),
        b"quorum" => Err(AskError::Quorum),
        _ => Err(AskError::Ack),
    }
}

fn parse_read(value: &[u8]) -> Result<ReadLevel, AskError> {
    match value {
        b"committed" => Ok(ReadLevel::Committed),
        b"latest" => Ok(ReadLevel::Latest),
        _ if value.starts_with(b"cached") => Err(AskError::Cached),
        _ => Err(AskError::Read),
    }
}

/// The word of a durability in replies.
pub fn ack_word(ack: Ack) -> &'static str {
    match ack {
        Ack::Memory => "memory",
        Ack::Fsync => "fsync",
    }
}

/// The read level that a default durability brings along.
pub fn default_read(ack: Ack) -> ReadLevel {
    match ack {
        Ack::Memory => ReadLevel::Latest,
        Ack::Fsync => ReadLevel::Committed,
    }
}

#[cfg(test)]
mod tests {
    use quipu_core::op::{Ack, ReadLevel, Token};

    use super::{AskError, Asks, parse};

    const NONE: Asks<'static> = Asks { token: Token::None, ack: None, read: None };

    fn check(headers: &[(&str, &[u8])], expected: &Result<Asks<'_>, AskError>) {
        assert_eq!(&parse(headers.iter().copied()), expected, "{headers:?}");
    }

    fn check_key(value: &[u8], expected: Result<&[u8], AskError>) {
        let expected = expected.map(|key| Asks { token: Token::Key { key, item: 0 }, ..NONE });
        check(&[("Idempotency-Key", value)], &expected);
    }

    fn check_stream(value: &[u8], expected: Result<(&[u8], u64), AskError>) {
        let token = |(name, sequence)| Token::Stream { name, sequence };
        check(&[("quipu-stream", value)], &expected.map(|s| Asks { token: token(s), ..NONE }));
    }

    #[test]
    fn one_pair_of_quotes_is_stripped_from_a_key() {
        check_key(b"order-17", Ok(b"order-17"));
        check_key(b"\"order-17\"", Ok(b"order-17"));
        check_key(b"\"\"order-17\"\"", Ok(b"\"order-17\""));
        check_key(b"\"order-17", Ok(b"\"order-17"));
        check_key(&[b'x'; 64], Ok(&[b'x'; 64]));
        check_key(&[b'x'; 65], Err(AskError::Key { bytes: 65 }));
        check_key(b"\"\"", Err(AskError::Key { bytes: 0 }));
        check_key(b"", Err(AskError::Key { bytes: 0 }));
        check_key(b"\"", Ok(b"\""));
    }

    #[test]
    fn a_stream_is_a_name_and_a_sequence() {
        check_stream(b"log-1;seq=7", Ok((b"log-1", 7)));
        check_stream(b"log-1; seq=7", Ok((b"log-1", 7)));
        check_stream(b"a;b;seq=18446744073709551615", Ok((b"a;b", u64::MAX)));
        check_stream(b";seq=1", Err(AskError::StreamName { bytes: 0 }));
        let long = [&[b'x'; 65], &b";seq=1"[..]].concat();
        check_stream(&long, Err(AskError::StreamName { bytes: 65 }));
        for bad in ["log", "log;7", "log;seq=", "log;seq=0", "log;seq=-1", "log;seq=1x", ""] {
            check_stream(bad.as_bytes(), Err(AskError::Stream));
        }
        check_stream(b"log;seq=18446744073709551616", Err(AskError::Stream));
    }

    #[test]
    fn a_request_has_one_token() {
        let both: &[(&str, &[u8])] = &[("idempotency-key", b"k"), ("quipu-stream", b"s;seq=1")];
        check(both, &Err(AskError::TwoTokens));
        let twice: &[(&str, &[u8])] = &[("idempotency-key", b"k"), ("IDEMPOTENCY-KEY", b"k")];
        check(twice, &Err(AskError::Twice { name: "idempotency-key" }));
    }

    #[test]
    fn levels_of_clusters_are_refused_with_their_reason() {
        check(&[], &Ok(NONE));
        check(&[("accept", b"*/*")], &Ok(NONE));
        check(&[("Quipu-Ack", b"memory")], &Ok(Asks { ack: Some(Ack::Memory), ..NONE }));
        check(&[("Quipu-Ack", b" fsync ")], &Ok(Asks { ack: Some(Ack::Fsync), ..NONE }));
        check(&[("Quipu-Ack", b"quorum")], &Err(AskError::Quorum));
        check(&[("Quipu-Ack", b"all")], &Err(AskError::Ack));
        let committed = Asks { read: Some(ReadLevel::Committed), ..NONE };
        check(&[("Quipu-Read", b"committed")], &Ok(committed));
        check(&[("Quipu-Read", b"latest")], &Ok(Asks { read: Some(ReadLevel::Latest), ..NONE }));
        check(&[("Quipu-Read", b"cached; max-age=5")], &Err(AskError::Cached));
        check(&[("Quipu-Read", b"fresh")], &Err(AskError::Read));
    }
}
