//! Load tests as a service over HTTP: ordered, watched and cancelled by their clients.
//!
//! Reading order: `route` (which requests there are), `order` (what a client may ask, checked),
//! `desk` (one test at a time for each target), `result` and `shelf` (what a test came to, and where
//! that is kept), `answer` with `events` (one request), `listener` (connections).
//!
//! Only what stands on the allowlist is ever tested. Everything that a client can make grow has a
//! bound: bodies, connections, tests, results, rates, spans, requests on the way.

mod answer;
mod desk;
mod events;
mod listener;
mod openapi;
mod order;
mod progress;
mod refusal;
mod result;
mod route;
mod shelf;
mod span;
mod tally;

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use quipu_lab::scenario::{ScenarioError, built_in};
use stdx::units::Nanos;
use tokio::sync::watch;

use crate::serve::desk::Desk;
use crate::serve::order::Kind;

/// What no order may exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Requests per second.
    pub rate: u64,
    /// A whole test, from its first request to its last.
    pub duration: Nanos,
    /// Requests on the way at once.
    pub in_flight: u32,
}

impl Default for Caps {
    /// Guesses: what the tests of users need, with room for a few times as much.
    fn default() -> Self {
        Self { rate: 50_000, duration: Nanos::from_secs(3_600), in_flight: 40_000 }
    }
}

/// What a service is to be.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The URLs that may be tested, the default first.
    pub targets: Vec<String>,
    /// The folder in which results are kept.
    pub results: PathBuf,
    /// How many of them.
    pub keep: usize,
    /// What no order may exceed.
    pub caps: Caps,
}

/// Why a service cannot be.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A target of the allowlist cannot be tested.
    #[error("{url} cannot be tested")]
    Target {
        /// The target.
        url: String,
        /// Why.
        source: Box<ScenarioError>,
    },
    /// There is nothing to test.
    #[error("there is no target that may be tested")]
    NoTarget,
    /// The results cannot be kept.
    #[error("results cannot be kept in {}", folder.display())]
    Results {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The listener or the runtime cannot be had.
    #[error("the service cannot listen")]
    System(#[from] io::Error),
}

/// A service that is about to serve.
#[derive(Debug)]
pub struct Service {
    desk: Arc<Desk>,
    listener: TcpListener,
    stop: watch::Sender<bool>,
}

/// Stops a service from any thread.
#[derive(Debug, Clone)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// Stops it: tests under way are cancelled and keep what they found.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Service {
    /// Checks the settings and reads the results that are there.
    ///
    /// # Errors
    /// A target cannot be tested, or the folder of results cannot be used.
    pub fn open(listener: TcpListener, mut settings: Settings) -> Result<Self, ServeError> {
        for url in &mut settings.targets {
            url.truncate(url.trim_end_matches('/').len());
            for kind in [Kind::Burst, Kind::Ramp] {
                let failed = |source| ServeError::Target { url: url.clone(), source };
                built_in(kind.name(), url).map_err(|e| failed(Box::new(e)))?;
            }
        }
        if settings.targets.is_empty() {
            return Err(ServeError::NoTarget);
        }
        let folder = settings.results.clone();
        let desk = Desk::open(settings).map_err(|source| ServeError::Results { folder, source })?;
        Ok(Self { desk: Arc::new(desk), listener, stop: watch::Sender::new(false) })
    }

    /// What stops it.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stop.clone())
    }

    /// Serves until it is stopped. No thread of it is left when it returns.
    ///
    /// # Errors
    /// The listener or the runtime cannot be had.
    pub fn run(self) -> Result<(), ServeError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let served = listener::serve(self.listener, Arc::clone(&self.desk), self.stop.subscribe());
        let end = runtime.block_on(served);
        self.desk.stop();
        self.desk.join();
        Ok(end?)
    }
}
