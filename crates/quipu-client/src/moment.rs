//! When a line says that it happened, and the bucket of time that this falls into.

use std::fmt::Write as _;

use thiserror::Error;

/// Seconds of a day.
const DAY: i64 = 86_400;
/// The shortest bucket, in seconds.
const BUCKET_MIN: i64 = 60;

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// How long a bucket is, in seconds: from a minute to a day, and a part of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket(i64);

/// A text is not the length of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is no bucket of time: write 1m to 1d, such as 5m or 1h, that divides a day")]
pub struct BadBucket(String);

impl Bucket {
    /// Parses a number and its unit: `m`, `h` or `d`.
    ///
    /// # Errors
    /// It is something else, or does not divide a day.
    pub fn parse(text: &str) -> Result<Bucket, BadBucket> {
        let bad = || BadBucket(text.to_owned());
        let unit = match text.as_bytes().last() {
            Some(b'm') => 60,
            Some(b'h') => 3600,
            Some(b'd') => DAY,
            _ => return Err(bad()),
        };
        let number = text.get(..text.len() - 1).unwrap_or_default();
        let number: i64 = number.parse().map_err(|_| bad())?;
        let seconds = number.checked_mul(unit).filter(|seconds| *seconds >= BUCKET_MIN);
        seconds.filter(|seconds| DAY % seconds == 0).map(Bucket).ok_or_else(bad)
    }

    /// Returns its length in seconds.
    pub fn seconds(self) -> i64 {
        self.0
    }

    /// Writes into `label` when the bucket of the moment `at` (Unix seconds) begins, in UTC:
    /// `2026-11-21T13:00Z`, of a whole day `2026-11-21`.
    pub fn label(self, at: i64, label: &mut String) {
        let start = at - at.rem_euclid(self.0);
        let (year, month, day) = civil(start.div_euclid(DAY));
        label.clear();
        let mut write = |text: std::fmt::Arguments<'_>| {
            label.write_fmt(text).expect("a string takes all that is written");
        };
        write(format_args!("{year:04}-{month:02}-{day:02}"));
        if self.0 < DAY {
            let minute = start.rem_euclid(DAY) / 60;
            write(format_args!("T{:02}:{:02}Z", minute / 60, minute % 60));
        }
    }
}

/// Reads the moment that `text` names, in Unix seconds.
///
/// It may be ISO 8601 (`2026-11-21T13:55:36.5+01:00`, also with a blank for the `T`), the form of
/// web servers (`21/Nov/2026:13:55:36 +0100`), that of RFC 3164 (`Nov 21 13:55:36`, of the given
/// `year`), or a Unix time in seconds to nanoseconds. Without a zone it is UTC.
pub fn read(text: &[u8], year: Option<i64>) -> Option<i64> {
    match text {
        [b'0'..=b'9', _, b'/', ..] => web(text),
        [_, _, _, _, b'-', ..] => iso(text),
        [b'A'..=b'Z', ..] => without_year(text, year?),
        _ => unix(text),
    }
}

fn web(text: &[u8]) -> Option<i64> {
    let mut text = Text(text);
    let day = text.number(2)?;
    text.expect(b'/')?;
    let month = text.month()?;
    text.expect(b'/')?;
    let year = text.number(4)?;
    text.expect(b':')?;
    let clock = text.clock()?;
    text.expect(b' ')?;
    let zone = text.zone()?;
    text.end(days(year, month, day)? * DAY + clock - zone)
}

fn iso(text: &[u8]) -> Option<i64> {
    let mut text = Text(text);
    let year = text.number(4)?;
    text.expect(b'-')?;
    let month = text.number(2)?;
    text.expect(b'-')?;
    let midnight = days(year, month, text.number(2)?)? * DAY;
    if text.0.is_empty() {
        return Some(midnight);
    }
    text.expect(b'T').or_else(|| text.expect(b't')).or_else(|| text.expect(b' '))?;
    let clock = text.clock()?;
    if text.expect(b'.').or_else(|| text.expect(b',')).is_some() {
        text.fraction();
    }
    let zone = if text.0.is_empty() { 0 } else { text.zone()? };
    text.end(midnight + clock - zone)
}

fn without_year(text: &[u8], year: i64) -> Option<i64> {
    let mut text = Text(text);
    let month = text.month()?;
    text.expect(b' ')?;
    let day = if text.expect(b' ').is_some() { text.number(1)? } else { text.number(2)? };
    text.expect(b' ')?;
    let clock = text.clock()?;
    text.end(days(year, month, day)? * DAY + clock)
}

/// The number of digits tells the unit: ten for the seconds of this age.
fn unix(text: &[u8]) -> Option<i64> {
    let whole = text.split(|byte| *byte == b'.').next().unwrap_or_default();
    let (digits, fraction) = (whole.len(), text.get(whole.len()..).unwrap_or_default());
    let unit = match digits {
        9 | 10 => 1,
        13 => 1_000,
        16 => 1_000_000,
        19 => 1_000_000_000,
        _ => return None,
    };
    let mut fraction = Text(fraction);
    if fraction.expect(b'.').is_some() {
        fraction.fraction();
    }
    fraction.end(Text(whole).number(digits)? / unit)
}

/// What is left to read.
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    /// Returns `value` if nothing is left.
    fn end<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }

    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        let digit = |digit: &u8| digit.is_ascii_digit().then(|| i64::from(digit - b'0'));
        number.iter().try_fold(0_i64, |sum, byte| sum.checked_mul(10)?.checked_add(digit(byte)?))
    }

    fn month(&mut self) -> Option<i64> {
        let (name, rest) = self.0.split_first_chunk::<3>()?;
        self.0 = rest;
        let found = MONTHS.iter().position(|month| *month == name)?;
        Some(found as i64 + 1)
    }

    /// Reads `13:55:36`, in seconds. A leap second counts as the one before it.
    fn clock(&mut self) -> Option<i64> {
        let hour = self.number(2).filter(|hour| *hour < 24)?;
        self.expect(b':')?;
        let minute = self.number(2).filter(|minute| *minute < 60)?;
        self.expect(b':')?;
        let second = self.number(2).filter(|second| *second <= 60)?;
        Some(hour * 3600 + minute * 60 + second.min(59))
    }

    fn fraction(&mut self) {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.0 = self.0.get(digits..).unwrap_or_default();
    }

    /// Reads `Z`, `+0100` or `+01:00`, in seconds.
    fn zone(&mut self) -> Option<i64> {
        if self.expect(b'Z').or_else(|| self.expect(b'z')).is_some() {
            return Some(0);
        }
        let sign = if self.expect(b'-').is_some() {
            -1
        } else {
            self.expect(b'+')?;
            1
        };
        let hours = self.number(2).filter(|hours| *hours < 24)?;
        self.expect(b':');
        let minutes = self.number(2).filter(|minutes| *minutes < 60)?;
        Some(sign * (hours * 3600 + minutes * 60))
    }
}

/// Returns the days from 1970-01-01 to a day of the Gregorian calendar, if there is that day.
///
/// Formula: Howard Hinnant, "chrono-compatible low-level date algorithms", `days_from_civil`.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || day < 1 {
        return None;
    }
    let shifted = if month > 2 { year } else { year - 1 };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    // A day that its month does not have lands in the next one.
    (civil(days) == (year, month, day)).then_some(days)
}

/// Returns year, month and day of a number of days from 1970-01-01.
///
/// Formula: as [`days`], `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::{BadBucket, Bucket, civil, days, read};

    fn check(text: &str, expected: Option<i64>) {
        assert_eq!(read(text.as_bytes(), Some(2026)), expected, "{text}");
    }

    #[test]
    fn every_notation_names_the_same_moment() {
        // date -u -d @1795269336
        let at = Some(1_795_269_336);
        check("2026-11-21T13:55:36Z", at);
        check("2026-11-21 13:55:36", at);
        check("2026-11-21t13:55:36.123456z", at);
        check("2026-11-21 13:55:36,5", at);
        check("2026-11-21T14:55:36+01:00", at);
        check("2026-11-21T10:25:36.9-0330", at);
        check("21/Nov/2026:13:55:36 +0000", at);
        check("21/Nov/2026:14:55:36 +0100", at);
        check("Nov 21 13:55:36", at);
        check("1795269336", at);
        check("1795269336.75", at);
        check("1795269336123", at);
        check("1795269336123456", at);
        check("1795269336123456789", at);
        check("2026-11-21", Some(1_795_219_200));
        check("Nov  1 00:00:00", Some(1_793_491_200));
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for text in [
            "",
            "-",
            "12:00",
            "2026-13-01",
            "2026-02-29",
            "2026-11-21T24:00:00Z",
            "2026-11-21T13:55:36 UTC",
            "21/Nov/2026:13:55:36",
            "21/Nox/2026:13:55:36 +0000",
            "Nov 31 00:00:00",
            "17952693361",
            "99999999999999999999",
        ] {
            check(text, None);
        }
        assert_eq!(read(b"Nov 21 13:55:36", None), None, "a year is needed");
    }

    #[test]
    fn days_count_as_calendars_do() {
        assert_eq!(days(1970, 1, 1), Some(0));
        assert_eq!(days(2000, 2, 29), Some(11_016));
        assert_eq!(days(1900, 2, 29), None);
        assert_eq!(days(1969, 12, 31), Some(-1));
        for day in (-800_000..800_000).step_by(97) {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), Some(day));
        }
    }

    fn check_label(bucket: &str, at: i64, expected: &str) {
        let mut label = String::new();
        Bucket::parse(bucket).expect("a bucket").label(at, &mut label);
        assert_eq!(label, expected, "{bucket}");
    }

    #[test]
    fn a_label_is_where_the_bucket_begins() {
        let at = 1_795_269_336;
        check_label("1d", at, "2026-11-21");
        check_label("1h", at, "2026-11-21T13:00Z");
        check_label("60m", at, "2026-11-21T13:00Z");
        check_label("6h", at, "2026-11-21T12:00Z");
        check_label("5m", at, "2026-11-21T13:55Z");
        check_label("1m", -1, "1969-12-31T23:59Z");
    }

    #[test]
    fn only_parts_of_a_day_are_buckets() {
        for text in ["", "h", "1", "30s", "7m", "5h", "2d", "0m", "-1h", "1.5h", "9999999999999d"] {
            assert_eq!(Bucket::parse(text), Err(BadBucket(text.to_owned())), "{text}");
        }
    }
}
