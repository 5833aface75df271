//! What must hold, in other words than the code that it judges.
//!
//! [`model`] is a node as maps and explicit rules ([`rules`]); whoever drives a real node beside it
//! compares every answer. [`linear`] and [`bounds`] judge a [`history`] of one counter as its clients
//! saw it, whoever the server was.
//!
//! Never here: code of what is judged, beyond the words for what is asked and answered; IO, clocks,
//! entropy, threads.

pub mod bounds;
pub mod history;
pub mod linear;
pub mod model;
pub mod rules;
