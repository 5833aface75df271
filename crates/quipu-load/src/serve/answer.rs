//! One request and its answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::serve::desk::{Desk, Found, Test};
use crate::serve::events::{Content, News};
use crate::serve::openapi;
use crate::serve::order::Kind;
use crate::serve::refusal::Refusal;
use crate::serve::route::{self, Endpoint, JSON, Route};

/// The longest body: an order has some hundred bytes.
const BODY_BYTES_MAX: usize = 16 << 10;
/// A body is there this long after its head. Guess, as for nodes.
const BODY_PATIENCE: Duration = Duration::from_secs(15);
/// The media type of problems, spec: RFC 9457.
const PROBLEM: &str = "application/problem+json";

/// Answers a request.
pub(crate) async fn answer(
    desk: Arc<Desk>,
    request: Request<Incoming>,
) -> Result<Response<Content>, Infallible> {
    let (head, body) = request.into_parts();
    let response = match route::find(head.method.as_str(), head.uri.path()) {
        Ok((route, id)) => done(&desk, route, id, (&head, body)).await,
        Err(refusal) => Err(refusal),
    };
    let response = response.unwrap_or_else(|refusal| refused(&refusal));
    desk.tally.answered(response.status().as_u16());
    Ok(response)
}

async fn done(
    desk: &Arc<Desk>,
    route: &Route,
    id: &str,
    (head, body): (&Parts, Incoming),
) -> Result<Response<Content>, Refusal> {
    let value = match route.endpoint {
        Endpoint::Begin(kind) => return begin(desk, route, kind, (head, body)).await,
        Endpoint::Events => {
            let news = match desk.find(id)? {
                Found::Running(test) => News::of(test),
                Found::Ended(result) => News::ended(result),
            };
            return Ok(response(route.status, route.media_type, Content::News(news)));
        }
        Endpoint::Finding => return finding(desk, route, id).await,
        Endpoint::Metrics => return Ok(text(route, desk.metrics())),
        Endpoint::Running => {
            json!({ "tests": desk.running().iter().map(|test| test.json()).collect::<Vec<_>>() })
        }
        Endpoint::Cancel => desk.cancel(id)?.json(),
        Endpoint::Results => json!({ "results": desk.results() }),
        Endpoint::Latest => json!(*desk.latest()?),
        Endpoint::Result => match desk.find(id)? {
            Found::Running(test) => test.json(),
            Found::Ended(result) => json!(*result),
        },
        Endpoint::Health => health(desk),
        Endpoint::OpenApi => openapi::document(desk.settings()),
    };
    Ok(text(route, value.to_string()))
}

/// Begins a test. The body must say that it is JSON: a page of another origin cannot say so without
/// being asked first, and nobody answers that.
async fn begin(
    desk: &Arc<Desk>,
    route: &Route,
    kind: Kind,
    (head, body): (&Parts, Incoming),
) -> Result<Response<Content>, Refusal> {
    let media_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.and_then(|value| value.split(';').next()).map(str::trim);
    if !media_type.is_some_and(|value| value.eq_ignore_ascii_case(JSON)) {
        return Err(Refusal::MediaType);
    }
    let body = read(body).await?;
    let test = desk.order(kind, &body)?;
    let id = &test.begun.id;
    tracing::info!(id, target = test.begun.target, "a test began");
    let mut response = text(route, begun(&test).to_string());
    if let Ok(location) = HeaderValue::from_str(&format!("/api/results/{id}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

fn begun(test: &Test) -> Value {
    let mut json = test.json();
    if let Value::Object(members) = &mut json {
        let id = &test.begun.id;
        members.insert("result".to_owned(), json!(format!("/api/results/{id}")));
        members.insert("events".to_owned(), json!(format!("/api/loadtest/{id}/events")));
    }
    json
}

async fn read(body: Incoming) -> Result<Bytes, Refusal> {
    let whole = timeout(BODY_PATIENCE, Limited::new(body, BODY_BYTES_MAX).collect()).await;
    match whole {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Refusal::TooBig { most: BODY_BYTES_MAX })
        }
        Ok(Err(_)) | Err(_) => Err(Refusal::Slow),
    }
}

/// All that a test found. The file may have megabytes: another thread reads it.
async fn finding(desk: &Desk, route: &Route, id: &str) -> Result<Response<Content>, Refusal> {
    let path = desk.finding(id)?;
    let read = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
    match read.map_err(std::io::Error::other)? {
        Ok(bytes) => {
            let content = Content::Whole(Full::new(Bytes::from(bytes)));
            Ok(response(route.status, route.media_type, content))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Refusal::Absent { what: "finding: the test could not begin".to_owned() })
        }
        Err(error) => Err(error.into()),
    }
}

fn health(desk: &Desk) -> Value {
    json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "running": desk.running().len(),
        "targets": desk.settings().targets,
    })
}

fn text(route: &Route, text: String) -> Response<Content> {
    response(route.status, route.media_type, Content::Whole(Full::new(Bytes::from(text))))
}

fn refused(refusal: &Refusal) -> Response<Content> {
    let content = Content::Whole(Full::new(Bytes::from(refusal.problem().to_string())));
    let mut response = response(refusal.status(), PROBLEM, content);
    if let Some(allow) = refusal.allow().and_then(|allow| HeaderValue::from_str(allow).ok()) {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

fn response(status: u16, media_type: &'static str, content: Content) -> Response<Content> {
    let mut response = Response::new(content);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
