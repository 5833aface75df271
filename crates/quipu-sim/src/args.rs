//! What can be typed, and which runner it starts. Each runner is one subcommand.

use std::time::Instant;

use clap::{Args as Arguments, Parser, Subcommand};
use quipu_sim::campaign::{self, HOUR_MS, OPS_PER_HOUR, Until};
use quipu_sim::options::Options;
use quipu_sim::run::run;
use quipu_sim::trace::Sink;
use stdx::verdict::Verdict;

use crate::crashes::Crashes;
use crate::flips::Flips;
use crate::output;
use crate::progress::Progress;

/// Seeds that are run where nobody says how many. Guess: a few seconds.
const SEEDS_USUALLY: u64 = 20;

/// Evidence from seeds: a node in one thread, with a disk, a clock and clients that misbehave.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// What to run.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The runners.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs one seed after the other.
    Seeds(Seeds),
    /// Runs one seed and prints its options.
    Seed(Seed),
    /// Every crash point of recorded traces, with what may be left of unsynced changes.
    Crashes(Crashes),
    /// Every single-bit flip of small stores, closed and crashed, and damaged blocks.
    Flips(Flips),
}

/// How much to run, and from which seed on.
#[derive(Debug, Clone, Copy, Arguments)]
pub(crate) struct Bounds {
    /// Ends after so many seconds of real time.
    #[arg(long)]
    pub(crate) seconds: Option<u64>,
    /// Ends after so many runs.
    #[arg(long)]
    pub(crate) count: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    pub(crate) first: u64,
}

/// Many seeds.
#[derive(Debug, Clone, Copy, Arguments)]
pub(crate) struct Seeds {
    #[command(flatten)]
    bounds: Bounds,
    /// Ends after so many simulated hours with a million client operations each.
    #[arg(long)]
    hours: Option<u64>,
}

/// One seed.
#[derive(Debug, Arguments)]
pub(crate) struct Seed {
    /// The seed.
    seed: u64,
    /// Prints every event.
    #[arg(long)]
    trace: bool,
}

impl Command {
    /// Runs it.
    ///
    /// # Errors
    /// The program itself could not do its work; what it finds is in the verdict.
    pub(crate) fn run(self) -> anyhow::Result<Verdict> {
        match self {
            Self::Seeds(seeds) => Ok(seeds.run()),
            Self::Seed(seed) => seed.run(),
            Self::Crashes(crashes) => Ok(crashes.run()),
            Self::Flips(flips) => Ok(flips.run()),
        }
    }
}

impl Seed {
    fn run(&self) -> anyhow::Result<Verdict> {
        let options = Options::draw(self.seed);
        output::say(&format!("{options:#?}"))?;
        let sink: Option<Sink> = self.trace.then(|| Box::new(output::note) as Sink);
        let ran = run(self.seed, sink);
        for (name, count) in ran.coverage.rows() {
            output::note(&format!("{name:>20} {count}"));
        }
        output::note(&format!("digest {:016x}, {} events", ran.digest, ran.events));
        let mut verdict = Verdict::new("seed");
        verdict.add("seeds", 1);
        verdict.add("sim_ms", ran.sim_ms);
        if let Some(violation) = ran.violation {
            verdict.fail(format!("seed {}: {violation}", self.seed));
        }
        Ok(verdict)
    }
}

impl Bounds {
    /// Begins now.
    pub(crate) fn start(&self) -> Progress {
        Progress::start(self.first, self.count, self.seconds)
    }

    /// Says whether the time is over.
    pub(crate) fn clock(&self) -> Box<dyn Fn() -> bool> {
        let (started, most) = (Instant::now(), self.seconds);
        Box::new(move || most.is_some_and(|most| started.elapsed().as_secs() >= most))
    }
}

impl Seeds {
    fn run(self) -> Verdict {
        let Bounds { seconds, count, first } = self.bounds;
        // Without any bound, a share that takes seconds.
        let is_bounded = self.hours.is_some() || seconds.is_some();
        let usual = if is_bounded { u64::MAX } else { SEEDS_USUALLY };
        let until = Until {
            count: count.unwrap_or(usual),
            sim_ms: self.hours.map_or(u64::MAX, |hours| hours * HOUR_MS),
            ops: self.hours.map_or(u64::MAX, |hours| hours * OPS_PER_HOUR),
            is_late: self.bounds.clock(),
        };
        campaign::run_all(first, &until, output::note)
    }
}
