//! What measured numbers allow to be said: tests, intervals, comparisons, fits, change points.
//!
//! Pure functions over slices of numbers. Time is not known here, randomness comes from a seed that
//! is an argument, and the same arguments give the same answer on every machine. A function
//! that cannot answer (no values, values that are not numbers, too few of them) answers nothing
//! instead of a number that looks like one.
//!
//! # Reading order
//! 1. What one side is: [`mod@spread`], [`mod@quantile`] (with when "n/a" is the honest answer), [`interval`].
//! 2. What two sides are: [`rank`] (the tests), [`pair`] (runs next to each other), [`plan`] (how many),
//!    [`verdict`] (what may be claimed), [`unpaired`] (of runs that are no pairs), [`mod@holm`] (of several
//!    metrics), [`mod@bootstrap`].
//! 3. What a series is: [`slope`] (does it grow), [`steady`] (from where on), [`change_point`]
//!    (when did it change).
//! 4. What many runs are: [`usl`] (throughput by concurrency), [`knee`] (latency by rate), [`little`] (do they
//!    fit together), [`performance_model`] (times of memory, disk and network).
//! 5. What these rest on: [`normal`], [`student`], and two modules that nobody else needs: the incomplete
//!    beta function and least squares.
//!
//! # The unit is the run
//! Requests of one run are not independent. Tests and intervals here take one number per run
//! or per slice of 10 to 30 seconds, never one per request.

mod beta;
pub mod bootstrap;
pub mod change_point;
pub mod holm;
pub mod interval;
pub mod knee;
mod least_squares;
pub mod little;
pub mod normal;
pub mod pair;
pub mod performance_model;
pub mod plan;
pub mod quantile;
pub mod rank;
pub mod slope;
pub mod spread;
pub mod steady;
pub mod student;
pub mod unpaired;
pub mod usl;
pub mod verdict;
