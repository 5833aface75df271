//! What the document says of each route beyond the table of routes: one line each.

use crate::http::problem::Kind;
use crate::http::route::Endpoint;
use crate::openapi::parameter::{
    ACK, CURSOR, IDEMPOTENCY_KEY, LIMIT, MATCH, N, Parameter, READ, STREAM,
};

/// One route, as programs need to know it.
#[derive(Debug)]
pub struct Operation {
    /// Which.
    pub endpoint: Endpoint,
    /// Its name in generated clients.
    pub id: &'static str,
    /// Its query.
    pub query: &'static [&'static Parameter],
    /// The headers that mean something to it.
    pub headers: &'static [&'static Parameter],
    /// What it takes.
    pub body: Option<Body>,
    /// What it answers, in words.
    pub answers: &'static str,
    /// What it answers with a 200; the first where nothing else is asked for.
    pub replies: &'static [Reply],
    /// What may go wrong.
    pub problems: &'static [&'static [Kind]],
}

/// The body of a request.
#[derive(Debug)]
pub struct Body {
    /// The name of its schema.
    pub schema: &'static str,
    /// Whether there must be one.
    pub is_required: bool,
    /// What it looks like, for people.
    pub words: &'static str,
    /// Good ones, with a name each.
    pub examples: &'static [(&'static str, &'static str)],
}

/// The body of an answer.
#[derive(Debug)]
pub struct Reply {
    /// What it is.
    pub media_type: &'static str,
    /// The name of its schema.
    pub schema: &'static str,
}

/// What any request of a user may meet.
const ANY: &[Kind] = &[
    Kind::BadRequest,
    Kind::NoNamespace,
    Kind::Slow,
    Kind::TooBig,
    Kind::LongTarget,
    Kind::Busy,
    Kind::BigHead,
    Kind::Unknown,
    Kind::Unready,
];

/// What any request of an operator may meet.
const PLAIN: &[Kind] = &[Kind::BadRequest, Kind::LongTarget, Kind::BigHead, Kind::Unready];

/// What a write may meet too.
const WRITE: &[Kind] = &[
    Kind::Conflict,
    Kind::Held,
    Kind::Expired,
    Kind::Full,
    Kind::Stopping,
    Kind::NoMemory,
    Kind::NoSpace,
];

const ABSENT: &[Kind] = &[Kind::Absent];
const STOPPING: &[Kind] = &[Kind::Stopping];
const OVERFLOW: &[Kind] = &[Kind::Overflow];
const REJECTED: &[Kind] = &[Kind::Overflow, Kind::Rejected];

/// The headers of a write. A level of reads is checked there too, and means nothing.
const WRITE_HEADERS: &[&Parameter] = &[&IDEMPOTENCY_KEY, &STREAM, &ACK];
const BATCH_HEADERS: &[&Parameter] = &[&IDEMPOTENCY_KEY, &ACK, &READ];
const READ_HEADERS: &[&Parameter] = &[&READ];

const CHANGE: &[Reply] = &[json("Change")];
const NOTHING: Body = Body {
    schema: "Nothing",
    is_required: false,
    words: "none or `{}`",
    examples: &[("empty", "{}")],
};

const fn json(schema: &'static str) -> Reply {
    Reply { media_type: "application/json", schema }
}

/// A file for browsers.
const fn text(media_type: &'static str) -> Reply {
    Reply { media_type, schema: "File" }
}

/// A route without parameters for operators.
const fn plain(
    endpoint: Endpoint,
    id: &'static str,
    answers: &'static str,
    replies: &'static [Reply],
) -> Operation {
    let problems: &[&[Kind]] = &[PLAIN];
    Operation { endpoint, id, query: &[], headers: &[], body: None, answers, replies, problems }
}

/// All routes, in the order of their table.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        endpoint: Endpoint::Get,
        id: "getCounter",
        query: &[],
        headers: READ_HEADERS,
        body: None,
        answers: "the counter's value",
        replies: &[json("Reading")],
        problems: &[ANY, ABSENT],
    },
    Operation {
        endpoint: Endpoint::Add,
        id: "addToCounter",
        query: &[],
        headers: WRITE_HEADERS,
        body: Some(Body {
            schema: "Add",
            is_required: true,
            words: "`{\"add\": 1}`, with `min`, `max`, `saturate`, `ttl_ms`",
            examples: &[
                ("one", "{\"add\": 1}"),
                ("quota", "{\"add\": 1, \"max\": 100, \"ttl_ms\": 60000}"),
                ("stock", "{\"add\": -2, \"min\": 0, \"saturate\": true}"),
            ],
        }),
        answers: "what was added; a rejected addition has `applied` 0 and the verdict `rejected`",
        replies: CHANGE,
        problems: &[ANY, WRITE, OVERFLOW],
    },
    Operation {
        endpoint: Endpoint::Put,
        id: "setCounter",
        query: &[],
        headers: WRITE_HEADERS,
        body: Some(Body {
            schema: "Put",
            is_required: true,
            words: "`{\"value\": 7}`, with `ttl_ms`; without it the counter does not expire",
            examples: &[("seven", "{\"value\": 7}")],
        }),
        answers: "what was set",
        replies: CHANGE,
        problems: &[ANY, WRITE],
    },
    Operation {
        endpoint: Endpoint::Delete,
        id: "deleteCounter",
        query: &[],
        headers: WRITE_HEADERS,
        body: None,
        answers: "what was deleted; the verdict is `unmet` where there was no counter",
        replies: CHANGE,
        problems: &[ANY, WRITE],
    },
    Operation {
        endpoint: Endpoint::Take,
        id: "takeCounter",
        query: &[],
        headers: WRITE_HEADERS,
        body: Some(NOTHING),
        answers: "what was taken; the verdict is `unmet` where there was no counter",
        replies: &[json("Taking")],
        problems: &[ANY, WRITE],
    },
    Operation {
        endpoint: Endpoint::Batch,
        id: "batch",
        query: &[],
        headers: BATCH_HEADERS,
        body: Some(Body {
            schema: "Batch",
            is_required: true,
            words: "`{\"ops\": [...]}`, with `atomic`",
            examples: &[
                (
                    "all",
                    "{\"ops\": [{\"counter\": \"a\", \"add\": 1}, {\"counter\": \"b\", \"set\": 7}, \
                     {\"counter\": \"c\", \"get\": true}, {\"counter\": \"b\", \"take\": true}, \
                     {\"counter\": \"b\", \"delete\": true}]}",
                ),
                (
                    "atomic",
                    "{\"atomic\": true, \"ops\": [{\"counter\": \"from\", \"add\": -1}, \
                     {\"counter\": \"to\", \"add\": 1}]}",
                ),
            ],
        }),
        answers: "one reply or problem for each operation, in order",
        replies: &[json("BatchReply")],
        problems: &[ANY, WRITE, REJECTED],
    },
    Operation {
        endpoint: Endpoint::Scan,
        id: "listCounters",
        query: &[&MATCH, &CURSOR, &LIMIT],
        headers: READ_HEADERS,
        body: None,
        answers: "a page of counters, and where to go on",
        replies: &[json("Listing")],
        problems: &[ANY],
    },
    Operation {
        endpoint: Endpoint::Top,
        id: "topCounters",
        query: &[&N],
        headers: READ_HEADERS,
        body: None,
        answers: "the greatest counters, and as of which position each shard was looked at",
        replies: &[json("Ranking")],
        problems: &[ANY, STOPPING],
    },
    Operation {
        endpoint: Endpoint::Stream,
        id: "getStream",
        query: &[],
        headers: READ_HEADERS,
        body: None,
        answers: "the stream's checkpoint, and its mark on each shard that knows it",
        replies: &[json("Stream")],
        problems: &[ANY, ABSENT],
    },
    plain(Endpoint::Health, "health", "the process works", &[json("Condition")]),
    plain(Endpoint::Ready, "ready", "the node serves", &[json("Condition")]),
    plain(
        Endpoint::Metrics,
        "metrics",
        "figures; as JSON with `Accept: application/json`",
        &[Reply { media_type: "text/plain", schema: "PrometheusText" }, json("Metrics")],
    ),
    plain(Endpoint::OpenApi, "openapi", "this document", &[json("Document")]),
    plain(Endpoint::Page, "page", "the page", &[text("text/html")]),
    plain(Endpoint::PageScript, "pageScript", "the script", &[text("text/javascript")]),
    plain(Endpoint::PageStyle, "pageStyle", "the style sheet", &[text("text/css")]),
    plain(Endpoint::Live, "live", "figures as they are", &[json("Live")]),
];

/// What is said of a route.
pub fn of(endpoint: Endpoint) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.endpoint == endpoint)
}
