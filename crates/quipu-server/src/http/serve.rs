//! The accept loop.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use quipu_metrics::label::ConnectionRefusal;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::complaint::Complaint;
use crate::http::api::{Event, NodeApi};
use crate::http::connection;
use crate::http::date::Date;
use crate::http::limits::{HEADER_BYTES_MIN, HttpLimits};
use crate::http::respond::Gate;

/// Connections beyond the bound that are told so at a time; further ones are just closed. Guess.
const REFUSALS_MAX: usize = 64;

/// How long to wait where accepting fails, mostly for want of file descriptors. Guess.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The listener cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP listener cannot be used")]
pub struct ServeError {
    /// What the operating system says.
    #[from]
    source: io::Error,
}

/// Serves HTTP/1.1 on `listener` until `shutdown` is ready; then no connection is accepted, what
/// was asked is answered, and all connections are closed, at the latest after
/// `limits.drain_timeout`. To be called in a runtime with IO and time; all tasks that it starts
/// have ended when it returns.
///
/// # Errors
/// The listener cannot be used. Failures of single connections are none.
pub async fn serve<N: NodeApi>(
    listener: std::net::TcpListener,
    node: Arc<N>,
    limits: HttpLimits,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let limits = HttpLimits { header_bytes: limits.header_bytes.max(HEADER_BYTES_MIN), ..limits };
    let inflight = Semaphore::new(limits.inflight_bytes.min(Semaphore::MAX_PERMITS));
    let gate = Arc::new(Gate { node, limits, inflight, date: Date::default() });
    let (stop, stopping) = watch::channel(false);
    let mut clients = Clients { gate, stopping, served: JoinSet::new(), refused: JoinSet::new() };
    let mut shutdown = std::pin::pin!(shutdown);
    let mut complaint = Complaint::default();
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => clients.admit(stream),
                Err(error) => {
                    if complaint.is_due() {
                        tracing::warn!(%error, "connections cannot be accepted");
                    }
                    clients.gate.note(Event::Refused(ConnectionRefusal::Accept));
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = clients.served.join_next() => {}
            Some(_) = clients.refused.join_next() => {}
        }
    }
    drop(listener);
    stop.send_replace(true);
    clients.drain(limits.drain_timeout).await;
    Ok(())
}

/// All connections of a listener.
struct Clients<N> {
    gate: Arc<Gate<N>>,
    stopping: watch::Receiver<bool>,
    served: JoinSet<()>,
    refused: JoinSet<()>,
}

impl<N: NodeApi> Clients<N> {
    fn admit(&mut self, stream: TcpStream) {
        let has_room = self.served.len() < self.gate.limits.connections;
        if has_room && self.gate.node.admits() {
            let open = Open::new(Arc::clone(&self.gate));
            let run = connection::run(stream, Arc::clone(&self.gate), self.stopping.clone());
            self.served.spawn(async move {
                run.await;
                drop(open);
            });
            return;
        }
        self.gate.note(Event::Refused(ConnectionRefusal::Limit));
        if self.refused.len() < REFUSALS_MAX {
            self.refused.spawn(connection::refuse(stream));
        }
    }

    /// Waits for all connections, and cuts off what is left after `patience`.
    async fn drain(&mut self, patience: Duration) {
        let all = async { while self.served.join_next().await.is_some() {} };
        if timeout(patience, all).await.is_err() {
            self.served.shutdown().await;
        }
        self.refused.shutdown().await;
    }
}

/// Says that a connection is closed also where its task is cut off.
struct Open<N: NodeApi> {
    gate: Arc<Gate<N>>,
}

impl<N: NodeApi> Open<N> {
    fn new(gate: Arc<Gate<N>>) -> Self {
        gate.note(Event::Opened);
        Self { gate }
    }
}

impl<N: NodeApi> Drop for Open<N> {
    fn drop(&mut self) {
        self.gate.note(Event::Closed);
    }
}
