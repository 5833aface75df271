//! One ingest at a time for each stream, on one machine.
//!
//! Two at once would decide on the ends of blocks against each other, and lose or double lines.
//! The lock is a name in the abstract namespace of Unix sockets: it goes with its process, however
//! that ends, and leaves nothing behind.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

use thiserror::Error;

/// Why a stream cannot be locked.
#[derive(Debug, Error)]
#[error("another ingest counts the same source in the same way; wait for it or end it")]
pub struct InUse;

/// Held until it is dropped.
#[derive(Debug)]
pub struct StreamLock {
    _name: UnixListener,
}

impl StreamLock {
    /// Locks the stream `stream` at the node at `address`.
    ///
    /// # Errors
    /// Another process of this machine holds it.
    pub fn take(address: &str, stream: &str) -> Result<Option<StreamLock>, InUse> {
        let name =
            format!("quipu-ingest/{:016x}/{stream}", stdx::hash::hash64(0, address.as_bytes()));
        // Whoever may not bind such names at all goes on without.
        let Ok(name) = SocketAddr::from_abstract_name(name) else { return Ok(None) };
        match UnixListener::bind_addr(&name) {
            Ok(listener) => Ok(Some(StreamLock { _name: listener })),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(InUse),
            Err(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::StreamLock;

    #[test]
    fn a_stream_is_locked_until_its_lock_goes() {
        let node = format!("test:{}", std::process::id());
        let held = StreamLock::take(&node, "a").expect("free");
        assert!(StreamLock::take(&node, "a").is_err());
        assert!(StreamLock::take(&node, "b").is_ok());
        drop(held);
        assert!(StreamLock::take(&node, "a").is_ok());
    }
}
