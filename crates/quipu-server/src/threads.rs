//! The one spawner: every thread has a name, an owner and an end.

use std::io;
use std::thread::{Builder, JoinHandle};

/// The threads of a node.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    running: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts a thread; it must end when the hub stops.
    ///
    /// # Errors
    /// The process may have no more threads.
    pub(crate) fn start(
        &mut self,
        name: &str,
        body: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        self.running.push(Builder::new().name(name.to_owned()).spawn(body)?);
        Ok(())
    }

    /// Waits for all of them.
    pub(crate) fn join(self) {
        for thread in self.running {
            let name = thread.thread().name().unwrap_or("?").to_owned();
            if thread.join().is_err() {
                tracing::error!(name, "a thread ended by a panic");
            }
        }
    }
}
