//! Whether what clients saw of one counter can have happened in one order, whoever the server was.
//!
//! An [`event`] is one operation as its client saw it. [`linear`] looks for one order of all of
//! them; [`bounds`] looks at each read by itself, for histories of any length.
//!
//! Never here: what a node is, not even its words; IO, clocks, entropy, threads.

pub mod bounds;
pub mod event;
pub mod linear;
