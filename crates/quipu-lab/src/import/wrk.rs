//! What wrk and wrk2 print with `--latency`. wrk2 counts from the planned moment and says
//! "HdrHistogram"; wrk is a closed loop.

use super::{Origin, Row, Spread};

/// Returns whether a text begins as that output does.
pub(super) fn is_output(start: &str) -> bool {
    start.starts_with("Running ") && start.contains("Requests/sec:")
}

/// Returns one row.
pub(super) fn rows(text: &str) -> Vec<Row> {
    let is_wrk2 = text.contains("HdrHistogram");
    let mut row = Row {
        tool: if is_wrk2 { "wrk2" } else { "wrk" },
        part: text
            .lines()
            .next()
            .and_then(|line| line.split(" @ ").nth(1))
            .unwrap_or("")
            .to_owned(),
        origin: if is_wrk2 { Origin::Plan } else { Origin::ClosedLoop },
        count: None,
        per_s: None,
        latency: Spread::default(),
    };
    for line in text.lines() {
        // wrk2 writes the whole spectrum, and with it what it did not correct, after this.
        if line.contains("Detailed Percentile spectrum") {
            break;
        }
        read(line, &mut row);
    }
    let rate = text.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    row.per_s = rate.and_then(|rate| rate.trim().parse().ok());
    vec![row]
}

fn read(line: &str, row: &mut Row) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let latency = &mut row.latency;
    match words.as_slice() {
        ["Latency", mean, _, max, _] => {
            latency.mean_ns = span(mean);
            latency.max_ns = span(max);
        }
        [count, "requests", "in", ..] => row.count = count.parse().ok(),
        ["50%" | "50.000%", value] => latency.p50_ns = span(value),
        ["99%" | "99.000%", value] => latency.p99_ns = span(value),
        ["99.900%", value] => latency.p999_ns = span(value),
        _ => {}
    }
}

/// Reads a span such as `1.23ms`.
fn span(text: &str) -> Option<f64> {
    let units = [("us", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3_600e9)];
    units.iter().find_map(|(unit, ns)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * ns))
}
