//! `quipu serve`: a node, until it is told to stop.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use quipu_metrics::settings::Settings;
use quipu_server::node::{Started, start};
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use stdx::units::Nanos;
use tracing_subscriber::EnvFilter;

use crate::args::SettingsArgs;
use crate::{output, settings};

/// Serve counters until SIGTERM or Ctrl-C
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    settings: SettingsArgs,

    /// What to log on standard error: error, warn, info, debug, or a filter such as
    /// `info,quipu_server=debug`
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log_level: String,

    /// How to log
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

/// Runs a node to its end.
///
/// # Errors
/// It did not start, or its log failed.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let (settings, _) = settings::load(&args.settings)?;
    log_to_stderr(args)?;
    #[cfg(feature = "canary")]
    crate::sabotage::arrange()?;
    let signals = Signals::new([SIGTERM, SIGINT]).context("cannot listen for signals")?;
    take_file_limits_as_errors().context("cannot listen for signals")?;
    let node = start(settings.clone())?;
    output::print(&banner(&settings, &node.started))?;
    stop_on_signal(signals, &node)?;
    node.wait()?;
    Ok(ExitCode::SUCCESS)
}

fn log_to_stderr(args: &ServeArgs) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&args.log_level)
        .with_context(|| format!("--log-level {}", args.log_level))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match args.log_format {
        LogFormat::Text => builder.with_ansi(false).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

/// A write beyond a limit on the size of files fails, with a sentence, instead of killing the
/// process without a word.
pub(super) fn take_file_limits_as_errors() -> io::Result<()> {
    let nobody_looks = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGXFSZ, nobody_looks).map(drop)
}

/// The first signal stops the node in order; a second one ends the process.
fn stop_on_signal(mut signals: Signals, node: &quipu_server::node::Running) -> anyhow::Result<()> {
    let hub = Arc::clone(node.hub());
    let wait = move || {
        for (count, signal) in signals.forever().enumerate() {
            if count > 0 {
                // The default action of a second signal is what the user asks for.
                drop(signal_hook::low_level::emulate_default_handler(signal));
            }
            hub.stop();
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(())
}

fn banner(settings: &Settings, started: &Started) -> String {
    let Started { resp, http, admin, .. } = started;
    let sync = Nanos(started.sync_time.as_nanos() as u64).approximate();
    let recovery = Nanos(started.recovery_time.as_nanos() as u64).approximate();
    let mut text = String::new();
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        text.push_str(format!("{name:<6} {value}").trim_end());
        text.push('\n');
    };
    line("quipu", &env!("CARGO_PKG_VERSION"));
    line("resp", resp);
    line("http", http);
    line("admin", admin);
    line("data", &settings.data_dir.display());
    line("ack", &settings.ack_default.name());
    line("sync", &format!("{sync} (median of 17 small writes and syncs here)"));
    line("found", &format!("{} counters, in {recovery}", started.counters));
    for note in &started.notes {
        line("note", note);
    }
    line("try", &format!("redis-cli -p {} INCR visits", resp.port()));
    line(
        "try",
        &format!("curl -X POST http://{http}/v1/default/counters/visits -d '{{\"add\":1}}'"),
    );
    line("ready", &"");
    text
}
