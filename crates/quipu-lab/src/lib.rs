//! A load test as values: what is sent when, what came back, and what may be said of it.
//!
//! Reading order: [`slot`], [`scenario`] (what a person wrote), [`schedule`] (when each slot is
//! due), [`data`], [`template`] and [`request`] (what each slot sends), [`slo`], [`validity`],
//! [`burst`], [`trend`] and [`conservation`] (what may be said of what came back).
//!
//! What comes back goes through [`backlog`] (what happens to a slot that is due), [`failure`],
//! [`recording`] and [`window`] into [`finding`], which everything that reports reads: [`page`] for a
//! terminal, [`html`] for a browser, [`hlog`], [`hgrm`], [`k6`], [`benchfmt`] and [`junit`] for other
//! programs; [`report`] has a list of them. [`abort`] ends a run early;
//! [`settle`] says what is sent again after its end.
//!
//! Nothing here reads a clock or a file, opens a socket or starts a thread. Everything that is
//! drawn follows from the seed of the scenario and the number of the slot, so that the same
//! scenario asks the same of two targets, over any number of threads.

pub mod abort;
pub mod accuracy;
pub mod backlog;
pub mod benchfmt;
pub mod burst;
pub mod compare;
pub mod conservation;
pub mod data;
pub mod failure;
pub mod finding;
pub mod fit;
pub mod hgrm;
pub mod history;
pub mod hlog;
pub mod html;
pub mod import;
pub mod junit;
pub mod k6;
mod markup;
pub mod metric;
pub mod page;
pub mod pairs;
pub mod recording;
pub mod report;
pub mod request;
pub mod scenario;
pub mod schedule;
pub mod search;
pub mod settle;
pub mod slo;
pub mod slot;
mod tail;
pub mod template;
pub mod trend;
pub mod validity;
pub mod window;
