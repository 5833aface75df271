//! Which requests there are: the one table that routing and the description of the service read.

use crate::serve::order::Kind;
use crate::serve::refusal::Refusal;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Begin a test.
    Begin(Kind),
    /// The tests under way.
    Running,
    /// The news of a test, as they come.
    Events,
    /// Stop a test.
    Cancel,
    /// All results.
    Results,
    /// The result of the test that ended last.
    Latest,
    /// One result, or how far its test is.
    Result,
    /// All that a test found.
    Finding,
    /// Whether the service is there.
    Health,
    /// What the service counts of itself.
    Metrics,
    /// This table, for programs.
    OpenApi,
}

/// One kind of request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    /// Its method.
    pub(crate) method: &'static str,
    /// Its path; `{id}` is one part of it.
    pub(crate) path: &'static str,
    /// What it asks for.
    pub(crate) endpoint: Endpoint,
    /// The status of its success.
    pub(crate) status: u16,
    /// The media type of its success.
    pub(crate) media_type: &'static str,
    /// What it does, in a sentence.
    pub(crate) summary: &'static str,
}

/// The media type of most answers.
pub(crate) const JSON: &str = "application/json";
/// That of news.
pub(crate) const EVENTS: &str = "text/event-stream";
/// That of metrics, spec: Prometheus text exposition.
const METRICS: &str = "text/plain; version=0.0.4";

const fn route(
    (method, path): (&'static str, &'static str),
    endpoint: Endpoint,
    (status, media_type): (u16, &'static str),
    summary: &'static str,
) -> Route {
    Route { method, path, endpoint, status, media_type, summary }
}

/// All of them.
pub(crate) const ROUTES: [Route; 12] = [
    route(
        ("POST", "/api/loadtest/burst"),
        Endpoint::Begin(Kind::Burst),
        (202, JSON),
        "Begin a burst between two calm stretches",
    ),
    route(
        ("POST", "/api/loadtest/ramp"),
        Endpoint::Begin(Kind::Ramp),
        (202, JSON),
        "Begin a rate that grows in a line and is then held",
    ),
    route(("GET", "/api/loadtest"), Endpoint::Running, (200, JSON), "List the tests under way"),
    route(
        ("GET", "/api/loadtest/{id}/events"),
        Endpoint::Events,
        (200, EVENTS),
        "Watch a test: progress after each window, then the end with its result",
    ),
    route(("DELETE", "/api/loadtest/{id}"), Endpoint::Cancel, (202, JSON), "Cancel a test"),
    route(("GET", "/api/results"), Endpoint::Results, (200, JSON), "List results, newest first"),
    route(
        ("GET", "/api/results/latest"),
        Endpoint::Latest,
        (200, JSON),
        "Read the result of the test that ended last",
    ),
    route(
        ("GET", "/api/results/{id}"),
        Endpoint::Result,
        (200, JSON),
        "Read a result, or how far its test is",
    ),
    route(
        ("GET", "/api/results/{id}/finding"),
        Endpoint::Finding,
        (200, JSON),
        "Read all that a test found, as quipu load run saves it",
    ),
    route(("GET", "/health"), Endpoint::Health, (200, JSON), "Ask whether the service is there"),
    route(("GET", "/metrics"), Endpoint::Metrics, (200, METRICS), "Read metrics of the service"),
    route(("GET", "/openapi.json"), Endpoint::OpenApi, (200, JSON), "Read this description"),
];

/// Finds the route of a request and the name in its path.
///
/// # Errors
/// The path is none, or has other methods.
pub(crate) fn find<'p>(method: &str, path: &'p str) -> Result<(&'static Route, &'p str), Refusal> {
    let mut allow = Vec::new();
    for route in &ROUTES {
        let Some(id) = matches(route.path, path) else { continue };
        if route.method == method {
            return Ok((route, id));
        }
        allow.push(route.method);
    }
    if allow.is_empty() {
        return Err(Refusal::Absent { what: "such path".to_owned() });
    }
    allow.dedup();
    Err(Refusal::Method { allow: allow.join(", ") })
}

/// The name in a path that has this pattern; empty where the pattern has none.
fn matches<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    let Some((before, after)) = pattern.split_once("{id}") else {
        return (pattern == path).then_some("");
    };
    let id = path.strip_prefix(before)?.strip_suffix(after)?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, find};
    use crate::serve::order::Kind;

    #[test]
    fn a_request_finds_its_route_and_the_name_in_it() {
        let cases = [
            ("POST", "/api/loadtest/burst", Endpoint::Begin(Kind::Burst), ""),
            ("GET", "/api/results/latest", Endpoint::Latest, ""),
            ("GET", "/api/results/a", Endpoint::Result, "a"),
            ("GET", "/api/results/a/finding", Endpoint::Finding, "a"),
            ("GET", "/api/loadtest/a/events", Endpoint::Events, "a"),
            ("DELETE", "/api/loadtest/a", Endpoint::Cancel, "a"),
        ];
        for (method, path, endpoint, id) in cases {
            let (route, name) = find(method, path).expect("it is there");
            assert_eq!((route.endpoint, name), (endpoint, id), "{path}");
        }
    }

    #[test]
    fn what_is_no_route_is_told_by_its_status() {
        let cases = [
            ("GET", "/", 404),
            ("GET", "/api/results/", 404),
            ("GET", "/api/results/a/b", 404),
            ("GET", "/api/loadtest/burst", 405),
            ("POST", "/api/results", 405),
        ];
        for (method, path, status) in cases {
            assert_eq!(find(method, path).expect_err(path).status(), status, "{path}");
        }
    }
}
