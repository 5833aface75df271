//! How far a long reading is, on standard error: a bar on a terminal, nothing elsewhere.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

const FORM: &str = "{msg} {bar:30} {percent:>3}% {eta}";

/// The progress of one command.
#[derive(Debug)]
pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    /// Shows that `what` is being done, which has `length` units.
    pub(super) fn begin(what: &'static str, length: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let style = ProgressStyle::with_template(FORM).expect("the form is a constant, tested");
        Self(Some(ProgressBar::new(length).with_style(style).with_message(what)))
    }

    /// Goes on to another thing, of `length` units.
    pub(super) fn next(&self, what: &'static str, length: u64) {
        if let Some(bar) = &self.0 {
            bar.set_length(length);
            bar.set_position(0);
            bar.reset_eta();
            bar.set_message(what);
        }
    }

    /// Says that so many more units are done.
    pub(super) fn add(&self, units: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(units);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressStyle;

    #[test]
    fn the_bar_is_well_formed() {
        assert!(ProgressStyle::with_template(super::FORM).is_ok());
    }
}
