//! The checks by name, and what a check that fails says.

use std::fmt;

/// One check. Its name is that of the promise that it watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// I1: what was acknowledged as durable is there after every crash.
    AckedDurable,
    /// I12: nothing is acknowledged after the first write or sync that failed.
    AckAfterFailure,
    /// I2: a token counts at most once, and its repeat gets the original outcome.
    TokenOnce,
    /// A token is remembered for its window and refused or forgotten after it.
    TokenWindow,
    /// A place in a stream counts once, and a mark never passes what did not count.
    StreamOnce,
    /// I3: the answer, and so the value, follows from the operations decided before.
    ValueIsSum,
    /// Every reply names the newest batch that it speaks of.
    ReplyDepends,
    /// A held reply leaves when what it depends on is durable, not before and not never.
    HeldReply,
    /// Positions never repeat, over crashes either, and name what the answer speaks of.
    Position,
    /// Log time never steps back and never runs away.
    LogTime,
    /// I15: an overflow is an error that changes nothing.
    Overflow,
    /// I13: memory, queues and files stay within their bounds, and refusals say so.
    Limits,
    /// A cut holds all that is open: no group is split over two frames.
    GroupWhole,
    /// What was admitted fits into the log.
    Admission,
    /// I5: a read lies between what was acknowledged before it and what was attempted.
    ReadBounds,
    /// I8: what a restart recovers is what was decided up to there.
    RecoveredState,
    /// I9: a snapshot and the log after it say what the whole log says.
    SnapshotIsLog,
    /// A log that was never damaged is not refused.
    RefusedStart,
    /// No write touches a disk block that holds durable data.
    DurableBlock,
    /// When all is well again, everything that is pending comes to an end.
    Liveness,
    /// I4: at the end each total is exactly what was acknowledged and resolved.
    FinalTotals,
    /// I7: histories of one counter are linearizable.
    Linearizable,
    /// The product's own assertions.
    Assertion,
}

impl Check {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::AckedDurable => "acked_durable",
            Self::AckAfterFailure => "ack_after_failure",
            Self::TokenOnce => "token_once",
            Self::TokenWindow => "token_window",
            Self::StreamOnce => "stream_once",
            Self::ValueIsSum => "value_is_sum",
            Self::ReplyDepends => "reply_depends",
            Self::HeldReply => "held_reply",
            Self::Position => "position",
            Self::LogTime => "log_time",
            Self::Overflow => "overflow",
            Self::Limits => "limits",
            Self::GroupWhole => "group_whole",
            Self::Admission => "admission",
            Self::ReadBounds => "read_bounds",
            Self::RecoveredState => "recovered_state",
            Self::SnapshotIsLog => "snapshot_is_log",
            Self::RefusedStart => "refused_start",
            Self::DurableBlock => "durable_block",
            Self::Liveness => "liveness",
            Self::FinalTotals => "final_totals",
            Self::Linearizable => "linearizable",
            Self::Assertion => "assertion",
        }
    }
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub check: Check,
    /// What was seen.
    pub what: String,
}

impl Violation {
    /// A broken promise.
    pub fn new(check: Check, what: impl Into<String>) -> Self {
        Self { check, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check.name(), self.what)
    }
}

impl std::error::Error for Violation {}

/// What a check answers.
pub type Checked<T = ()> = Result<T, Violation>;

/// Fails with this check unless `holds`.
///
/// # Errors
/// It does not hold.
#[inline]
pub fn ensure(holds: bool, check: Check, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Violation::new(check, what())) }
}
