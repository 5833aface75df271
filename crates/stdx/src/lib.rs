//! What could be in the standard library and is not.
//!
//! Pure values only: nothing here knows a counter, reads a clock, opens a file or starts a thread.

pub mod checksum;
pub mod hash;
pub mod nearest;
pub mod prefetch;
pub mod prng;
pub mod time;
pub mod units;
pub mod verdict;
