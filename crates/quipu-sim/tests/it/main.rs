//! A node over each log, with power cuts, failing disks and disks that never answer.
//!
//! `quipu_sim::driver` is the commit step in one thread: replies are held until what they depend on
//! is durable. [`client`] keeps what was asked and answered over all crashes and says what must hold.

mod client;
mod crash;
mod crashes;
mod fault;
mod flips;
mod late;
