//! What was typed, before any meaning: the tree of commands and the flags of the knobs.

use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches};
use quipu_metrics::knob::{Domain, KNOBS, Key, Knob};

use crate::cmd::Command;

/// Counts events exactly once, durably and fast.
#[derive(Debug, clap::Parser)]
#[command(name = "quipu", version, max_term_width = 100)]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where settings come from besides defaults and environment.
#[derive(Debug, clap::Args)]
pub(crate) struct SettingsArgs {
    /// Configuration file (TOML); docs/config.md lists its keys.
    #[arg(long, value_name = "file", env = "QUIPU_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// One flag per knob.
    #[command(flatten)]
    pub(crate) knobs: KnobFlags,
}

/// The knobs that were given as flags, in the order of the table.
#[derive(Debug, Default)]
pub(crate) struct KnobFlags(pub(crate) Vec<(Key, String)>);

/// Returns the short form of the flag of a knob that people type by hand.
fn short_form(key: Key) -> Option<&'static str> {
    match key {
        Key::DataDir => Some("data"),
        Key::RespAddr => Some("resp"),
        Key::HttpAddr => Some("http"),
        Key::AdminAddr => Some("admin"),
        Key::ClockAccept => Some("accept-clock"),
        _ => None,
    }
}

/// Returns the flag of a knob. Its value stays a text: all layers are checked in one place.
fn flag(knob: &'static Knob) -> Arg {
    let short = short_form(knob.key);
    let help = format!("{} [{}; default {}]", knob.help, knob.domain.describe(), knob.default);
    let arg = Arg::new(knob.name)
        .long(short.unwrap_or(knob.name))
        .value_name(knob.domain.kind())
        .value_parser(ValueParser::string())
        .action(ArgAction::Set)
        .help(help)
        .hide_short_help(short.is_none());
    let arg = if short.is_some() { arg.visible_alias(knob.name) } else { arg };
    if knob.domain == Domain::Switch {
        arg.num_args(0..=1).default_missing_value("true")
    } else {
        arg
    }
}

impl clap::Args for KnobFlags {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(KNOBS.iter().map(flag))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for KnobFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for knob in KNOBS {
            if let Some(text) = matches.get_one::<String>(knob.name) {
                self.0.push((knob.key, text.clone()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};
    use quipu_metrics::knob::{KNOBS, Key};

    use super::{Args, SettingsArgs};

    #[derive(Debug, clap::Parser)]
    struct Probe {
        #[command(flatten)]
        settings: SettingsArgs,
    }

    fn check(line: &[&str], expected: &[(Key, &str)]) {
        let probe = Probe::try_parse_from([&["quipu"], line].concat()).expect("a good line");
        let expected: Vec<_> =
            expected.iter().map(|(key, text)| (*key, text.to_string())).collect();
        assert_eq!(probe.settings.knobs.0, expected, "{line:?}");
    }

    #[test]
    fn the_command_tree_is_consistent() {
        Args::command().debug_assert();
        Probe::command().debug_assert();
    }

    #[test]
    fn every_knob_is_a_flag() {
        for knob in KNOBS {
            check(&[&format!("--{}", knob.name), "7"], &[(knob.key, "7")]);
            check(&[&format!("--{}=7", knob.name)], &[(knob.key, "7")]);
        }
    }

    #[test]
    fn common_knobs_have_short_forms() {
        check(&["--data", "/d", "--resp", "r"], &[(Key::DataDir, "/d"), (Key::RespAddr, "r")]);
        check(&["--admin", "a", "--http", "h"], &[(Key::HttpAddr, "h"), (Key::AdminAddr, "a")]);
    }

    #[test]
    fn a_switch_alone_is_on() {
        check(&["--accept-clock"], &[(Key::ClockAccept, "true")]);
        check(
            &["--log.allow_network_fs", "--clock.accept", "false"],
            &[(Key::LogAllowNetworkFs, "true"), (Key::ClockAccept, "false")],
        );
    }

    #[test]
    fn an_unknown_flag_is_refused_with_the_nearest() {
        let error = Probe::try_parse_from(["quipu", "--log.segment_byte", "1"]).expect_err("typo");
        assert!(error.to_string().contains("--log.segment_bytes"), "{error}");
    }
}
