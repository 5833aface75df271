//! The HTTP surface: an accept loop of its own over hyper, and the requests of counters.
//!
//! Reading order: [`api`] (what it needs of a node), [`mod@serve`] (the accept loop), `connection` (one
//! client and its deadlines, with `link` below it), `express` (the plain requests of a client, which
//! `plain` reads), `respond` (one request, as hyper reads it), `counter` and `listing` (what requests
//! do). Routes, headers, bodies and problems are data of `quipu_wire`.
//!
//! Rules: no byte of a reply leaves before what it depends on is durable at the level asked for;
//! every connection is a task of one set that [`serve::serve`] owns and joins; everything that a
//! client can make grow has a bound in [`limits::HttpLimits`].
//!
//! Never here: deciding anything about a counter, blocking the thread.

pub mod api;
mod body;
mod connection;
mod content;
mod counter;
mod date;
mod express;
pub mod limits;
mod link;
mod listing;
mod page;
mod plain;
mod refusal;
mod respond;
pub mod serve;
mod streams;
#[cfg(test)]
mod tests;

pub use api::{Event, NodeApi, Unwell};
pub use limits::{HttpLimits, Surface};
pub use serve::{ServeError, serve};
