//! Wakes an event loop from another thread.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

/// A waker of one event loop.
#[derive(Debug)]
pub struct Waker {
    event: OwnedFd,
    /// Whether the loop holds replies that wait for the log.
    waiting: AtomicBool,
}

impl Waker {
    /// Makes one.
    ///
    /// # Errors
    /// The process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self { event, waiting: AtomicBool::new(false) })
    }

    /// The descriptor to wait for.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    /// Says whether the loop holds replies. Set before a commit is left to another thread, so that
    /// no wake-up is lost.
    pub fn set_waiting(&self, waiting: bool) {
        self.waiting.store(waiting, Ordering::SeqCst);
    }

    /// Wakes the loop.
    #[expect(clippy::host_endian_bytes, reason = "the kernel reads the number in its own order")]
    pub fn wake(&self) {
        // A full event counter means that the loop is about to wake anyway.
        let _full = rustix::io::write(&self.event, &1_u64.to_ne_bytes()).is_err();
    }

    /// Wakes the loop if it holds replies.
    pub fn wake_if_waiting(&self) {
        if self.waiting.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Takes the event back after waking.
    pub fn settle(&self) {
        let mut buffer = [0_u8; 8];
        let _empty = rustix::io::read(&self.event, &mut buffer).is_err();
    }
}
