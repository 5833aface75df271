//! What the program's settings take from its command line, which is not parsed here.

use std::path::PathBuf;

use quipu_metrics::knob::Key;

/// Where settings come from besides defaults and environment.
#[derive(Debug)]
pub(crate) struct SettingsArgs {
    /// Configuration file.
    pub(crate) config: Option<PathBuf>,
    /// One flag per knob.
    pub(crate) knobs: KnobFlags,
}

/// The knobs that were given as flags.
#[derive(Debug, Default)]
pub(crate) struct KnobFlags(pub(crate) Vec<(Key, String)>);
