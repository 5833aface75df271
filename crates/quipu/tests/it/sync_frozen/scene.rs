//! The scene of the frozen sync: what is durable before, what must be held, what must go on.

/// One request that must not be answered while the sync is frozen.
#[derive(Debug)]
pub(crate) struct Held {
    /// The name of the promise.
    pub(crate) check: &'static str,
    /// A RESP command, or an HTTP request as `METHOD /path body`.
    pub(crate) request: &'static str,
    /// The counter that shows that the request was decided, and its value then.
    pub(crate) shows: Option<(&'static str, Option<i64>)>,
    /// What the reply contains when it comes.
    pub(crate) reply: &'static str,
}

const fn held(check: &'static str, request: &'static str, reply: &'static str) -> Held {
    Held { check, request, shows: None, reply }
}

const fn shown(
    check: &'static str,
    request: &'static str,
    reply: &'static str,
    shows: (&'static str, Option<i64>),
) -> Held {
    Held { check, request, shows: Some(shows), reply }
}

/// Commands that are durable before the sync freezes.
pub(crate) const DURABLE: &[&str] = &[
    "SET durable 5",
    "SET deleted 1",
    "SET taken 9",
    "SET http-deleted 1",
    "SET memory 0",
    "QUIPU.ADD durable-token 1 TOKEN old",
];

/// Requests in an order in which later ones depend on earlier ones. The first makes the sync.
pub(crate) const HELD: &[Held] = &[
    shown("acknowledgement", "INCR a", ":1", ("a", Some(1))),
    held("committed read", "GET a", "$1"),
    held("committed read", "MGET a durable", "[$1, $5]"),
    held("committed read", "QUIPU.GET a READ committed", "1"),
    held("existence", "EXISTS a", ":1"),
    held("existence", "TYPE a", "+string"),
    held("existence", "TTL a", ":-1"),
    held("existence", "SETNX a 5", ":0"),
    held("rejection", "QUIPU.ADD a 1 MAX 1", ":0"),
    shown("acknowledgement", "SET big 9223372036854775807", "+OK", ("big", Some(i64::MAX))),
    held("overflow", "INCR big", "overflow"),
    shown("acknowledgement", "DEL deleted", ":1", ("deleted", None)),
    held("miss", "GET deleted", "-1"),
    held("miss", "EXISTS deleted", ":0"),
    held("miss", "DEL deleted", ":0"),
    shown("acknowledgement", "QUIPU.TAKE taken", "9", ("taken", Some(0))),
    shown("acknowledgement", "QUIPU.ADD tokened 1 TOKEN new", ":1", ("tokened", Some(1))),
    held("token repeat", "QUIPU.ADD tokened 1 TOKEN new", "token"),
    shown("acknowledgement", "QUIPU.ADD streamed 1 STREAM s 1", ":1", ("streamed", Some(1))),
    held("stream repeat", "QUIPU.ADD streamed 1 STREAM s 1", "stream"),
    held("set", "DBSIZE", ":"),
    held("set", "SCAN 0 COUNT 1000", "*[$"),
    held("set", "QUIPU.TOP 3", "items"),
    held("set", "GET /v1/default/top?n=3", "items"),
    shown(
        "acknowledgement",
        "POST /v1/default/counters/web {\"add\":3}",
        "\"value\":3",
        ("web", Some(3)),
    ),
    held("committed read", "GET /v1/default/counters/web", "\"value\":3"),
    held("rejection", "POST /v1/default/counters/web {\"add\":1,\"max\":3}", "\"applied\":0"),
    shown("acknowledgement", "PUT /v1/default/counters/put {\"value\":7}", "7", ("put", Some(7))),
    shown(
        "acknowledgement",
        "DELETE /v1/default/counters/http-deleted",
        "",
        ("http-deleted", None),
    ),
    shown(
        "token repeat",
        "POST /v1/default/counters/keyed {\"add\":1}",
        "\"value\":1",
        ("keyed", Some(1)),
    ),
    held("token repeat", "POST /v1/default/counters/keyed {\"add\":1}", "token"),
    held(
        "acknowledgement",
        "POST /v1/default/batch {\"ops\":[{\"counter\":\"b\",\"add\":1}]}",
        "\"value\":1",
    ),
];

/// The end of the group that must be held too.
pub(crate) const GROUP: Held = held("group", "EXEC", "[:1, $5]");

/// Commands that must be answered while the sync is frozen.
pub(crate) const FREE_RESP: &[&str] = &[
    "PING",
    "GET durable",
    "MGET durable taken-never",
    "TTL durable",
    "QUIPU.ADD memory 1 ACK memory",
    "QUIPU.GET a READ latest",
    "QUIPU.ADD durable-token 1 TOKEN old",
];

/// HTTP requests that must be answered while the sync is frozen: path, body, headers.
pub(crate) const FREE_HTTP: &[(&str, &str, &[&str])] = &[
    ("/v1/default/counters/durable", "", &[]),
    ("/v1/default/counters/a", "", &["Quipu-Read: latest"]),
    ("/v1/default/counters/memory", "{\"add\":1}", &["Quipu-Ack: memory"]),
    ("/health", "", &[]),
    ("/live", "", &[]),
];
