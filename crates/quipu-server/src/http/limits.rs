//! The bounds of the HTTP surface.

use std::time::Duration;

/// Which requests a listener answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// All.
    Counters,
    /// Health, readiness and metrics alone.
    Admin,
}

/// What one listener allows its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Which requests it answers.
    pub surface: Surface,
    /// Most connections at once.
    pub connections: usize,
    /// The head of a request is complete this long after its first byte.
    pub header_timeout: Duration,
    /// The body of a request is complete this long after its head; also the longest time for which
    /// a client may take nothing of an answer that waits for it.
    pub body_timeout: Duration,
    /// A connection without a request is closed after this.
    pub idle_timeout: Duration,
    /// After this, what is not answered when the node stops is cut off.
    pub drain_timeout: Duration,
    /// Longest head in bytes; at least [`HEADER_BYTES_MIN`].
    pub header_bytes: usize,
    /// Most header lines.
    pub headers: usize,
    /// Longest path with its query in bytes.
    pub target_bytes: usize,
    /// Longest body in bytes.
    pub body_bytes: usize,
    /// Most operations of one batch.
    pub batch_ops: usize,
    /// Most bytes of bodies whose requests are not answered yet, all connections together.
    pub inflight_bytes: usize,
}

/// Shortest bound of a head. Spec: hyper refuses smaller buffers.
pub const HEADER_BYTES_MIN: usize = 8192;

impl Default for HttpLimits {
    /// Sources: the table of knobs for all that it has; 4 KiB hold the longest name percent-encoded
    /// five times.
    fn default() -> Self {
        Self {
            surface: Surface::Counters,
            connections: 4096,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(10),
            header_bytes: 16 * 1024,
            headers: 64,
            target_bytes: 4 * 1024,
            body_bytes: 1024 * 1024,
            batch_ops: 10_000,
            inflight_bytes: 64 * 1024 * 1024,
        }
    }
}
