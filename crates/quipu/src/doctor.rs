//! What a directory and its machine give a node: one table of checks, each with a figure and, where
//! something is wrong, a remedy.
//!
//! Every check is a function from the subject, which was looked at once, to a finding. Nothing is
//! changed, and nothing stays: the file of the sync times is removed, and not made where a node runs.

mod clock;
mod disk;
mod finding;
mod limits;
mod memory;
mod store;
mod subject;

pub(crate) use finding::{Finding, State};
pub(crate) use subject::Subject;

/// One check.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Check {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it looks at.
    pub(crate) look: fn(&Subject) -> Finding,
}

const fn check(name: &'static str, look: fn(&Subject) -> Finding) -> Check {
    Check { name, look }
}

/// All checks, in the order in which they are shown.
pub(crate) const CHECKS: &[Check] = &[
    check("lock", store::lock),
    check("store", store::store),
    check("leftovers", store::leftovers),
    check("file system", disk::file_system),
    check("free room", disk::free_room),
    check("block size", disk::block_size),
    check("write cache", disk::write_cache),
    check("sync time", disk::sync_time),
    check("clock source", clock::source),
    check("clock", clock::steps),
    check("memory", memory::memory),
    check("overcommit", memory::overcommit),
    check("open files", limits::open_files),
    check("file size", limits::file_size),
    check("backlog", limits::backlog),
];
