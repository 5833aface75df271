//! A system under test: how it is made, started and ended, and what a client can ask of it.

use std::io;
use std::path::PathBuf;

use crate::tree::Tree;

/// Where a system keeps its data, and where it says what happens.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its data, and nothing else: what is on the disk that may lose its power.
    pub data: PathBuf,
    /// What it prints; outside of that disk.
    pub log: PathBuf,
}

/// Which promises are Quipu's own: a broken one is a failure of the run, not a figure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Promise {
    /// Nothing that was acknowledged is lost.
    pub keeps_acknowledged: bool,
    /// Nothing counts twice when it is sent again.
    pub counts_once: bool,
    /// Every start serves.
    pub always_starts: bool,
}

/// Why a system does not serve.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// The machine has no such program, or not the user that it must run as.
    #[error("{0} is not here")]
    Missing(String),
    /// It ended by itself.
    #[error("{program} ended; its last words: {words}")]
    Ended {
        /// Which program.
        program: String,
        /// The end of what it printed.
        words: String,
    },
    /// It runs and does not answer.
    #[error("{program} answered no read in time ({why}); its last words: {words}")]
    Silent {
        /// Which program.
        program: String,
        /// What the last attempt met.
        why: String,
        /// The end of what it printed.
        words: String,
    },
    /// The machine refused.
    #[error("cannot {what}: {source}")]
    Machine {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl SystemError {
    /// Wraps what the machine refused.
    pub fn machine(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Machine { what, source }
    }
}

/// Nobody can say whether the operation was counted: no answer came, or an error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoAnswer(pub String);

impl From<io::Error> for NoAnswer {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// A program that can count.
pub trait System: Sync {
    /// The row in one word, such as `redis_always`.
    fn key(&self) -> String;

    /// The row for people.
    fn title(&self) -> String;

    /// What the program says of its version.
    ///
    /// # Errors
    /// It is not here.
    fn version(&self) -> Result<String, SystemError>;

    /// The exact commands, with `DIR` and `PORT` where those stand.
    fn recipe(&self) -> Vec<String>;

    /// What a client does to count, and to read.
    fn operation(&self) -> String;

    /// What must hold, where this is Quipu.
    fn promise(&self) -> Promise {
        Promise::default()
    }

    /// Makes a new store in the place's empty data directory, durable, with these counters at 0 or
    /// absent.
    ///
    /// # Errors
    /// It cannot be made.
    fn make(&self, place: &Place, counters: &[&str]) -> Result<(), SystemError>;

    /// Starts it, and does not wait until it serves.
    ///
    /// # Errors
    /// The program cannot be started.
    fn start(&self, place: &Place) -> Result<Box<dyn Life>, SystemError>;
}

/// A running system. Dropping it kills it.
pub trait Life: Send {
    /// Connects a client.
    ///
    /// # Errors
    /// Nobody answers, or not yet.
    fn connect(&self) -> Result<Box<dyn Client>, NoAnswer>;

    /// The end of what it printed, if it has ended by itself.
    fn ended(&mut self) -> Option<String>;

    /// Its processes at this moment.
    fn tree(&self) -> Tree;

    /// Sends SIGKILL to every process of it, and waits until all have gone.
    fn kill(&mut self);
}

/// A connection.
pub trait Client: Send {
    /// Adds one to a counter; the token is sent only where the system knows tokens.
    ///
    /// # Errors
    /// It was not acknowledged.
    fn add(&mut self, counter: &str, token: &str) -> Result<(), NoAnswer>;

    /// Reads a counter; an absent one is 0.
    ///
    /// # Errors
    /// It was not read.
    fn read(&mut self, counter: &str) -> Result<i64, NoAnswer>;
}
