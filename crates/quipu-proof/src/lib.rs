//! Real nodes on real disks: started, driven, killed, cut off from power, and held to what they
//! acknowledged.
//!
//! [`node`] is a process; [`books`] are clients that know what must be there after it died; [`kills`]
//! drives both. [`disk`] is a disk whose power can be cut. A [`trial`] is many lives on one
//! directory, a [`campaign`] many trials.
//!
//! Never here: the code of a node. A node is what answers on a socket.

pub mod books;
pub mod campaign;
pub mod chance;
pub mod disk;
pub mod http;
pub mod kills;
pub mod node;
pub mod probe;
pub mod prove;
pub mod resp;
pub mod trial;

use std::fmt;

/// A promise that the program broke: which check saw it, and what was seen.
#[derive(Debug)]
pub struct Violation {
    /// The name of the check, which the canaries compare.
    pub check: &'static str,
    /// What was expected and what came.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "broken promise `{}`: {}", self.check, self.detail)
    }
}

impl Violation {
    /// Returns a violation of `check`.
    pub fn new(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, detail: detail.into() }
    }
}

/// Answers a violation unless `holds`.
///
/// # Errors
/// The connection broke, or what came is not the protocol.
pub fn demand(
    holds: bool,
    check: &'static str,
    detail: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation::new(check, detail())) }
}
