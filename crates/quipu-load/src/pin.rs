//! Where a thread runs: on a CPU of its own, and before others if that was asked for and is permitted.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use thread_priority::unix::{
    RealtimeThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};
use thread_priority::{ThreadPriority, ThreadPriorityValue};

/// The real-time priority that is asked for: above all common threads, below those of the kernel,
/// which commonly have 50.
const PRIORITY: u8 = 10;

/// Lets the calling thread run before all common ones, until it waits.
///
/// # Errors
/// Why not, in words: commonly that this user may not.
pub(crate) fn run_first() -> Result<(), String> {
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    let priority = ThreadPriorityValue::try_from(PRIORITY)?;
    let priority = ThreadPriority::Crossplatform(priority);
    let thread = thread_native_id();
    set_thread_priority_and_policy(thread, priority, policy)
        .map_err(|error| format!("no real-time priority: {error}"))
}

/// Returns the CPUs that this process may use.
pub(crate) fn allowed_cpus() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
}

/// Pins the calling thread to one of `allowed`, from the last on: interrupts tend to come to the
/// first. Returns the CPU, or nothing if the kernel refuses.
pub(crate) fn pin(thread: u32, allowed: &[usize]) -> Option<u32> {
    let place = allowed.len().checked_sub(1 + thread as usize % allowed.len().max(1))?;
    let cpu = *allowed.get(place)?;
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).ok()?;
    Some(cpu as u32)
}
