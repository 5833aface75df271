//! The lines that `redis-benchmark --csv` writes: since version 6.2 with a head, before it only names
//! and rates.

use super::{ImportError, Origin, Row, Spread};

/// Returns whether a text begins as those lines do.
pub(super) fn is_csv(start: &str) -> bool {
    let line = start.lines().next().unwrap_or_default();
    line.starts_with('"') && fields(line).len() >= 2
}

/// Returns a row for each command.
pub(super) fn rows(text: &str) -> Result<Vec<Row>, ImportError> {
    let head: Vec<String> = match text.lines().next() {
        Some(line) if line.starts_with("\"test\"") => fields(line),
        _ => ["test", "rps"].map(str::to_owned).to_vec(),
    };
    let lines = (1..).zip(text.lines());
    let commands = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with("\"test\""));
    commands
        .map(|(number, line)| {
            let what = "this is no line of redis-benchmark --csv";
            row(&head, &fields(line)).ok_or(ImportError::Line { line: number, what })
        })
        .collect()
}

fn row(head: &[String], fields: &[String]) -> Option<Row> {
    let named = |name: &str| head.iter().zip(fields).find(|(head, _)| *head == name);
    let number = |name: &str| named(name).and_then(|(_, text)| text.parse::<f64>().ok());
    let span = |name: &str| number(name).map(|ms| ms * 1e6);
    Some(Row {
        tool: "redis-benchmark",
        part: named("test")?.1.clone(),
        origin: Origin::ClosedLoop,
        count: None,
        per_s: Some(number("rps")?),
        latency: Spread {
            mean_ns: span("avg_latency_ms"),
            p50_ns: span("p50_latency_ms"),
            p95_ns: span("p95_latency_ms"),
            p99_ns: span("p99_latency_ms"),
            p999_ns: None,
            max_ns: span("max_latency_ms"),
        },
    })
}

/// Splits a line whose fields are all in quotes, in which commas may stand and quotes may not.
fn fields(line: &str) -> Vec<String> {
    let inner = line.trim().trim_matches('"');
    inner.split("\",\"").map(str::to_owned).collect()
}
