//! Runs one after the other: what comparisons, searches and levels have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use quipu_lab::finding::Finding;
use quipu_lab::scenario::Scenario;
use stdx::units::Nanos;

use crate::clock::Clock;
use crate::run::{self, Ask, RunError};

/// How often a rest looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// Runs scenarios, each with a number of its own.
#[derive(Debug)]
pub struct Runner {
    threads: u32,
    is_realtime: bool,
    id: u64,
    stop: Arc<AtomicBool>,
}

/// One run and how long all of it took.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    /// What it found.
    pub finding: Finding,
    /// From before the first connection until the finding was made, in nanoseconds.
    pub took_ns: u64,
}

impl Runner {
    /// Makes a runner whose runs have numbers from `id` on; setting `stop` ends the one under way.
    pub fn new(threads: u32, is_realtime: bool, id: u64, stop: Arc<AtomicBool>) -> Self {
        Self { threads, is_realtime, id, stop }
    }

    /// Runs a scenario.
    ///
    /// # Errors
    /// As [`run::run`].
    pub fn run(&mut self, scenario: Scenario) -> Result<Ran, RunError> {
        self.id = self.id.wrapping_add(1);
        let ask =
            Ask { scenario, threads: self.threads, is_realtime: self.is_realtime, id: self.id };
        let clock = Clock::starting_in(0);
        let finding = run::run(&ask, &self.stop, &mut |_| {})?;
        Ok(Ran { finding, took_ns: clock.now_ns() })
    }

    /// Lets the target rest, or returns at once when stopped.
    pub fn rest(&self, lasts: Nanos) {
        let clock = Clock::starting_in(0);
        while !self.is_stopped() {
            let left = Duration::from_nanos(lasts.0.saturating_sub(clock.now_ns()));
            if left.is_zero() {
                return;
            }
            // It may return early, which costs a turn.
            thread::park_timeout(left.min(LOOK));
        }
    }

    /// Returns whether somebody has stopped it.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
