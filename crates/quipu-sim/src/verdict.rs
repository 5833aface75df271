//! What a runner found: figures, failures and what it had to skip, as one line of JSON.

use std::collections::BTreeMap;

use serde_json::json;

/// The result of one runner, to be added to those of others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Which runner.
    pub runner: &'static str,
    /// Counts by name; each name says its unit.
    pub figures: BTreeMap<&'static str, u64>,
    /// One line each, with what reproduces it.
    pub failures: Vec<String>,
    /// One line each: what was skipped, and why.
    pub skipped: Vec<String>,
}

impl Verdict {
    /// A verdict without findings.
    pub fn new(runner: &'static str) -> Self {
        Self { runner, ..Self::default() }
    }

    /// Adds to a figure.
    pub fn add(&mut self, name: &'static str, count: u64) {
        *self.figures.entry(name).or_default() += count;
    }

    /// Notes a failure; the line says how to see it again.
    pub fn fail(&mut self, line: impl Into<String>) {
        self.failures.push(line.into());
    }

    /// Notes what was not done, and why.
    pub fn skip(&mut self, line: impl Into<String>) {
        self.skipped.push(line.into());
    }

    /// Whether nothing failed.
    pub fn is_clean(&self) -> bool {
        self.failures.is_empty()
    }

    /// The one line that programs read.
    pub fn to_json(&self) -> String {
        json!({
            "runner": self.runner,
            "figures": self.figures,
            "failures": self.failures,
            "skipped": self.skipped,
        })
        .to_string()
    }
}
