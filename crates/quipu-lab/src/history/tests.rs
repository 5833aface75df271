//! Histories of made-up results.

use std::collections::BTreeMap;

use super::{Entry, parse, trends};
use crate::metric::{Declared, Metric};
use crate::validity::Verdict;

/// A result whose throughput wobbles by 1 % around a level.
fn entry(number: u32, level: f64) -> Entry {
    let throughput = level * (1.0 + f64::from(number * 7 % 11) / 500.0);
    let kernel = if number < 20 { "6.1" } else { "6.2" };
    Entry {
        version: 1,
        commit: format!("c{number}"),
        time: format!("2026-11-30T{number:02}:00:00Z"),
        scenario: "burst".to_owned(),
        verdict: Verdict::Valid,
        environment: BTreeMap::from([("kernel".to_owned(), kernel.to_owned())]),
        metrics: BTreeMap::from([("throughput".to_owned(), throughput)]),
    }
}

fn declared() -> [Declared; 1] {
    [Declared::usual(Metric::Throughput)]
}

#[test]
fn a_change_names_the_result_where_it_began_and_what_else_changed_there() {
    let entries: Vec<Entry> =
        (0..40).map(|n| entry(n, if n < 20 { 1_000.0 } else { 900.0 })).collect();
    let found = trends(&entries, &declared());
    assert_eq!((found.len(), found[0].entries), (1, 40));
    let [change] = found[0].changes.as_slice() else { panic!("{found:?}") };
    assert_eq!((change.entry, change.commit.as_str(), change.is_worse), (21, "c20", true));
    assert_eq!(change.environment, ["kernel: 6.1, 6.2"]);
    let page = found[0].page();
    assert!(page.contains("throughput became worse at result 21, c20"), "{page}");
    assert!(page.contains("changed there in kernel: 6.1, 6.2"), "{page}");
}

#[test]
fn what_stays_within_the_margin_is_no_change_and_few_results_are_called_few() {
    let entries: Vec<Entry> =
        (0..16).map(|n| entry(n, 1_000.0 - 10.0 * f64::from(n / 8))).collect();
    let found = trends(&entries, &declared());
    assert!(found[0].changes.is_empty(), "{found:?}");
    assert!(found[0].page().contains("fewer than 20"));
}

#[test]
fn results_of_two_scenarios_are_two_series() {
    let mut entries: Vec<Entry> = (0..30).map(|n| entry(n, 1_000.0)).collect();
    for (n, entry) in entries.iter_mut().enumerate().filter(|(n, _)| n % 2 == 1) {
        entry.scenario = "ramp".to_owned();
        entry.metrics.insert("throughput".to_owned(), 5_000.0 + n as f64);
    }
    let found = trends(&entries, &declared());
    assert_eq!(found.iter().map(|trend| trend.entries).collect::<Vec<_>>(), [15, 15]);
    assert!(found.iter().all(|trend| trend.changes.is_empty()), "{found:?}");
}

#[test]
fn a_history_is_read_as_it_was_written_and_a_bad_line_is_named() {
    let entries = [entry(1, 1_000.0), entry(2, 1_000.0)];
    let text: String = entries.iter().map(Entry::line).collect();
    assert_eq!(parse(&text).unwrap(), entries);
    let broken = format!("{text}\nno entry\n");
    assert_eq!(parse(&broken).unwrap_err().to_string(), "line 4 is no entry of a history");
    let other = text.replacen("\"version\":1", "\"version\":9", 1);
    let error = parse(&other).unwrap_err().to_string();
    assert_eq!(error, "line 1 has version 9, and this program reads version 1");
}
