//! The arithmetic of truth, and what may be said when it was missed.

use super::{Accuracy, Cost, Stall, Statement, grid_lag, stall_quantile_ns};
use crate::finding::{Environment, Machine};
use crate::window::Percentiles;

const MS: u64 = 1_000_000;

#[test]
fn the_truth_of_a_stall_is_what_is_left_of_it_beyond_the_share_of_the_quantile() {
    let check = |stall_ms: u64, run_ms: u64, quantile: f64, expected_ms: f64| {
        let found_ms = stall_quantile_ns(stall_ms * MS, run_ms * MS, quantile) / MS as f64;
        assert!((found_ms - expected_ms).abs() < 1e-6, "{found_ms} is not {expected_ms}");
    };
    check(1_000, 30_000, 0.99, 700.0);
    check(1_000, 20_000, 0.99, 800.0);
    check(1_000, 12_000, 0.99, 880.0);
    check(1_000, 30_000, 0.999, 970.0);
    check(100, 3_000, 0.99, 70.0);
    check(1_000, 30_000, 1.0, 1_000.0);
    // A stall that is shorter than the share of the quantile is not seen by it.
    check(1_000, 100_000, 0.99, 0.0);
    check(1_000, 30_000, 0.95, 0.0);
}

/// The formula against counting: each request of a run waits for what is left of the stall.
#[test]
fn the_truth_of_a_stall_is_what_counting_finds() {
    let (run, stall, begin) = (30_000, 1_000, 20_000);
    let stalled = begin * 2..(begin + stall) * 2;
    let wait = |half_ms: u64| if stalled.contains(&half_ms) { stalled.end - half_ms } else { 0 };
    let mut waits: Vec<u64> = (0..run * 2).map(wait).collect();
    waits.sort_unstable();
    let counted_ms = waits[waits.len() * 99 / 100] as f64 / 2.0;
    let formula_ms = stall_quantile_ns(stall * MS, run * MS, 0.99) / MS as f64;
    assert!((counted_ms - formula_ms).abs() <= 1.0, "{counted_ms} against {formula_ms}");
}

#[test]
fn lag_is_the_distance_from_a_grid_on_which_nothing_is_early() {
    let check = |arrivals_ns: &[u64], p50_ns: u64, max_ns: u64| {
        let found = Percentiles::of(&grid_lag(arrivals_ns, 50_000.0));
        // Histograms keep three digits, and nothing below 100 ns apart.
        assert!(found.p50_ns.abs_diff(p50_ns) <= 128, "{found:?}");
        assert!(found.max_ns.abs_diff(max_ns) <= 128, "{found:?}");
    };
    let grid: Vec<u64> = (0..1_000).map(|n| 7_000_000 + n * 50_000).collect();
    check(&grid, 0, 0);
    let mut one_late = grid.clone();
    one_late[500] += 40_000;
    check(&one_late, 0, 40_000);
    // The first comes late: the others lie before its grid, which moves.
    let mut first_late = grid.clone();
    first_late[0] += 30_000;
    check(&first_late, 0, 30_000);
    // Pairs that leave together: every other one is a period late.
    let pairs: Vec<u64> = (0..1_000).map(|n| 50_000 * (n / 2 * 2 + 1)).collect();
    check(&pairs, 0, 50_000);
    assert!(grid_lag(&[], 50_000.0).is_empty());
}

fn stall(reported_ms: u64) -> Stall {
    Stall {
        protocol: "resp".to_owned(),
        rate_per_s: 2_000,
        run_ns: 30_000 * MS,
        stall_ns: 1_000 * MS,
        reported_p99_ns: reported_ms * MS,
        service_p99_ns: MS,
        lost: 0,
    }
}

fn accuracy(stalls: Vec<Stall>, cpu_pressure_ratio: f64, steal_ratio: f64) -> Accuracy {
    let machine =
        Machine { cpu_pressure_ratio: Some(cpu_pressure_ratio), steal_ratio, ..Machine::default() };
    Accuracy {
        started: "2026-11-30T05:00:00Z".to_owned(),
        environment: Environment { quipu_version: "1".into(), cpus: 2, ..Environment::default() },
        machine,
        stalls,
        grids: Vec::new(),
        costs: vec![Cost { what: "resp".into(), cpu_ns_per_request: 8_000.0 }],
    }
}

#[test]
fn a_machine_that_is_busy_excuses_what_is_not_right_and_nothing_else() {
    let check = |reported_ms: u64, pressure: f64, steal: f64, expected: Statement| {
        let found = accuracy(vec![stall(reported_ms)], pressure, steal).statement();
        assert_eq!(found, expected, "{reported_ms} ms, {pressure}, {steal}");
    };
    check(700, 0.0, 0.0, Statement::Right);
    check(720, 0.0, 0.0, Statement::Right);
    check(680, 0.9, 0.9, Statement::Right);
    check(722, 0.0, 0.0, Statement::Wrong);
    check(722, 0.2, 0.0, Statement::NotMeasurable);
    check(722, 0.0, 0.02, Statement::NotMeasurable);
    // What a generator reports that leaves out the wait before the write.
    check(4, 0.0, 0.0, Statement::Wrong);
    let lost = Stall { lost: 1, ..stall(700) };
    assert_eq!(accuracy(vec![stall(700), lost], 0.0, 0.0).statement(), Statement::Wrong);
    assert_eq!(accuracy(Vec::new(), 0.0, 0.0).statement(), Statement::Wrong);
}

#[test]
fn a_statement_is_kept_and_speaks_of_its_machine_alone() {
    let accuracy = accuracy(vec![stall(703)], 0.01, 0.0);
    let read = Accuracy::from_json(&accuracy.to_json()).expect("our own text");
    assert_eq!(read, accuracy);
    assert!(read.is_of(&accuracy.environment));
    assert!(!read.is_of(&Environment { cpus: 3, ..accuracy.environment.clone() }));
    let sentence = read.sentence();
    for part in ["703ms against 700ms true (+0.43 %)", "2026-11-30", "CPU pressure 1.0 %"] {
        assert!(sentence.contains(part), "{sentence}");
    }
    assert!(read.page().contains("125000 per CPU-second"), "{}", read.page());
    assert_eq!(Accuracy::from_json("{}"), None);
}
