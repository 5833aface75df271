//! The one place where the machine's clocks are read.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use quipu_core::clock::{ClockDoubt, Clocks, LogClock};
use rustix::time::{ClockId, clock_gettime};

/// Log time of this process.
#[derive(Debug)]
pub struct Clock {
    log: Mutex<LogClock>,
}

impl Clock {
    /// Starts log time after the newest time in the log.
    ///
    /// # Errors
    /// The wall clock is far from it and `accept` is false.
    pub fn start(newest_ms: u64, accept: bool) -> Result<Self, ClockDoubt> {
        LogClock::start(read(), newest_ms, accept).map(|log| Self { log: Mutex::new(log) })
    }

    /// Log time in milliseconds. Cost: two clock reads and a lock; read once per turn of a loop.
    pub fn now_ms(&self) -> u64 {
        self.log.lock().advance(read())
    }

    /// How far log time is from the wall clock, in milliseconds.
    pub fn deviation_ms(&self) -> u64 {
        let clocks = read();
        let mut log = self.log.lock();
        log.advance(clocks);
        log.deviation_ms(clocks)
    }
}

/// The wall clock and the boot-time clock, read one after the other.
#[expect(clippy::disallowed_methods, reason = "the one wall clock; all else takes time as a value")]
pub fn read() -> Clocks {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let boot = clock_gettime(ClockId::Boottime);
    let boot_ms = boot.tv_sec as u64 * 1000 + boot.tv_nsec as u64 / 1_000_000;
    Clocks { wall_ms: wall.as_millis() as u64, boot_ms }
}

/// Seconds since the Unix epoch, as of the last tick of the kernel. Cost: a read of memory.
pub fn wall_s() -> u64 {
    clock_gettime(ClockId::RealtimeCoarse).tv_sec.max(0) as u64
}

/// The time that this thread has had of a core. Cost: one clock read.
pub fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A stopwatch for metrics and deadlines.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch {
    started: Instant,
}

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Time from the start of `earlier` to the start of this one.
    pub fn since(&self, earlier: Self) -> Duration {
        self.started.saturating_duration_since(earlier.started)
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
