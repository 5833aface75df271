//! Why a line, or what it adds to one counter, cannot be counted.

use std::fmt;

use crate::matcher::NameError;

/// A reason. The words are few, so that each has a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The line is not of the format, or the pattern does not match it.
    Unmatched,
    /// The field that says by how much is no whole number of 64 bits.
    NotANumber,
    /// The time of the line cannot be read.
    NoTime,
    /// The template makes a name that no counter can have.
    Name(NameError),
    /// The node refused for good, such as for an overflow.
    Refused,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 8] = [
        Reason::Unmatched,
        Reason::NotANumber,
        Reason::NoTime,
        Reason::Name(NameError::Empty),
        Reason::Name(NameError::TooLong),
        Reason::Name(NameError::NotUtf8),
        Reason::Name(NameError::Control),
        Reason::Refused,
    ];

    /// Returns the word for it in summaries and in the file of rejects.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Unmatched => "no-match",
            Reason::NotANumber => "not-a-number",
            Reason::NoTime => "no-time",
            Reason::Name(NameError::Empty) => "name-empty",
            Reason::Name(NameError::TooLong) => "name-too-long",
            Reason::Name(NameError::NotUtf8) => "name-not-utf8",
            Reason::Name(NameError::Control) => "name-control",
            Reason::Refused => "refused",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Unmatched => out.write_str("the line has another form"),
            Reason::NotANumber => out.write_str("the field of --by is no whole number of 64 bits"),
            Reason::NoTime => out.write_str("the time of the line cannot be read"),
            Reason::Name(why) => why.fmt(out),
            Reason::Refused => out.write_str("the node refused"),
        }
    }
}

/// How many there were for each reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejected([u64; Reason::ALL.len()]);

impl Rejected {
    /// Counts so many more.
    pub fn add(&mut self, reason: Reason, more: u64) {
        let counts = Reason::ALL.iter().zip(&mut self.0);
        counts.filter(|(known, _)| **known == reason).for_each(|(_, count)| *count += more);
    }

    /// Returns how many there were for `reason`.
    pub fn of(&self, reason: Reason) -> u64 {
        self.each().find(|(known, _)| *known == reason).map_or(0, |(_, count)| count)
    }

    /// Returns how many there were.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Returns every reason with its count.
    pub fn each(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.into_iter().zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Reason, Rejected};

    #[test]
    fn every_reason_has_a_word_and_a_count_of_its_own() {
        let mut rejected = Rejected::default();
        for (more, reason) in (1..).zip(Reason::ALL) {
            rejected.add(reason, more);
        }
        let words: std::collections::BTreeSet<_> = Reason::ALL.map(Reason::word).into();
        assert_eq!(words.len(), Reason::ALL.len());
        assert!((1..).zip(Reason::ALL).all(|(count, reason)| rejected.of(reason) == count));
        assert_eq!(rejected.total(), 36);
    }
}
