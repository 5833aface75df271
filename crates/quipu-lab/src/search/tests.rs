//! Searches on made-up targets whose capacity is known.

use proptest::prelude::*;
use stdx::prng::Prng;
use stdx::units::Nanos;

use super::{Ask, Capacity, Cause, Outcome, Search, Settings, TRIALS_MAX, Trial, Turn};
use crate::finding::made_up::MadeUp;
use crate::scenario::{Confirm, Rate};
use crate::slo::Check;

fn settings(from: u64) -> Settings {
    Settings {
        from: Rate::whole(from),
        precision: 0.05,
        trial: Nanos::from_secs(30),
        confirm: Confirm { runs: 3, lasts: Nanos::from_secs(300) },
        ..Settings::default()
    }
}

fn failed(cause: Cause) -> Outcome {
    Outcome::Fail { cause, why: "too much".to_owned() }
}

fn run(settings: Settings, mut target: impl FnMut(Ask) -> Outcome) -> Capacity {
    let mut search = Search::new(settings);
    loop {
        match search.turn() {
            Turn::Trial(ask) => search.take(target(ask)),
            Turn::Over(capacity) => return *capacity,
        }
    }
}

/// A target that bears a rate and no more.
fn knee(capacity: f64) -> impl FnMut(Ask) -> Outcome {
    move |ask| if ask.rate_per_s <= capacity { Outcome::Pass } else { failed(Cause::Latency) }
}

/// The rates of all trials, those of repeats and confirmations too.
fn rates(capacity: &Capacity) -> Vec<u64> {
    capacity.trials.iter().map(|trial| trial.rate_per_s as u64).collect()
}

#[test]
fn a_search_doubles_to_the_first_fail_repeats_it_halves_and_confirms() {
    let found = run(Settings { precision: 0.2, ..settings(1_000) }, knee(5_000.0));
    // 8,000 fails twice; the middle of 4,000 and 8,000 by factors is 5,657, then 4,757.
    let expected = [1_000, 2_000, 4_000, 8_000, 8_000, 5_656, 5_656, 4_756, 4_756, 4_756, 4_756];
    assert_eq!(rates(&found), expected);
    assert_eq!((found.confirmed, found.cause), (3, Some(Cause::Latency)));
    assert!(found.is_settled() && !found.is_at_least);
    let lasts: Vec<u64> = found.trials.iter().map(|trial| trial.lasts_ns / 1_000_000_000).collect();
    assert_eq!(&lasts[7..], [30, 300, 300, 300]);
    assert_eq!(
        found.to_string(),
        "capacity: from 4757/s to 5657/s; at 5657/s the limit was latency (too much); confirmed by 3 \
         of 3 trials of 5m"
    );
}

#[test]
fn a_first_rate_that_fails_is_followed_by_lower_ones() {
    let found = run(settings(1_000), knee(90.0));
    let (low, high) = (found.highest_pass_per_s.unwrap(), found.lowest_fail_per_s.unwrap());
    assert!(low <= 90.0 && 90.0 < high && high / low <= 1.05, "{low} {high}");

    let none = run(settings(1_000), knee(0.0));
    assert_eq!((none.highest_pass_per_s, none.is_precise), (None, false));
    assert!(none.to_string().starts_with("capacity: below 2/s, and no rate passed"), "{none}");
}

#[test]
fn a_trial_lasts_as_long_as_its_promises_need() {
    let promise = Check::parse("response.p99 <= 50ms").expect("a promise");
    let short = Settings { trial: Nanos::from_secs(1), checks: vec![promise], ..settings(1_000) };
    let found = run(short, knee(90.0));
    let answers = |trial: &Trial| trial.rate_per_s * trial.lasts_ns as f64 / 1e9;
    assert!(found.trials.iter().all(|trial| answers(trial) >= 1_000.0), "{found:?}");
    assert!(found.trials.iter().any(|trial| trial.lasts_ns > 10_000_000_000), "{found:?}");
}

#[test]
fn where_the_generator_is_the_limit_the_answer_is_at_least() {
    let found = run(settings(1_000), |ask| match ask.rate_per_s {
        rate if rate > 50_000.0 => failed(Cause::Generator),
        _ => Outcome::Pass,
    });
    assert!(found.is_at_least && found.is_settled());
    let low = found.highest_pass_per_s.unwrap();
    assert!((47_500.0..=50_000.0).contains(&low), "{low}");
    let text = found.to_string();
    assert!(text.starts_with("capacity: at least 4"), "{text}");
    assert!(text.contains("the limit was the generator"), "{text}");
}

#[test]
fn a_machine_on_which_no_rate_can_be_tried_is_not_searched_to_the_bottom() {
    let found = run(settings(1_000), |_| failed(Cause::Generator));
    assert_eq!(rates(&found), [1_000, 1_000, 500, 500, 250, 250]);
    assert!(!found.is_settled());
    assert!(found.to_string().starts_with("capacity: unknown"), "{found}");
}

#[test]
fn a_failure_that_may_be_the_generators_is_not_the_targets() {
    let mut causes = [Cause::Latency, Cause::Generator].into_iter().cycle();
    let found = run(settings(1_000), |ask| match ask.rate_per_s {
        rate if rate > 3_000.0 => failed(causes.next().unwrap()),
        _ => Outcome::Pass,
    });
    assert_eq!((found.cause, found.is_at_least), (Some(Cause::Generator), true));
}

#[test]
fn the_greatest_rate_that_was_asked_for_is_an_end() {
    let found = run(Settings { to: Rate::whole(3_000), ..settings(1_000) }, |_| Outcome::Pass);
    assert_eq!(rates(&found), [1_000, 2_000, 3_000, 3_000, 3_000, 3_000]);
    assert!(found.is_at_least && found.is_settled());
    assert_eq!(found.to_string(), "capacity: at least 3000/s; confirmed by 3 of 3 trials of 5m");
}

#[test]
fn one_hiccup_is_no_limit() {
    let mut trials = 0;
    let found = run(settings(1_000), |ask| {
        trials += 1;
        let is_hiccup = !ask.is_repeat && trials % 3 == 0;
        if is_hiccup { failed(Cause::Latency) } else { knee(20_000.0)(ask) }
    });
    let (low, high) = (found.highest_pass_per_s.unwrap(), found.lowest_fail_per_s.unwrap());
    assert!(low <= 20_000.0 && 20_000.0 < high && high / low <= 1.05, "{low} {high}");
    assert_eq!(found.confirmed, 3);
}

#[test]
fn a_target_that_tires_is_searched_again_in_long_trials() {
    // Short trials pass up to 10,000/s, long ones up to 7,000/s: the backlog grows with time.
    let found = run(settings(1_000), |ask| {
        let bears = if ask.lasts > Nanos::from_secs(60) { 7_000.0 } else { 10_000.0 };
        if ask.rate_per_s <= bears { Outcome::Pass } else { failed(Cause::Backlog) }
    });
    let (low, high) = (found.highest_pass_per_s.unwrap(), found.lowest_fail_per_s.unwrap());
    assert!(low <= 7_000.0 && 7_000.0 < high && high / low <= 1.05, "{low} {high}");
    assert!(found.is_settled());
    assert!(found.trials.len() < 40, "{}", found.trials.len());
}

#[test]
fn what_was_stopped_says_what_it_knew() {
    let mut search = Search::new(settings(1_000));
    search.take(Outcome::Pass);
    search.stop();
    let Turn::Over(found) = search.turn() else { panic!("it was stopped") };
    assert_eq!((found.highest_pass_per_s, found.is_settled()), (Some(1_000.0), false));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_knee_lies_between_both_ends(
        capacity in 2.0..5e6_f64,
        from in 1..200_000_u64,
        precision in 0.005..0.3_f64,
    ) {
        prop_assume!(capacity > from as f64 / 500.0);
        let found = run(Settings { precision, ..settings(from) }, knee(capacity));
        let (low, high) = (found.highest_pass_per_s.unwrap(), found.lowest_fail_per_s.unwrap());
        prop_assert!(low <= capacity && capacity < high);
        prop_assert!(high / low <= 1.0 + precision);
        prop_assert!(found.is_settled());
    }

    #[test]
    fn a_noisy_target_ends_the_search_and_what_it_answers_has_passed_all_confirmations(
        seed in any::<u64>(),
        capacity in 100.0..1e6_f64,
        noise in 0.0..0.3_f64,
    ) {
        let mut prng = Prng::new(seed);
        let mut passed = Vec::new();
        let found = run(settings(1_000), |ask| {
            let now = capacity * (1.0 + noise * (prng.below(2_001) as f64 / 1_000.0 - 1.0));
            let outcome = knee(now)(ask);
            if ask.is_confirmation && outcome == Outcome::Pass {
                passed.push(ask.rate_per_s);
            }
            outcome
        });
        prop_assert!(found.trials.len() <= TRIALS_MAX);
        if found.is_settled() {
            let (low, high) = (found.highest_pass_per_s.unwrap(), found.lowest_fail_per_s.unwrap());
            prop_assert!(low < high && high / low <= 1.05);
            // Nothing that passed lies above what may pass, nothing that failed twice below.
            prop_assert!(low <= capacity * (1.0 + noise) && high >= capacity * (1.0 - noise));
            prop_assert!(passed.iter().filter(|rate| rate.total_cmp(&low).is_eq()).count() >= 3);
        }
    }
}

#[test]
fn the_curve_through_what_passed_stands_beside_the_answer() {
    // One queue that serves 10,000/s; a promise of 5 ms is kept up to 8,000/s.
    let response_ns = |rate: f64| (1e6 / (1.0 - rate / 10_000.0)) as u64;
    let mut search = Search::new(Settings { precision: 0.2, ..settings(1_000) });
    let found = loop {
        match search.turn() {
            Turn::Over(capacity) => break capacity,
            Turn::Trial(ask) if ask.rate_per_s > 8_000.0 => search.take(failed(Cause::Latency)),
            Turn::Trial(ask) => {
                let response_ns = response_ns(ask.rate_per_s);
                let requests = (0..ask.rate_per_s as u64).map(|_| response_ns);
                search.remember(&MadeUp::answered(requests).finding());
                search.take(Outcome::Pass);
            }
        }
    };
    let (end, least, most) = found.curve.capacity_per_s.expect("four rates passed");
    assert!((9_900.0..10_100.0).contains(&end), "{end}");
    assert!(least <= end && end <= most, "{least} {most}");
    let text = found.to_string();
    assert!(text.contains("8000/s is 80 % of that"), "{text}");
}

#[test]
fn where_answers_do_not_slow_down_no_end_is_told() {
    let mut search = Search::new(Settings { precision: 0.2, ..settings(1_000) });
    let found = loop {
        match search.turn() {
            Turn::Over(capacity) => break capacity,
            Turn::Trial(ask) if ask.rate_per_s > 8_000.0 => search.take(failed(Cause::Errors)),
            Turn::Trial(ask) => {
                let requests = (0..ask.rate_per_s as u64).map(|_| 1_000_000);
                search.remember(&MadeUp::answered(requests).finding());
                search.take(Outcome::Pass);
            }
        }
    };
    assert_eq!(found.curve.capacity_per_s, None);
    let why = found.curve.no_curve.as_deref().unwrap_or_default();
    assert!(why.ends_with("answers slow down too little to show one"), "{why}");
    assert!(!found.to_string().contains("for ever"), "{found}");
}
