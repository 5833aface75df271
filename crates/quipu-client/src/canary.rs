//! Deliberate bugs of an ingest, chosen at run time, that exist only in builds with the feature
//! `canary`. In every other build [`is`] is constantly false and vanishes.

/// One deliberate bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Bug {
    /// Whoever resumes does not look where blocks were cut.
    CutsForgotten = 1,
    /// Sums are sent without streams, cuts and checkpoints: what exactly-once costs is what this
    /// saves.
    NoStreams,
}

/// The bugs and their names.
pub const BUGS: [(Bug, &str); 2] =
    [(Bug::CutsForgotten, "cuts_forgotten"), (Bug::NoStreams, "no_streams")];

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
pub const fn is(_bug: Bug) -> bool {
    false
}

/// Chooses the bug of this process by name; answers whether there is one of that name.
#[cfg(feature = "canary")]
pub fn choose(name: &str) -> bool {
    let found = BUGS.iter().find(|(_, known)| *known == name);
    if let Some((bug, _)) = found {
        CHOSEN.store(*bug as u8, std::sync::atomic::Ordering::Relaxed);
    }
    found.is_some()
}
