//! One seed from its options to what it found.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::checks::{Check, Violation};
use crate::coverage::{Coverage, Met};
use crate::histories::Figures;
use crate::options::Options;
use crate::trace::Sink;
use crate::world::World;

/// What a run was.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The seed.
    pub seed: u64,
    /// Simulated time, in milliseconds.
    pub sim_ms: u64,
    /// The digest of all events.
    pub digest: u64,
    /// How many events there were.
    pub events: u64,
    /// How often each thing happened.
    pub coverage: Coverage,
    /// What was judged of histories.
    pub histories: Figures,
    /// The promise that was broken, if one was.
    pub violation: Option<Violation>,
}

/// Runs one seed.
pub fn run(seed: u64, sink: Option<Sink>) -> Ran {
    run_options(Options::draw(seed), sink)
}

/// Runs one seed with options that may differ from those it draws.
pub fn run_options(options: Options, sink: Option<Sink>) -> Ran {
    let seed = options.seed;
    let mut world = World::new(options, sink);
    let ended = catch_unwind(AssertUnwindSafe(|| world.run()));
    let violation = match ended {
        Ok(Ok(())) => None,
        Ok(Err(violation)) => Some(violation),
        Err(panic) => Some(Violation::new(Check::Assertion, message(panic.as_ref()))),
    };
    let mut coverage = *world.coverage();
    world.note_disk(&mut coverage);
    let (digest, events) = (world.trace().digest(), world.trace().events());
    let (sim_ms, histories) = (world.now_us() / 1000, world.histories());
    coverage.add(Met::Histories, histories.checked);
    Ran { seed, sim_ms, digest, events, coverage, histories, violation }
}

/// The text of a panic.
pub(crate) fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}
