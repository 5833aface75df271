//! Deliberate bugs, chosen at run time, that exist only in builds with the feature `canary`.
//!
//! A check that matters must catch its canary. In every other build [`is`] is constantly false and
//! vanishes.

/// One deliberate bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Bug {
    /// Replies leave before their batch is durable.
    AckBeforeSync = 1,
    /// Tokens are not looked up.
    NoDedup = 2,
    /// A rejected bound is answered before what it depends on is durable.
    RejectionNotHeld = 3,
    /// A sum beyond 64 bits wraps.
    OverflowWraps = 4,
}

/// The bugs and their names.
pub const BUGS: [(Bug, &str); 4] = [
    (Bug::AckBeforeSync, "ack_before_sync"),
    (Bug::NoDedup, "no_dedup"),
    (Bug::RejectionNotHeld, "rejection_not_held"),
    (Bug::OverflowWraps, "overflow_wraps"),
];

#[cfg(feature = "canary")]
static CHOSEN: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Whether `bug` is in force.
#[cfg(feature = "canary")]
pub fn is(bug: Bug) -> bool {
    CHOSEN.load(std::sync::atomic::Ordering::Relaxed) == bug as u8
}

/// Whether `bug` is in force: never, in this build.
#[cfg(not(feature = "canary"))]
#[inline]
pub fn is(_bug: Bug) -> bool {
    false
}

/// Chooses the bug of this process by name; answers whether there is one of that name.
#[cfg(feature = "canary")]
pub fn choose(name: &str) -> bool {
    let found = BUGS.iter().find(|(_, n)| *n == name);
    if let Some((bug, _)) = found {
        CHOSEN.store(*bug as u8, std::sync::atomic::Ordering::Relaxed);
    }
    found.is_some()
}
