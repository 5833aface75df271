//! A node in one thread: the real core and the real log over a disk, a clock and clients that
//! misbehave as a seed says.
//!
//! [`driver`] is the commit step: replies are held until what they depend on is durable.
//! [`recovery`] goes from a log to shards, and [`shards`] holds them.
//!
//! A seed is a [`world`]: [`options`] is all that it decides, [`schedule`] its one heap of
//! [`event`]s, [`trace`] all that happened as one number, [`coverage`] how often. [`workload`] is
//! what clients want; [`clients`] and [`senders`] how they go about it; [`machine`] a [`disk`],
//! a [`clock`] and the [`process`] of a node over a [`store`]. [`shadow`] is what must be answered,
//! [`witness`] what must be recovered, [`tally`] what clients can foretell, [`histories`] what they saw of one
//! counter, and [`checks`] the
//! promises by name, each of which must catch the deliberate bugs of `canaries`. [`crash`] is every
//! crash of short traces, [`flip`] every flipped bit of small stores. [`run`] goes through one seed.
//!
//! Never here: a real file, clock, thread or socket. What a seed does, it does again.

pub mod campaign;
#[cfg(feature = "canary")]
pub mod canaries;
pub mod checks;
pub mod clients;
pub mod clock;
pub mod coverage;
pub mod crash;
pub mod disk;
pub mod driver;
pub mod event;
pub mod flip;
pub mod histories;
pub mod machine;
pub mod options;
pub mod process;
pub mod recovery;
pub mod request;
pub mod run;
pub mod schedule;
pub mod senders;
pub mod shadow;
pub mod shards;
pub mod store;
pub mod tally;
pub mod trace;
pub mod witness;
pub mod workload;
pub mod world;
