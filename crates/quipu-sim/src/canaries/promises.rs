//! Which checks may catch which bug: those whose promise it breaks.

use crate::checks::Check;

/// The checks whose promise a bug breaks.
pub fn accepted(name: &str) -> &'static [Check] {
    let _ = name;
    &[]
}

/// Where a bug is looked for that no node of one thread can show.
pub fn elsewhere(name: &str) -> Option<&'static str> {
    let _ = name;
    None
}
