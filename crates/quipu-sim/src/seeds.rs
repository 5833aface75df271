//! The runners `seeds` and `seed`: a node in a world that misbehaves as a seed says.

use clap::Args as Arguments;
use quipu_sim::campaign::{self, HOUR_MS, OPS_PER_HOUR, Until};
use quipu_sim::options::Options;
use quipu_sim::run::run_options;
use quipu_sim::trace::Sink;
use stdx::verdict::Verdict;

use crate::args::Bounds;
use crate::output;

/// Seeds that are run where nobody says how many. Guess: a few seconds.
const SEEDS_USUALLY: u64 = 20;

/// Many seeds.
#[derive(Debug, Clone, Copy, Arguments)]
pub(crate) struct Seeds {
    #[command(flatten)]
    bounds: Bounds,
    /// Ends after so many simulated hours with a million client operations each.
    #[arg(long)]
    hours: Option<u64>,
    /// Cuts each seed short, with more trouble in less time.
    #[arg(long)]
    dense: bool,
}

/// One seed.
#[derive(Debug, Arguments)]
pub(crate) struct Seed {
    /// Its number.
    number: u64,
    /// Prints every event.
    #[arg(long)]
    trace: bool,
    /// Cuts the seed short, with more trouble in less time.
    #[arg(long)]
    dense: bool,
}

impl Seed {
    /// Runs it.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(crate) fn run(&self) -> anyhow::Result<Verdict> {
        let draw = if self.dense { Options::dense } else { Options::draw };
        let options = draw(self.number);
        output::say(&format!("{options:#?}"))?;
        let sink: Option<Sink> = self.trace.then(|| Box::new(output::note) as Sink);
        let ran = run_options(options, sink);
        for (name, count) in ran.coverage.rows() {
            output::note(&format!("{name:>20} {count}"));
        }
        output::note(&format!("digest {:016x}, {} events", ran.digest, ran.events));
        let mut verdict = Verdict::new("seed");
        verdict.add("seeds", 1);
        verdict.add("sim_ms", ran.sim_ms);
        if let Some(violation) = ran.violation {
            verdict.fail(format!("seed {}: {violation}", self.number));
        }
        Ok(verdict)
    }
}

impl Seeds {
    /// Runs them.
    pub(crate) fn run(self) -> Verdict {
        let progress = self.bounds.start();
        let Bounds { seconds, count, first } = self.bounds;
        // Without any bound, a share that takes seconds.
        let is_bounded = self.hours.is_some() || seconds.is_some();
        let usual = if is_bounded { u64::MAX } else { SEEDS_USUALLY };
        let until = Until {
            count: count.unwrap_or(usual),
            sim_ms: self.hours.map_or(u64::MAX, |hours| hours * HOUR_MS),
            ops: self.hours.map_or(u64::MAX, |hours| hours * OPS_PER_HOUR),
            is_dense: self.dense,
            is_late: Box::new(move || progress.is_over()),
        };
        campaign::run_all(first, &until, output::note)
    }
}
