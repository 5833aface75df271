//! The counter against a simple model of it: random commands, cuts, crashes, folds.
//!
//! `quipu_model::model` says what must happen, in other words than the code under test; [`world`] runs both
//! side by side and compares every answer; the other files hold the claims.

mod agreement;
mod cells;
mod claims;
mod crash;
mod fold;
mod group;

mod script;
mod top;
mod world;
