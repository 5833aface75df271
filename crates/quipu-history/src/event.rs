//! What happened to one counter, as its clients saw it.

use std::fmt;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Adds this much and answers the value after.
    Add(i64),
    /// Sets the value and answers it; a deletion sets 0.
    Set(i64),
    /// Answers the value and leaves 0.
    Take,
    /// Answers the value.
    Read,
}

/// One operation. Times are of one clock that all clients share; an absent counter is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// What was asked.
    pub call: Call,
    /// When it was sent.
    pub invoked: u64,
    /// When its answer came, and the value in it if it holds one; none where no answer came: it may
    /// have happened at any time since, or never.
    pub answered: Option<(u64, Option<i64>)>,
}

impl Event {
    /// An operation with its answer.
    pub fn answered(call: Call, (invoked, returned): (u64, u64), value: i64) -> Self {
        Self { call, invoked, answered: Some((returned, Some(value))) }
    }

    /// An operation that happened, whose answer does not tell a value.
    pub fn done(call: Call, (invoked, returned): (u64, u64)) -> Self {
        Self { call, invoked, answered: Some((returned, None)) }
    }

    /// An operation of which nobody knows what became.
    pub fn unknown(call: Call, invoked: u64) -> Self {
        Self { call, invoked, answered: None }
    }

    /// When it had happened at the latest.
    pub fn returned(&self) -> u64 {
        self.answered.map_or(u64::MAX, |(returned, _)| returned)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.call {
            Call::Add(delta) => write!(f, "add {delta}")?,
            Call::Set(value) => write!(f, "set {value}")?,
            Call::Take => write!(f, "take")?,
            Call::Read => write!(f, "read")?,
        }
        write!(f, " from {}", self.invoked)?;
        match self.answered {
            Some((returned, Some(value))) => write!(f, " to {returned}: {value}"),
            Some((returned, None)) => write!(f, " to {returned}"),
            None => write!(f, " on"),
        }
    }
}

/// A history in one line.
pub fn line(events: &[Event]) -> String {
    let words: Vec<String> = events.iter().map(Event::to_string).collect();
    words.join(", ")
}
