//! What a node says when it does not do what was asked.

use thiserror::Error;

/// The leading word of an error reply, and what it lets the sender do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// A bad argument or a recorded outcome such as an overflow: the same request fails again.
    Error,
    /// The stream waits for this earlier sequence first.
    Held(u64),
    /// Too much at once, or the token memory is full: the same request may succeed later.
    Busy,
    /// No room on the disk: the same request may succeed later.
    NoSpace,
    /// No memory for a new counter: the same request may succeed later.
    OutOfMemory,
    /// The request may have been counted or not; only a token or a stream makes a retry safe.
    Unknown,
    /// The token is older than the window.
    Expired,
    /// The token was used for another operation.
    Conflict,
    /// Not authenticated, or not allowed.
    Denied,
    /// A leading word that this client does not know.
    Other,
}

/// An error reply.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the node refused: {text}")]
pub struct Refusal {
    /// What the leading word says.
    pub kind: RefusalKind,
    /// The whole line of the node, leading word included.
    pub text: String,
}

impl Refusal {
    /// Reads the `line` of an error reply, without its type byte.
    pub fn parse(line: &[u8]) -> Refusal {
        let text = String::from_utf8_lossy(line).into_owned();
        let mut words = text.split(' ');
        let kind = match words.next().unwrap_or_default() {
            "ERR" => RefusalKind::Error,
            "HELD" => {
                let sequence = words.next().and_then(|word| word.parse().ok());
                sequence.map_or(RefusalKind::Other, RefusalKind::Held)
            }
            // LOADING is Redis's word for a start that is not finished.
            "BUSY" | "LOADING" => RefusalKind::Busy,
            "NOSPACE" => RefusalKind::NoSpace,
            "OOM" => RefusalKind::OutOfMemory,
            "UNKNOWN" => RefusalKind::Unknown,
            "EXPIRED" => RefusalKind::Expired,
            "CONFLICT" => RefusalKind::Conflict,
            "NOAUTH" | "NOPERM" | "WRONGPASS" => RefusalKind::Denied,
            _ => RefusalKind::Other,
        };
        Refusal { kind, text }
    }
}

#[cfg(test)]
mod tests {
    use super::{Refusal, RefusalKind};

    fn check(line: &str, expected: RefusalKind) {
        let refusal = Refusal::parse(line.as_bytes());
        assert_eq!(refusal, Refusal { kind: expected, text: line.to_owned() });
    }

    #[test]
    fn the_leading_word_decides() {
        check("ERR increment or decrement would overflow", RefusalKind::Error);
        check("HELD 17 an earlier sequence was refused", RefusalKind::Held(17));
        check("HELD", RefusalKind::Other);
        check("BUSY too many requests", RefusalKind::Busy);
        check("NOSPACE", RefusalKind::NoSpace);
        check("OOM command not allowed", RefusalKind::OutOfMemory);
        check("UNKNOWN it may have been counted", RefusalKind::Unknown);
        check("EXPIRED", RefusalKind::Expired);
        check("CONFLICT", RefusalKind::Conflict);
        check("NOAUTH Authentication required.", RefusalKind::Denied);
        check("MOVED 1 a:1", RefusalKind::Other);
        check("", RefusalKind::Other);
    }
}
