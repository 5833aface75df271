//! Parameters: parts of the path, of the query, and headers.

use quipu_core::limits::{STREAM_BYTES_MAX, TOP_MAX};
use serde_json::{Map, Value, json};

use crate::http::query::{LIMIT_DEFAULT, LIMIT_MAX, PATTERN_BYTES_MAX, TOP_DEFAULT};
use crate::http::route::NAMESPACE;
use crate::openapi::schema;

/// One parameter.
#[derive(Debug)]
pub struct Parameter {
    /// Its name in the document.
    id: &'static str,
    /// Its name on the wire.
    pub name: &'static str,
    /// `path`, `query` or `header`.
    pub place: &'static str,
    /// What it is for, for people.
    pub purpose: &'static str,
    /// How people write it.
    pub form: &'static str,
    schema: fn() -> Value,
}

/// A token.
pub(crate) const IDEMPOTENCY_KEY: Parameter = Parameter {
    id: "IdempotencyKey",
    name: "Idempotency-Key",
    place: "header",
    purpose: "a token of 1 to 64 bytes; one pair of quotes is stripped; a UUIDv7 is refused once \
              it is older than the window",
    form: "`Idempotency-Key: KEY`",
    // Blanks at the ends are no part of a header's value, other bytes are taken as they are.
    schema: || text(r"^[!-~\u0080-\u00ff]([ -~\u0080-\u00ff]{0,62}[!-~\u0080-\u00ff])?$"),
};

/// A place in a stream.
pub(crate) const STREAM: Parameter = Parameter {
    id: "QuipuStream",
    name: "Quipu-Stream",
    place: "header",
    purpose: "a place in a stream, N from 1; one of the two, not both; not for batches",
    form: "`Quipu-Stream: NAME;seq=N`",
    // A sequence has 64 bits: 19 digits are what fits for sure.
    schema: || text(r"^[!-~\u0080-\u00ff]{1,64};seq=[1-9][0-9]{0,18}$"),
};

/// A durability.
pub(crate) const ACK: Parameter = Parameter {
    id: "QuipuAck",
    name: "Quipu-Ack",
    place: "header",
    purpose: "when a write is answered; `ack.default` without it",
    form: "`Quipu-Ack: fsync` or `memory`",
    schema: || json!({ "type": "string", "enum": schema::ACKS }),
};

/// A level of reads.
pub(crate) const READ: Parameter = Parameter {
    id: "QuipuRead",
    name: "Quipu-Read",
    place: "header",
    purpose: "whether a read waits for what is not durable; without it `committed`, or `latest` \
              where `ack.default` is `memory`",
    form: "`Quipu-Read: committed` or `latest`",
    schema: || json!({ "type": "string", "enum": schema::READS }),
};

/// The pattern of a listing.
pub(crate) const MATCH: Parameter = Parameter {
    id: "match",
    name: "match",
    place: "query",
    purpose: "a pattern as in Redis; all counters without it",
    form: "match=",
    schema: || json!({ "type": "string", "maxLength": PATTERN_BYTES_MAX }),
};

/// Where a listing goes on.
pub(crate) const CURSOR: Parameter = Parameter {
    id: "cursor",
    name: "cursor",
    place: "query",
    purpose: "what the last answer gave; from the start without it",
    form: "cursor=",
    schema: || text("^[0-9]{1,19}$"),
};

/// How much of a listing.
pub(crate) const LIMIT: Parameter = Parameter {
    id: "limit",
    name: "limit",
    place: "query",
    purpose: "about how many counters to look at",
    form: "limit=",
    schema: || json!({ "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT }),
};

/// How many counters of a ranking.
pub(crate) const N: Parameter = Parameter {
    id: "n",
    name: "n",
    place: "query",
    purpose: "how many counters, the greatest first",
    form: "n=",
    schema: || json!({ "type": "integer", "minimum": 1, "maximum": TOP_MAX, "default": TOP_DEFAULT }),
};

const NAMESPACE_PART: Parameter = Parameter {
    id: "namespace",
    name: "namespace",
    place: "path",
    purpose: "the namespace",
    form: "{namespace}",
    schema: || json!({ "type": "string", "enum": [NAMESPACE] }),
};

const COUNTER_PART: Parameter = Parameter {
    id: "counter",
    name: "name",
    place: "path",
    purpose: "the counter: one percent-encoded segment, at most 256 bytes of UTF-8",
    form: "{name}",
    schema: || schema::reference("CounterName"),
};

const STREAM_PART: Parameter = Parameter {
    id: "stream",
    name: "name",
    place: "path",
    purpose: "the stream: one percent-encoded segment, at most 64 bytes",
    form: "{name}",
    schema: || json!({ "type": "string", "minLength": 1, "maxLength": STREAM_BYTES_MAX }),
};

/// All parameters.
pub(crate) const ALL: &[&Parameter] = &[
    &NAMESPACE_PART,
    &COUNTER_PART,
    &STREAM_PART,
    &IDEMPOTENCY_KEY,
    &STREAM,
    &ACK,
    &READ,
    &MATCH,
    &CURSOR,
    &LIMIT,
    &N,
];

/// The headers, in the order of the documentation.
pub(crate) fn headers() -> impl Iterator<Item = &'static Parameter> {
    ALL.iter().copied().filter(|parameter| parameter.place == "header")
}

/// The parameters of a path's braces.
pub(crate) fn path(path: &str) -> impl Iterator<Item = &'static Parameter> {
    let name = if path.contains("/streams/") { &STREAM_PART } else { &COUNTER_PART };
    path.split('/').filter_map(move |part| match part {
        "{namespace}" => Some(&NAMESPACE_PART),
        "{name}" => Some(name),
        _ => None,
    })
}

/// All parameters by their names in the document.
pub(crate) fn all() -> Map<String, Value> {
    ALL.iter().map(|parameter| (parameter.id.to_owned(), parameter.describe())).collect()
}

impl Parameter {
    /// A reference to it.
    pub(crate) fn reference(&self) -> Value {
        json!({ "$ref": format!("#/components/parameters/{}", self.id) })
    }

    fn describe(&self) -> Value {
        json!({
            "name": self.name,
            "in": self.place,
            "required": self.place == "path",
            "description": self.purpose,
            "schema": (self.schema)(),
        })
    }
}

fn text(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}
