//! The clocks of one machine: a wall clock that jumps, freezes and steps back, and a boot clock
//! that only power cuts reset.

use quipu_core::clock::Clocks;

/// The wall clock at the beginning of every run, in milliseconds since the Unix epoch. Guess: any
/// time at which UUIDv7 tokens are plausible will do.
pub const BEGIN_MS: u64 = 1_800_000_000_000;

/// The clocks of a machine.
#[derive(Debug, Clone)]
pub struct MachineClock {
    booted_us: u64,
    offset_ms: i64,
    frozen_at_ms: Option<u64>,
}

impl MachineClock {
    /// A machine that was booted now, with a true clock.
    pub fn new(now_us: u64) -> Self {
        Self { booted_us: now_us, offset_ms: 0, frozen_at_ms: None }
    }

    /// What the clocks show at simulated time `now_us`.
    pub fn read(&self, now_us: u64) -> Clocks {
        let boot_ms = (now_us - self.booted_us) / 1000;
        let wall_ms = self.frozen_at_ms.unwrap_or_else(|| self.running_ms(now_us));
        Clocks { wall_ms, boot_ms }
    }

    fn running_ms(&self, now_us: u64) -> u64 {
        (BEGIN_MS + now_us / 1000).saturating_add_signed(self.offset_ms)
    }

    /// Sets the wall clock to so much beside the truth.
    pub fn set_offset(&mut self, offset_ms: i64) {
        self.offset_ms = offset_ms;
    }

    /// Stops the wall clock, or lets it go on from where it would be.
    pub fn freeze(&mut self, now_us: u64, frozen: bool) {
        self.frozen_at_ms = frozen.then(|| self.running_ms(now_us));
    }

    /// Sets the wall clock right.
    pub fn heal(&mut self) {
        (self.offset_ms, self.frozen_at_ms) = (0, None);
    }

    /// The machine was booted again.
    pub fn boot(&mut self, now_us: u64) {
        self.booted_us = now_us;
    }
}
