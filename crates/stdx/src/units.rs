//! Amounts that carry their unit: bytes, time spans, ratios, with parsing and printing.
//!
//! What a person writes in a file or on a command line always names its unit ("64MiB", "10ms",
//! "80%"), and what is printed can be read back: `parse(x.to_string()) == x` for every value.

use std::fmt;
use std::str::FromStr;

/// An amount of memory or storage, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub u64);

/// A span of time, in nanoseconds; at most about 584 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(pub u64);

/// A share from nothing (0.0) to everything (1.0).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Ratio(f64);

/// The kind of amount that a text was read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// [`Bytes`].
    Bytes,
    /// [`Nanos`].
    Nanos,
    /// [`Ratio`].
    Ratio,
}

/// Why a text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// The text has none of the forms of this unit.
    #[error("`{value}` is not {unit}: write {}", unit.forms())]
    Malformed {
        /// What was expected.
        unit: Unit,
        /// What was written.
        value: String,
    },
    /// The amount has a good form and no room in the type.
    #[error("`{value}` is too large for {unit}: the most is {}", unit.most())]
    TooLarge {
        /// What was expected.
        unit: Unit,
        /// What was written.
        value: String,
    },
}

/// Suffixes of [`Bytes`], largest first.
const BYTE_SUFFIXES: [(&str, u64); 6] = [
    ("PiB", 1 << 50),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// Suffixes of [`Nanos`], largest first.
const NANO_SUFFIXES: [(&str, u64); 7] = [
    ("d", 86_400 * SECOND),
    ("h", 3_600 * SECOND),
    ("m", 60 * SECOND),
    ("s", SECOND),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

impl Bytes {
    /// Returns `n` kibibytes, at most what the type holds.
    pub const fn kib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 10))
    }

    /// Returns `n` mebibytes, at most what the type holds.
    pub const fn mib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 20))
    }

    /// Returns `n` gibibytes, at most what the type holds.
    pub const fn gib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 30))
    }

    /// Returns the number as a length of things in memory; more than fits is the largest length.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// Returns a form of three digits for people ("1.46GiB"); not to be read back.
    pub fn approximate(self) -> String {
        approximate(self.0, &BYTE_SUFFIXES)
    }
}

impl Nanos {
    /// Returns `n` microseconds, at most what the type holds.
    pub const fn from_micros(n: u64) -> Self {
        Self(n.saturating_mul(1_000))
    }

    /// Returns `n` milliseconds, at most what the type holds.
    pub const fn from_millis(n: u64) -> Self {
        Self(n.saturating_mul(1_000_000))
    }

    /// Returns `n` seconds, at most what the type holds.
    pub const fn from_secs(n: u64) -> Self {
        Self(n.saturating_mul(SECOND))
    }

    /// Returns the whole milliseconds; a rest is dropped.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Returns the span in seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / SECOND as f64
    }

    /// Returns the same span in the type of the standard library.
    pub const fn as_duration(self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.0)
    }

    /// Returns a form of three digits for people ("1.34ms"); not to be read back.
    pub fn approximate(self) -> String {
        approximate(self.0, &NANO_SUFFIXES)
    }
}

impl Ratio {
    /// Returns the ratio, or nothing if `share` is not from 0.0 to 1.0.
    pub fn new(share: f64) -> Option<Self> {
        // Adding 0 makes nothing of the sign of -0, which is in the range and would print as -0.
        (0.0..=1.0).contains(&share).then_some(Self(share + 0.0))
    }

    /// Returns the share, from 0.0 to 1.0.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl Unit {
    /// Returns the forms that a person may write.
    pub const fn forms(self) -> &'static str {
        match self {
            Self::Bytes => {
                "a whole number with B, KiB, MiB, GiB, TiB or PiB, such as 64MiB, or plain bytes"
            }
            Self::Nanos => {
                "a whole number with ns, us, ms, s, m, h or d, such as 10ms or 1h, or plain 0"
            }
            Self::Ratio => "a number from 0 to 1, such as 0.8, or a percentage such as 80%",
        }
    }

    fn most(self) -> String {
        match self {
            Self::Bytes => format!("{}PiB", u64::MAX >> 50),
            Self::Nanos => format!("{}d", u64::MAX / (86_400 * SECOND)),
            Self::Ratio => "1".to_owned(),
        }
    }
}

impl FromStr for Bytes {
    type Err = UnitError;

    /// Reads "64MiB" or a plain number of bytes.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse_whole(text, Unit::Bytes, &BYTE_SUFFIXES, |_| true).map(Self)
    }
}

impl FromStr for Nanos {
    type Err = UnitError;

    /// Reads "10ms"; only zero may stand without a unit.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse_whole(text, Unit::Nanos, &NANO_SUFFIXES, |number| number == 0).map(Self)
    }
}

impl FromStr for Ratio {
    type Err = UnitError;

    /// Reads "0.8" or "80%".
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let malformed = || UnitError::Malformed { unit: Unit::Ratio, value: text.to_owned() };
        let (digits, divisor) = match text.strip_suffix('%') {
            Some(digits) => (digits.trim_end(), 100.0),
            None => (text, 1.0),
        };
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let number: f64 = digits.parse().map_err(|_| malformed())?;
        if !plain {
            return Err(malformed());
        }
        Self::new(number / divisor)
            .ok_or_else(|| UnitError::TooLarge { unit: Unit::Ratio, value: text.to_owned() })
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_whole(f, self.0, &BYTE_SUFFIXES)
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_whole(f, self.0, &NANO_SUFFIXES)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "a size in bytes",
            Self::Nanos => "a span of time",
            Self::Ratio => "a ratio",
        })
    }
}

/// Reads digits and a suffix; `bare` says whether a number may stand without one.
fn parse_whole(
    text: &str,
    unit: Unit,
    suffixes: &[(&str, u64)],
    bare: fn(u64) -> bool,
) -> Result<u64, UnitError> {
    let malformed = || UnitError::Malformed { unit, value: text.to_owned() };
    let too_large = || UnitError::TooLarge { unit, value: text.to_owned() };
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() {
        return Err(malformed());
    }
    let number: u64 = digits.parse().map_err(|_| too_large())?;
    let suffix = rest.trim_start();
    if suffix.is_empty() {
        return if bare(number) { Ok(number) } else { Err(malformed()) };
    }
    let (_, factor) = suffixes.iter().find(|(name, _)| *name == suffix).ok_or_else(malformed)?;
    number.checked_mul(*factor).ok_or_else(too_large)
}

/// Writes the amount in the largest unit that loses nothing.
fn write_whole(f: &mut fmt::Formatter<'_>, amount: u64, suffixes: &[(&str, u64)]) -> fmt::Result {
    if amount == 0 {
        return f.pad("0");
    }
    let exact = suffixes.iter().find(|(_, factor)| amount.is_multiple_of(*factor));
    let (name, factor) = exact.expect("the last factor is 1, which divides every amount");
    f.pad(&format!("{}{name}", amount / factor))
}

/// Writes the amount with three digits in the largest unit of which there is at least one.
fn approximate(amount: u64, suffixes: &[(&str, u64)]) -> String {
    let Some((name, factor)) = suffixes.iter().find(|(_, factor)| amount >= *factor) else {
        return "0".to_owned();
    };
    let value = amount as f64 / *factor as f64;
    let decimals = match value {
        _ if amount.is_multiple_of(*factor) => 0,
        v if v < 10.0 => 2,
        v if v < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}{name}")
}

#[cfg(test)]
mod tests {
    use std::fmt::{Debug, Display};
    use std::str::FromStr;

    use super::{Bytes, Nanos, Ratio, UnitError};

    fn check<T>(text: &str, expected: T, printed: &str)
    where
        T: FromStr<Err = UnitError> + Display + Debug + PartialEq + Copy,
    {
        assert_eq!(text.parse::<T>().as_ref(), Ok(&expected), "{text}");
        assert_eq!(expected.to_string(), printed);
        assert_eq!(printed.parse::<T>().as_ref(), Ok(&expected), "{printed} is not read back");
    }

    fn refused<T: FromStr<Err = UnitError> + Debug>(text: &str, message: &str) {
        assert_eq!(text.parse::<T>().expect_err(text).to_string(), message);
    }

    #[test]
    fn sizes_are_read_and_printed_without_loss() {
        check("0", Bytes(0), "0");
        check("4096", Bytes(4096), "4KiB");
        check("4097", Bytes(4097), "4097B");
        check("64MiB", Bytes::mib(64), "64MiB");
        check("1 GiB", Bytes::gib(1), "1GiB");
        check("1024KiB", Bytes::mib(1), "1MiB");
        check("18446744073709551615", Bytes(u64::MAX), "18446744073709551615B");
    }

    #[test]
    fn spans_are_read_and_printed_without_loss() {
        check("0", Nanos(0), "0");
        check("0s", Nanos(0), "0");
        check("500us", Nanos::from_micros(500), "500us");
        check("10ms", Nanos::from_millis(10), "10ms");
        check("1s", Nanos::from_secs(1), "1s");
        check("90s", Nanos::from_secs(90), "90s");
        check("5m", Nanos::from_secs(300), "5m");
        check("60m", Nanos::from_secs(3600), "1h");
        check("7d", Nanos::from_secs(7 * 86_400), "7d");
        check("1ns", Nanos(1), "1ns");
    }

    #[test]
    fn ratios_are_read_as_numbers_and_percentages() {
        check("0.8", Ratio(0.8), "0.8");
        check("80%", Ratio(0.8), "0.8");
        check("100 %", Ratio(1.0), "1");
        check("0", Ratio(0.0), "0");
        let negative_zero = Ratio::new(-0.0).expect("it is 0");
        check("0%", negative_zero, "0");
    }

    #[test]
    fn a_refused_size_names_the_value_and_the_forms() {
        let forms = "is not a size in bytes: write a whole number with B, KiB, MiB, GiB, TiB or \
                     PiB, such as 64MiB, or plain bytes";
        for text in ["", "MiB", "-1", "1.5GiB", "64mb", "64 M iB", "0x10", "1_000"] {
            refused::<Bytes>(text, &format!("`{text}` {forms}"));
        }
        refused::<Bytes>(
            "16384PiB",
            "`16384PiB` is too large for a size in bytes: the most is 16383PiB",
        );
    }

    #[test]
    fn a_refused_span_names_the_value_and_the_forms() {
        let forms = "is not a span of time: write a whole number with ns, us, ms, s, m, h or d, \
                     such as 10ms or 1h, or plain 0";
        for text in ["", "10", "1.5s", "s", "1 hour", "-1s"] {
            refused::<Nanos>(text, &format!("`{text}` {forms}"));
        }
        let long = "99999999999999999999s";
        let message = format!("`{long}` is too large for a span of time: the most is 213503d");
        refused::<Nanos>(long, &message);
    }

    #[test]
    fn a_refused_ratio_names_the_value_and_the_forms() {
        let forms = "is not a ratio: write a number from 0 to 1, such as 0.8, or a percentage such \
                     as 80%";
        for text in ["", "%", "-0.1", "nan", "inf", "1e-3", "half"] {
            refused::<Ratio>(text, &format!("`{text}` {forms}"));
        }
        refused::<Ratio>("120%", "`120%` is too large for a ratio: the most is 1");
        refused::<Ratio>("1.01", "`1.01` is too large for a ratio: the most is 1");
    }

    #[test]
    fn people_see_three_digits() {
        let check = |shown: String, expected: &str| assert_eq!(shown, expected);
        check(Nanos(0).approximate(), "0");
        check(Nanos(134_567).approximate(), "135us");
        check(Nanos(1_340_000).approximate(), "1.34ms");
        check(Nanos(12_345_678_901).approximate(), "12.3s");
        check(Bytes(1_567_890_123).approximate(), "1.46GiB");
        check(Bytes(64 << 20).approximate(), "64MiB");
    }
}
