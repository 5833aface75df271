//! The runner `flips`: stores with every bit of each, and damaged blocks, until its bounds.

use clap::Args as Arguments;
use quipu_sim::checks::Checked;
use quipu_sim::flip::{self, Subject};
use stdx::verdict::Verdict;

use crate::args::Bounds;
use crate::output;
use crate::progress::Progress;

/// Damaged blocks of each store. Guess: more than its files have blocks, times the kinds.
const DAMAGES: u64 = 2000;

/// How many flips pass between two looks at the clock.
const LOOK_EVERY: u64 = 256;

/// Every single-bit flip of small stores, closed and crashed, and damaged blocks.
#[derive(Debug, Arguments)]
pub(crate) struct Flips {
    #[command(flatten)]
    bounds: Bounds,
    /// Only this bit of the first seed's closed store.
    #[arg(long)]
    bit: Option<u64>,
}

impl Flips {
    /// Runs it.
    pub(crate) fn run(&self) -> Verdict {
        let mut verdict = Verdict::new("flips");
        let mut progress = self.bounds.start();
        while let Some(seed) = progress.next() {
            self.store(&mut verdict, &progress, (seed, "closed", Subject::closed(seed)));
            self.store(&mut verdict, &progress, (seed, "crashed", Subject::crashed(seed)));
            verdict.add("seeds", 1);
            output::note(&format!("seed {seed}: {:?}", verdict.figures));
        }
        verdict
    }

    fn store(
        &self,
        verdict: &mut Verdict,
        progress: &Progress,
        (seed, kind, subject): (u64, &str, Checked<Subject>),
    ) {
        let again = format!("quipu-sim flips --first {seed}");
        let subject = match subject {
            Ok(subject) => subject,
            Err(violation) => return verdict.fail(format!("{again} ({kind}): {violation}")),
        };
        let bits = self.bit.map_or(0..subject.bits(), |bit| bit..bit + 1);
        for bit in bits {
            if bit % LOOK_EVERY == 0 && progress.is_over() {
                return;
            }
            verdict.add("flips", 1);
            let line = || format!("{again} --bit {bit} ({kind})");
            count(verdict, ("flips_refused", "flips_harmless"), subject.flip(bit), line);
        }
        for damage in 0..DAMAGES {
            let done = subject.damage(damage).transpose();
            let Some(done) = done else { continue };
            verdict.add("blocks_damaged", 1);
            let line = || format!("{again} ({kind}) damage {damage}");
            count(verdict, ("blocks_refused", "blocks_harmless"), done, line);
        }
    }
}

fn count(
    verdict: &mut Verdict,
    (refused, harmless): (&'static str, &'static str),
    done: Checked<flip::Verdict>,
    again: impl FnOnce() -> String,
) {
    match done {
        Ok(flip::Verdict::Refused) => verdict.add(refused, 1),
        Ok(flip::Verdict::Harmless) => verdict.add(harmless, 1),
        Err(violation) => verdict.fail(format!("{}: {violation}", again())),
    }
}
