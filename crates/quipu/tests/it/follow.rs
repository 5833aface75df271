//! Files that are followed while they are written, rotated, cut and replaced, by the real
//! `logrotate` and by hand, with either side killed on the way.
//!
//! The oracle is a plain count of what was written: every counter must be there exactly. Reading
//! order: `scene` (a node, an ingest, a folder of logs and the books of what was written), then
//! one file per kind of change.

mod by_hand;
mod kills;
mod live;
mod rotated;
mod scene;
mod selection;

use scene::{Rotation, Scene};
