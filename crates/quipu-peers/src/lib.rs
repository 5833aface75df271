//! Quipu and its peers under one harness: started, loaded, killed, cut off from power, started
//! again, and held to what they acknowledged.
//!
//! [`system`] says what a system is, and the files named after systems say how each is run and
//! spoken to; [`rows`] lists them. [`books`] is what must be there afterwards, as values. [`load`]
//! drives clients until the end, a [`cell`] is one system and one way to die, a [`campaign`] all of
//! them. Read `books` first, then `cell`.
//!
//! Never here: the code of a node. Quipu is a program among others.

pub mod books;
pub mod campaign;
pub mod cell;
pub mod etcd;
pub mod figures;
pub mod load;
pub mod nats;
mod nats_wire;
pub mod ours;
pub mod postgres;
pub mod program;
pub mod redis;
pub mod rows;
pub mod sqlite;
pub mod system;
pub mod tree;
