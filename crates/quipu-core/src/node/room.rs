//! The log space that open batches may take, and how much of it they do.

use std::sync::atomic::Ordering;

use super::{Cells, Node};

/// Open batches are pressed beyond this part of the room: what comes during the commit that this
/// calls for must fit into the rest. Guess.
const PRESSED_PART: u64 = 2;

impl<C: Cells> Node<C> {
    /// Says how many log bytes may be open, and whether it is the disk that limits them.
    pub fn set_room(&self, bytes: u64, no_space: bool) {
        self.no_space.store(no_space, Ordering::Relaxed);
        self.room_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Log bytes that are open: an upper bound.
    pub fn open_bytes(&self) -> u64 {
        self.open_bytes.load(Ordering::Relaxed)
    }

    /// Log bytes that may be open together with those that are.
    pub fn room_bytes(&self) -> u64 {
        self.room_bytes.load(Ordering::Relaxed)
    }

    /// Whether a good part of the log space that may be open is taken: then it is time to commit,
    /// waited for or not.
    #[inline]
    pub fn is_pressed(&self) -> bool {
        self.open_bytes() > self.room_bytes.load(Ordering::Relaxed) / PRESSED_PART
    }
}
