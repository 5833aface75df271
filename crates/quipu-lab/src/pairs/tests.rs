//! Comparisons of made-up machines: the order, the plan, and how often a false claim is made.

use quipu_stats::normal;
use quipu_stats::pair::Side;
use stdx::prng::Prng;

use super::{Claim, Ending, Limit, PILOT_PAIRS, Pairs, PairsResult, Sample, Settings, Turn};
use crate::finding::made_up::MadeUp;
use crate::metric::{Declared, Metric};
use crate::validity::Verdict;

const SECOND: u64 = 1_000_000_000;

fn settings(declared: &[&str]) -> Settings {
    let declared = declared.iter().map(|text| text.parse().expect("a metric")).collect();
    Settings { declared, seed: 1, pairs: None, time_max_ns: 3_600 * SECOND }
}

fn sample(values: Vec<f64>) -> Sample {
    Sample {
        verdict: Verdict::Valid,
        values: Some(values),
        reasons: Vec::new(),
        missing: None,
        ok: 1,
        failed: 0,
        took_ns: SECOND,
    }
}

fn unusable() -> Sample {
    Sample { verdict: Verdict::Invalid, values: None, ..sample(Vec::new()) }
}

/// Runs a comparison on a machine.
fn run(settings: Settings, mut machine: impl FnMut(Side) -> Sample) -> PairsResult {
    let mut pairs = Pairs::new(settings);
    while let Turn::Slice(slice) = pairs.turn() {
        pairs.take(machine(slice.side));
    }
    pairs.result(Default::default())
}

/// Values around 1,000 whose neighbours differ by about 1 %, with B that much better.
fn steady(factor: f64) -> impl FnMut(Side) -> Sample {
    let mut prng = Prng::new(7);
    move |side| {
        let noise = 0.99 + prng.below(1_000) as f64 / 50_000.0;
        let side = if side == Side::Candidate { factor } else { 1.0 };
        sample(vec![1_000.0 * noise * side])
    }
}

#[test]
fn a_finding_is_a_sample_unless_it_says_nothing() {
    let of = |made_up: MadeUp, verdict| {
        let mut finding = made_up.finding();
        finding.validity.verdict = verdict;
        let declared = [Metric::Throughput, Metric::P99].map(Declared::usual);
        Sample::of(&finding, &declared, SECOND)
    };
    let many = || MadeUp::answered((0..1_000).map(|_| 2_000_000));
    let good = of(many(), Verdict::Suspect);
    let [throughput, p99] = good.values.as_deref().expect("two values") else { panic!() };
    assert!((throughput - 1_000.0).abs() < 1e-9 && (p99 / 2e6 - 1.0).abs() < 1e-3);
    let invalid = of(many(), Verdict::Invalid);
    assert_eq!((invalid.values, invalid.missing), (None, None));
    let few = of(MadeUp::answered([2_000_000; 50]), Verdict::Valid);
    let missing = few.missing.expect("it says so");
    assert_eq!(missing, "p99 needs 100 answers and there were 50");
}

#[test]
fn slices_take_turns_in_blocks_of_four() {
    let mut sides = Vec::new();
    run(settings(&["throughput"]), |side| {
        sides.push(side);
        sample(vec![1_000.0 + sides.len() as f64])
    });
    assert_eq!(sides.len(), 2 * PILOT_PAIRS as usize);
    for block in sides.chunks(4) {
        assert_ne!(block[0], block[1]);
        assert_eq!((block[0], block[1]), (block[3], block[2]));
    }
}

#[test]
fn what_differs_is_named_and_what_does_not_is_equivalent() {
    let check = |factor, expected| {
        let found = run(settings(&["throughput"]), steady(factor));
        assert_eq!((found.claim, found.ending), (expected, Ending::Complete), "{factor}");
        assert_eq!(found.metrics[0].baseline.len() as u64, found.pairs);
    };
    check(0.9, Claim::Regressed);
    check(1.1, Claim::Improved);
    check(1.0, Claim::Equivalent);
}

#[test]
fn the_pilot_plans_as_many_pairs_as_its_spread_needs() {
    let quiet = run(settings(&["throughput"]), steady(1.0));
    let plan = quiet.plan.expect("the pilot is over");
    assert_eq!((plan.pairs, plan.limit, plan.wall_ns), (PILOT_PAIRS, None, 0));

    let finer = run(settings(&["throughput=1%:1.5%"]), steady(1.0));
    let plan = finer.plan.expect("the pilot is over");
    let needed = plan.metrics[0].pairs_needed.expect("a number");
    assert!(needed > PILOT_PAIRS && plan.limit.is_none(), "{plan:?}");
    assert_eq!(plan.pairs, needed + needed % 2);
    assert_eq!(plan.wall_ns, (plan.pairs - PILOT_PAIRS) * 2 * SECOND);
    assert!(plan.metrics[0].detectable_ratio <= 0.0151, "{plan:?}");
    assert_eq!(finer.pairs, plan.pairs);
}

#[test]
fn time_and_wish_bound_a_plan_and_it_says_so() {
    let check = |pairs, time_max_ns, expected: (u64, Option<Limit>)| {
        let fine = Settings { pairs, time_max_ns, ..settings(&["throughput=1%:1.1%"]) };
        let found = run(fine, steady(1.0));
        let plan = found.plan.expect("the pilot is over");
        assert_eq!((plan.pairs, plan.limit), expected);
        assert!(plan.metrics[0].detectable_ratio > 0.011, "{plan:?}");
    };
    check(Some(8), 3_600 * SECOND, (8, Some(Limit::Asked)));
    check(None, 40 * SECOND, (20, Some(Limit::Time)));
    check(None, SECOND, (PILOT_PAIRS, Some(Limit::Time)));
}

#[test]
fn a_slice_that_says_nothing_is_repeated_at_once() {
    let mut count = 0;
    let mut last = None;
    let found = run(settings(&["throughput"]), |side| {
        count += 1;
        if count % 5 == 3 {
            last = Some(side);
            return unusable();
        }
        assert!(last.take().is_none_or(|repeated| repeated == side));
        sample(vec![1_000.0 + f64::from(count)])
    });
    assert_eq!(found.ending, Ending::Complete);
    assert_eq!(found.baseline.unusable + found.candidate.unusable, 3);
    assert_eq!(found.slices.len(), 15);
    assert_eq!(found.baseline.slices, PILOT_PAIRS);
}

#[test]
fn a_machine_that_spoils_most_slices_gets_no_verdict() {
    let mut runs = 0;
    let found = run(settings(&["throughput"]), |_| {
        runs += 1;
        unusable()
    });
    assert_eq!((found.ending, found.claim), (Ending::TooManyUnusable, Claim::Inconclusive));
    assert_eq!((runs, found.pairs), (5, 0));
}

#[test]
fn a_slice_that_lacks_a_metric_ends_it_and_is_not_repeated() {
    let mut runs = 0;
    let found = run(settings(&["throughput"]), |_| {
        runs += 1;
        let is_short = runs == 3;
        let missing = is_short.then(|| "p99 needs more".to_owned());
        Sample { missing, values: (!is_short).then(|| vec![1_000.0]), ..sample(Vec::new()) }
    });
    assert_eq!((found.ending, runs), (Ending::Unmeasurable, 3));
    assert!(found.page().starts_with("INVALID: p99 needs more"), "{}", found.page());
}

#[test]
fn what_was_stopped_says_only_what_its_pairs_say() {
    let mut pairs = Pairs::new(settings(&["throughput"]));
    for _ in 0..5 {
        pairs.take(sample(vec![1_000.0]));
    }
    pairs.stop();
    assert_eq!(pairs.turn(), Turn::Over(Ending::Stopped));
    let found = pairs.result(Default::default());
    assert_eq!((found.pairs, found.claim), (2, Claim::Inconclusive));
    assert_eq!(found.metrics[0].candidate.len(), 2);
}

#[test]
fn one_regression_among_many_metrics_is_a_regression_and_an_open_one_leaves_all_open() {
    use Claim::{Equivalent, Improved, Inconclusive, Regressed};
    let check = |claims: &[Claim], expected| {
        assert_eq!(Claim::overall(claims.iter().copied()), expected, "{claims:?}");
    };
    check(&[Improved, Regressed, Inconclusive], Regressed);
    check(&[Improved, Inconclusive, Equivalent], Inconclusive);
    check(&[Equivalent, Improved], Improved);
    check(&[Equivalent, Equivalent], Equivalent);
    check(&[], Inconclusive);
}

/// A machine whose speed drifts (AR(1), 5 % standard deviation, 0.9 from slice to slice) under
/// independent noise of 2 %, and which spoils every twentieth slice.
struct Machine {
    prng: Prng,
    drift: f64,
}

impl Machine {
    fn new(seed: u64) -> Self {
        let mut machine = Self { prng: Prng::new(seed), drift: 0.0 };
        machine.drift = 0.05 * machine.draw();
        machine
    }

    fn draw(&mut self) -> f64 {
        normal::quantile((self.prng.below(1 << 53) as f64 + 0.5) / (1_u64 << 53) as f64)
    }

    /// A slice of all metrics: their noise is their own, their drift is the machine's.
    fn slice(&mut self, declared: &[Declared], better: f64) -> Sample {
        let fresh = 0.05 * (1.0_f64 - 0.9 * 0.9).sqrt() * self.draw();
        self.drift = 0.9 * self.drift + fresh;
        if self.prng.chance(1, 20) {
            return unusable();
        }
        let value = |one: &Declared| {
            let speed = self.drift + 0.02 * self.draw() + better;
            if one.metric == Metric::Throughput { speed.exp() } else { (-speed).exp() }
        };
        sample(declared.iter().map(value).collect())
    }
}

/// Shares of regressed, improved and equivalent in so many experiments.
fn shares(declared: &[&str], better: f64, experiments: u64) -> [f64; 3] {
    let mut counts = [0_u32; 3];
    for seed in 0..experiments {
        let settings = Settings { seed, ..settings(declared) };
        let metrics = settings.declared.clone();
        let mut machine = Machine::new(seed);
        let found = run(settings, |side| {
            machine.slice(&metrics, if side == Side::Candidate { better } else { 0.0 })
        });
        match found.claim {
            Claim::Regressed => counts[0] += 1,
            Claim::Improved => counts[1] += 1,
            Claim::Equivalent => counts[2] += 1,
            Claim::Inconclusive => {}
        }
    }
    counts.map(|count| f64::from(count) / experiments as f64)
}

#[test]
fn equal_sides_on_a_drifting_machine_are_told_apart_as_rarely_as_promised() {
    // Every difference matters, so each claim of one is false; the pilot decides how many pairs.
    let [regressed, improved, _] = shares(&["throughput=0:3.5%"], 0.0, 2_000);
    assert!(regressed + improved <= 0.065, "{regressed} + {improved}");
    // A decision that never speaks would hold as well: the level is used.
    assert!(regressed.min(improved) >= 0.01, "{regressed}, {improved}");
}

#[test]
fn four_metrics_together_make_no_more_false_claims_than_one() {
    let all = ["throughput=0:3.5%", "p50=0:3.5%", "p95=0:3.5%", "p99=0:3.5%"];
    let [regressed, improved, _] = shares(&all, 0.0, 1_000);
    assert!(regressed + improved <= 0.065, "{regressed} + {improved}");
}

#[test]
fn with_the_usual_margins_equal_sides_are_equivalent_and_hardly_ever_regressed() {
    let [regressed, improved, equivalent] = shares(&["throughput"], 0.0, 2_000);
    assert!(regressed + improved <= 0.005, "{regressed} + {improved}");
    assert!(equivalent >= 0.6, "{equivalent}");
}

#[test]
fn the_wanted_difference_is_found_about_four_times_out_of_five() {
    let [regressed, improved, equivalent] = shares(&["throughput"], -(0.06_f64.ln_1p()), 1_000);
    assert!(regressed >= 0.7, "{regressed}");
    assert!(improved + equivalent <= 0.02, "{improved} + {equivalent}");
}
