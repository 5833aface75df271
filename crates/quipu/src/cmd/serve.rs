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

use crate::args::SettingsArgs;
use crate::{log, output, settings};

/// Serve counters until SIGTERM or Ctrl-C
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    settings: SettingsArgs,

    /// What to log on standard error: error, warn, info, debug, or a filter such as
    /// `info,quipu_server=debug`
    #[arg(long, value_name = "FILTER", default_value = "info", env = "QUIPU_LOG_LEVEL")]
    log_level: String,

    /// How to log, and how to say that the node is ready
    #[arg(long, value_enum, default_value_t = log::Form::Text, env = log::VARIABLE)]
    log_format: log::Form,
}

/// Runs a node to its end.
///
/// # Errors
/// It did not start, or its log failed.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let (settings, _) = settings::load(&args.settings)?;
    log::start(&args.log_level)?;
    #[cfg(feature = "canary")]
    crate::sabotage::arrange()?;
    let signals = Signals::new([SIGTERM, SIGINT]).context("cannot listen for signals")?;
    take_file_limits_as_errors().context("cannot listen for signals")?;
    let node = start(settings.clone())?;
    announce(&settings, &node.started)?;
    stop_on_signal(signals, &node)?;
    node.wait()?;
    Ok(ExitCode::SUCCESS)
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

/// Says on standard output that the node serves, and where.
fn announce(settings: &Settings, started: &Started) -> io::Result<()> {
    let facts = facts(settings, started);
    if log::is_json() {
        let facts = facts.into_iter().map(|(name, value)| (name.to_owned(), value.into()));
        let notes = started.notes.iter().map(ToString::to_string).collect::<Vec<String>>();
        let fields = facts.chain([("notes".to_owned(), notes.into())]);
        return output::say(log::line("INFO", "ready", &fields.collect()));
    }
    let (resp, http) = (started.resp.port(), started.http);
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        text.push_str(format!("{name:<6} {value}").trim_end());
        text.push('\n');
    };
    for (name, value) in &facts {
        line(name, value);
    }
    for note in &started.notes {
        line("note", note);
    }
    line("try", &format!("redis-cli -p {resp} INCR visits"));
    line(
        "try",
        &format!("curl -X POST http://{http}/v1/default/counters/visits -d '{{\"add\":1}}'"),
    );
    line("ready", "");
    output::print(&text)
}

/// What there is to know of a node that has just started.
fn facts(settings: &Settings, started: &Started) -> [(&'static str, String); 8] {
    let sync = Nanos(started.sync_time.as_nanos() as u64).approximate();
    let recovery = Nanos(started.recovery_time.as_nanos() as u64).approximate();
    [
        ("quipu", env!("CARGO_PKG_VERSION").to_owned()),
        ("resp", started.resp.to_string()),
        ("http", started.http.to_string()),
        ("admin", started.admin.to_string()),
        ("data", settings.data_dir.display().to_string()),
        ("ack", settings.ack_default.name().to_string()),
        ("sync", format!("{sync} (median of 17 small writes and syncs here)")),
        ("found", format!("{} counters, in {recovery}", started.counters)),
    ]
}
