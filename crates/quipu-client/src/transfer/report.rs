//! What became of the entries of an import.

use std::collections::BTreeMap;

use crate::transfer::entry::{Kind, Unfit};

/// Examples of each kind that are kept. Guess: enough to see what is wrong.
pub const EXAMPLES_MAX: usize = 10;

/// Counts of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Entries up to this number had been answered before the run.
    pub resumed_from: u64,
    /// Entries that were read in this run.
    pub read: u64,
    /// Every entry up to this number was answered.
    pub answered: u64,
    /// Counters set to their value.
    pub set: u64,
    /// Values added.
    pub added: u64,
    /// Counters that had this value already.
    pub unchanged: u64,
    /// Values that the node had added before.
    pub repeated: u64,
    /// Entries whose time was over.
    pub over: u64,
    /// Expiries that an addition does not bring along.
    pub expiries_left: u64,
    /// Entries that the node refused, or that would have replaced another value.
    pub refused: u64,
    /// What was no entry, by kind.
    pub unfit: BTreeMap<Kind, u64>,
    /// The first of those.
    pub examples: Vec<Example>,
    /// Times that the node asked for patience.
    pub waits: u64,
    /// Times that the connection was made anew.
    pub reconnects: u64,
}

/// One entry that was not imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Its kind; none where the node refused it.
    pub kind: Option<Kind>,
    /// Its number: the line of a dump, from 1.
    pub number: u64,
    /// Why.
    pub why: String,
}

impl Report {
    /// Whether everything that was asked for is in the node.
    pub fn is_whole(&self) -> bool {
        self.refused == 0 && !self.unfit.contains_key(&Kind::Bad)
    }

    /// Counts what was no entry.
    pub(crate) fn note_unfit(&mut self, number: u64, unfit: Unfit) {
        *self.unfit.entry(unfit.kind).or_default() += 1;
        self.example(Some(unfit.kind), number, unfit.why);
    }

    /// Counts an entry that was refused.
    pub(crate) fn note_refused(&mut self, number: u64, why: String) {
        self.refused += 1;
        self.example(None, number, why);
    }

    fn example(&mut self, kind: Option<Kind>, number: u64, why: String) {
        let shown = self.examples.iter().filter(|example| example.kind == kind).count();
        if shown < EXAMPLES_MAX {
            self.examples.push(Example { kind, number, why });
        }
    }
}
