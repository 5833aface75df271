//! Which runs are believed, and what is said of those that are not.

use crate::validity::{Limits, Observed, Validity, Verdict};

/// A run with nothing wrong.
fn good() -> Observed {
    Observed {
        is_open: true,
        planned: 100_000,
        sent: 100_000,
        lag_p99_ns: Some(200_000),
        held_back: 0,
        generator_cpu: vec![0.4, 0.5],
        steal: Some(0.001),
        run_queue_wait: Some(0.01),
        in_flight_mean: 20.0,
        ended_per_s: 10_000.0,
        service_mean_ns: 2_010_000.0,
        socket_errors: 0,
        lost_segments: Some(2),
        listen_overflows: Some(0),
        clock_source: Some("tsc".to_owned()),
        saturated: 0,
        failed: 10,
        ended: 100_000,
        latency_limit_ns: Some(20_000_000),
    }
}

fn check(change: impl Fn(&mut Observed), verdict: Verdict, reasons: &[&str]) {
    let mut observed = good();
    change(&mut observed);
    let validity = Validity::judge(&observed, &Limits::default());
    let found: Vec<String> = validity.reasons().collect();
    assert_eq!(validity.verdict, verdict, "{found:?}");
    assert_eq!(found.len(), reasons.len(), "{found:?}");
    for (found, expected) in found.iter().zip(reasons) {
        assert!(found.starts_with(expected), "{found:?} does not begin with {expected:?}");
    }
}

#[test]
fn a_run_with_nothing_wrong_is_valid() {
    check(|_| (), Verdict::Valid, &[]);
}

#[test]
fn a_generator_that_missed_its_schedule_invalidates_the_run() {
    check(
        |run| run.sent = 99_800,
        Verdict::Invalid,
        &["sent of planned is 99.8%, at least 99.9%: the load was not the planned one"],
    );
    check(
        |run| run.lag_p99_ns = Some(1_000_001),
        Verdict::Invalid,
        &["lag p99 is 1.000001ms, at most 1ms"],
    );
    check(
        |run| run.generator_cpu[1] = 0.85,
        Verdict::Invalid,
        &["busiest thread is 85%, at most 80%: the generator was the limit"],
    );
    check(|run| run.saturated = 1, Verdict::Invalid, &["latencies beyond the histogram is 1"]);
}

#[test]
fn a_tenth_of_the_promised_latency_binds() {
    let strict = |run: &mut Observed| run.latency_limit_ns = Some(1_500_000);
    check(strict, Verdict::Invalid, &["lag p99 is 200us, at most 150us"]);
}

#[test]
fn a_slow_target_makes_the_run_suspect_and_not_invalid() {
    let slow = |run: &mut Observed| {
        run.held_back = 20_000;
        run.sent = 90_000;
    };
    let reasons = ["sent of planned", "slots held back by the limit in flight is 20%, at most 1%"];
    check(slow, Verdict::Suspect, &reasons);
}

#[test]
fn a_few_slots_that_are_held_back_change_nothing_and_excuse_no_late_generator() {
    check(|run| run.held_back = 1_000, Verdict::Valid, &[]);
    let late = |run: &mut Observed| {
        run.held_back = 1_000;
        run.lag_p99_ns = Some(2_000_000);
    };
    check(late, Verdict::Invalid, &["lag p99 is 2ms, at most 1ms"]);
}

#[test]
fn a_disturbed_machine_makes_the_run_suspect() {
    check(|run| run.steal = Some(0.05), Verdict::Suspect, &["steal is 5%, at most 1%"]);
    check(|run| run.run_queue_wait = Some(0.2), Verdict::Suspect, &["run-queue wait is 20%"]);
    check(
        |run| run.clock_source = Some("hpet".to_owned()),
        Verdict::Suspect,
        &["clock source is hpet, good are tsc"],
    );
    check(
        |run| run.lost_segments = Some(1_000),
        Verdict::Suspect,
        &["lost segments per request is 1%"],
    );
    check(|run| run.listen_overflows = Some(1), Verdict::Suspect, &["listen overflows is 1"]);
    check(|run| run.socket_errors = 3, Verdict::Suspect, &["socket errors is 3, at most 0"]);
}

#[test]
fn littles_law_finds_wrong_bookkeeping() {
    check(|run| run.in_flight_mean = 15.0, Verdict::Suspect, &["distance to Little's law is 25"]);
    // Requests so short that there is seldom one: the difference is below what clocks tell.
    let short = |run: &mut Observed| {
        run.service_mean_ns = 10_000.0;
        run.in_flight_mean = 0.05;
    };
    check(short, Verdict::Valid, &[]);
}

#[test]
fn a_closed_loop_is_not_held_to_a_schedule_and_its_rates_are_at_least() {
    let closed = |run: &mut Observed| {
        run.is_open = false;
        run.planned = 0;
        run.lag_p99_ns = None;
        run.generator_cpu = vec![0.99];
    };
    check(closed, Verdict::Suspect, &["busiest thread is 99%"]);
    let mut observed = good();
    closed(&mut observed);
    assert!(Validity::judge(&observed, &Limits::default()).is_generator_bound);
}

#[test]
fn what_was_not_measured_decides_nothing_and_is_said() {
    let blind = |run: &mut Observed| {
        run.steal = None;
        run.clock_source = None;
        run.lost_segments = None;
    };
    check(blind, Verdict::Valid, &[]);
    let mut observed = good();
    blind(&mut observed);
    let validity = Validity::judge(&observed, &Limits::default());
    let silent = validity.gates.iter().filter(|gate| gate.measured == "not measured");
    assert_eq!(silent.count(), 3);
}
