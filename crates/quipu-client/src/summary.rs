//! What an ingest did.

use std::time::Duration;

use crate::block::Increment;
use crate::matcher::NameError;

/// How many refused names are kept as examples. Guess: enough to see the pattern.
pub const EXAMPLES_MAX: usize = 5;

/// Counts of one run. Lines and names count once, however often they were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The line after which this run began: what the node had counted before.
    pub resumed_from: u64,
    /// Lines read.
    pub lines: u64,
    /// Bytes of these lines.
    pub bytes: u64,
    /// Lines that the pattern matched.
    pub matched: u64,
    /// Lines that it did not match.
    pub unmatched: u64,
    /// Increments that the node added for this run.
    pub added: u64,
    /// Increments that the node answered as counted already.
    pub repeated: u64,
    /// Increments that were not made because their name is not the name of a counter.
    pub names_refused: u64,
    /// Increments that the node refused for good, such as an overflow.
    pub node_refused: u64,
    /// Times that the node asked for patience.
    pub retries: u64,
    /// Times that the connection was made anew.
    pub reconnects: u64,
    /// The first refused increments.
    pub examples: Vec<RefusedExample>,
}

/// One increment that was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedExample {
    /// The number of the line, from 1.
    pub line: u64,
    /// Why.
    pub why: String,
}

impl Summary {
    /// Counts a name that is not the name of a counter.
    pub(crate) fn refuse_name(&mut self, line: u64, why: NameError) {
        self.names_refused += 1;
        self.example(line, || why.to_string());
    }

    /// Counts the lines of an increment that the node refused for good.
    pub(crate) fn refuse_add(&mut self, increment: &Increment<'_>, why: &str) {
        self.node_refused += increment.lines;
        self.example(increment.sequence, || why.to_owned());
    }

    fn example(&mut self, line: u64, why: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(RefusedExample { line, why: why() });
        }
    }

    /// Returns the lines per second of a run that took `elapsed`.
    pub fn lines_per_second(&self, elapsed: Duration) -> f64 {
        self.lines as f64 / elapsed.as_secs_f64().max(1e-9)
    }
}
