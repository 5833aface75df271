//! `quipu load serve`: load tests as a service over HTTP.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use quipu_load::serve::{Caps, ServeError, Service, Settings, Stopper};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use stdx::units::Nanos;

use crate::log;
use crate::output::{self, FAILURE, USAGE, fail};

/// Take orders for load tests over HTTP
///
/// Only targets of the allowlist are tested, one test at a time for each; the first one is what is
/// tested unless an order says otherwise. Ctrl-C or SIGTERM cancels the tests under way, keeps what
/// they found, and ends.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081", env = "QUIPU_LOAD_LISTEN")]
    listen: SocketAddr,
    /// A URL that may be tested, once for each; the first is the default
    #[arg(
        long = "target",
        value_name = "URL",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:7412",
        env = "QUIPU_LOAD_TARGETS"
    )]
    targets: Vec<String>,
    /// Where results are kept
    #[arg(long, value_name = "DIR", default_value = "load-results", env = "QUIPU_LOAD_RESULTS")]
    results: PathBuf,
    /// How many results are kept; the oldest go
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
    keep: u16,
    /// The greatest rate that may be ordered, in requests per second
    #[arg(long, value_name = "N", default_value_t = Caps::default().rate)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    rate_max: u64,
    /// The longest test that may be ordered, in seconds
    #[arg(long, value_name = "S", default_value_t = Caps::default().duration.0 / 1_000_000_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    duration_max: u64,
    /// The most requests on the way at once that may be ordered
    #[arg(long, value_name = "N", default_value_t = Caps::default().in_flight)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    in_flight_max: u32,
    /// What to log on standard error: error, warn, info, debug, or a filter
    #[arg(long, value_name = "FILTER", default_value = "info", env = "QUIPU_LOG_LEVEL")]
    log_level: String,
}

/// Serves until it is told to stop.
///
/// # Errors
/// Standard output cannot be written, or the log level is not understood.
pub(super) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    log::start(&args.log_level)?;
    let signals = Signals::new([SIGTERM, SIGINT]).context("cannot listen for signals")?;
    let listener = TcpListener::bind(args.listen)
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = listener.local_addr()?;
    let service = match Service::open(listener, settings(args)) {
        Ok(service) => service,
        Err(error @ (ServeError::Target { .. } | ServeError::NoTarget)) => {
            return fail(USAGE, format_args!("{:#}", anyhow::Error::from(error)));
        }
        Err(error) => return fail(FAILURE, format_args!("{:#}", anyhow::Error::from(error))),
    };
    stop_on_signal(signals, service.stopper())?;
    output::print(&format!(
        "load   http://{address}\ntarget {}\nresult {}\nready\n",
        args.targets.join(", "),
        args.results.display()
    ))?;
    service.run()?;
    output::say("stopped")?;
    Ok(ExitCode::SUCCESS)
}

fn settings(args: &ServeArgs) -> Settings {
    Settings {
        targets: args.targets.clone(),
        results: args.results.clone(),
        keep: args.keep.into(),
        caps: Caps {
            rate: args.rate_max,
            duration: Nanos::from_secs(args.duration_max),
            in_flight: args.in_flight_max,
        },
    }
}

/// The first signal stops the service in order; a second one ends the process.
fn stop_on_signal(mut signals: Signals, stopper: Stopper) -> std::io::Result<()> {
    let wait = move || {
        for (count, signal) in signals.forever().enumerate() {
            if count > 0 {
                // The default action of a second signal is what the user asks for.
                drop(signal_hook::low_level::emulate_default_handler(signal));
            }
            output::note("stopping: tests under way are cancelled and keep what they found");
            stopper.stop();
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
}
