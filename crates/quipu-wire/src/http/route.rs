//! The routes, as one table.

use std::borrow::Cow;

use quipu_core::limits::STREAM_BYTES_MAX;
use quipu_core::name::{self, NameError};

use crate::http::percent::{PercentError, decode_segment};

/// The only namespace there is.
pub const NAMESPACE: &str = "default";

/// One line of the table.
#[derive(Debug)]
pub struct Entry {
    /// The method; `HEAD` goes where `GET` goes.
    pub method: &'static str,
    /// The path; parts in braces take any segment.
    pub path: &'static str,
    /// What it leads to.
    pub endpoint: Endpoint,
    /// What it does, for people.
    pub purpose: &'static str,
}

/// What a route leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// Reads a counter.
    Get,
    /// Adds to a counter.
    Add,
    /// Replaces a counter's value.
    Put,
    /// Removes a counter.
    Delete,
    /// Takes a counter's value and leaves 0.
    Take,
    /// Many operations in one request.
    Batch,
    /// Lists counters.
    Scan,
    /// The greatest counters.
    Top,
    /// What is known of a stream.
    Stream,
    /// Whether the process works.
    Health,
    /// Whether the node serves.
    Ready,
    /// Figures of the node.
    Metrics,
    /// This surface, described for programs.
    OpenApi,
    /// The page for people.
    Page,
    /// What the page does.
    PageScript,
    /// How the page looks.
    PageStyle,
    /// What the page shows, as it is now.
    Live,
    /// What happened to a counter.
    History,
    /// What an audit needs.
    Audit,
    /// A snapshot of everything.
    Backup,
    /// Lists streams.
    Streams,
    /// Ends a stream.
    EndStream,
}

/// All routes.
pub const ROUTES: &[Entry] = &[
    entry("GET", COUNTER, Endpoint::Get, "value of a counter"),
    entry("POST", COUNTER, Endpoint::Add, "add to a counter"),
    entry("PUT", COUNTER, Endpoint::Put, "set a counter"),
    entry("DELETE", COUNTER, Endpoint::Delete, "delete a counter"),
    entry("POST", TAKE, Endpoint::Take, "take a counter's value and leave 0"),
    entry("POST", "/v1/{namespace}/batch", Endpoint::Batch, "many operations"),
    entry("GET", "/v1/{namespace}/counters", Endpoint::Scan, "list counters"),
    entry("GET", "/v1/{namespace}/top", Endpoint::Top, "the greatest counters"),
    entry("GET", STREAM, Endpoint::Stream, "marks of a stream"),
    entry("GET", "/health", Endpoint::Health, "whether the process works"),
    entry("GET", "/ready", Endpoint::Ready, "whether the node serves"),
    entry("GET", "/metrics", Endpoint::Metrics, "figures, as Prometheus text or JSON"),
    entry("GET", "/openapi.json", Endpoint::OpenApi, "this surface, described for programs"),
    entry("GET", "/", Endpoint::Page, "a page for people"),
    entry("GET", "/app.js", Endpoint::PageScript, "the script of that page"),
    entry("GET", "/style.css", Endpoint::PageStyle, "the look of that page"),
    entry("GET", "/live", Endpoint::Live, "what that page shows, as it is now"),
    entry("GET", HISTORY, Endpoint::History, "what happened to a counter (admin listener)"),
    entry("GET", "/v1/audit", Endpoint::Audit, "what `quipu audit` reads (admin listener)"),
    entry("POST", "/v1/backup", Endpoint::Backup, "what `quipu backup` copies (admin listener)"),
    entry("GET", STREAMS, Endpoint::Streams, "list streams (admin listener)"),
    entry("DELETE", STREAM, Endpoint::EndStream, "end a stream (admin listener)"),
];

const COUNTER: &str = "/v1/{namespace}/counters/{name}";
const TAKE: &str = "/v1/{namespace}/counters/{name}/take";

const STREAMS: &str = "/v1/{namespace}/streams";
const STREAM: &str = "/v1/{namespace}/streams/{name}";

const HISTORY: &str = "/v1/{namespace}/counters/{name}/history";

const fn entry(
    method: &'static str,
    path: &'static str,
    endpoint: Endpoint,
    purpose: &'static str,
) -> Entry {
    Entry { method, path, endpoint, purpose }
}

impl Endpoint {
    /// Whether it is about the process: what both listeners answer without looking at counters.
    pub fn is_operational(self) -> bool {
        matches!(self, Self::Health | Self::Ready | Self::Metrics)
    }

    /// Whether it reads what the disk holds.
    pub fn is_archival(self) -> bool {
        matches!(self, Self::History | Self::Audit | Self::Backup)
    }

    /// Whether only operators ask for it: what the admin listener alone answers.
    pub fn is_administrative(self) -> bool {
        self.is_archival() || matches!(self, Self::Streams | Self::EndStream)
    }

    /// Whether the admin listener answers it.
    pub fn is_for_admin(self) -> bool {
        self.is_operational() || self.is_administrative() || self == Self::Stream
    }

    fn is_of_stream(self) -> bool {
        matches!(self, Self::Stream | Self::EndStream)
    }

    /// Whether it is the page for people or belongs to it.
    pub fn is_of_page(self) -> bool {
        matches!(self, Self::Page | Self::PageScript | Self::PageStyle | Self::Live)
    }
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route<'a> {
    /// What it leads to.
    pub endpoint: Endpoint,
    /// The counter or stream, decoded; empty where the path names none.
    pub name: Cow<'a, [u8]>,
}

impl Route<'_> {
    /// The name as that of a counter.
    ///
    /// # Errors
    /// It is none.
    pub fn counter(&self) -> Result<&str, NameError> {
        name::check(&self.name)
    }
}

/// A request that goes nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No such path.
    #[error("there is nothing at this path; a slash inside a name is written %2F")]
    NoPath,
    /// The path does not know the method.
    #[error("this path knows {allow} only")]
    NoMethod {
        /// The methods that it knows, as in the header `Allow`.
        allow: String,
    },
    /// A namespace that is not there.
    #[error("there is no namespace {namespace:?}; the only one is \"default\"")]
    NoNamespace {
        /// The one that was asked for, as it stood in the path.
        namespace: String,
    },
    /// Bad percent-encoding.
    #[error(transparent)]
    Percent(#[from] PercentError),
    /// Not the name of a counter.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Not the name of a stream.
    #[error("a stream name has 1 to {STREAM_BYTES_MAX} bytes, this one has {bytes}")]
    Stream {
        /// Its length.
        bytes: usize,
    },
}

/// Finds the route of a method and a path without its query, among those that `is_here` admits.
///
/// # Errors
/// Says what is wrong: the path before the method before the namespace before the name.
pub fn find<'a>(
    method: &str,
    path: &'a str,
    is_here: impl Fn(Endpoint) -> bool,
) -> Result<Route<'a>, RouteError> {
    let method = if method == "HEAD" { "GET" } else { method };
    let here = || ROUTES.iter().filter(|entry| is_here(entry.endpoint));
    let mut of_method = here().filter(|entry| entry.method == method);
    let Some((entry, found)) = of_method.find_map(|e| Some((e, capture(e.path, path)?))) else {
        let fitting = here().filter(|entry| capture(entry.path, path).is_some());
        return Err(no_method(fitting.map(|entry| entry.method)));
    };
    if let Some(namespace) = found.namespace.filter(|n| *n != NAMESPACE) {
        return Err(RouteError::NoNamespace { namespace: namespace.to_owned() });
    }
    let name = decode_segment(found.name.unwrap_or_default())?;
    let route = Route { endpoint: entry.endpoint, name };
    match entry.endpoint {
        of if of.is_of_stream() => match route.name.len() {
            1..=STREAM_BYTES_MAX => Ok(route),
            bytes => Err(RouteError::Stream { bytes }),
        },
        _ if found.name.is_some() => {
            route.counter().map(|_| ()).map_err(Into::into).map(|()| route)
        }
        _ => Ok(route),
    }
}

fn no_method(methods: impl Iterator<Item = &'static str>) -> RouteError {
    let mut allow = String::new();
    for method in methods {
        let both = if method == "GET" { "GET, HEAD" } else { method };
        let comma = if allow.is_empty() { "" } else { ", " };
        allow.extend([comma, both]);
    }
    if allow.is_empty() { RouteError::NoPath } else { RouteError::NoMethod { allow } }
}

#[derive(Debug, Default)]
struct Captures<'a> {
    namespace: Option<&'a str>,
    name: Option<&'a str>,
}

/// The segments that stand for the braces of `pattern`, if `path` fits it.
fn capture<'a>(pattern: &str, path: &'a str) -> Option<Captures<'a>> {
    let mut found = Captures::default();
    let (mut parts, mut segments) = (Some(pattern), Some(path));
    while let Some(rest) = parts {
        let ((part, other_parts), (segment, other_segments)) = (cut(rest), cut(segments?));
        match part {
            "{namespace}" => found.namespace = Some(segment),
            "{name}" => found.name = Some(segment),
            literal if literal == segment => {}
            _ => return None,
        }
        (parts, segments) = (other_parts, other_segments);
    }
    segments.is_none().then_some(found)
}

/// The first segment of a path and what follows its slash. `split` sets up a search for long texts,
/// which showed in profiles.
fn cut(path: &str) -> (&str, Option<&str>) {
    let slash = path.bytes().position(|byte| byte == b'/');
    let cut = slash.and_then(|at| Some((path.get(..at)?, path.get(at + 1..)?)));
    cut.map_or((path, None), |(segment, rest)| (segment, Some(rest)))
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, NAMESPACE, ROUTES, Route, RouteError};

    fn find<'a>(method: &str, path: &'a str) -> Result<Route<'a>, RouteError> {
        super::find(method, path, |_| true)
    }

    fn check(method: &str, path: &str, expected: Result<(Endpoint, &[u8]), &str>) {
        let found = find(method, path);
        let short = found.as_ref().map(|r| (r.endpoint, &*r.name)).map_err(ToString::to_string);
        assert_eq!(short, expected.map_err(str::to_owned), "{method} {path}");
    }

    #[test]
    fn method_and_path_lead_to_one_endpoint() {
        check("GET", "/v1/default/counters/a", Ok((Endpoint::Get, b"a")));
        check("HEAD", "/v1/default/counters/a", Ok((Endpoint::Get, b"a")));
        check("POST", "/v1/default/counters/a", Ok((Endpoint::Add, b"a")));
        check("PUT", "/v1/default/counters/a", Ok((Endpoint::Put, b"a")));
        check("DELETE", "/v1/default/counters/a", Ok((Endpoint::Delete, b"a")));
        check("POST", "/v1/default/counters/a/take", Ok((Endpoint::Take, b"a")));
        check("POST", "/v1/default/counters/take", Ok((Endpoint::Add, b"take")));
        check("POST", "/v1/default/batch", Ok((Endpoint::Batch, b"")));
        check("GET", "/v1/default/counters", Ok((Endpoint::Scan, b"")));
        check("GET", "/v1/default/streams/a%20b", Ok((Endpoint::Stream, b"a b")));
        check("DELETE", "/v1/default/streams/%FF", Ok((Endpoint::EndStream, b"\xFF")));
        check("GET", "/v1/default/streams", Ok((Endpoint::Streams, b"")));
        check("GET", "/health", Ok((Endpoint::Health, b"")));
        check("GET", "/ready", Ok((Endpoint::Ready, b"")));
        check("GET", "/metrics", Ok((Endpoint::Metrics, b"")));
        check("GET", "/v1/default/top", Ok((Endpoint::Top, b"")));
        check("GET", "/", Ok((Endpoint::Page, b"")));
        check("HEAD", "/live", Ok((Endpoint::Live, b"")));
    }

    #[test]
    fn a_name_is_one_encoded_segment() {
        check("GET", "/v1/default/counters/user:1%2Flikes", Ok((Endpoint::Get, b"user:1/likes")));
        check("POST", "/v1/default/counters/a%2Ftake", Ok((Endpoint::Add, b"a/take")));
        check("GET", "/v1/default/counters/caf%C3%A9", Ok((Endpoint::Get, "caf\u{e9}".as_bytes())));
        check("GET", "/v1/default/counters/a+b", Ok((Endpoint::Get, b"a+b")));
        let slash = "there is nothing at this path; a slash inside a name is written %2F";
        check("GET", "/v1/default/counters/a/b", Err(slash));
        check("GET", "/v1/default/counters/", Err("a counter name has at least 1 byte"));
        let byte = "a counter name is UTF-8, byte 1 of this one is not";
        check("GET", "/v1/default/counters/a%FF", Err(byte));
        let percent =
            "a percent sign needs two hexadecimal digits after it, the one at byte 1 has not";
        check("GET", "/v1/default/counters/a%2", Err(percent));
        let long = format!("/v1/default/counters/{}", "x".repeat(257));
        check("GET", &long, Err("a counter name has at most 256 bytes, this one has 257"));
        let long = format!("/v1/default/streams/{}", "x".repeat(65));
        check("GET", &long, Err("a stream name has 1 to 64 bytes, this one has 65"));
    }

    #[test]
    fn what_goes_nowhere_says_what_is_there() {
        let no_method = |allow: &str| Err(RouteError::NoMethod { allow: allow.to_owned() });
        assert_eq!(
            find("PATCH", "/v1/default/counters/a"),
            no_method("GET, HEAD, POST, PUT, DELETE")
        );
        assert_eq!(find("GET", "/v1/default/counters/a/take"), no_method("POST"));
        let elsewhere =
            |method| super::find(method, "/v1/default/streams/a", |of| !of.is_administrative());
        assert_eq!(elsewhere("DELETE"), no_method("GET, HEAD"));
        assert_eq!(find("POST", "/health"), no_method("GET, HEAD"));
        assert_eq!(find("PATCH", "/v1/acme/counters/a"), no_method("GET, HEAD, POST, PUT, DELETE"));
        for path in ["", "//", "/v1", "/v2/default/batch", "/health/", "//health", "*"] {
            assert_eq!(find("GET", path), Err(RouteError::NoPath), "{path}");
        }
        let acme = "there is no namespace \"acme\"; the only one is \"default\"";
        check("GET", "/v1/acme/counters/a", Err(acme));
        check("POST", "/v1/acme/batch", Err(acme));
    }

    #[test]
    fn every_line_of_the_table_is_found_by_itself() {
        for entry in ROUTES {
            let path = entry.path.replace("{namespace}", NAMESPACE).replace("{name}", "n");
            let found = find(entry.method, &path).expect("it is in the table");
            assert_eq!(found.endpoint, entry.endpoint, "{path}");
        }
    }
}
