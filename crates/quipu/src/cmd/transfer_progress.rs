//! How an export or an import shows how far it is: a bar on a terminal, now and then a line elsewhere.

use std::time::{Duration, Instant};

use super::ingest::tell;
use crate::bar::{Bar, Unit};

/// Between two lines where there is no terminal. Guess: a log stays readable.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The progress of one transfer.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Bar,
    verb: &'static str,
    begun: Instant,
    told: Instant,
}

impl Progress {
    /// Shows the progress of a transfer of about `total` counters or bytes, where that is known.
    pub(super) fn new(verb: &'static str, total: Option<u64>) -> Self {
        let begun = Instant::now();
        Self { bar: Bar::new(total, Unit::Pieces), verb, begun, told: begun }
    }

    /// Moves to `place` of the total; `counters` were transferred.
    pub(super) fn move_to(&mut self, place: u64, counters: u64) {
        let rate = counters as f64 / self.begun.elapsed().as_secs_f64().max(1e-9);
        let line = || format!("{} {counters} counters, {rate:.0}/s", self.verb);
        self.bar.move_to(place, |_| line());
        if !self.bar.is_seen() && self.told.elapsed() >= LINE_EVERY {
            tell(&line());
            self.told = Instant::now();
        }
    }

    /// Prints a line beside the bar.
    pub(super) fn note(&self, line: &str) {
        self.bar.aside(|| tell(line));
    }

    /// Takes the bar away and returns how long it took.
    pub(super) fn finish(self) -> Duration {
        self.begun.elapsed()
    }
}
