//! What can be typed, and which runner it starts. Each runner is one subcommand.

use clap::{Args as Arguments, Parser, Subcommand};
use quipu_sim::options::Options;
use quipu_sim::run::run;
use quipu_sim::trace::Sink;
use quipu_sim::verdict::Verdict;

use crate::output;

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
    /// Runs one seed and prints its options.
    Seed(Seed),
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
            Self::Seed(seed) => seed.run(),
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
