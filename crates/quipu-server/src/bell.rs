//! A bell that one thread waits for: rung while nobody listens, it is still heard.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// The bell.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    /// Rings. Cost: a lock, and a wake-up where someone waits.
    pub fn ring(&self) {
        let mut rung = self.rung.lock();
        if !*rung {
            *rung = true;
            self.heard.notify_one();
        }
    }

    /// Whether it rang since it was last heard.
    pub fn has_rung(&self) -> bool {
        *self.rung.lock()
    }

    /// Waits until it rings, or `timeout` has passed; says whether it rang.
    pub fn wait(&self, timeout: Duration) -> bool {
        let mut rung = self.rung.lock();
        if !*rung {
            self.heard.wait_for(&mut rung, timeout);
        }
        std::mem::take(&mut rung)
    }
}
