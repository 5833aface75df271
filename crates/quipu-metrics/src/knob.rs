//! The closed list of knobs: everything that `quipu serve` reads from its configuration.
//!
//! One table ([`KNOBS`]) feeds the command line, the environment, the file, the validation, the
//! reference in `docs/config.md` and, later, the optimizer. A knob that is not in it does not
//! exist; one that is in it and not wired into [`crate::settings::Settings`] does not compile.

mod list;
mod value;

use std::fmt;

use stdx::units::{Bytes, Nanos};

pub use self::list::{KNOBS, Key};
pub use self::value::{KnobValue, ValueError};

/// One thing that can be turned.
#[derive(Debug)]
pub struct Knob {
    /// Which one it is.
    pub key: Key,
    /// The dotted name, as in the file: the part before the dot is the section.
    pub name: &'static str,
    /// The kind of value and its bounds.
    pub domain: Domain,
    /// The default, as a person would write it.
    pub default: &'static str,
    /// When a change takes effect.
    pub apply: Apply,
    /// Who may turn it.
    pub class: Class,
    /// What it means, for the person who sets it.
    pub help: &'static str,
    /// Where the default comes from.
    pub basis: Basis,
    /// Why the default is what it is.
    pub why: &'static str,
}

/// The kind of value that a knob takes, and its bounds, both included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Domain {
    /// A size in bytes.
    Bytes(Range),
    /// A span of time; the bounds are nanoseconds.
    Duration(Range),
    /// A plain number.
    Count(Range),
    /// A share from 0 to 1.
    Ratio,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Switch,
    /// An IP address and a port, of this machine only; port 0 takes a free one.
    Loopback,
    /// A path of the file system, not empty.
    Path,
}

/// The numbers that a knob accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The least, included.
    pub min: u64,
    /// The most, included.
    pub max: u64,
    /// Whether only powers of two will do.
    pub power_of_two: bool,
    /// What 0 means, where it has a meaning of its own outside of the bounds.
    pub zero: Option<&'static str>,
}

/// When a change takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply {
    /// In the running node. No knob of this version: nothing reads a value twice.
    Live,
    /// At the next start.
    Restart,
}

/// Who may turn a knob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The optimizer may.
    Performance,
    /// A person may.
    Limits,
    /// A person may, never while the node runs: a promise depends on it.
    Safety,
}

/// Where a default comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// A measurement.
    Measured,
    /// The design, or another system's documented choice.
    Spec,
    /// A guess that nothing has confirmed.
    Guess,
}

impl Range {
    /// Returns the range from `min` to `max`, both included.
    pub const fn new(min: u64, max: u64) -> Self {
        assert!(min <= max, "a range has at least one value");
        Self { min, max, power_of_two: false, zero: None }
    }

    /// Returns the range without the numbers that are no powers of two.
    #[must_use]
    pub const fn powers_of_two(self) -> Self {
        Self { power_of_two: true, ..self }
    }

    /// Returns the range with 0 as a word of its own, which means `meaning`.
    #[must_use]
    pub const fn or_zero(self, meaning: &'static str) -> Self {
        Self { zero: Some(meaning), ..self }
    }

    /// Returns whether the range holds `number`.
    pub const fn holds(self, number: u64) -> bool {
        let in_bounds = self.min <= number && number <= self.max;
        let fits = in_bounds && (!self.power_of_two || number.is_power_of_two());
        fits || (number == 0 && self.zero.is_some())
    }

    fn describe(self, show: fn(u64) -> String) -> String {
        let power = if self.power_of_two { ", a power of two" } else { "" };
        let zero = self.zero.map(|meaning| format!(", or 0 for {meaning}")).unwrap_or_default();
        format!("{} to {}{power}{zero}", show(self.min), show(self.max))
    }
}

impl Domain {
    /// Returns what may be written, for people ("16KiB to 1GiB, a power of two").
    pub fn describe(self) -> String {
        match self {
            Self::Bytes(range) => range.describe(|number| Bytes(number).to_string()),
            Self::Duration(range) => range.describe(|number| Nanos(number).to_string()),
            Self::Count(range) => range.describe(|number| number.to_string()),
            Self::Ratio => "0 to 1, or 0% to 100%".to_owned(),
            Self::Choice(words) => words.join(" or "),
            Self::Switch => "true or false".to_owned(),
            Self::Loopback => "a loopback address and port, such as 127.0.0.1:7411".to_owned(),
            Self::Path => "a path".to_owned(),
        }
    }

    /// Returns the name of the kind of value.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Bytes(_) => "bytes",
            Self::Duration(_) => "duration",
            Self::Count(_) => "count",
            Self::Ratio => "ratio",
            Self::Choice(_) => "choice",
            Self::Switch => "switch",
            Self::Loopback => "address",
            Self::Path => "path",
        }
    }
}

impl Key {
    /// Returns the entry of the table.
    pub fn knob(self) -> &'static Knob {
        &KNOBS[self as usize]
    }

    /// Returns the key of a dotted name.
    pub fn find(name: &str) -> Option<Self> {
        KNOBS.iter().find(|knob| knob.name == name).map(|knob| knob.key)
    }
}

impl Knob {
    /// Returns the name of the environment variable: `log.mark_interval` becomes
    /// `QUIPU_LOG_MARK_INTERVAL`.
    pub fn variable(&self) -> String {
        format!("QUIPU_{}", self.name.replace('.', "_").to_ascii_uppercase())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.knob().name)
    }
}

impl fmt::Display for Apply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Live => "live",
            Self::Restart => "restart",
        })
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Performance => "performance",
            Self::Limits => "limits",
            Self::Safety => "safety",
        })
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Measured => "measured",
            Self::Spec => "spec",
            Self::Guess => "guess",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Apply, Class, KNOBS, Key, Knob};

    #[test]
    fn every_default_is_a_value_of_its_own_knob() {
        for knob in KNOBS {
            let value = knob.parse(knob.default);
            assert!(value.is_ok(), "{}: {value:?}", knob.name);
            assert_eq!(value.expect("checked").to_string(), knob.default, "{}", knob.name);
        }
    }

    #[test]
    fn names_and_variables_are_unique_and_find_their_key() {
        let variables: BTreeSet<String> = KNOBS.iter().map(Knob::variable).collect();
        assert_eq!(variables.len(), KNOBS.len());
        for knob in KNOBS {
            assert_eq!(Key::find(knob.name), Some(knob.key));
            assert_eq!(knob.key.knob().name, knob.name);
        }
        assert_eq!(Key::LogMarkInterval.knob().variable(), "QUIPU_LOG_MARK_INTERVAL");
    }

    #[test]
    fn what_a_promise_depends_on_never_changes_in_a_running_node() {
        for knob in KNOBS.iter().filter(|knob| knob.class == Class::Safety) {
            assert_eq!(knob.apply, Apply::Restart, "{}", knob.name);
        }
    }

    #[test]
    fn every_knob_says_what_it_means_and_why_its_default() {
        for knob in KNOBS {
            for text in [knob.help, knob.why] {
                assert!(text.ends_with('.') && text.len() > 15, "{}: {text}", knob.name);
            }
        }
    }
}
