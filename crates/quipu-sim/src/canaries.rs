//! Every deliberate bug must be caught, and by a check of the promise that it breaks.
//!
//! The bug is chosen for the whole process: chosen, hunted, unchosen, one after the other. Which
//! checks may catch which bug is a table in [`promises`].

pub mod promises;

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use quipu_core::canary;

use crate::canaries::promises::{accepted, elsewhere, shows_in_histories};
use crate::checks::{Check, Violation};
use crate::crash::Trace;
use crate::flip::Subject;
use crate::options::Options;
use crate::run::{message, run_options};
use stdx::verdict::Verdict;

/// Most seeds of a hunt by seeds. Measured: the rarest bug that they catch needs a third of them.
const SEEDS_MAX: u64 = 60;

/// Most traces of a hunt by crashes. Measured: the rarest bug that they catch needs a few.
const TRACES_MAX: u64 = 12;

/// Crash points of a trace that are tried: so many, spread over it. Guess.
const POINTS: u64 = 24;

/// Most stores of a hunt by damage. Guess.
const STORES_MAX: u64 = 6;

/// Damaged blocks of each store, and one of so many bits flipped. Guess.
const DAMAGES: u64 = 500;
const BITS_PER_FLIP: usize = 37;

/// How a bug is looked for.
struct Hunt {
    /// The name of the runner that finds it so.
    runner: &'static str,
    /// Most seeds, each a try.
    tries: u64,
    /// One try: the promise that was broken, if one was.
    attempt: fn(u64) -> Option<Violation>,
}

/// The ways in which bugs are looked for, the cheapest first.
const HUNTS: [Hunt; 3] = [
    Hunt { runner: "seeds", tries: SEEDS_MAX, attempt: dense_seed },
    Hunt { runner: "flips", tries: STORES_MAX, attempt: damaged_store },
    Hunt { runner: "crashes", tries: TRACES_MAX, attempt: crashed_trace },
];

fn dense_seed(seed: u64) -> Option<Violation> {
    run_options(Options::dense(seed), None).violation
}

/// Only what clients see is judged, and only by what they saw of one counter.
fn seen_by_clients(seed: u64) -> Option<Violation> {
    let options = Options { is_outside: true, ..Options::dense(seed) };
    let violation = run_options(options, None).violation;
    violation.filter(|violation| violation.check == Check::Linearizable)
}

fn damaged_store(seed: u64) -> Option<Violation> {
    let subjects = [Subject::closed(seed), Subject::crashed(seed)];
    subjects.into_iter().find_map(|subject| match subject {
        Err(violation) => Some(violation),
        Ok(subject) => {
            let damaged = (0..DAMAGES).find_map(|damage| subject.damage(damage).err());
            let mut bits = (0..subject.bits()).skip(seed as usize).step_by(BITS_PER_FLIP);
            damaged.or_else(|| bits.find_map(|bit| subject.flip(bit).err()))
        }
    })
}

fn crashed_trace(seed: u64) -> Option<Violation> {
    let mut trace = Trace::new(seed);
    // The points lie close together at the beginning, where the store is made, and far apart later.
    let points = (0..POINTS).map(|n| n * (n + 1) / 2 + seed % 3);
    let mut ended = points.map(|point| trace.point(point)).take_while(|done| *done != Ok(false));
    ended.find_map(|done| done.err().map(|(_, violation)| violation))
}

/// How histories alone look for a bug.
const BY_HISTORIES: Hunt = Hunt { runner: "outside", tries: SEEDS_MAX, attempt: seen_by_clients };

/// How a bug was caught.
struct Catch {
    runner: &'static str,
    seeds: u64,
    violation: Violation,
}

/// Looks for every bug from seed `first` on; a line for each goes to `note`. Ends early where
/// `is_late` says so.
pub fn run(first: u64, is_late: &dyn Fn() -> bool, note: impl Fn(&str)) -> Verdict {
    let mut verdict = Verdict::new("canaries");
    // A bug that breaks an assertion says so by a panic, which is not for the terminal.
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    if let Some(caught) = hunt(&HUNTS, first) {
        let Catch { runner, seeds, violation } = caught;
        verdict.fail(format!("without any bug, after {seeds} {runner}: {violation}"));
    }
    for name in canary::names() {
        if let Some(why) = elsewhere(name) {
            verdict.skip(format!("canary {name}: {why}"));
        } else if is_late() {
            verdict.skip(format!("canary {name}: no time left"));
        } else {
            verdict.add("canaries_total", 1);
            assert!(canary::choose(name), "every listed bug can be chosen");
            let caught = hunt(&HUNTS, first);
            let by_histories = shows_in_histories(name).then(|| hunt(&[BY_HISTORIES], first));
            canary::unchoose();
            judge(&mut verdict, name, caught, &note);
            if let Some(caught) = by_histories {
                verdict.add("canaries_in_histories", 1);
                judge_history(&mut verdict, name, caught, &note);
            }
        }
    }
    set_hook(hook);
    verdict
}

fn hunt(hunts: &[Hunt], first: u64) -> Option<Catch> {
    hunts.iter().find_map(|hunt| {
        (0..hunt.tries).find_map(|tried| {
            let attempt = catch_unwind(AssertUnwindSafe(|| (hunt.attempt)(first + tried)));
            let violation = attempt.unwrap_or_else(|panic| {
                Some(Violation::new(Check::Assertion, message(panic.as_ref())))
            })?;
            Some(Catch { runner: hunt.runner, seeds: tried + 1, violation })
        })
    })
}

/// The bug must be caught by histories alone.
fn judge_history(
    verdict: &mut Verdict,
    name: &'static str,
    caught: Option<Catch>,
    note: impl Fn(&str),
) {
    let Some(Catch { runner, seeds, violation }) = caught else {
        verdict.fail(format!("canary {name} was not caught by the histories of its clients"));
        return;
    };
    note(&line(name, &violation, (runner, seeds)));
}

/// What is told of a catch.
fn line(name: &str, violation: &Violation, (runner, seeds): (&str, u64)) -> String {
    let short: String = violation.what.chars().take(150).collect();
    let check = violation.check.name();
    format!("{name:>24} {check:<18} after {seeds:>3} {runner}: {short}")
}

fn judge(verdict: &mut Verdict, name: &'static str, caught: Option<Catch>, note: impl Fn(&str)) {
    let Some(caught) = caught else {
        note(&format!("{name:>24} lives"));
        verdict.fail(format!("canary {name} was not caught by any check"));
        return;
    };
    let Catch { runner, seeds, violation } = caught;
    note(&line(name, &violation, (runner, seeds)));
    let check = violation.check.name();
    if accepted(name).contains(&violation.check) {
        verdict.add("canaries_caught", 1);
    } else {
        verdict.fail(format!("canary {name} was caught by {check}, which is not its promise"));
    }
}
