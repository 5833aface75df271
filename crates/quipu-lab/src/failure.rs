//! How a request failed. Each class has a histogram of its own, so that no failure, however quick,
//! improves a latency.

use std::fmt;

/// The longest first word of an error reply that is kept; longer ones are cut. Redis's own words
/// have at most 14 characters (`NOREPLICAS`, `CLUSTERDOWN`, `MASTERDOWN`).
const WORD_BYTES_MAX: usize = 15;

/// How a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// Nobody listens at the address.
    ConnectRefused,
    /// The connection was not made in time.
    ConnectTimeout,
    /// The connection could not be made for another reason.
    ConnectFailed,
    /// The connection was made and its TLS session was not, or it broke.
    Tls,
    /// The target showed a certificate that is not to be trusted.
    TlsCertificate,
    /// The target does not speak the protocol that it was offered by ALPN.
    TlsProtocol,
    /// The connection was made and its TLS session was not made in time.
    TlsTimeout,
    /// The request could not be written.
    Write,
    /// No answer came in time, or until the end of the run.
    Timeout,
    /// The connection ended before the answer.
    Closed,
    /// What came is no answer of this protocol.
    Protocol,
    /// HTTP/2: the target did not begin with the request (`REFUSED_STREAM`).
    RefusedStream,
    /// HTTP/2: the target gave the request up (`RST_STREAM` for another reason).
    ResetStream,
    /// HTTP/2: the target leaves and did not begin with the request (`GOAWAY`).
    GoAway,
    /// HTTP status 429: the target asks for less.
    Status429,
    /// Another HTTP status from 400 to 499.
    Status4xx,
    /// An HTTP status from 500 to 599.
    Status5xx,
    /// A well-formed answer that is not the expected one.
    Validation,
    /// A RESP error, by its first word.
    Resp(Word),
}

impl Failure {
    /// Those with a fixed name.
    const NAMED: [(Self, &'static str); 18] = [
        (Self::ConnectRefused, "connect-refused"),
        (Self::ConnectTimeout, "connect-timeout"),
        (Self::ConnectFailed, "connect-failed"),
        (Self::Tls, "tls"),
        (Self::TlsCertificate, "tls-certificate"),
        (Self::TlsProtocol, "tls-protocol"),
        (Self::TlsTimeout, "tls-timeout"),
        (Self::Write, "write"),
        (Self::Timeout, "timeout"),
        (Self::Closed, "closed"),
        (Self::Protocol, "protocol"),
        (Self::RefusedStream, "refused-stream"),
        (Self::ResetStream, "reset-stream"),
        (Self::GoAway, "goaway"),
        (Self::Status429, "429"),
        (Self::Status4xx, "4xx"),
        (Self::Status5xx, "5xx"),
        (Self::Validation, "validation"),
    ];

    /// Returns the class of an HTTP status, or nothing if it is none of a failure.
    pub fn of_status(status: u16) -> Option<Self> {
        match status {
            429 => Some(Self::Status429),
            400..=499 => Some(Self::Status4xx),
            500..=599 => Some(Self::Status5xx),
            _ => None,
        }
    }

    /// Whether the target said no: it was reached, and the request may or may not have counted.
    pub fn is_answer(self) -> bool {
        matches!(
            self,
            Self::RefusedStream
                | Self::ResetStream
                | Self::Status429
                | Self::Status4xx
                | Self::Status5xx
                | Self::Validation
                | Self::Resp(_)
        )
    }

    /// Returns whether the connection itself went wrong: a client socket error.
    pub fn is_socket(self) -> bool {
        !self.is_answer() && self != Self::Timeout
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Resp(word) = self {
            return write!(f, "resp:{word}");
        }
        let name = Self::NAMED.iter().find(|(failure, _)| failure == self);
        f.write_str(name.map_or("resp", |(_, name)| name))
    }
}

/// The first word of an error reply, such as `BUSY`. A value without allocation: failures can be as
/// frequent as requests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Word {
    bytes: [u8; WORD_BYTES_MAX],
    len: u8,
}

impl Word {
    /// Reads the first word of `line`, which follows the `-` of an error reply.
    pub fn first_of(line: &[u8]) -> Self {
        let is_of_word = |byte: &&u8| byte.is_ascii_graphic();
        let mut word = Self::default();
        for (place, byte) in word.bytes.iter_mut().zip(line.iter().take_while(is_of_word)) {
            *place = *byte;
            word.len += 1;
        }
        word
    }

    /// Returns the word.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, Word};

    #[test]
    fn an_error_reply_is_named_by_its_first_word() {
        let check = |line: &str, expected: &str| {
            let failure = Failure::Resp(Word::first_of(line.as_bytes()));
            assert_eq!(failure.to_string(), expected, "{line:?}");
        };
        check("BUSY try again", "resp:BUSY");
        check("ERR", "resp:ERR");
        check("", "resp:");
        check("AVERYLONGWORDTHATISCUT x", "resp:AVERYLONGWORDTH");
        check("W\u{e9}IRD x", "resp:W");
    }

    #[test]
    fn statuses_fall_into_their_classes() {
        let check = |status, expected: Option<&str>| {
            let name = Failure::of_status(status).map(|failure| failure.to_string());
            assert_eq!(name.as_deref(), expected, "{status}");
        };
        check(200, None);
        check(302, None);
        check(404, Some("4xx"));
        check(429, Some("429"));
        check(503, Some("5xx"));
    }

    #[test]
    fn a_refusal_of_the_target_is_no_socket_error() {
        assert!(Failure::Status4xx.is_answer() && !Failure::Status4xx.is_socket());
        assert!(Failure::Closed.is_socket() && !Failure::Closed.is_answer());
        assert!(!Failure::Timeout.is_socket());
    }
}
