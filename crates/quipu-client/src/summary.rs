//! What an ingest did.

use std::time::Duration;

use crate::reject::Rejected;

/// How many rejects are kept as examples. Guess: enough to see the pattern.
pub const EXAMPLES_MAX: usize = 5;

/// Counts of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The line after which this run began: what the node had counted before.
    pub resumed_from: u64,
    /// Lines read.
    pub lines: u64,
    /// Bytes of these lines.
    pub bytes: u64,
    /// Lines that count.
    pub matched: u64,
    /// Lines that are not asked for: a condition does not hold, or they name the columns of CSV.
    pub filtered: u64,
    /// What could not be counted, by reason: lines, or of a name that no counter can have and of
    /// a time that cannot be read, lines for each template.
    pub rejected: Rejected,
    /// Lines for each template that the node added for this run.
    pub added: u64,
    /// Lines for each template that the node answered as counted already.
    pub repeated: u64,
    /// Times that the node asked for patience.
    pub retries: u64,
    /// Times that the connection was made anew.
    pub reconnects: u64,
    /// The first rejects, but for lines of another form.
    pub examples: Vec<RejectExample>,
}

/// Something that was not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectExample {
    /// The number of the line, from 1.
    pub line: u64,
    /// Why.
    pub why: String,
}

impl Summary {
    /// Keeps an example while there are few.
    pub(crate) fn example(&mut self, line: u64, why: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(RejectExample { line, why: why() });
        }
    }

    /// Returns the lines per second of a run that took `elapsed`.
    pub fn lines_per_second(&self, elapsed: Duration) -> f64 {
        self.lines as f64 / elapsed.as_secs_f64().max(1e-9)
    }
}
