//! The one reader of the clock: CLOCK_MONOTONIC, in nanoseconds from the start of the run.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// The moment from which a run counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin_ns: u64,
}

impl Clock {
    /// Returns the clock of a run that starts `ahead_ns` from now.
    pub(crate) fn starting_in(ahead_ns: u64) -> Self {
        Self { origin_ns: read(ClockId::Monotonic) + ahead_ns }
    }

    /// Returns the nanoseconds since the start; 0 before it. Costs about 30 ns.
    pub(crate) fn now_ns(self) -> u64 {
        read(ClockId::Monotonic).saturating_sub(self.origin_ns)
    }

    /// Returns the moment `at_ns` of the run as an absolute time of CLOCK_MONOTONIC.
    pub(crate) fn absolute(self, at_ns: u64) -> Timespec {
        let ns = self.origin_ns.saturating_add(at_ns);
        Timespec { tv_sec: (ns / SECOND) as i64, tv_nsec: (ns % SECOND) as i64 }
    }
}

/// Returns the CPU time of the calling thread, in nanoseconds.
pub(crate) fn thread_cpu_ns() -> u64 {
    read(ClockId::ThreadCPUTime)
}

/// Returns the wall clock in milliseconds since 1970-01-01 UTC: for names and tokens, never for a
/// difference.
pub(crate) fn wall_ms() -> u64 {
    read(ClockId::Realtime) / 1_000_000
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * SECOND + time.tv_nsec as u64
}
