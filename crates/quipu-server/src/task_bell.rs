//! Tells the HTTP tasks that wait for a commit that one was made.
//!
//! A task that is woken by another thread than its own costs that thread a system call, and a commit
//! wakes as many as there are connections. So another thread wakes one task alone, the relay, which
//! wakes the others from within. The same relay keeps its thread from sleeping when it is to look
//! again at what is ready.

use std::sync::atomic::{AtomicBool, Ordering, fence};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// The bell. All that listen run on one thread, and so does [`TaskBell::relay`].
#[derive(Debug, Default)]
pub(crate) struct TaskBell {
    listeners: Notify,
    /// Rung from afar.
    relay: Notify,
    /// To look again.
    again: Notify,
    /// Whether somebody listens since it last rang.
    is_heard: AtomicBool,
}

impl TaskBell {
    /// Hears the next ring once it is enabled and [`TaskBell::note_listener`] was called.
    pub(crate) fn listen(&self) -> Notified<'_> {
        self.listeners.notified()
    }

    /// Says that somebody listens. What is waited for is to be looked at afterwards.
    pub(crate) fn note_listener(&self) {
        if !self.is_heard.load(Ordering::Relaxed) {
            self.is_heard.store(true, Ordering::Relaxed);
        }
        // Either the look afterwards sees what was committed, or who committed sees the listener.
        fence(Ordering::SeqCst);
    }

    /// Rings on the thread of those who listen.
    pub(crate) fn ring(&self) {
        self.is_heard.store(false, Ordering::Relaxed);
        self.listeners.notify_waiters();
    }

    /// Rings on another thread. Cost: a system call where somebody listens.
    pub(crate) fn ring_from_afar(&self) {
        fence(Ordering::SeqCst);
        if self.is_heard.load(Ordering::Relaxed) && self.is_heard.swap(false, Ordering::Relaxed) {
            self.relay.notify_one();
        }
    }

    /// Passes on what rings from afar, for ever.
    pub(crate) async fn relay(&self) {
        loop {
            tokio::select! {
                () = self.relay.notified() => self.listeners.notify_waiters(),
                () = self.again.notified() => {}
            }
        }
    }

    /// Keeps the thread of the relay, which is about to sleep, from it: it looks at what is ready
    /// first.
    pub(crate) fn look_again(&self) {
        self.again.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::TaskBell;

    #[test]
    fn who_listens_hears_a_ring_from_afar_through_the_relay() {
        let (bell, cx) = (TaskBell::default(), &mut Context::from_waker(Waker::noop()));
        let mut relay = pin!(bell.relay());
        assert!(relay.as_mut().poll(cx).is_pending());
        for _ in 0..3 {
            let (mut first, mut second) = (pin!(bell.listen()), pin!(bell.listen()));
            for listener in [&mut first, &mut second] {
                assert!(listener.as_mut().poll(cx).is_pending());
                bell.note_listener();
            }
            bell.ring_from_afar();
            assert!(first.as_mut().poll(cx).is_pending());
            assert!(relay.as_mut().poll(cx).is_pending());
            assert!(first.poll(cx).is_ready() && second.poll(cx).is_ready());
        }
    }

    #[test]
    fn a_ring_that_nobody_hears_wakes_nobody() {
        let (bell, cx) = (TaskBell::default(), &mut Context::from_waker(Waker::noop()));
        bell.ring_from_afar();
        let mut listener = pin!(bell.listen());
        assert!(listener.as_mut().poll(cx).is_pending());
        bell.note_listener();
        assert!(pin!(bell.relay()).poll(cx).is_pending());
        assert!(listener.as_mut().poll(cx).is_pending());
        bell.ring();
        assert!(listener.poll(cx).is_ready());
    }
}
