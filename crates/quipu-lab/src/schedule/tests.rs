//! When slots are due: totals, moments, shares, and the process of drawn ones.

use proptest::prelude::*;
use stdx::units::Nanos;

use crate::scenario::{Arrival, Late, Load, Model, Pacing, Phase, Process, Rate, Repeat, Shape};
use crate::schedule::Schedule;
use crate::slot::Slot;

const SECOND: u64 = 1_000_000_000;

fn arrival(process: Process, burst: u32) -> Arrival {
    let (pacing, late) = (Pacing::Balanced, Late::Queue);
    Arrival { model: Model::Open, process, pacing, late, max_in_flight: 1, burst }
}

fn phase(load: Load, ns: u64) -> Phase {
    Phase {
        name: "phase".to_owned(),
        load,
        lasts: Nanos(ns),
        window: Nanos(SECOND),
        record: true,
        repeat: None,
        abort_if: None,
    }
}

fn constant(rate: u64, seconds: u64) -> Phase {
    phase(Load::Rate(Rate::whole(rate)), seconds * SECOND)
}

fn ramp(from: u64, to: u64, shape: Shape, seconds: u64) -> Phase {
    phase(Load::Ramp { from: Rate::whole(from), to: Rate::whole(to), shape }, seconds * SECOND)
}

fn even(phases: &[Phase]) -> Schedule {
    Schedule::new(phases, &arrival(Process::Uniform, 1), 1)
}

fn all(schedule: &Schedule) -> Vec<Slot> {
    schedule.slots(0, 1).collect()
}

/// The slots per phase.
fn check(phases: &[Phase], expected: &[u64]) {
    let schedule = even(phases);
    let planned: Vec<u64> = schedule.phases().iter().map(|phase| phase.slots).collect();
    assert_eq!(planned, expected);
    assert_eq!(schedule.total(), expected.iter().sum::<u64>());
}

#[test]
fn totals_are_whole_numbers() {
    check(
        &[constant(5_000, 120), constant(20_000, 60), constant(5_000, 120)],
        &[600_000, 1_200_000, 600_000],
    );
    for shape in [Shape::Linear, Shape::Steps(14)] {
        check(&[ramp(1_000, 15_000, shape, 600), constant(15_000, 300)], &[4_800_000, 4_500_000]);
    }
    check(&[constant(3_000, 8 * 3_600)], &[86_400_000]);
    check(&[constant(0, 10), constant(7, 1)], &[0, 7]);
    // (b - a) / ln(b / a) * T
    check(&[ramp(1_000, 16_000, Shape::Exponential, 60)], &[324_607]);
}

#[test]
fn a_count_that_is_not_whole_goes_over_into_the_next_phase() {
    let third = phase(Load::Rate(Rate::new(0.5).unwrap()), SECOND);
    check(&[third.clone(), third.clone(), third.clone(), third], &[1, 0, 1, 0]);
}

#[test]
fn moments_are_those_of_the_rate() {
    let check = |phase: Phase, number: u64, expected_ns: u64| {
        let slot = even(&[phase]).slot(number).unwrap();
        assert!(slot.due_ns.abs_diff(expected_ns) <= 1, "{slot:?}, expected at {expected_ns}");
    };
    check(constant(20_000, 60), 0, 0);
    check(constant(20_000, 60), 1, 50_000);
    check(constant(20_000, 60), 1_199_999, 59_999_950_000);
    check(constant(3_000, 8 * 3_600), 86_399_999, 8 * 3_600 * SECOND - 333_334);
    // From 0 to 2/s in 1 s: t^2 = n.
    check(ramp(0, 200, Shape::Linear, 1), 25, SECOND / 2);
    check(ramp(200, 0, Shape::Linear, 1), 75, SECOND / 2);
    // In half of the time the rate doubles and 7,213.5 slots are due.
    check(ramp(1_000, 4_000, Shape::Exponential, 10), 7_214, 5_000_262_393);
    // Fifteen plateaus of 40 s.
    check(ramp(1_000, 15_000, Shape::Steps(14), 600), 40_000, 40 * SECOND);
    check(ramp(1_000, 15_000, Shape::Steps(14), 600), 40_001, 40 * SECOND + 500_000);
}

#[test]
fn nothing_is_due_in_an_idle_phase() {
    let slots = all(&even(&[constant(10, 1), constant(0, 5), constant(10, 1)]));
    assert_eq!(slots.len(), 20);
    assert_eq!((slots[9].due_ns, slots[9].phase), (900_000_000, 0));
    assert_eq!((slots[10].due_ns, slots[10].phase), (6 * SECOND, 2));
}

#[test]
fn a_phase_comes_again_with_what_lies_between() {
    let every = Nanos::from_secs(10);
    let mut spike = constant(100, 2);
    spike.repeat = Some(Repeat { times: 3, every, between: Rate::whole(1) });
    let schedule = even(&[spike]);
    assert_eq!(schedule.total(), 3 * (200 + 8));
    assert_eq!(schedule.duration_ns(), 30 * SECOND);
    assert_eq!(schedule.slot(208).unwrap().due_ns, 10 * SECOND);
    let rate = |second: u64| schedule.rate_at(second * SECOND).round() as u64;
    assert_eq!([rate(1), rate(2), rate(11), rate(29), rate(30)], [100, 1, 100, 1, 0]);
}

#[test]
fn the_rate_over_a_span_is_that_of_its_slots() {
    let phases = [constant(100, 2), ramp(100, 300, Shape::Linear, 2), constant(0, 2)];
    let schedule = even(&phases);
    let over = |from: u64, until: u64| schedule.rate_over(from * SECOND, until * SECOND).round();
    let found = [over(0, 2), over(1, 3), over(2, 4), over(3, 5), over(0, 6), over(5, 9)];
    assert_eq!(found.map(|rate| rate as u64), [100, 125, 200, 125, 100, 0]);
}

#[test]
fn a_burst_shares_one_moment() {
    let schedule = Schedule::new(&[constant(100, 1)], &arrival(Process::Uniform, 4), 1);
    let due: Vec<u64> = schedule.slots(0, 1).take(9).map(|slot| slot.due_ns / 1_000_000).collect();
    assert_eq!(due, [0, 0, 0, 0, 40, 40, 40, 40, 80]);
}

/// The virtual scheduling of ITU-T I.371: what conforms to a rate with so many at once.
fn conforms(due: impl Iterator<Item = u64>, increment_ns: u64, burst: u64) -> bool {
    let mut expected_ns = 0;
    for ns in due {
        // One nanosecond for the rounding of moments.
        if ns + (burst - 1) * increment_ns + 1 < expected_ns {
            return false;
        }
        expected_ns = expected_ns.max(ns) + increment_ns;
    }
    true
}

#[test]
fn a_burst_is_what_the_generic_cell_rate_algorithm_lets_pass() {
    for burst in [2, 5, 16] {
        let arrival = arrival(Process::Uniform, burst);
        let schedule = Schedule::new(&[constant(1_000, 1)], &arrival, 1);
        let due = || schedule.slots(0, 1).map(|slot| slot.due_ns);
        assert!(conforms(due(), 1_000_000, u64::from(burst)));
        assert!(!conforms(due(), 1_000_000, u64::from(burst) - 1), "a burst below {burst}");
    }
}

#[test]
fn a_closed_loop_has_time_and_no_slots() {
    let schedule = even(&[phase(Load::Users(5), 3 * SECOND)]);
    assert_eq!((schedule.total(), schedule.duration_ns()), (0, 3 * SECOND));
    assert_eq!((schedule.phase_at(2 * SECOND), schedule.phase_at(3 * SECOND)), (Some(0), None));
}

fn poisson(phases: &[Phase], threads: u32) -> Vec<Slot> {
    let schedule = Schedule::new(phases, &arrival(Process::Poisson, 1), 7);
    let threads = (0..threads).flat_map(|thread| schedule.slots(thread, threads));
    let mut slots: Vec<Slot> = threads.collect();
    slots.sort_by_key(|slot| slot.due_ns);
    slots
}

#[test]
fn poisson_arrivals_over_threads_are_one_process_at_the_whole_rate() {
    let phases = [constant(1_000, 20), constant(0, 5), ramp(0, 4_000, Shape::Linear, 20)];
    let slots = poisson(&phases, 3);
    // 60,000 expected: 5 standard deviations.
    let [first, idle, last] =
        [0, 1, 2].map(|phase| slots.iter().filter(|slot| slot.phase == phase).count());
    assert!(first.abs_diff(20_000) < 5 * 142, "{first}");
    assert_eq!(idle, 0);
    assert!(last.abs_diff(40_000) < 5 * 200, "{last}");
    // Of a Poisson process the variance of counts is their mean, and gaps have mean = deviation.
    let mut counts = vec![0_f64; 2_000];
    for slot in slots.iter().filter(|slot| slot.phase == 0) {
        counts[(slot.due_ns / 10_000_000) as usize] += 1.0;
    }
    let mean = counts.iter().sum::<f64>() / 2_000.0;
    let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / 1_999.0;
    // The deviation of a variance of 2,000 counts is 3.2 % of it.
    assert!((0.85..1.15).contains(&(variance / mean)), "{variance} {mean}");
}

#[test]
fn poisson_arrivals_follow_from_the_seed_and_have_numbers_of_their_own() {
    let phases = [constant(1_000, 2)];
    let slots = poisson(&phases, 4);
    assert_eq!(slots, poisson(&phases, 4));
    let numbers: std::collections::BTreeSet<u64> = slots.iter().map(|slot| slot.number).collect();
    assert_eq!(numbers.len(), slots.len());
}

fn loads() -> impl Strategy<Value = Load> {
    let rate = || {
        (0_u64..3_000_000).prop_map(|thousandths| Rate::new(thousandths as f64 / 1_000.0).unwrap())
    };
    let shape = prop_oneof![
        Just(Shape::Linear),
        Just(Shape::Exponential),
        (1_u32..20).prop_map(Shape::Steps)
    ];
    prop_oneof![
        rate().prop_map(Load::Rate),
        (rate(), rate(), shape).prop_map(|(from, to, shape)| Load::Ramp { from, to, shape }),
    ]
}

fn phases() -> impl Strategy<Value = Vec<Phase>> {
    let one = (loads(), 1_u64..3 * SECOND).prop_map(|(load, ns)| phase(load, ns));
    proptest::collection::vec(one, 1..6)
}

/// The integral of the planned rate, by the midpoint rule.
fn integral(schedule: &Schedule, until_ns: u64) -> f64 {
    let parts = 20_000;
    let inside = schedule.segments().iter().filter(|segment| segment.start_ns < until_ns);
    inside
        .map(|segment| {
            let width_ns =
                (segment.end_ns.min(until_ns) - segment.start_ns) as f64 / f64::from(parts);
            let middle = |part: i32| segment.start_ns as f64 + (f64::from(part) + 0.5) * width_ns;
            let rates = (0..parts).map(|part| segment.rate_at(middle(part) as u64));
            rates.sum::<f64>() * width_ns / 1e9
        })
        .sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn slots_come_in_order_inside_their_segment(phases in phases(), burst in 1_u32..4) {
        let schedule = Schedule::new(&phases, &arrival(Process::Uniform, burst), 1);
        let slots = all(&schedule);
        prop_assert_eq!(slots.len() as u64, schedule.total());
        prop_assert!(slots.is_sorted_by_key(|slot| slot.due_ns));
        for (number, slot) in (0..).zip(&slots) {
            prop_assert_eq!(slot.number, number);
            prop_assert_eq!(schedule.slot(number), Some(*slot));
            prop_assert_eq!(schedule.phase_at(slot.due_ns), Some(slot.phase));
        }
        prop_assert_eq!(schedule.slot(schedule.total()), None);
    }

    #[test]
    fn the_threads_share_every_slot(phases in phases(), threads in 1_u32..5) {
        let schedule = even(&phases);
        let mut shared: Vec<Slot> =
            (0..threads).flat_map(|thread| schedule.slots(thread, threads)).collect();
        shared.sort_by_key(|slot| slot.number);
        prop_assert_eq!(shared, all(&schedule));
    }

    #[test]
    fn the_count_is_the_integral_of_the_rate(phases in phases()) {
        let schedule = even(&phases);
        let integral = integral(&schedule, schedule.duration_ns());
        let error = schedule.total() as f64 - integral;
        // The first slot is at the start, so a part of a slot counts as one.
        prop_assert!((-0.01..1.01).contains(&error), "{} {integral}", schedule.total());
    }

    #[test]
    fn a_slot_is_due_when_the_integral_reaches_its_number(phases in phases(), share in 0.0..1.0) {
        let schedule = even(&phases);
        let number = (schedule.total() as f64 * share) as u64;
        if let Some(slot) = schedule.slot(number) {
            let integral = integral(&schedule, slot.due_ns);
            prop_assert!((integral - number as f64).abs() < 0.02, "{slot:?} {integral}");
        }
    }
}
