//! One request of the plan.

/// One request of the plan. It exists whether or not it is sent: latency counts from its moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Its number in the whole run, over all threads and phases.
    pub number: u64,
    /// The phase that it belongs to.
    pub phase: u16,
    /// When it is due, in nanoseconds from the start of the run.
    pub due_ns: u64,
}
