//! The names of the static table (RFC 7541, appendix A), and the statuses in it.

/// Names by their index, from 1 on.
pub(super) const NAMES: [&str; 61] = [
    ":authority",
    ":method",
    ":method",
    ":path",
    ":path",
    ":scheme",
    ":scheme",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "accept",
    "access-control-allow-origin",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "link",
    "location",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "refresh",
    "retry-after",
    "server",
    "set-cookie",
    "strict-transport-security",
    "transfer-encoding",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
];

/// The index of the first status.
const STATUS_FIRST: usize = 8;
/// Statuses by their index, from [`STATUS_FIRST`] on.
const STATUSES: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];

/// Returns the index of a name.
pub(super) fn index_of(name: &str) -> Option<usize> {
    NAMES.iter().position(|known| *known == name).map(|place| place + 1)
}

/// Returns the name with an index.
pub(super) fn name(index: usize) -> Option<&'static str> {
    NAMES.get(index.checked_sub(1)?).copied()
}

/// Returns the status with an index.
pub(super) fn status(index: usize) -> Option<u16> {
    STATUSES.get(index.checked_sub(STATUS_FIRST)?).copied()
}
