//! The vocabulary shared by all: what is measured, and what can be turned.
//!
//! Two closed lists stand here, [`name`] (metrics) and [`knob`] (configuration), each one table
//! from which everything else follows: types, validation, exposition, documentation. A node makes
//! one [`registry::Registry`] and passes it on; it runs with one [`settings::Settings`].
//!
//! Reading order: [`knob`], [`settings`]; [`label`], [`name`], [`histogram`], [`registry`],
//! [`render`]; [`mod@reference`].
//!
//! Never here: files, sockets, clocks, threads, statics with values, names that a client chose.

pub mod histogram;
pub mod knob;
pub mod label;
pub mod name;
pub mod reference;
pub mod registry;
pub mod render;
pub mod settings;
