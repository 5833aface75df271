//! A node over each log, with power cuts, failing disks and disks that never answer.
//!
//! [`driver`] is the commit step in one thread: replies are held until what they depend on is
//! durable. [`client`] keeps what was asked and answered over all crashes and says what must hold.

mod cells;
mod client;
mod crash;
mod driver;
mod fault;
mod late;
mod recovery;
