//! Every deliberate bug must be caught, and by a check of the promise that it breaks.
//!
//! The bug is chosen for the whole process: chosen, hunted, unchosen, one after the other.

use quipu_core::canary;

use crate::checks::{Check, Violation};
use crate::options::Options;
use crate::run::run_options;
use crate::verdict::Verdict;

/// Most seeds of a hunt. Measured: the rarest bug that seeds catch needs a quarter of them.
const SEEDS_MAX: u64 = 200;

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
const HUNTS: [Hunt; 1] = [Hunt { runner: "seeds", tries: SEEDS_MAX, attempt: dense_seed }];

fn dense_seed(seed: u64) -> Option<Violation> {
    run_options(Options::dense(seed), None).violation
}

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
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    for name in canary::names() {
        if is_late() {
            verdict.skip(format!("canary {name}: no time left"));
            continue;
        }
        verdict.add("canaries_total", 1);
        assert!(canary::choose(name), "every listed bug can be chosen");
        let caught = hunt(first);
        canary::unchoose();
        judge(&mut verdict, name, caught, &note);
    }
    std::panic::set_hook(hook);
    verdict
}

fn hunt(first: u64) -> Option<Catch> {
    HUNTS.iter().find_map(|hunt| {
        (0..hunt.tries).find_map(|tried| {
            let violation = (hunt.attempt)(first + tried)?;
            Some(Catch { runner: hunt.runner, seeds: tried + 1, violation })
        })
    })
}

fn judge(verdict: &mut Verdict, name: &'static str, caught: Option<Catch>, note: impl Fn(&str)) {
    let Some(caught) = caught else {
        note(&format!("{name:>24} lives"));
        verdict.fail(format!("canary {name} was not caught by any check"));
        return;
    };
    let Catch { runner, seeds, violation } = caught;
    let short: String = violation.what.chars().take(150).collect();
    let check = violation.check.name();
    note(&format!("{name:>24} {check:<18} after {seeds:>3} {runner}: {short}"));
    if accepted(name).contains(&violation.check) {
        verdict.add("canaries_caught", 1);
    } else {
        verdict.fail(format!("canary {name} was caught by {check}, which is not its promise"));
    }
}

/// The checks whose promise a bug breaks.
fn accepted(name: &str) -> &'static [Check] {
    let _ = name;
    &[]
}
