//! How far a runner has come within its bounds.

use std::time::{Duration, Instant};

/// Seeds one after the other, until the time or the count is over.
#[derive(Debug)]
pub(crate) struct Progress {
    next: u64,
    left: u64,
    until: Option<Instant>,
}

impl Progress {
    /// Begins now.
    pub(crate) fn start(first: u64, count: Option<u64>, seconds: Option<u64>) -> Self {
        // A runner without any bound runs one seed.
        let unbounded = if seconds.is_some() { u64::MAX } else { 1 };
        let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        Self { next: first, left: count.unwrap_or(unbounded), until }
    }

    /// Whether the time is over.
    pub(crate) fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// The next seed, if there is time for one.
    pub(crate) fn next(&mut self) -> Option<u64> {
        if self.left == 0 || self.is_over() {
            return None;
        }
        self.left -= 1;
        self.next += 1;
        Some(self.next - 1)
    }
}
