//! What happened to one counter, as its clients saw it.

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Adds this much and answers the value after.
    Add(i64),
    /// Sets the value and answers it.
    Set(i64),
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
    /// When its answer came, and the value in it; none where no answer came: it may have happened at
    /// any time since, or never.
    pub answered: Option<(u64, i64)>,
}

impl Event {
    /// An operation with its answer.
    pub fn answered(call: Call, (invoked, returned): (u64, u64), value: i64) -> Self {
        Self { call, invoked, answered: Some((returned, value)) }
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
