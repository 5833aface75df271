//! `quipu load stall`: the target of the self-test, for any load tool.

use std::process::ExitCode;

use anyhow::Context as _;
use quipu_load::stall::{StallPlan, StallServer};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use stdx::units::Nanos;

use crate::output;

/// Answer every request at once and stall once: the truth for any load tool
///
/// Speaks RESP and HTTP/1.1 at one port of loopback. Of requests at an even rate over T that meet a
/// stall S, the true quantile q is S - (1 - q) T: 700 ms at p99 for 1 s in 30 s. Ctrl-C or SIGTERM ends
/// it, and it says how long it stalled by its own clock.
#[derive(Debug, clap::Args)]
pub(crate) struct StallArgs {
    /// Where to listen; 0 is any port that is free
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// From the first request to the stall; without it there is none
    #[arg(long, value_name = "TIME")]
    after: Option<Nanos>,
    /// How long it stalls
    #[arg(long = "for", value_name = "TIME", default_value = "1s", requires = "after")]
    lasting: Nanos,
}

/// Answers until it is told to end.
///
/// # Errors
/// The port is taken, or standard output cannot be written.
pub(super) fn run(args: &StallArgs) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot listen for signals")?;
    let plan = args.after.map(|after| StallPlan { after, lasting: args.lasting });
    let target = StallServer::start(args.port, plan, 0).context("cannot listen")?;
    output::say(json!({ "address": target.address().to_string() }))?;
    signals.forever().next();
    let seen = target.finish().context("the target ended")?;
    output::say(json!({ "stall_ns": seen.stall_ns, "answered": seen.answered }))?;
    Ok(ExitCode::SUCCESS)
}
