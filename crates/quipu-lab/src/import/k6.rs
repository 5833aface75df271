//! Summaries of k6: of `--summary-export`, and of `handleSummary`, which has one level more.

use serde_json::Value;

use super::{Origin, Row, Spread};

/// Returns one row of all requests; nothing if there is no duration of requests in it.
///
/// k6 counts from the write, and drops iterations for which it has no user left. Our own export has
/// the response time from the plan in the same place and says so.
pub(super) fn rows(metrics: &Value) -> Option<Vec<Row>> {
    let duration = values(metrics.get("http_req_duration")?);
    let span = |name: &str| duration.get(name).and_then(Value::as_f64).map(|ms| ms * 1e6);
    let requests = metrics.get("http_reqs").map(values);
    let of_requests = |name: &str| requests.and_then(|of| of.get(name));
    let is_ours = metrics.get("quipu_lag").is_some();
    Some(vec![Row {
        tool: if is_ours { "quipu k6" } else { "k6" },
        part: "http_req_duration".to_owned(),
        origin: if is_ours { Origin::Plan } else { Origin::Write },
        count: of_requests("count").and_then(Value::as_f64).map(|count| count as u64),
        per_s: of_requests("rate").and_then(Value::as_f64),
        latency: Spread {
            mean_ns: span("avg"),
            p50_ns: span("med"),
            p95_ns: span("p(95)"),
            p99_ns: span("p(99)"),
            p999_ns: span("p(99.9)"),
            max_ns: span("max"),
        },
    }])
}

fn values(metric: &Value) -> &Value {
    metric.get("values").unwrap_or(metric)
}
