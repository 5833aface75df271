//! How an ingest shows how far it is: a bar on a terminal, plain lines elsewhere.

use std::path::Path;

use quipu_client::summary::Summary;

use super::ingest::tell;
use crate::bar::{Bar, Unit};

/// The progress of one ingest.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Bar,
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
        let is_read = report_every.is_some();
        let bar = if is_read { Bar::hidden() } else { Bar::new(size, Unit::Bytes) };
        let behind = path.map(|path| format!(" {}", path.display())).unwrap_or_default();
        Progress { bar, report_every, report_at: 0, behind }
    }

    /// Begins after line `after`, `offset` bytes into the source.
    pub(super) fn start(&mut self, after: u64, offset: u64) {
        if after > 0 {
            self.note(&format!("going on after line {after}"));
        }
        self.bar.begin_at(offset);
        self.report_at = after.saturating_add(self.report_every.unwrap_or(u64::MAX));
    }

    /// Moves to line `answered`, `offset` bytes into the source.
    pub(super) fn move_to(&mut self, answered: u64, offset: u64, summary: &Summary) {
        self.bar.move_to(offset, |elapsed| {
            let lines = answered.saturating_sub(summary.resumed_from) as f64;
            let rate = lines / elapsed.as_secs_f64().max(1e-9);
            let (rejected, repeated) = (summary.rejected.total(), summary.repeated);
            format!("line {answered}, {rate:.0}/s, rejected {rejected}, repeated {repeated}")
        });
        if let Some(every) = self.report_every.filter(|_| answered >= self.report_at) {
            tell(&format!("acked {answered}{}", self.behind));
            self.report_at = answered.saturating_add(every);
        }
    }

    /// Prints a line beside the bar.
    pub(super) fn note(&self, line: &str) {
        self.bar.aside(|| tell(line));
    }
}
