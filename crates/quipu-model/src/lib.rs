//! What must hold, in other words than the code that it judges.
//!
//! [`model`] is a node as maps and explicit rules ([`rules`]); whoever drives a real node beside it
//! compares every answer.
//!
//! Never here: code of what is judged, beyond the words for what is asked and answered; IO, clocks,
//! entropy, threads.

pub mod model;
pub mod rules;
