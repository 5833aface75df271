//! Numbers with their dimension: what units are understood, and how a value is shown.

use std::fmt;

/// What kind of number it is. Its base unit stands in brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dimension {
    /// How many (one).
    Count,
    /// A part of a whole (1, not percent).
    Share,
    /// A span (nanoseconds).
    Time,
    /// Events in time (per second).
    Rate,
    /// Memory (bytes).
    Bytes,
    /// Yes or no (1 or 0).
    Truth,
    /// How a share grows (per second): of a measure, its growth against its own mean.
    ShareGrowth,
    /// How a span grows (nanoseconds per second).
    TimeGrowth,
    /// How memory grows (bytes per second).
    BytesGrowth,
}

/// A number with its dimension.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Amount {
    /// In the base unit of the dimension; may be infinite.
    pub value: f64,
    /// What kind of number.
    pub dimension: Dimension,
}

/// The units of each dimension, the greatest first, and their size in the base unit. Decimal units of
/// memory are decimal, binary ones binary.
const UNITS: [(&str, Dimension, f64); 18] = [
    ("%", Dimension::Share, 0.01),
    ("h", Dimension::Time, 3_600e9),
    ("m", Dimension::Time, 60e9),
    ("s", Dimension::Time, 1e9),
    ("ms", Dimension::Time, 1e6),
    ("us", Dimension::Time, 1e3),
    ("ns", Dimension::Time, 1.0),
    ("GB", Dimension::Bytes, 1e9),
    ("MB", Dimension::Bytes, 1e6),
    ("kB", Dimension::Bytes, 1e3),
    ("KB", Dimension::Bytes, 1e3),
    ("GiB", Dimension::Bytes, 1_073_741_824.0),
    ("MiB", Dimension::Bytes, 1_048_576.0),
    ("KiB", Dimension::Bytes, 1_024.0),
    ("B", Dimension::Bytes, 1.0),
    ("k", Dimension::Count, 1e3),
    ("M", Dimension::Count, 1e6),
    ("", Dimension::Count, 1.0),
];

/// Spans by which a growth is said, in seconds.
const SPANS: [(&str, f64); 4] = [("h", 3_600.0), ("m", 60.0), ("min", 60.0), ("s", 1.0)];

impl Dimension {
    /// Returns an amount as a person would write it, for messages.
    pub fn example(self) -> &'static str {
        match self {
            Self::Count => "0 or 1_000",
            Self::Share => "0.1%",
            Self::Time => "20ms",
            Self::Rate => "10_000/s",
            Self::Bytes => "64MB",
            Self::Truth => "true",
            Self::ShareGrowth => "1%/h",
            Self::TimeGrowth => "1ms/h",
            Self::BytesGrowth => "1MB/h",
        }
    }

    /// What a change of this over time is.
    pub(super) fn growth(self) -> Option<Self> {
        match self {
            Self::Share => Some(Self::ShareGrowth),
            Self::Time => Some(Self::TimeGrowth),
            Self::Bytes => Some(Self::BytesGrowth),
            Self::Count => Some(Self::Rate),
            _ => None,
        }
    }
}

impl Amount {
    /// Returns a number of things.
    pub(crate) fn count(count: u64) -> Self {
        Self { value: count as f64, dimension: Dimension::Count }
    }

    /// Returns both amounts as text, with as many digits as it takes to tell them apart.
    pub fn apart(left: Self, right: Self) -> (String, String) {
        let short = (left.to_string(), right.to_string());
        if short.0 == short.1 && left.value.to_bits() != right.value.to_bits() {
            return (format!("{left:#}"), format!("{right:#}"));
        }
        short
    }

    /// Reads a number with a unit; nothing if it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(truth) = [("true", 1.0), ("false", 0.0)].iter().find(|(word, _)| *word == text)
        {
            return Some(Self { value: truth.1, dimension: Dimension::Truth });
        }
        let is_digit = |byte: u8| byte.is_ascii_digit() || byte == b'.' || byte == b'_';
        let end = text.bytes().position(|byte| !is_digit(byte)).unwrap_or(text.len());
        let (digits, unit) = text.split_at(end);
        let (unit, span) = match unit.split_once('/') {
            Some((unit, span)) => (unit, Some(span)),
            None => (unit, None),
        };
        let (_, dimension, size) = UNITS.iter().find(|(name, ..)| *name == unit.trim())?;
        let digits = digits.replace('_', "");
        let value = match dimension {
            // Read as one number: 99.9 times a hundredth is more than the double nearest to 0.999.
            Dimension::Share => format!("{digits}e-2").parse().ok()?,
            _ => digits.parse::<f64>().ok()? * size,
        };
        let amount = Self { value, dimension: *dimension };
        let Some(span) = span else { return Some(amount) };
        let (_, seconds) = SPANS.iter().find(|(name, _)| *name == span.trim())?;
        let dimension = amount.dimension.growth()?;
        Some(Self { value: amount.value / seconds, dimension })
    }
}

impl fmt::Display for Amount {
    /// Writes three digits in a unit that fits, nine in the alternate form; growth by the hour.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value;
        if value.is_infinite() && self.dimension == Dimension::Time {
            return f.write_str("never");
        }
        let hourly = value * 3_600.0;
        match self.dimension {
            Dimension::Truth => f.write_str(if value == 0.0 { "false" } else { "true" }),
            Dimension::Count => f.write_str(&grouped(value, significant(f))),
            Dimension::Rate => write!(f, "{}/s", grouped(value, significant(f))),
            Dimension::Share => write!(f, "{}%", digits(value * 100.0, significant(f))),
            Dimension::Time => sized(f, value, Dimension::Time),
            Dimension::Bytes => sized(f, value, Dimension::Bytes),
            Dimension::ShareGrowth => write!(f, "{}%/h", digits(hourly * 100.0, significant(f))),
            Dimension::TimeGrowth => sized(f, hourly, Dimension::Time).and(f.write_str("/h")),
            Dimension::BytesGrowth => sized(f, hourly, Dimension::Bytes).and(f.write_str("/h")),
        }
    }
}

/// Writes a value in the greatest unit of which there is at least one.
fn sized(f: &mut fmt::Formatter<'_>, value: f64, dimension: Dimension) -> fmt::Result {
    // Minutes and hours have parts that read as if they were decimal.
    let units = UNITS.iter().filter(|(_, of, size)| *of == dimension && *size <= 1e9);
    let mut fitting = units.clone().filter(|(_, _, size)| value.abs() >= *size);
    let smallest = || units.clone().min_by(|a, b| a.2.total_cmp(&b.2));
    let (name, _, size) = fitting.next().or_else(smallest).expect("spans and memory have units");
    write!(f, "{}{name}", digits(value / size, significant(f)))
}

/// How many digits are written: three, or nine in the alternate form.
fn significant(f: &fmt::Formatter<'_>) -> i32 {
    if f.alternate() { 9 } else { 3 }
}

/// So many significant digits without zeros at the end, and all digits of a whole number.
fn digits(value: f64, significant: i32) -> String {
    let magnitude = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    let decimals = (significant - 1 - magnitude).clamp(0, 12) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A number with a comma after every three digits; decimals only below 100.
fn grouped(value: f64, significant: i32) -> String {
    if value.fract() != 0.0 && (value.abs() < 100.0 || significant > 3) {
        return digits(value, significant);
    }
    let plain = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (at, digit) in plain.chars().enumerate() {
        if at > 0 && (plain.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}
