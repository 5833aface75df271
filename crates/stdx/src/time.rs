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
    use super::{Clock, ManualClock};

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
