//! Log time: the wall clock of the start carried on by the boot-time clock, never stepping back.

use crate::canary::{self, Bug};

/// How fast log time is drawn towards the wall clock: at most this part of the elapsed time. Spec.
const SLEW_PER: u64 = 100;

/// A deviation from the wall clock that is reported. Spec: one minute.
pub const DEVIATION_MS_REPORTED: u64 = 60 * 1000;

/// A start whose wall clock is this far behind the log needs a person's word. Spec: 5 minutes.
pub const BEHIND_MS_MAX: u64 = 5 * 60 * 1000;

/// A start whose wall clock is this far ahead of the log needs a person's word. Spec: 30 days.
pub const AHEAD_MS_MAX: u64 = 30 * 24 * 3600 * 1000;

/// What the machine's clocks show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// Milliseconds since the Unix epoch.
    pub wall_ms: u64,
    /// Milliseconds since boot, suspend included.
    pub boot_ms: u64,
}

/// The clock of a start cannot be true, or the log's was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the wall clock says {wall_ms} ms, but the log was last written at {log_ms} ms: set the clock \
     right, or start once with --accept-clock"
)]
pub struct ClockDoubt {
    /// The wall clock.
    pub wall_ms: u64,
    /// The newest time in the log.
    pub log_ms: u64,
}

/// Log time, as a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogClock {
    log_ms: u64,
    boot_ms: u64,
    slew_ms_left: u64,
}

impl LogClock {
    /// Starts log time after `newest_ms`, the newest time in the log (0 for a new log).
    ///
    /// # Errors
    /// The wall clock is far from the log's time and `accept` is false.
    pub fn start(clocks: Clocks, newest_ms: u64, accept: bool) -> Result<Self, ClockDoubt> {
        let behind = newest_ms.saturating_sub(clocks.wall_ms);
        let ahead = clocks.wall_ms.saturating_sub(newest_ms);
        let doubtful = behind > BEHIND_MS_MAX || ahead > AHEAD_MS_MAX;
        if newest_ms != 0 && doubtful && !accept {
            return Err(ClockDoubt { wall_ms: clocks.wall_ms, log_ms: newest_ms });
        }
        let steps_back = canary::is(Bug::LogTimeStepsBack);
        let log_ms = if steps_back { clocks.wall_ms } else { clocks.wall_ms.max(newest_ms) };
        Ok(Self { log_ms, boot_ms: clocks.boot_ms, slew_ms_left: 0 })
    }

    /// Moves log time to what the clocks show and returns it. Never less than before.
    pub fn advance(&mut self, clocks: Clocks) -> u64 {
        let elapsed = clocks.boot_ms.saturating_sub(self.boot_ms);
        self.boot_ms = self.boot_ms.max(clocks.boot_ms);
        // Fractions of the allowance are kept, so that frequent calls slew like rare ones.
        let allowance = self.slew_ms_left + elapsed;
        let jumps = canary::is(Bug::LogTimeJumps);
        let slew_max = if jumps { u64::MAX } else { allowance / SLEW_PER };
        self.slew_ms_left = allowance % SLEW_PER;
        let plain = self.log_ms + elapsed;
        self.log_ms = if clocks.wall_ms > plain {
            plain + slew_max.min(clocks.wall_ms - plain)
        } else {
            plain - slew_max.min(plain - clocks.wall_ms).min(elapsed)
        };
        self.log_ms
    }

    /// The last time returned.
    pub fn now_ms(&self) -> u64 {
        self.log_ms
    }

    /// How far log time and wall clock are apart, in milliseconds.
    pub fn deviation_ms(&self, clocks: Clocks) -> u64 {
        self.log_ms.abs_diff(clocks.wall_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::{Clocks, LogClock};

    fn at(wall_ms: u64, boot_ms: u64) -> Clocks {
        Clocks { wall_ms, boot_ms }
    }

    #[test]
    fn log_time_never_steps_back_and_slews_by_one_percent() {
        let mut clock = LogClock::start(at(1_000_000, 0), 0, false).expect("a new log");
        assert_eq!(clock.advance(at(1_001_000, 1000)), 1_001_000);
        assert_eq!(clock.advance(at(0, 2000)), 1_001_990, "the wall clock fell: 1 % slower");
        assert_eq!(clock.advance(at(9_000_000, 3000)), 1_003_000, "it jumped: 1 % faster");
        assert_eq!(clock.advance(at(9_000_000, 2000)), 1_003_000, "no elapsed time, no step");
    }

    #[test]
    fn many_small_steps_slew_like_one_large_step() {
        let mut clock = LogClock::start(at(1_000_000, 0), 0, false).expect("a new log");
        for boot in 1..=1000 {
            clock.advance(at(9_000_000, boot));
        }
        assert_eq!(clock.now_ms(), 1_001_010);
    }

    #[test]
    fn a_doubtful_start_needs_a_word() {
        let day = 24 * 3600 * 1000;
        let log = 100 * day;
        let check = |wall, accept| LogClock::start(at(wall, 0), log, accept).is_ok();
        assert!(check(log - 299_000, false) && check(log + 29 * day, false));
        assert!(!check(log - 301_000, false) && !check(log + 31 * day, false));
        assert!(check(log - day, true));
        let clock = LogClock::start(at(log - day, 0), log, true).expect("accepted");
        assert_eq!(clock.now_ms(), log, "and even then it does not step back");
    }
}
