//! What can be typed, and which runner it starts. Each runner is one subcommand.

use clap::{Args as Arguments, Parser, Subcommand};
#[cfg(feature = "canary")]
use quipu_sim::canaries;
use stdx::verdict::Verdict;

use crate::crashes::Crashes;
use crate::flips::Flips;
#[cfg(feature = "canary")]
use crate::output;
use crate::progress::Progress;
use crate::seeds::{Seed, Seeds};

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
    /// Looks for every deliberate bug of this test build.
    #[cfg(feature = "canary")]
    Canaries(Bounds),
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

impl Command {
    /// Runs it.
    ///
    /// # Errors
    /// The program itself could not do its work; what it finds is in the verdict.
    pub(crate) fn run(self) -> anyhow::Result<Verdict> {
        match self {
            Self::Seeds(seeds) => Ok(seeds.run()),
            Self::Seed(seed) => seed.run(),
            #[cfg(feature = "canary")]
            Self::Canaries(bounds) => {
                let progress = bounds.start();
                Ok(canaries::run(bounds.first, &|| progress.is_over(), output::note))
            }
            Self::Crashes(crashes) => Ok(crashes.run()),
            Self::Flips(flips) => Ok(flips.run()),
        }
    }
}

impl Bounds {
    /// Begins now.
    pub(crate) fn start(&self) -> Progress {
        Progress::start(self.first, self.count, self.seconds)
    }
}
