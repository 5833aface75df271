//! Every deliberate bug of the core and the log is alive, and a direct check catches it.
//!
//! A check is a claim of `docs/guarantees.md` in a few lines: it holds without the bug and is
//! violated with it, so the switch is live and stands in the right place. The deep catchers (the
//! simulator, crashes at every call, kills) are elsewhere.

mod answers;
mod blocks;
mod crashes;
mod disks;
mod folds;
mod life;
mod streams;
mod tokens;

use quipu_core::canary::{self, BUGS, Bug};

/// Ok where the claim holds; else how it is violated.
type Claim = fn() -> Result<(), String>;

/// The bug is in a crate above; its check is there.
const ABOVE: [Bug; 1] = [Bug::MemorySaysFsync];

fn claim(holds: bool, violated: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(violated.to_owned()) }
}

/// The direct check of a bug.
fn check_of(bug: Bug) -> Claim {
    let parts = [
        answers::CHECKS,
        tokens::CHECKS,
        streams::CHECKS,
        disks::CHECKS,
        crashes::CHECKS,
        folds::CHECKS,
    ];
    let found = parts.into_iter().flatten().find(|(known, _)| *known == bug);
    found.unwrap_or_else(|| panic!("{bug:?} has no direct check")).1
}

/// One test, as the choice of a bug is the whole process's.
#[test]
fn every_bug_is_caught_by_its_direct_check_and_nothing_else_is() {
    let mut living = Vec::new();
    for (bug, name, invariant) in BUGS {
        if ABOVE.contains(&bug) {
            continue;
        }
        let check = check_of(bug);
        assert_eq!(check(), Ok(()), "the claim against {name} does not hold without it");
        assert!(canary::choose(name), "{name}");
        let checked = check();
        canary::unchoose();
        match checked {
            Err(violation) => println!("{name} ({invariant}) is caught: {violation}"),
            Ok(()) => living.push(name),
        }
    }
    assert_eq!(living, Vec::<&str>::new(), "bugs that nothing caught");
    assert!(!canary::choose("no_such_bug"));
}
