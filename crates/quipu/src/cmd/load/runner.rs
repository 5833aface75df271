//! With what a command runs one scenario after the other.

use anyhow::anyhow;
use quipu_load::run::threads_default;
use quipu_load::runner::Runner;

use super::run::stopped_by_signal;

/// With what scenarios are run
#[derive(Debug, clap::Args)]
pub(super) struct RunnerArgs {
    /// How many threads send [default: half of the cores, at least one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Ask for real-time priority of the threads that send
    #[arg(long)]
    realtime: bool,
}

impl RunnerArgs {
    /// Makes a runner that the first Ctrl-C stops.
    ///
    /// # Errors
    /// The system gives no random numbers, or signals cannot be listened for.
    pub(super) fn runner(&self) -> anyhow::Result<Runner> {
        let id =
            getrandom::u64().map_err(|error| anyhow!("the system gives no numbers: {error}"))?;
        let threads = self.threads.unwrap_or_else(threads_default);
        Ok(Runner::new(threads, self.realtime, id, stopped_by_signal()?))
    }
}
