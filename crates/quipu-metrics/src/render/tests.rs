//! Claims about what leaves the node: the shape of both forms, and that every metric is in them.

use std::collections::BTreeMap;

use stdx::units::Nanos;

use crate::label::{Refusal, Surface};
use crate::name::{Counter, Gauge, Kind, Spec, Timing, Unit, all};
use crate::registry::Registry;
use crate::render::{Base, Quoted};

fn used() -> Registry {
    let registry = Registry::new("1.2.3 \"q\"");
    registry.add(Counter::Refused(Refusal::Nospace), 4);
    registry.set(Gauge::TimeDeviation, -1_500_000_000);
    registry.set(Gauge::MemoryBytes, 1 << 40);
    registry.record(Timing::RequestDuration(Surface::Http), Nanos(1024));
    registry.record(Timing::RequestDuration(Surface::Http), Nanos(1025));
    registry.record(Timing::RequestDuration(Surface::Http), Nanos::from_secs(100));
    registry
}

/// Compares the lines that begin with `start`.
fn check(start: &str, expected: &[&str]) {
    let text = used().prometheus();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with(start)).collect();
    assert_eq!(lines, expected);
}

#[test]
fn a_counter_has_help_type_and_one_line_per_label_value() {
    check(
        "# HELP quipu_build_info",
        &["# HELP quipu_build_info Always 1; the label says which version runs."],
    );
    check("quipu_build_info", &["quipu_build_info{version=\"1.2.3 \\\"q\\\"\"} 1"]);
    check("# TYPE quipu_shard_rej", &["# TYPE quipu_shard_rejected_total counter"]);
    check(
        "quipu_shard_refused_total{reason=\"n",
        &["quipu_shard_refused_total{reason=\"nospace\"} 4"],
    );
    check(
        "quipu_shard_rejected_total",
        &[
            "quipu_shard_rejected_total{reason=\"bounds\"} 0",
            "quipu_shard_rejected_total{reason=\"overflow\"} 0",
        ],
    );
}

#[test]
fn gauges_are_in_base_units() {
    check("quipu_log_time_deviation_seconds", &["quipu_log_time_deviation_seconds -1.5"]);
    check("quipu_node_memory_bytes", &["quipu_node_memory_bytes 1099511627776"]);
}

#[test]
fn buckets_are_cumulative_and_end_with_all() {
    let name = "quipu_server_request_duration_seconds";
    check(
        &format!("{name}_bucket{{surface=\"http\",le=\"0.00000"),
        &[
            "quipu_server_request_duration_seconds_bucket{surface=\"http\",le=\"0.000001024\"} 1",
            "quipu_server_request_duration_seconds_bucket{surface=\"http\",le=\"0.000002048\"} 2",
            "quipu_server_request_duration_seconds_bucket{surface=\"http\",le=\"0.000004096\"} 2",
            "quipu_server_request_duration_seconds_bucket{surface=\"http\",le=\"0.000008192\"} 2",
        ],
    );
    check(
        &format!("{name}_bucket{{surface=\"http\",le=\"+"),
        &["quipu_server_request_duration_seconds_bucket{surface=\"http\",le=\"+Inf\"} 3"],
    );
    check(
        &format!("{name}_sum{{surface=\"http"),
        &["quipu_server_request_duration_seconds_sum{surface=\"http\"} 100.000002049"],
    );
    check(
        &format!("{name}_count{{surface=\"http"),
        &["quipu_server_request_duration_seconds_count{surface=\"http\"} 3"],
    );
}

/// Counts the samples of each family and requires that they stand below its head.
fn samples_by_family(text: &str) -> BTreeMap<String, usize> {
    let mut samples = BTreeMap::new();
    let mut family = String::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            family = head.split(' ').next().expect("a name").to_owned();
            assert!(samples.insert(family.clone(), 0).is_none(), "two heads: {family}");
        } else if !line.starts_with('#') {
            assert!(line.starts_with(&family), "{line} stands below {family}");
            let value = line.rsplit(' ').next().expect("a value");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            *samples.entry(family.clone()).or_default() += 1;
        }
    }
    samples
}

#[test]
fn every_metric_is_shown_from_the_start_with_all_its_series() {
    let samples = samples_by_family(&Registry::new("1").prometheus());
    let series = |spec: &Spec| match spec.label {
        Some(set) if !set.values.is_empty() => set.values.len(),
        _ => 1,
    };
    for spec in all() {
        let lines = if spec.kind == Kind::Histogram { 27 + 3 } else { 1 };
        assert_eq!(samples.get(spec.name), Some(&(series(spec) * lines)), "{}", spec.name);
    }
    assert_eq!(samples.len(), all().count());
}

#[test]
fn json_says_the_same() {
    let json = used().json();
    for part in [
        "{\"version\":\"1.2.3 \\\"q\\\"\",\"metrics\":[{\"name\":",
        "{\"labels\":{\"reason\":\"nospace\"},\"value\":4}",
        "\"kind\":\"gauge\",\"unit\":\"seconds\"",
        "\"series\":[{\"labels\":{},\"value\":-1.5}]",
        "{\"labels\":{\"surface\":\"http\"},\"count\":3,\"sum\":100.000002049,\"p50\":0.000001088,",
        "{\"labels\":{\"surface\":\"resp\"},\"count\":0,\"sum\":0,\"p50\":null,",
    ] {
        assert!(json.contains(part), "{part} is not in {json}");
    }
    assert_eq!(json.matches('{').count(), json.matches('}').count());
    assert_eq!(json.matches('[').count(), json.matches(']').count());
}

#[test]
fn nanoseconds_are_shown_as_seconds_without_loss() {
    let shown = |amount| Base(Unit::Seconds, amount).to_string();
    assert_eq!(shown(0), "0");
    assert_eq!(shown(1), "0.000000001");
    assert_eq!(shown(-1), "-0.000000001");
    assert_eq!(shown(1_000_000_000), "1");
    assert_eq!(shown(12_340_000_000), "12.34");
    assert_eq!(Base(Unit::Bytes, 5).to_string(), "5");
}

#[test]
fn what_could_end_a_text_is_escaped() {
    assert_eq!(Quoted("a\"b\\c\nd").to_string(), "\"a\\\"b\\\\cd\"");
}
