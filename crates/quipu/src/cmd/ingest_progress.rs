//! How an ingest shows how far it is: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use quipu_client::summary::Summary;

use super::ingest::tell;

/// How often the bar is drawn. A person reads no faster.
const TICK: Duration = Duration::from_millis(100);

/// The progress of one ingest.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    report_every: Option<u64>,
    /// The line after which the next report is due.
    report_at: u64,
    /// What is reported after the number of the line: the file, where there are several.
    behind: String,
}

impl Progress {
    /// Shows the progress of a source of `size` bytes, if that is known; prints a line for
    /// every `report_every` lines, with `path` where there are other sources.
    pub(super) fn new(
        size: Option<u64>,
        report_every: Option<u64>,
        path: Option<&Path>,
    ) -> Progress {
        let terminal = std::io::stderr().is_terminal() && report_every.is_none();
        let bar = terminal.then(|| bar(size));
        let behind = path.map(|path| format!(" {}", path.display())).unwrap_or_default();
        Progress { bar, report_every, report_at: 0, behind }
    }

    /// Begins after line `after`, `offset` bytes into the source.
    pub(super) fn start(&mut self, after: u64, offset: u64) {
        if after > 0 {
            self.note(&format!("going on after line {after}"));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(offset);
            bar.reset_eta();
        }
        self.report_at = after.saturating_add(self.report_every.unwrap_or(u64::MAX));
    }

    /// Moves to line `answered`, `offset` bytes into the source.
    pub(super) fn move_to(&mut self, answered: u64, offset: u64, summary: &Summary) {
        if let Some(bar) = &self.bar {
            bar.set_position(offset);
            let lines = answered.saturating_sub(summary.resumed_from) as f64;
            let rate = lines / bar.elapsed().as_secs_f64().max(1e-9);
            let (rejected, repeated) = (summary.rejected.total(), summary.repeated);
            bar.set_message(format!(
                "line {answered}, {rate:.0}/s, rejected {rejected}, repeated {repeated}"
            ));
        }
        if let Some(every) = self.report_every.filter(|_| answered >= self.report_at) {
            tell(&format!("acked {answered}{}", self.behind));
            self.report_at = answered.saturating_add(every);
        }
    }

    /// Prints a line beside the bar.
    pub(super) fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| tell(line)),
            None => tell(line),
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(size: Option<u64>) -> ProgressBar {
    let target = ProgressDrawTarget::stderr_with_hz((1000 / TICK.as_millis()) as u8);
    let bar = ProgressBar::with_draw_target(size, target);
    let form = match size {
        Some(_) => "{bar:30} {percent:>3}% {bytes}/{total_bytes} {msg} {eta}",
        None => "{spinner} {bytes} {msg}",
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
