//! How an export or an import shows how far it is: a bar on a terminal, now and then a line elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::ingest::tell;

/// How often the bar is drawn, in Hz. A person reads no faster.
const DRAWS_HZ: u8 = 10;

/// Between two lines where there is no terminal. Guess: a log stays readable.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The progress of one transfer.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    verb: &'static str,
    begun: Instant,
    told: Instant,
}

impl Progress {
    /// Shows the progress of a transfer of about `total` counters or bytes, where that is known.
    pub(super) fn new(verb: &'static str, total: Option<u64>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| bar(total));
        let begun = Instant::now();
        Self { bar, verb, begun, told: begun }
    }

    /// Moves to `place` of the total; `counters` were transferred.
    pub(super) fn move_to(&mut self, place: u64, counters: u64) {
        let rate = counters as f64 / self.begun.elapsed().as_secs_f64().max(1e-9);
        let line = || format!("{} {counters} counters, {rate:.0}/s", self.verb);
        if let Some(bar) = &self.bar {
            bar.set_position(place);
            bar.set_message(line());
        } else if self.told.elapsed() >= LINE_EVERY {
            tell(&line());
            self.told = Instant::now();
        }
    }

    /// Prints a line beside the bar.
    pub(super) fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| tell(line)),
            None => tell(line),
        }
    }

    /// Takes the bar away and returns how long it took.
    pub(super) fn finish(&self) -> Duration {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.begun.elapsed()
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let target = ProgressDrawTarget::stderr_with_hz(DRAWS_HZ);
    let bar = ProgressBar::with_draw_target(total, target);
    let form = match total {
        Some(_) => "{bar:30} {percent:>3}% {msg} {eta}",
        None => "{spinner} {msg}",
    };
    bar.set_style(ProgressStyle::with_template(form).expect("the form is a constant, tested"));
    bar
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn both_forms_of_the_bar_are_well_formed() {
        assert_eq!(bar(Some(10)).length(), Some(10));
        assert_eq!(bar(None).length(), None);
    }
}
