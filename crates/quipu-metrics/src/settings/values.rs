//! Texts with the place that each came from, and reading them as the types of their knobs.

use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use stdx::units::{Bytes, Nanos};

use crate::knob::{KNOBS, Key, KnobValue};
use crate::settings::SettingsError;

/// Where a value came from; later ones win over earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The table of knobs.
    Default,
    /// A configuration file, by its path.
    File(String),
    /// An environment variable, by its name.
    Environment(String),
    /// The command line, by the flag as it was written.
    Flag(String),
}

/// A text and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// What was written.
    pub text: String,
    /// Where.
    pub source: Source,
}

/// One value for every knob: the defaults, with layers over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values(BTreeMap<Key, Value>);

impl Values {
    /// Returns the defaults of the table.
    pub fn defaults() -> Self {
        let value = |text: &str| Value { text: text.to_owned(), source: Source::Default };
        Self(KNOBS.iter().map(|knob| (knob.key, value(knob.default))).collect())
    }

    /// Puts a value over what is there, whatever its source: the last one wins.
    pub fn set(&mut self, key: Key, text: impl Into<String>, source: Source) {
        self.0.insert(key, Value { text: text.into(), source });
    }

    /// Returns the value that won.
    pub fn get(&self, key: Key) -> &Value {
        self.0.get(&key).expect("the defaults hold every key and nothing is removed")
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.pad("default"),
            Self::File(path) => f.pad(&format!("file {path}")),
            Self::Environment(name) => f.pad(&format!("environment {name}")),
            Self::Flag(name) => f.pad(&format!("flag {name}")),
        }
    }
}

/// All values, each known to be in the domain of its knob.
pub(super) struct Reader(Vec<KnobValue>);

impl Reader {
    /// Reads every value as its knob says.
    pub(super) fn new(values: &Values) -> Result<Self, SettingsError> {
        let read = |key: Key| {
            let Value { text, source } = values.get(key);
            key.knob().parse(text).map_err(|cause| SettingsError::Value {
                key,
                origin: source.clone(),
                cause,
            })
        };
        KNOBS.iter().map(|knob| read(knob.key)).collect::<Result<_, _>>().map(Self)
    }

    fn value(&self, key: Key) -> &KnobValue {
        self.0.get(key as usize).expect("there is one value for every key")
    }

    pub(super) fn bytes(&self, key: Key) -> Bytes {
        match self.value(key) {
            KnobValue::Bytes(bytes) => *bytes,
            other => mismatch(key, other),
        }
    }

    /// Returns nothing for the 0 that has a meaning of its own.
    pub(super) fn bytes_or_zero(&self, key: Key) -> Option<Bytes> {
        Some(self.bytes(key)).filter(|bytes| bytes.0 > 0)
    }

    pub(super) fn span(&self, key: Key) -> Nanos {
        match self.value(key) {
            KnobValue::Duration(span) => *span,
            other => mismatch(key, other),
        }
    }

    /// Returns nothing for the 0 that has a meaning of its own.
    pub(super) fn span_or_zero(&self, key: Key) -> Option<Nanos> {
        Some(self.span(key)).filter(|span| span.0 > 0)
    }

    pub(super) fn count(&self, key: Key) -> u64 {
        match self.value(key) {
            KnobValue::Count(count) => *count,
            other => mismatch(key, other),
        }
    }

    /// Returns the number as a length of things in memory; more than fits is the largest length.
    pub(super) fn length(&self, key: Key) -> usize {
        usize::try_from(self.count(key)).unwrap_or(usize::MAX)
    }

    /// Returns nothing for the 0 that has a meaning of its own.
    pub(super) fn length_or_zero(&self, key: Key) -> Option<NonZeroUsize> {
        NonZeroUsize::new(self.length(key))
    }

    pub(super) fn switch(&self, key: Key) -> bool {
        match self.value(key) {
            KnobValue::Switch(on) => *on,
            other => mismatch(key, other),
        }
    }

    pub(super) fn choice(&self, key: Key) -> &'static str {
        match self.value(key) {
            KnobValue::Choice(word) => word,
            other => mismatch(key, other),
        }
    }

    pub(super) fn address(&self, key: Key) -> SocketAddr {
        match self.value(key) {
            KnobValue::Address(address) => *address,
            other => mismatch(key, other),
        }
    }

    pub(super) fn path(&self, key: Key) -> PathBuf {
        match self.value(key) {
            KnobValue::Path(path) => path.clone(),
            other => mismatch(key, other),
        }
    }
}

/// Ends a reading that asks for another type than the table says; every test of settings would.
fn mismatch(key: Key, value: &KnobValue) -> ! {
    unreachable!("{key} is read as another type than its domain: {value:?}")
}
