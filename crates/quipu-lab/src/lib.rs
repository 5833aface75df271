//! A load test as values: what is sent when, what came back, and what may be said of it.
//!
//! Reading order: [`slot`].

pub mod slot;
