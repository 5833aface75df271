//! Answers about sets: counters by pattern, and the greatest ones.

use quipu_core::op::{Ack, Action};
use quipu_core::outcome::{Dependency, Refusal};
use quipu_wire::http::ask::Asks;
use quipu_wire::http::problem::Problem;
use quipu_wire::http::query;
use quipu_wire::json::reply::{ScanReply, TopReply};
use quipu_wire::resp::pattern;

use crate::http::api::NodeApi;
use crate::http::counter::Levels;
use crate::http::respond::{Answer, Gate};

/// Lists counters.
///
/// # Errors
/// The query is not understood, or the log has failed.
pub(crate) async fn scan<N: NodeApi>(
    gate: &Gate<N>,
    asks: &Asks<'_>,
    text: Option<&str>,
) -> Result<Answer, Problem> {
    let query = query::parse_scan(text.unwrap_or_default())?;
    let (mut items, mut depends) = (Vec::new(), Vec::new());
    let mut visit = |name: &str, value: i64| {
        let pattern = query.pattern.as_deref();
        if pattern.is_none_or(|pattern| pattern::matches(pattern, name.as_bytes())) {
            items.push((name.to_owned(), value));
        }
    };
    let next = gate.node.scan(query.cursor, query.limit, &mut visit, &mut depends);
    let ack = settle(gate, asks, &depends).await?;
    Ok(Answer::json(&ScanReply { items, next, ack }))
}

/// Ranks all counters.
///
/// # Errors
/// The query is not understood, the node stops, or the log has failed.
pub(crate) async fn top<N: NodeApi>(
    gate: &Gate<N>,
    asks: &Asks<'_>,
    text: Option<&str>,
) -> Result<Answer, Problem> {
    let n = query::parse_top(text.unwrap_or_default())?;
    let top = gate.node.top().await.ok_or(Problem::from(Refusal::Stopping))?;
    let depends: Vec<Dependency> = top.depends().collect();
    let ack = settle(gate, asks, &depends).await?;
    Ok(Answer::json(&TopReply { top: &top, n, ack }))
}

/// Waits as a read of its level does, and says what is vouched for.
///
/// # Errors
/// The log has failed.
pub(crate) async fn settle<N: NodeApi>(
    gate: &Gate<N>,
    asks: &Asks<'_>,
    depends: &[Dependency],
) -> Result<Ack, Problem> {
    if Levels::new(&*gate.node, asks).holds(&Action::Get) {
        gate.hold(depends, false).await?;
        return Ok(Ack::Fsync);
    }
    let is_durable = depends.iter().all(|d| d.batch == 0);
    Ok(if is_durable { Ack::Fsync } else { Ack::Memory })
}
