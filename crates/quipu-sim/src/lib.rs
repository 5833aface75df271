//! A node in one thread: the real core and the real log over a disk, a clock and clients that
//! misbehave as a seed says.
//!
//! [`driver`] is the commit step: replies are held until what they depend on is durable.
//! [`recovery`] goes from a log to shards, and [`shards`] holds them.
//! [`options`] is all that a seed decides; [`verdict`] is what a runner found.
//!
//! Never here: a real file, clock, thread or socket. What a seed does, it does again.

pub mod checks;
pub mod crash;
pub mod driver;
pub mod flip;
pub mod options;
pub mod recovery;
pub mod shards;
pub mod verdict;
