//! A bar on standard error where that is a terminal, and nothing elsewhere.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often it is drawn, in Hz. A person reads no faster.
const DRAWS_HZ: u8 = 10;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes, which are shown beside the bar.
    Bytes,
    /// Anything else: the share says enough.
    Pieces,
}

/// How far something is. It is gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Bar(Option<ProgressBar>);

impl Bar {
    /// Shows something that has `total` units, where that is known.
    pub(crate) fn new(total: Option<u64>, unit: Unit) -> Self {
        Self(std::io::stderr().is_terminal().then(|| draw(total, unit)))
    }

    /// Shows nothing, even on a terminal.
    pub(crate) fn hidden() -> Self {
        Self(None)
    }

    /// Whether a person sees it.
    pub(crate) fn is_seen(&self) -> bool {
        self.0.is_some()
    }

    /// Moves to a place of the total.
    pub(crate) fn move_to(&self, place: u64, message: impl FnOnce(Duration) -> String) {
        if let Some(bar) = &self.0 {
            bar.set_position(place);
            bar.set_message(message(bar.elapsed()));
        }
    }

    /// Moves on by so many units.
    pub(crate) fn add(&self, units: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(units);
        }
    }

    /// Begins at a place; the time to come is judged from here on.
    pub(crate) fn begin_at(&self, place: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(place);
            bar.reset_eta();
        }
    }

    /// Begins another thing, of `total` units.
    pub(crate) fn next(&self, what: &'static str, total: u64) {
        if let Some(bar) = &self.0 {
            bar.set_length(total);
            bar.set_message(what);
        }
        self.begin_at(0);
    }

    /// Prints beside it.
    pub(crate) fn aside(&self, print: impl FnOnce()) {
        match &self.0 {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

fn draw(total: Option<u64>, unit: Unit) -> ProgressBar {
    let target = ProgressDrawTarget::stderr_with_hz(DRAWS_HZ);
    let form = match (total, unit) {
        (Some(_), Unit::Bytes) => "{bar:30} {percent:>3}% {bytes}/{total_bytes} {msg} {eta}",
        (Some(_), Unit::Pieces) => "{bar:30} {percent:>3}% {msg} {eta}",
        (None, Unit::Bytes) => "{spinner} {bytes} {msg}",
        (None, Unit::Pieces) => "{spinner} {msg}",
    };
    let style = ProgressStyle::with_template(form).expect("the form is a constant, tested");
    ProgressBar::with_draw_target(total, target).with_style(style)
}

#[cfg(test)]
mod tests {
    use super::{Unit, draw};

    #[test]
    fn every_form_is_well_formed() {
        for unit in [Unit::Bytes, Unit::Pieces] {
            for total in [Some(10), None] {
                assert_eq!(draw(total, unit).length(), total);
            }
        }
    }
}
