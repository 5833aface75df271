//! Fits of made-up systems whose law is known.

use super::{Fit, Measured, ModelAsk, Run, Workload, fit};
use crate::finding::Finding;
use crate::finding::made_up::MadeUp;
use crate::validity::Verdict;

/// A second of a system in which so many requests took so long each.
fn finding(is_closed: bool, requests: u64, response_ns: u64) -> Finding {
    let made_up = MadeUp::answered((0..requests).map(|_| response_ns));
    if is_closed { made_up.closed().finding() } else { made_up.finding() }
}

/// A closed loop of a system with contention and coherency.
fn level(users: u32, contention: f64, coherency: f64) -> Run {
    let others = f64::from(users) - 1.0;
    let slowdown = 1.0 + contention * others + coherency * f64::from(users) * others;
    let per_s = 1_000.0 * f64::from(users) / slowdown;
    let response_ns = f64::from(users) / per_s * 1e9;
    let finding = finding(true, per_s as u64, response_ns as u64);
    Run { name: format!("{users} users"), users: Some(users), finding }
}

fn levels(contention: f64, coherency: f64) -> Fit {
    let runs: Vec<Run> =
        [1, 2, 4, 8, 16, 32, 64].map(|users| level(users, contention, coherency)).into();
    fit(&runs, &ModelAsk::default(), 1)
}

#[test]
fn a_peak_that_the_levels_show_is_found() {
    let found = levels(0.05, 0.001);
    let scaling = found.scaling.as_ref().unwrap();
    let peak = scaling.law.as_ref().unwrap().peak.as_ref().expect("it lies at 31 users");
    assert!((28.0..34.0).contains(&peak.users), "{peak:?}");
    assert!(scaling.levels.iter().all(super::Level::holds_little), "{scaling:?}");
    assert!(found.page().contains("peak: "), "{}", found.page());
}

#[test]
fn a_peak_that_they_do_not_show_is_refused() {
    let found = levels(0.05, 0.0);
    assert!(found.page().contains("no peak seen: "), "{}", found.page());
    let few = fit(&[level(1, 0.0, 0.0), level(2, 0.0, 0.0)], &ModelAsk::default(), 1);
    assert!(few.page().contains("no law: "), "{}", few.page());
}

#[test]
fn runs_that_say_nothing_are_left_out_and_named() {
    let mut runs = vec![level(1, 0.0, 0.0), level(2, 0.0, 0.0)];
    runs[1].finding.validity.verdict = Verdict::Invalid;
    let found = fit(&runs, &ModelAsk::default(), 1);
    assert_eq!(found.scaling.unwrap().levels.len(), 1);
    assert!(found.doubts[0].starts_with("2 users is INVALID"), "{:?}", found.doubts);
}

#[test]
fn open_loops_of_several_rates_show_their_knee() {
    let run = |rate: u64| {
        let response_ns = 1e6 / (1.0 - rate as f64 / 10_000.0);
        let finding = finding(false, rate, response_ns as u64);
        Run { name: format!("{rate}/s"), users: None, finding }
    };
    let runs: Vec<Run> = [1_000, 3_000, 5_000, 7_000, 8_000, 9_000].map(run).into();
    let found = fit(&runs, &ModelAsk::default(), 1).knee.expect("open loops");
    let (capacity, low, high) = found.capacity_per_s.expect("enough rates");
    assert!((9_800.0..10_200.0).contains(&capacity), "{found:?}");
    assert!(low <= capacity && capacity <= high);
    let few = fit(&runs[..3], &ModelAsk::default(), 1);
    assert!(few.page().contains("no curve: it takes four"), "{}", few.page());
}

fn measured(workload: &str, per_s: f64) -> Measured {
    Measured::figure(workload.parse().expect("a workload"), per_s)
}

/// Memory 1 us, disk 2 ms, network 1 ms.
fn plain() -> Vec<Measured> {
    vec![
        measured("single", 1.0 / 0.003_001),
        measured("writes:3", 3.0 / 0.002_001),
        measured("reads:4", 1.0 / (0.001_001 * 4.0)),
    ]
}

#[test]
fn the_plain_model_tells_its_times_and_the_nodes_for_a_rate() {
    let ask = ModelAsk { measured: plain(), target_per_s: Some(10_000.0), ..ModelAsk::default() };
    let found = fit(&[], &ask, 1);
    let model = found.model.as_ref().expect("it was asked for");
    let (memory, disk, network) = model.times_s.expect("three measurements");
    assert!((memory - 1e-6).abs() < 1e-7 && (disk - 2e-3).abs() < 1e-5, "{model:?}");
    assert!((network - 1e-3).abs() < 1e-5, "{model:?}");
    assert!(model.failures.is_empty());
    assert_eq!((model.nodes_by_model, model.nodes_by_measurement), (Some(21), Some(21)));
    assert!(found.page().contains("nodes for 10000/s: 21 by the model"), "{}", found.page());
}

#[test]
fn group_commit_is_where_it_fails() {
    let mut measured_all = plain();
    measured_all.push(measured("writes:1", 60_000.0));
    let ask = ModelAsk {
        measured: measured_all,
        memory_s: Some(1e-6),
        disk_s: Some(2e-3),
        network_s: Some(1e-3),
        target_per_s: Some(120_000.0),
    };
    let model = fit(&[], &ask, 1).model.expect("it was asked for");
    let [failure] = model.failures.as_slice() else { panic!("{model:?}") };
    assert!(failure.contains("group commit, coalescing and pipelining"), "{failure}");
    assert_eq!((model.nodes_by_model, model.nodes_by_measurement), (Some(241), Some(2)));
}

#[test]
fn what_does_not_determine_the_times_is_said() {
    let ask = ModelAsk { target_per_s: Some(1_000.0), ..ModelAsk::default() };
    let found = fit(&[level(1, 0.0, 0.0), level(8, 0.1, 0.0)], &ask, 1);
    let model = found.model.expect("it was asked for");
    assert_eq!((model.measured.len(), model.times_s), (2, None));
    assert!(model.no_times.expect("a reason").contains("say which times are known"));
    assert_eq!(model.nodes_by_measurement, Some(1));
}

#[test]
fn a_workload_is_read_with_its_nodes() {
    let check = |text: &str, expected: Option<Workload>| {
        assert_eq!(text.parse().ok(), expected, "{text}");
    };
    check("single", Some(Workload::Single));
    check("writes:3", Some(Workload::Writes { nodes: 3 }));
    check("reads", Some(Workload::Reads { nodes: 1 }));
    for text in ["single:2", "writes:0", "writes:x", "", "update"] {
        check(text, None);
    }
}
