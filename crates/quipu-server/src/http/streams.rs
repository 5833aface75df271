//! Streams: what is known of one, a page of them, and the operator's word that ends one.

use quipu_core::outcome::Refusal;
use quipu_wire::http::ask::Asks;
use quipu_wire::http::problem::{Field, Kind, Problem};
use quipu_wire::http::query;
use quipu_wire::http::route::{Endpoint, Route};
use quipu_wire::json::streams::{EndReply, StreamReply, StreamsReply};
use quipu_wire::resp::pattern;

use crate::http::api::NodeApi;
use crate::http::listing::settle;
use crate::http::respond::{Answer, Gate};

/// Answers a request about streams.
///
/// # Errors
/// The problem that answers it.
pub(crate) async fn answer<N: NodeApi>(
    gate: &Gate<N>,
    route: &Route<'_>,
    asks: &Asks<'_>,
    query: Option<&str>,
) -> Result<Answer, Problem> {
    match route.endpoint {
        Endpoint::Streams => list(gate, asks, query).await,
        Endpoint::EndStream => end(gate, &route.name, query).await,
        _ => one(gate, asks, &route.name).await,
    }
}

/// Says what is known of a stream.
async fn one<N: NodeApi>(gate: &Gate<N>, asks: &Asks<'_>, name: &[u8]) -> Result<Answer, Problem> {
    let view = gate.node.stream(name);
    let ack = settle(gate, asks, &view.depends).await?;
    if view.checkpoint.is_none() && view.marks.is_empty() {
        return Err(absent(name));
    }
    Ok(Answer::json(&StreamReply { name, view: &view, ack }))
}

/// Lists streams in the order of their names.
async fn list<N: NodeApi>(
    gate: &Gate<N>,
    asks: &Asks<'_>,
    text: Option<&str>,
) -> Result<Answer, Problem> {
    let query = query::parse_streams(text.unwrap_or_default())?;
    let page = gate.node.streams(&query.after, query.limit);
    let ack = settle(gate, asks, &page.depends).await?;
    let pattern = query.pattern.as_deref();
    let is_told = |name: &[u8]| pattern.is_none_or(|pattern| pattern::matches(pattern, name));
    let all = page.streams.iter().map(|(name, view)| (&**name, view));
    let items = all.filter(|(name, _)| is_told(name)).collect();
    let last = page.streams.last().filter(|_| page.has_more);
    let next = last.map(|(name, _)| &**name);
    Ok(Answer::json(&StreamsReply { items, next, ack }))
}

/// Ends a stream, and answers when that is durable.
async fn end<N: NodeApi>(
    gate: &Gate<N>,
    name: &[u8],
    text: Option<&str>,
) -> Result<Answer, Problem> {
    let by_force = query::parse_end(text.unwrap_or_default())?;
    let ended = gate.node.end_stream(name, by_force).map_err(|refusal| match refusal {
        Refusal::Held { sequence } => held(sequence),
        other => other.into(),
    })?;
    gate.hold(&ended.depends, ended.is_known()).await?;
    if !ended.is_known() {
        return Err(absent(name));
    }
    Ok(Answer::json(&EndReply { name, view: &ended }))
}

fn absent(name: &[u8]) -> Problem {
    let name = String::from_utf8_lossy(name).into_owned();
    let problem = Problem::new(Kind::Absent, format!("there is no stream {name:?}"));
    problem.with("stream", Field::Text(name))
}

/// A sender is in the midst of it: what it sends next would pass for what was not counted.
fn held(sequence: u64) -> Problem {
    let detail = format!(
        "sequence {sequence} of the stream was refused and must come again; stop its sender, or end \
         the stream with force=true where the sender is gone"
    );
    Problem::new(Kind::Held, detail).with("sequence", Field::Count(sequence))
}
