//! What the service counts of itself, for Prometheus.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use quipu_lab::recording::Counts;

use crate::serve::order::Kind;
use crate::serve::result::Status;

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    started: [AtomicU64; 2],
    ended: [AtomicU64; 3],
    requests: [AtomicU64; 3],
    answers: [AtomicU64; 3],
}

/// The labels, in the order of the counts.
const KINDS: [&str; 2] = ["burst", "ramp"];
const ENDS: [&str; 3] = ["completed", "cancelled", "failed"];
const OUTCOMES: [&str; 3] = ["ok", "failed", "missed"];
const CLASSES: [&str; 3] = ["2xx", "4xx", "5xx"];

fn add(counts: &[AtomicU64], at: usize, count: u64) {
    if let Some(counter) = counts.get(at) {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

impl Tally {
    /// A test began.
    pub(crate) fn started(&self, kind: Kind) {
        add(&self.started, usize::from(kind == Kind::Ramp), 1);
    }

    /// A test ended.
    pub(crate) fn ended(&self, status: Status) {
        let at = match status {
            Status::Running => return,
            Status::Completed => 0,
            Status::Cancelled => 1,
            Status::Failed => 2,
        };
        add(&self.ended, at, 1);
    }

    /// A window of a test is over.
    pub(crate) fn requests(&self, counts: &Counts) {
        for (at, count) in [counts.ok, counts.failed, counts.missed].into_iter().enumerate() {
            add(&self.requests, at, count);
        }
    }

    /// A request was answered with this status.
    pub(crate) fn answered(&self, status: u16) {
        let at = match status / 100 {
            2 => 0,
            4 => 1,
            _ => 2,
        };
        add(&self.answers, at, 1);
    }

    /// All of it as Prometheus reads it.
    pub(crate) fn text(&self, running: usize, kept: usize) -> String {
        let mut text = String::new();
        let started = ("tests_started", "Tests that began.", "kind");
        labelled(&mut text, started, &KINDS, &self.started);
        let ended = ("tests_ended", "Tests that ended.", "status");
        labelled(&mut text, ended, &ENDS, &self.ended);
        let requests = ("requests", "Requests of all tests.", "outcome");
        labelled(&mut text, requests, &OUTCOMES, &self.requests);
        let answers = ("http_answers", "Answers of this service.", "class");
        labelled(&mut text, answers, &CLASSES, &self.answers);
        for (name, help, value) in [
            ("quipu_load_tests_running", "Tests under way.", running),
            ("quipu_load_results", "Results that are kept.", kept),
        ] {
            head(&mut text, name, help, "gauge");
            writeln!(text, "{name} {value}").expect("a string takes it");
        }
        text
    }
}

/// Writes a counter: name, help and label, with one line for each value.
fn labelled(
    text: &mut String,
    (name, help, label): (&str, &str, &str),
    values: &[&str],
    counts: &[AtomicU64],
) {
    let name = format!("quipu_load_{name}_total");
    head(text, &name, help, "counter");
    for (value, count) in values.iter().zip(counts) {
        let count = count.load(Ordering::Relaxed);
        writeln!(text, "{name}{{{label}=\"{value}\"}} {count}").expect("a string takes it");
    }
}

fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a string takes it");
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn an_answer_is_counted_by_the_class_of_its_status() {
        let tally = Tally::default();
        for status in [200, 202, 400, 404, 500, 503, 409] {
            tally.answered(status);
        }
        let text = tally.text(1, 2);
        for line in ["2xx\"} 2", "4xx\"} 3", "5xx\"} 2", "tests_running 1", "load_results 2"] {
            assert!(text.contains(line), "{line}:\n{text}");
        }
    }
}
