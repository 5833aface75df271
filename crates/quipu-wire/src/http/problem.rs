//! Problems: what went wrong, as a status and an `application/problem+json` body.
//!
//! One table ([`KINDS`]) gives each kind its status, its word, its title, whether the operation was
//! counted, and whether to come again.

use quipu_core::name::NameError;
use quipu_core::outcome::Refusal;
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::http::ask::AskError;
use crate::http::query::QueryError;
use crate::http::route::RouteError;
use crate::json::request::{ArgumentError, BodyError};

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Seconds after which to come again, where that may help. Guess: the shortest a header can say.
pub const RETRY_AFTER_S: u64 = 1;

/// What is said of an operation whose log failed under it.
pub const UNKNOWN: &str = "it may have been counted; retry with the same token";

/// What kind of problem it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An argument, a header, a token or a body is not understood.
    BadRequest,
    /// No such path.
    NoPath,
    /// No such namespace.
    NoNamespace,
    /// No such counter or stream.
    Absent,
    /// The path does not know the method.
    NoMethod,
    /// The body did not come in time.
    Slow,
    /// Same token, other operation.
    Conflict,
    /// An earlier sequence must come first.
    Held,
    /// The token is older than the window.
    Expired,
    /// The body or the batch is too big.
    TooBig,
    /// The path and query are too long.
    LongTarget,
    /// The sum does not fit 64 bits.
    Overflow,
    /// An item of an atomic batch was rejected.
    Rejected,
    /// Too much at once.
    Busy,
    /// The head is too big.
    BigHead,
    /// Token memory or the table of streams is full.
    Full,
    /// The log has failed: nobody knows.
    Unknown,
    /// The node is stopping; the operation did not start.
    Stopping,
    /// The node is not well, or not ready.
    Unready,
    /// No memory for a new counter.
    NoMemory,
    /// No disk for the log.
    NoSpace,
}

/// Whether the operation was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// No.
    No,
    /// Nobody knows.
    Maybe,
    /// Not by this request; of earlier ones with this token nothing is known.
    NotByThis,
    /// The request counts nothing anyhow.
    Pointless,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct KindLine {
    /// Which kind.
    pub kind: Kind,
    /// The status code.
    pub status: u16,
    /// The end of its type, `urn:quipu:problem:` before it.
    pub word: &'static str,
    /// Its short title; the same for all problems of a kind.
    pub title: &'static str,
    /// Whether the operation was counted.
    pub counted: Counted,
    /// Whether coming again may help.
    pub is_passing: bool,
}

const fn line(
    kind: Kind,
    status: u16,
    word: &'static str,
    title: &'static str,
    counted: Counted,
) -> KindLine {
    let is_passing = matches!(status, 429 | 503);
    KindLine { kind, status, word, title, counted, is_passing }
}

/// All kinds, in the order of [`Kind`].
pub const KINDS: &[KindLine] = &[
    line(Kind::BadRequest, 400, "bad-request", "bad request", Counted::No),
    line(Kind::NoPath, 404, "no-path", "nothing at this path", Counted::Pointless),
    line(Kind::NoNamespace, 404, "no-namespace", "no such namespace", Counted::No),
    line(Kind::Absent, 404, "absent", "not there", Counted::Pointless),
    line(Kind::NoMethod, 405, "no-method", "method not allowed", Counted::No),
    line(Kind::Slow, 408, "slow", "the request did not come in time", Counted::No),
    line(Kind::Conflict, 409, "conflict", "token used for another operation", Counted::No),
    line(Kind::Held, 409, "held", "stream held", Counted::No),
    line(Kind::Expired, 410, "expired", "token older than the window", Counted::NotByThis),
    line(Kind::TooBig, 413, "too-big", "request too big", Counted::No),
    line(Kind::LongTarget, 414, "long-target", "path and query too long", Counted::No),
    line(Kind::Overflow, 422, "overflow", "overflow", Counted::No),
    line(Kind::Rejected, 422, "rejected", "batch rejected by a bound", Counted::No),
    line(Kind::Busy, 429, "busy", "too much at once", Counted::No),
    line(Kind::BigHead, 431, "big-head", "head too big", Counted::No),
    line(Kind::Full, 503, "full", "token memory full", Counted::No),
    line(Kind::Unknown, 503, "unknown", "outcome unknown", Counted::Maybe),
    line(Kind::Stopping, 503, "stopping", "node stopping", Counted::No),
    line(Kind::Unready, 503, "unready", "not ready", Counted::Pointless),
    line(Kind::NoMemory, 507, "no-memory", "no memory", Counted::No),
    line(Kind::NoSpace, 507, "no-space", "no disk space", Counted::No),
];

impl Kind {
    /// Its line of the table.
    pub fn line(self) -> &'static KindLine {
        KINDS.get(self as usize).expect("the table has every kind; a test compares them")
    }

    /// When it is answered, for people.
    pub fn when(self) -> &'static str {
        match self {
            Self::BadRequest => {
                "body, header, name, query or token is not understood; \
                 a UUIDv7 more than 5 minutes ahead"
            }
            Self::NoPath => "nothing is at this path",
            Self::NoNamespace => "there is no such namespace",
            Self::Absent => "the counter that is read, or the stream, does not exist",
            Self::NoMethod => "the path knows other methods",
            Self::Slow => "the body did not come within `http.body_timeout`",
            Self::Conflict => "the same token with another operation on this counter",
            Self::Held => "an earlier `sequence` of the stream was refused and must come first",
            Self::Expired => "a UUIDv7 older than the window",
            Self::TooBig => "body beyond `limits.body_bytes`, batch beyond `limits.batch_ops`",
            Self::LongTarget => "path and query beyond 4096 bytes",
            Self::Overflow => "the sum does not fit 64 bits; with a token this outcome is recorded",
            Self::Rejected => "an atomic batch with a rejected or unmet item",
            Self::Busy => "too much in flight",
            Self::BigHead => "head beyond `limits.header_bytes` or `limits.headers`",
            Self::Full => "as many tokens or streams as there may be",
            Self::Unknown => "the log failed: retry with the same token",
            Self::Stopping => "the node is stopping; the operation did not start",
            Self::Unready => {
                "`/health` or `/ready` of a node that is not; more connections than there may be"
            }
            Self::NoMemory => "no memory for a new counter",
            Self::NoSpace => "no disk for the log",
        }
    }
}

impl Counted {
    /// The word of problems, if there is something to say.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::No => Some("no"),
            Self::Maybe => Some("maybe"),
            Self::NotByThis => Some("not by this request"),
            Self::Pointless => None,
        }
    }
}

/// A problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind.
    pub kind: Kind,
    /// One sentence about this one.
    pub detail: String,
    /// The value of the header `Allow`.
    pub allow: Option<String>,
    /// The fields of its own, in order.
    pub fields: Vec<(&'static str, Field)>,
}

/// A field of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// Nothing.
    Null,
    /// A number.
    Number(i64),
    /// A number without sign.
    Count(u64),
    /// A text.
    Text(String),
}

impl Problem {
    /// A problem without fields of its own.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), allow: None, fields: Vec::new() }
    }

    /// The same with one more field.
    #[must_use]
    pub fn with(mut self, name: &'static str, field: Field) -> Self {
        self.fields.push((name, field));
        self
    }

    /// The answer where the log failed: before a write's durability, or before a read's proof.
    pub fn log_failed(has_written: bool) -> Self {
        if has_written {
            return Self::new(Kind::Unknown, format!("the log has failed: {UNKNOWN}"));
        }
        Self::new(Kind::Unknown, "the log has failed before what was read was durable; read again")
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.kind.line().status
    }

    /// Seconds after which to come again, where that may help.
    pub fn retry_after_s(&self) -> Option<u64> {
        self.kind.line().is_passing.then_some(RETRY_AFTER_S)
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let line = self.kind.line();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &format_args!("urn:quipu:problem:{}", line.word))?;
        map.serialize_entry("title", line.title)?;
        map.serialize_entry("status", &line.status)?;
        map.serialize_entry("detail", &self.detail)?;
        if let Some(counted) = line.counted.word() {
            map.serialize_entry("counted", counted)?;
        }
        for (name, field) in &self.fields {
            map.serialize_entry(name, field)?;
        }
        map.end()
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Number(n) => serializer.serialize_i64(*n),
            Self::Count(n) => serializer.serialize_u64(*n),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let problem = Self::new(kind_of(refusal), refusal.to_string());
        match refusal {
            Refusal::Held { sequence } => problem.with("sequence", Field::Count(sequence)),
            _ => problem,
        }
    }
}

fn kind_of(refusal: Refusal) -> Kind {
    match refusal {
        Refusal::BadToken { .. }
        | Refusal::BadStream { .. }
        | Refusal::BadSequence
        | Refusal::FutureToken { .. }
        | Refusal::CrossShard => Kind::BadRequest,
        Refusal::Conflict => Kind::Conflict,
        Refusal::Held { .. } => Kind::Held,
        Refusal::Expired => Kind::Expired,
        Refusal::TokensFull | Refusal::StreamsFull { .. } => Kind::Full,
        Refusal::Busy => Kind::Busy,
        Refusal::NoMemory => Kind::NoMemory,
        Refusal::NoSpace => Kind::NoSpace,
        Refusal::Stopping => Kind::Stopping,
    }
}

impl From<RouteError> for Problem {
    fn from(error: RouteError) -> Self {
        let detail = error.to_string();
        match error {
            RouteError::NoPath => Self::new(Kind::NoPath, detail),
            RouteError::NoMethod { allow } => {
                Self { allow: Some(allow), ..Self::new(Kind::NoMethod, detail) }
            }
            RouteError::NoNamespace { .. } => Self::new(Kind::NoNamespace, detail),
            RouteError::Percent(_) | RouteError::Name(_) | RouteError::Stream { .. } => {
                Self::new(Kind::BadRequest, detail)
            }
        }
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let kind = match error {
            BodyError::TooManyOps { .. } => Kind::TooBig,
            BodyError::Json { .. } | BodyError::Argument(_) | BodyError::NotEmpty => {
                Kind::BadRequest
            }
        };
        Self::new(kind, error.to_string())
    }
}

/// Errors of what the client wrote.
macro_rules! bad_request {
    ($($error:ty),*) => {
        $(impl From<$error> for Problem {
            fn from(error: $error) -> Self {
                Self::new(Kind::BadRequest, error.to_string())
            }
        })*
    };
}

bad_request!(AskError, QueryError, NameError, ArgumentError);

#[cfg(test)]
mod tests {
    use quipu_core::outcome::Refusal;

    use super::{Field, KINDS, Kind, Problem};
    use crate::http::route;

    #[test]
    fn the_table_has_every_kind_in_order() {
        for (i, line) in KINDS.iter().enumerate() {
            assert_eq!(line.kind as usize, i, "{}", line.word);
        }
        assert_eq!(KINDS.last().expect("it is not empty").kind, Kind::NoSpace);
    }

    fn check(refusal: Refusal, status: u16, counted: &str, retry: bool) {
        let problem = Problem::from(refusal);
        assert_eq!(problem.status(), status, "{refusal}");
        assert_eq!(problem.kind.line().counted.word(), Some(counted), "{refusal}");
        assert_eq!(problem.retry_after_s().is_some(), retry, "{refusal}");
        assert_eq!(problem.detail, refusal.to_string());
    }

    #[test]
    fn every_refusal_has_the_status_of_the_design() {
        check(Refusal::BadToken { bytes: 65 }, 400, "no", false);
        check(Refusal::BadStream { bytes: 0 }, 400, "no", false);
        check(Refusal::BadSequence, 400, "no", false);
        check(Refusal::FutureToken { ahead_ms: 300_001 }, 400, "no", false);
        check(Refusal::CrossShard, 400, "no", false);
        check(Refusal::Conflict, 409, "no", false);
        check(Refusal::Held { sequence: 3 }, 409, "no", false);
        check(Refusal::Expired, 410, "not by this request", false);
        check(Refusal::Busy, 429, "no", true);
        check(Refusal::TokensFull, 503, "no", true);
        check(Refusal::StreamsFull { most: 5 }, 503, "no", true);
        check(Refusal::NoMemory, 507, "no", false);
        check(Refusal::NoSpace, 507, "no", false);
        check(Refusal::Stopping, 503, "no", true);
    }

    fn check_json(problem: &Problem, expected: &str) {
        assert_eq!(serde_json::to_string(problem).expect("it has no failing part"), expected);
    }

    #[test]
    fn a_problem_is_a_problem_json_with_fields_of_its_own() {
        let held = Problem::from(Refusal::Held { sequence: 3 });
        check_json(
            &held,
            "{\"type\":\"urn:quipu:problem:held\",\"title\":\"stream held\",\"status\":409,\
             \"detail\":\"the stream is held until sequence 3 is sent again\",\"counted\":\"no\",\
             \"sequence\":3}",
        );
        let absent = Problem::new(Kind::Absent, "no \"a\"")
            .with("value", Field::Null)
            .with("change", Field::Number(-1))
            .with("position", Field::Text("1:2:3".to_owned()));
        check_json(
            &absent,
            "{\"type\":\"urn:quipu:problem:absent\",\"title\":\"not there\",\"status\":404,\
             \"detail\":\"no \\\"a\\\"\",\"value\":null,\"change\":-1,\"position\":\"1:2:3\"}",
        );
    }

    #[test]
    fn a_failed_log_says_that_a_write_may_have_counted() {
        let write = Problem::log_failed(true);
        assert!(write.detail.ends_with("it may have been counted; retry with the same token"));
        assert_eq!((write.status(), write.retry_after_s()), (503, Some(1)));
        assert!(!Problem::log_failed(false).detail.contains("counted"));
    }

    #[test]
    fn a_wrong_method_says_which_are_allowed() {
        let error = route::find("PUT", "/health", |_| true).expect_err("it takes GET alone");
        let problem = Problem::from(error);
        assert_eq!((problem.status(), problem.allow.as_deref()), (405, Some("GET, HEAD")));
    }
}
