//! Comparisons of made-up results.

use super::{Comparison, Named, compare, histogram};
use crate::finding::made_up::MadeUp;
use crate::metric::{Declared, Metric};
use crate::pairs::Claim;
use crate::validity::Verdict;

/// A result of a second in which so many requests took so long, one in twenty ten times as long.
fn result(started: u32, requests: u64, response_ns: u64) -> Named {
    let response = |number: u64| response_ns * if number.is_multiple_of(20) { 10 } else { 1 };
    let mut finding = MadeUp::answered((0..requests).map(response)).finding();
    finding.started = format!("2026-11-30T00:00:{started:02}Z");
    Named { name: format!("{started}.json"), finding }
}

/// Eight results that wobble by 2 %, at seconds that those of the other side lie between.
fn side(first: u32, response_ns: u64) -> Vec<Named> {
    let wobble = |run: u32| response_ns + response_ns * u64::from(run * 5 % 8) / 400;
    (0..8).map(|run| result(first + 2 * run, 2_000, wobble(run))).collect()
}

fn p99() -> [Declared; 1] {
    [Declared::usual(Metric::P99)]
}

fn check(new_ns: u64, expected: Claim) -> Comparison {
    let found = compare(&side(0, 1_000_000), &side(1, new_ns), &p99());
    assert_eq!(found.claim, Some(expected), "{}", found.page());
    found
}

#[test]
fn enough_results_per_side_get_a_verdict() {
    check(1_300_000, Claim::Regressed);
    check(700_000, Claim::Improved);
    let same = check(1_001_000, Claim::Equivalent);
    assert!(same.doubts.is_empty(), "{:?}", same.doubts);
}

#[test]
fn few_results_get_none_and_are_merged_all_the_same() {
    let (old, new) = (result(0, 2_000, 1_000_000), result(1, 2_000, 3_000_000));
    let found = compare(&[old], &[new], &p99());
    assert_eq!(found.claim, None);
    assert!(found.doubts.iter().any(|doubt| doubt.contains("at least 6 results")), "{found:?}");
    let metric = &found.metrics[0];
    assert!((metric.new.unwrap() / metric.old.unwrap() - 3.0).abs() < 0.01, "{metric:?}");
}

#[test]
fn percentiles_are_those_of_all_requests_and_not_averages() {
    // A quick run of many requests and a slow one of few: the mean of both medians is 5 ms.
    let many = result(0, 9_000, 1_000_000);
    let few = result(1, 1_000, 9_000_000);
    let all = histogram([&many.finding, &few.finding]).unwrap();
    let median_ms = Metric::P50.of_histogram(&all).unwrap() / 1e6;
    assert!((median_ms - 1.0).abs() < 0.01, "{median_ms}");
    assert_eq!(all.len(), 10_000);
    // One request in a thousand of ten thousand: ten of them, the least that is shown.
    assert!(Metric::P999.of_histogram(&all).is_some());
    let part = histogram([&few.finding]).unwrap();
    assert_eq!(Metric::P999.of_histogram(&part), None);
}

#[test]
fn what_makes_sides_less_comparable_is_said() {
    let old = side(0, 1_000_000);
    let mut new = side(30, 1_000_000);
    new[3].finding.environment.kernel = "6.2".to_owned();
    new[4].finding.validity.verdict = Verdict::Invalid;
    for named in &mut new {
        named.finding.plan.connections = 9;
    }
    let found = compare(&old, &new, &p99());
    assert_eq!(found.new_runs, 7);
    for expected in [
        "is INVALID and left out",
        "environments differ in kernel: nothing, nothing and 6.2",
        "plans differ in connections: 1, 9",
        "all results of one side are older",
    ] {
        assert!(found.doubts.iter().any(|d| d.contains(expected)), "{expected}: {found:?}");
    }
}
