//! Time as an argument: the trait through which time is read, and a clock that is moved by hand.
//!
//! The real clock lives where the process lives; nothing here reads one.

use std::sync::atomic::{AtomicU64, Ordering};

/// Three readings of time that answer three different questions.
pub trait Clock: Send + Sync {
    /// Returns the calendar time, in milliseconds since 1970-01-01 UTC; may step either way.
    fn wall_ms(&self) -> u64;

    /// Returns the time since the machine started, in milliseconds, suspended time included;
    /// never steps back.
    fn boot_ms(&self) -> u64;

    /// Returns nanoseconds since an arbitrary moment, for measuring spans; never steps back.
    fn monotonic_ns(&self) -> u64;
}

/// Milliseconds in a day.
const DAY_MS: u64 = 86_400_000;

/// Returns a calendar time, in milliseconds since 1970-01-01 UTC, as people write it (RFC 3339).
pub fn utc_text(wall_ms: u64) -> String {
    let (year, month, day) = date(wall_ms / DAY_MS);
    let of_day = wall_ms % DAY_MS;
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, ms) = (of_day / 1000 % 60, of_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The date of a day since 1970-01-01, by eras of 400 years that begin in March, so that the day of
/// leap years comes last (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn date(day: u64) -> (u64, u64, u64) {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// Reads the calendar time that [`utc_text`] wrote; nothing of other texts.
pub fn wall_ms_of(text: &str) -> Option<u64> {
    let number = |from: usize, until: usize| text.get(from..until)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let wall_ms = day_of(year, month, day)? * DAY_MS
        + ((hour * 60 + minute) * 60 + second) * 1000
        + number(20, 23)?;
    (utc_text(wall_ms) == text).then_some(wall_ms)
}

/// The day since 1970-01-01 of a date, as [`date`] the other way round.
fn day_of(year: u64, month: u64, day: u64) -> Option<u64> {
    let shifted_year = year.checked_sub(u64::from(month <= 2))?;
    let (era, of_era) = (shifted_year / 400, shifted_year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let day = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    day.checked_sub(719_468)
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock {
    wall_ms: AtomicU64,
    since_start_ns: AtomicU64,
}

impl ManualClock {
    /// Returns a clock that shows `wall_ms` on the calendar and zero otherwise.
    pub const fn new(wall_ms: u64) -> Self {
        Self { wall_ms: AtomicU64::new(wall_ms), since_start_ns: AtomicU64::new(0) }
    }

    /// Lets `ms` milliseconds pass on all three readings.
    pub fn advance_ms(&self, ms: u64) {
        self.wall_ms.fetch_add(ms, Ordering::Relaxed);
        self.since_start_ns.fetch_add(ms.saturating_mul(1_000_000), Ordering::Relaxed);
    }

    /// Steps the calendar to `wall_ms`, as an administrator or NTP may; the others stand.
    pub fn step_wall_to_ms(&self, wall_ms: u64) {
        self.wall_ms.store(wall_ms, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn wall_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::Relaxed)
    }

    fn boot_ms(&self) -> u64 {
        self.monotonic_ns() / 1_000_000
    }

    fn monotonic_ns(&self) -> u64 {
        self.since_start_ns.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, ManualClock, utc_text, wall_ms_of};

    #[test]
    fn a_calendar_time_is_written_as_people_do() {
        let check = |wall_ms, expected: &str| {
            assert_eq!(utc_text(wall_ms), expected);
            assert_eq!(wall_ms_of(expected), Some(wall_ms));
        };
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(1_700_000_000_123, "2023-11-14T22:13:20.123Z");
        check(4_107_542_399_999, "2100-02-28T23:59:59.999Z");
        check(4_107_542_400_000, "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn only_a_time_that_was_written_here_is_read() {
        for text in ["", "2023-11-14", "2023-02-29T00:00:00.000Z", "2023-11-14T24:00:00.000Z"] {
            assert_eq!(wall_ms_of(text), None, "{text}");
        }
        assert_eq!(wall_ms_of("2023-11-14T22:13:20.123+01:00"), None);
    }

    #[test]
    fn a_step_of_the_calendar_moves_no_other_reading() {
        let clock = ManualClock::new(1_000);
        clock.advance_ms(5);
        clock.step_wall_to_ms(3);
        clock.advance_ms(2);
        let readings = (clock.wall_ms(), clock.boot_ms(), clock.monotonic_ns());
        assert_eq!(readings, (5, 7, 7_000_000));
    }
}
