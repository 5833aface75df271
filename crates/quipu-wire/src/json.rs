//! Bodies of HTTP as JSON: requests in, replies out.
//!
//! Requests are flat objects without unknown fields, so nothing nests deeper than a batch's list of
//! operations; numbers are integers. Values of counters are JSON numbers of 64 bits: a reader whose
//! numbers are floating point loses digits beyond 2^53. Cursors and positions are texts.

pub mod history;
pub mod live;
pub mod reply;
pub mod request;
pub mod streams;
