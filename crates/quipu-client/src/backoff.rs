//! How long to wait before the next attempt: exponential, with full jitter.
//!
//! Full jitter (a uniform draw between nothing and the ceiling) spreads clients that failed
//! together better than any fixed part does.

use std::time::Duration;

/// The ceiling of the first wait. Guess: a restarting node needs tens of milliseconds.
pub const FIRST: Duration = Duration::from_millis(20);
/// The ceiling of every later wait. Guess: short enough that a person does not wonder.
pub const MOST: Duration = Duration::from_secs(1);

/// Attempts that failed in a row.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Returns the wait before the next attempt, drawn with the uniformly random `random`.
    pub fn next(&mut self, random: u64) -> Duration {
        let ceiling = FIRST.saturating_mul(1 << self.failures.min(16)).min(MOST);
        self.failures = self.failures.saturating_add(1);
        let nanos = (u128::from(random) * ceiling.as_nanos()) >> 64;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Forgets the failures: something succeeded.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, FIRST, MOST};

    #[test]
    fn ceilings_double_up_to_the_most_and_start_over_after_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..8).map(|_| backoff.next(u64::MAX).as_millis()).collect();
        assert_eq!(waits, [19, 39, 79, 159, 319, 639, 999, 999]);
        backoff.reset();
        assert!(backoff.next(u64::MAX) <= FIRST);
    }

    #[test]
    fn the_draw_decides_how_much_of_the_ceiling_is_waited() {
        let mut backoff = Backoff { failures: 60 };
        assert_eq!(backoff.next(0).as_nanos(), 0);
        assert_eq!(backoff.next(1 << 63), MOST / 2);
    }
}
