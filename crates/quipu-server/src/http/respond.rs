//! One request, from its head to its response.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use quipu_core::op::Token;
use quipu_core::outcome::Dependency;
use quipu_metrics::label::ConnectionCut;
use quipu_wire::http::ask::{self, Asks};
use quipu_wire::http::problem::{Kind, MEDIA_TYPE, Problem};
use quipu_wire::http::route::{self, Endpoint, Route};
use quipu_wire::json::reply::{self, CounterReply};
use quipu_wire::openapi;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::archive::{Ask, Opening};
use crate::http::api::{Event, NodeApi, Unwell};
use crate::http::content::Content;
use crate::http::date::Date;
use crate::http::limits::{HttpLimits, Surface};
use crate::http::{body, counter, listing, page, streams};

/// The media type of answers.
pub(crate) const JSON: &str = "application/json";

/// The media type of Prometheus's text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What all connections of a listener share.
#[derive(Debug)]
pub(crate) struct Gate<N> {
    /// The node.
    pub(crate) node: Arc<N>,
    /// The bounds.
    pub(crate) limits: HttpLimits,
    /// What is left of `limits.inflight_bytes`.
    pub(crate) inflight: Semaphore,
    /// The header `Date`.
    pub(crate) date: Date,
}

impl<N: NodeApi> Gate<N> {
    /// Tells the node what happened on this listener.
    pub(crate) fn note(&self, event: Event) {
        self.node.note(event);
    }

    /// Tells the node how many bytes a connection has read and written since it was last told.
    pub(crate) fn note_traffic(&self, (received, sent): (u64, u64)) {
        self.note(Event::Received(received));
        self.note(Event::Sent(sent));
    }

    /// Waits for what a reply depends on.
    ///
    /// # Errors
    /// The log has failed.
    pub(crate) async fn hold(
        &self,
        depends: &[Dependency],
        has_written: bool,
    ) -> Result<(), Problem> {
        if depends.iter().all(|d| d.batch == 0) {
            return Ok(());
        }
        let _held = Held::new(self);
        self.node.durable(depends).await.map_err(|_| Problem::log_failed(has_written))
    }
}

/// An answer that waits, or is given up because its client is gone.
struct Held<'a, N: NodeApi>(&'a Gate<N>, Instant);

impl<'a, N: NodeApi> Held<'a, N> {
    fn new(gate: &'a Gate<N>) -> Self {
        gate.note(Event::Held);
        Self(gate, Instant::now())
    }
}

impl<N: NodeApi> Drop for Held<'_, N> {
    fn drop(&mut self) {
        self.0.note(Event::Released(self.1.elapsed()));
    }
}

/// The body of an answer that is no problem.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The bytes.
    pub(crate) body: Content,
    /// What they are.
    pub(crate) media_type: &'static str,
    /// Further headers; for counters there are none.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// 200, or 304 for what the client has.
    pub(crate) status: StatusCode,
}

impl Answer {
    /// An answer in JSON.
    pub(crate) fn json(body: &impl reply::Body) -> Self {
        let mut bytes = Vec::new();
        reply::write(body, &mut bytes);
        Self::of(bytes, JSON)
    }

    /// An answer of these bytes.
    pub(crate) fn of(body: impl Into<Content>, media_type: &'static str) -> Self {
        Self { body: body.into(), media_type, headers: Vec::new(), status: StatusCode::OK }
    }
}

/// Answers one request whose head was complete at `begun`.
pub(crate) async fn respond<N: NodeApi>(
    gate: &Gate<N>,
    request: Request<Incoming>,
    begun: Instant,
) -> Response<Content> {
    let (head, incoming) = request.into_parts();
    let response = match answer(gate, &head, incoming, begun).await {
        Ok(answer) => success(answer),
        Err(problem) => failure(gate, &problem),
    };
    gate.note(Event::Answered(begun.elapsed()));
    response
}

async fn answer<N: NodeApi>(
    gate: &Gate<N>,
    head: &Parts,
    incoming: Incoming,
    begun: Instant,
) -> Result<Answer, Problem> {
    let route = find(&gate.limits, head)?;
    if route.endpoint.is_archival() {
        return read_archive(gate, &route).await;
    }
    if route.endpoint.is_operational() {
        return operate(&*gate.node, route.endpoint, head);
    }
    if route.endpoint == Endpoint::OpenApi {
        return Ok(Answer::of(openapi::document().as_bytes().to_vec(), JSON));
    }
    if route.endpoint.is_of_page() {
        return Ok(page::answer(&*gate.node, route.endpoint, head).await);
    }
    let asks = asks(head)?;
    let body = match body::read(incoming, begun, &gate.limits, &gate.inflight).await {
        Ok(body) => body,
        Err(problem) => {
            hold_stream(gate, &route, &asks);
            return Err(problem);
        }
    };
    match route.endpoint {
        Endpoint::Batch => counter::batch(gate, &asks, &body.bytes).await,
        Endpoint::Scan => listing::scan(gate, &asks, head.uri.query()).await,
        Endpoint::Top => listing::top(gate, &asks, head.uri.query()).await,
        Endpoint::Stream | Endpoint::Streams | Endpoint::EndStream => {
            streams::answer(gate, &route, &asks, head.uri.query()).await
        }
        _ => {
            let done = operate_counter(gate, &route, &asks, &body.bytes).await?;
            Ok(Answer::json(&done))
        }
    }
}

/// Does one operation on one counter.
///
/// # Errors
/// The problem that answers it.
pub(crate) async fn operate_counter<'a, N: NodeApi>(
    gate: &Gate<N>,
    route: &'a Route<'_>,
    asks: &Asks<'a>,
    body: &[u8],
) -> Result<CounterReply<'a>, Problem> {
    match counter::action(route.endpoint, body) {
        Ok(action) => counter::single(gate, asks, route.counter()?, action).await,
        Err(error) => {
            hold_stream(gate, route, asks);
            Err(error.into())
        }
    }
}

fn find<'a>(limits: &HttpLimits, head: &'a Parts) -> Result<Route<'a>, Problem> {
    let target_bytes = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target_bytes > limits.target_bytes {
        let max = limits.target_bytes;
        let detail = format!("path and query have at most {max} bytes, these have {target_bytes}");
        return Err(Problem::new(Kind::LongTarget, detail));
    }
    let is_here = |endpoint: Endpoint| match limits.surface {
        Surface::Admin => endpoint.is_for_admin(),
        Surface::Counters => !endpoint.is_administrative(),
    };
    Ok(route::find(head.method.as_str(), head.uri.path(), is_here)?)
}

fn asks(head: &Parts) -> Result<Asks<'_>, Problem> {
    let headers = head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    Ok(ask::parse(headers)?)
}

/// A refused place in a stream must come again before later ones.
pub(crate) fn hold_stream<N: NodeApi>(gate: &Gate<N>, route: &Route<'_>, asks: &Asks<'_>) {
    let is_write =
        matches!(route.endpoint, Endpoint::Add | Endpoint::Put | Endpoint::Delete | Endpoint::Take);
    if let (true, Token::Stream { name, sequence }, Ok(counter)) =
        (is_write, asks.token, route.counter())
    {
        gate.node.hold_stream(counter, name, sequence);
    }
}

/// Begins an answer that is read from the disk as its client takes it.
async fn read_archive<N: NodeApi>(gate: &Gate<N>, route: &Route<'_>) -> Result<Answer, Problem> {
    let ask = match route.endpoint {
        Endpoint::History => Ask::History { name: route.counter()?.to_owned() },
        Endpoint::Backup => Ask::Backup,
        _ => Ask::Audit,
    };
    let answering = gate.node.archive(ask)?;
    let stopping = |_| Problem::new(Kind::Unready, "the node is stopping");
    let Opening { media_type, bytes } = answering.opening.await.map_err(stopping)??;
    Ok(Answer::of(Content::Parts(answering.parts, bytes), media_type))
}

fn operate(node: &impl NodeApi, endpoint: Endpoint, head: &Parts) -> Result<Answer, Problem> {
    match endpoint {
        Endpoint::Health => condition(node.health()),
        Endpoint::Ready => condition(node.ready()),
        _ if wants_json(head) => Ok(Answer::of(node.metrics_json().into_bytes(), JSON)),
        _ => Ok(Answer::of(node.metrics_text().into_bytes(), PROMETHEUS)),
    }
}

fn condition(condition: Result<(), Unwell>) -> Result<Answer, Problem> {
    match condition {
        Ok(()) => Ok(Answer::of(b"{\"status\":\"ok\"}".to_vec(), JSON)),
        Err(unwell) => Err(Problem::new(Kind::Unready, unwell.reason)),
    }
}

fn wants_json(head: &Parts) -> bool {
    let accepts = head.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut types = accepts.flat_map(|value| value.split(','));
    types.any(|kind| kind.split(';').next().is_some_and(|name| name.trim() == JSON))
}

fn success(answer: Answer) -> Response<Content> {
    let mut response = Response::new(answer.body);
    let media_type = HeaderValue::from_static(answer.media_type);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response.headers_mut().extend(answer.headers);
    *response.status_mut() = answer.status;
    response
}

/// The response that is a problem.
pub(crate) fn failure<N: NodeApi>(gate: &Gate<N>, problem: &Problem) -> Response<Content> {
    match problem.kind {
        Kind::Slow => gate.note(Event::Cut(ConnectionCut::Slow)),
        Kind::TooBig => gate.note(Event::Cut(ConnectionCut::TooLarge)),
        _ => {}
    }
    let mut body = Vec::new();
    reply::write(problem, &mut body);
    let mut response = Response::new(Content::from(body));
    *response.status_mut() =
        StatusCode::from_u16(problem.status()).expect("the table has statuses of three digits");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    if let Some(seconds) = problem.retry_after_s() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(allow) = problem.allow.as_deref().and_then(|a| HeaderValue::from_str(a).ok()) {
        headers.insert(ALLOW, allow);
    }
    // What is left of a body that was not read to its end would be taken for a request.
    if matches!(problem.kind, Kind::Slow | Kind::TooBig) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
