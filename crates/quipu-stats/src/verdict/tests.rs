//! Verdicts on made-up pairs, and the two experiments: nothing changed, and something did.

use proptest::prelude::*;
use stdx::prng::Prng;

use super::{Better, Comparison, Goal, Verdict, compare, together};
use crate::pair::{self, Side};
use crate::{bootstrap, rank};

const THROUGHPUT: Goal = Goal { better: Better::Higher, margin_ratio: 0.03, alpha: 0.05 };
const LATENCY: Goal = Goal { better: Better::Lower, ..THROUGHPUT };

/// Ten pairs whose candidate differs by a factor and by noise of up to 1 % that sums to nothing.
fn pairs_of(factor: f64, noise: f64) -> (Vec<f64>, Vec<f64>) {
    let baseline: Vec<f64> = (0..10).map(|i| 1_000.0 + f64::from(i * 13 % 7)).collect();
    let wobble = |i: usize| 1.0 + noise * (i as f64 - 4.5) / 4.5;
    let candidate = baseline.iter().enumerate().map(|(i, value)| value * factor * wobble(i));
    (baseline.clone(), candidate.collect())
}

fn check(factor: f64, goal: &Goal, expected: Verdict) {
    let (baseline, candidate) = pairs_of(factor, 0.01);
    let found = compare(&baseline, &candidate, goal).unwrap();
    assert_eq!(found.verdict, expected, "factor {factor}: {found:?}");
}

#[test]
fn a_change_beyond_the_margin_is_named_by_its_direction() {
    check(0.90, &THROUGHPUT, Verdict::Regressed);
    check(1.10, &THROUGHPUT, Verdict::Improved);
    check(0.90, &LATENCY, Verdict::Improved);
    check(1.10, &LATENCY, Verdict::Regressed);
}

#[test]
fn a_real_change_within_the_margin_is_equivalent() {
    check(1.015, &THROUGHPUT, Verdict::Equivalent);
    check(1.0, &LATENCY, Verdict::Equivalent);
}

#[test]
fn noise_as_wide_as_the_margin_asks_for_more_pairs() {
    let (baseline, candidate) = pairs_of(1.0, 0.08);
    let found = compare(&baseline, &candidate, &THROUGHPUT).unwrap();
    let Verdict::Inconclusive { further_pairs: Some(pairs) } = found.verdict else {
        panic!("{found:?}");
    };
    // s = 0.054, margin 0.030: (2.8 x 0.054 / 0.030)^2 = 26, ten are there.
    assert!((10..25).contains(&pairs), "{pairs}");
    assert!(found.detectable_ratio > 0.03);
}

#[test]
fn at_the_margin_itself_no_number_of_pairs_is_promised() {
    let baseline = [100.0; 8];
    let candidate = [104.0, 102.0, 104.0, 102.01, 103.99, 102.0, 104.0, 102.0];
    let found = compare(&baseline, &candidate, &THROUGHPUT).unwrap();
    let is_open = matches!(found.verdict, Verdict::Inconclusive { further_pairs } if further_pairs.is_none_or(|pairs| pairs > 1_000));
    assert!(is_open, "{found:?}");
}

#[test]
fn without_pairs_nothing_is_said_and_five_are_too_few() {
    assert_eq!(compare(&[], &[], &THROUGHPUT), None);
    assert_eq!(compare(&[1.0], &[-1.0], &THROUGHPUT), None);
    let found = compare(&[1.0; 5], &[2.0, 2.1, 2.2, 2.3, 2.4], &THROUGHPUT).unwrap();
    assert_eq!(found.interval, None);
    assert_eq!(found.verdict, Verdict::Inconclusive { further_pairs: Some(1) });
}

#[test]
fn one_weak_claim_among_many_metrics_is_taken_back() {
    let (baseline, candidate) = pairs_of(0.9, 0.01);
    let strong = compare(&baseline, &candidate, &THROUGHPUT).unwrap();
    let weak = Comparison { p_claim: 0.03, ..strong };
    assert_eq!(together(&[weak], 0.05), [Verdict::Regressed]);
    let further_pairs = Some(10);
    assert_eq!(
        together(&[weak, strong, Comparison { p_claim: 0.9, ..weak }], 0.05),
        [
            Verdict::Inconclusive { further_pairs },
            Verdict::Regressed,
            Verdict::Inconclusive { further_pairs }
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_verdict_is_where_the_interval_lies(
        ratios in prop::collection::vec(0.8..1.25_f64, 6..30),
        centre in 0.8..1.25_f64,
    ) {
        let baseline = vec![1.0; ratios.len()];
        let candidate: Vec<f64> = ratios.iter().map(|ratio| centre * ratio.powf(0.2)).collect();
        let found = compare(&baseline, &candidate, &LATENCY).unwrap();
        let interval = found.interval.unwrap();
        prop_assert_eq!(found.verdict == Verdict::Regressed, interval.low > 1.03);
        prop_assert_eq!(found.verdict == Verdict::Improved, interval.high < 1.0 / 1.03);
        let tost = pair::hodges_lehmann(&pair::log_ratios(&baseline, &candidate).unwrap(), 0.9);
        let tost = tost.unwrap().interval.unwrap().map(f64::exp);
        let is_inside = tost.low > 1.0 / 1.03 && tost.high < 1.03;
        prop_assert_eq!(found.verdict == Verdict::Equivalent, is_inside);
    }

    #[test]
    fn exchanging_the_sides_turns_the_verdict(
        ratios in prop::collection::vec(0.9..1.2_f64, 6..30),
    ) {
        let baseline = vec![1.0; ratios.len()];
        let one = compare(&baseline, &ratios, &THROUGHPUT).unwrap();
        let other = compare(&ratios, &baseline, &THROUGHPUT).unwrap();
        let turned = match other.verdict {
            Verdict::Regressed => Verdict::Improved,
            Verdict::Improved => Verdict::Regressed,
            same => same,
        };
        prop_assert_eq!(one.verdict, turned);
        prop_assert!((one.ratio * other.ratio - 1.0).abs() < 1e-9);
    }
}

/// A machine whose speed drifts (AR(1), 5 % standard deviation, 0.9 from slice to slice) under
/// 2 % of noise of each slice: the table of the specification.
struct Machine {
    prng: Prng,
    drift: f64,
}

const DRIFT_DEVIATION: f64 = 0.05;
const PERSISTENCE: f64 = 0.9;
const NOISE_DEVIATION: f64 = 0.02;

impl Machine {
    fn new(seed: u64) -> Self {
        let mut machine = Self { prng: Prng::new(seed), drift: 0.0 };
        machine.drift = DRIFT_DEVIATION * machine.draw();
        machine
    }

    fn draw(&mut self) -> f64 {
        bootstrap::normal_draw(&mut self.prng)
    }

    /// The figure of one slice of a side that is that much better, in logarithms.
    fn slice(&mut self, better: f64) -> f64 {
        let fresh = DRIFT_DEVIATION * (1.0 - PERSISTENCE * PERSISTENCE).sqrt() * self.draw();
        self.drift = PERSISTENCE * self.drift + fresh;
        (self.drift + NOISE_DEVIATION * self.draw() + better).exp()
    }
}

/// Shares of regressed, improved and equivalent in 2,000 experiments of ten pairs.
fn shares(difference: f64, goal: &Goal) -> [f64; 3] {
    const EXPERIMENTS: u32 = 2_000;
    let mut counts = [0_u32; 3];
    for seed in 0..EXPERIMENTS {
        match experiment(u64::from(seed), difference, goal).verdict {
            Verdict::Regressed => counts[0] += 1,
            Verdict::Improved => counts[1] += 1,
            Verdict::Equivalent => counts[2] += 1,
            Verdict::Inconclusive { .. } => {}
        }
    }
    counts.map(|count| f64::from(count) / f64::from(EXPERIMENTS))
}

fn experiment(seed: u64, difference: f64, goal: &Goal) -> Comparison {
    let mut machine = Machine::new(seed);
    let (mut baseline, mut candidate) = (Vec::new(), Vec::new());
    for side in pair::order(10, seed).into_iter().flatten() {
        match side {
            Side::Baseline => baseline.push(machine.slice(0.0)),
            Side::Candidate => candidate.push(machine.slice(difference.ln_1p())),
        }
    }
    compare(&baseline, &candidate, goal).unwrap()
}

#[test]
fn equal_sides_on_a_drifting_machine_are_rarely_told_apart() {
    let any_difference = Goal { margin_ratio: 0.0, ..THROUGHPUT };
    let [regressed, improved, equivalent] = shares(0.0, &any_difference);
    assert!(regressed + improved <= 0.065, "{regressed} + {improved}");
    // A test that never speaks would hold as well: the level is used.
    assert!(regressed.min(improved) >= 0.01, "{regressed}, {improved}");
    assert!(equivalent == 0.0);
    let [regressed, improved, equivalent] = shares(0.0, &THROUGHPUT);
    assert!(regressed + improved <= 0.005, "{regressed} + {improved}");
    assert!(equivalent > 0.3, "{equivalent}");
}

#[test]
fn a_difference_of_five_percent_is_found_as_the_table_says() {
    let any_difference = Goal { margin_ratio: 0.0, ..THROUGHPUT };
    let [regressed, improved, _] = shares(-0.05, &any_difference);
    assert!((0.93..0.99).contains(&regressed), "{regressed}");
    assert!(improved == 0.0);
}

#[test]
fn a_difference_of_five_percent_is_rarely_called_equivalent() {
    let [_, improved, equivalent] = shares(-0.05, &THROUGHPUT);
    assert!(improved + equivalent <= 0.05, "{improved} + {equivalent}");
}

#[test]
fn without_interleaving_the_same_machine_deceives() {
    const EXPERIMENTS: u64 = 300;
    let is_fooled = |seed: &u64| {
        let mut machine = Machine::new(*seed);
        let mut ten = || (0..10).map(|_| machine.slice(0.0)).collect::<Vec<f64>>();
        let (baseline, candidate) = (ten(), ten());
        rank::rank_sum(&baseline, &candidate).unwrap().p_value() < 0.05
    };
    let fooled = (0..EXPERIMENTS).filter(is_fooled).count() as f64 / EXPERIMENTS as f64;
    // The table says 42 %: what pairs are for, and the proof that the drift is drift.
    assert!((0.33..0.51).contains(&fooled), "{fooled}");
}
