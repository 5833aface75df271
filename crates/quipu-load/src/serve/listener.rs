//! The accept loop and its connections.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::serve::answer::answer;
use crate::serve::desk::Desk;

/// Most connections at once; more wait in the accept queue. Guess: watchers of some tests.
const CONNECTIONS_MAX: usize = 256;
/// A head is complete this long after the answer before it. Guess, as for nodes.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// Longest head in bytes, spec: the least that hyper takes.
const HEAD_BYTES_MAX: usize = 8192;
/// Most header lines. Guess, as for nodes.
const HEADERS_MAX: usize = 64;
/// A connection lives this much longer than the longest test. Guess.
const FAREWELL: Duration = Duration::from_secs(60);
/// How long to wait where accepting fails, mostly for want of file descriptors. Guess.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long the ends of tests and the last answers are waited for at the end. Guess: a run stops
/// within milliseconds, and reading the counters of its target takes seconds at most.
const DRAIN: Duration = Duration::from_secs(20);

/// Serves until `stop` is set; then tests are stopped, their ends told, and connections closed.
pub(crate) async fn serve(
    listener: std::net::TcpListener,
    desk: Arc<Desk>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let mut clients = JoinSet::new();
    let (close, closing) = watch::channel(false);
    loop {
        let has_room = clients.len() < CONNECTIONS_MAX;
        tokio::select! {
            () = set(&mut stop) => break,
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, _)) => {
                    clients.spawn(client(stream, Arc::clone(&desk), closing.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "connections cannot be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = clients.join_next() => {}
        }
    }
    drop(listener);
    let ends = async {
        for mut progress in desk.stop() {
            // An error means that the test has ended and is gone.
            drop(progress.wait_for(|progress| progress.end.is_some()).await);
        }
    };
    if timeout(DRAIN, ends).await.is_err() {
        tracing::error!("a test does not end");
    }
    close.send_replace(true);
    let all = async { while clients.join_next().await.is_some() {} };
    if timeout(DRAIN, all).await.is_err() {
        clients.shutdown().await;
    }
    Ok(())
}

/// Serves one connection to its end.
async fn client(stream: TcpStream, desk: Arc<Desk>, mut closing: watch::Receiver<bool>) {
    // An error here means that the peer is gone; the first read says so.
    drop(stream.set_nodelay(true));
    let lifetime = desk.settings().caps.duration.as_duration() + FAREWELL;
    let service = service_fn(move |request| answer(Arc::clone(&desk), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let served = async {
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            end = connection.as_mut() => return end,
            () = set(&mut closing) => {}
        }
        connection.as_mut().graceful_shutdown();
        connection.await
    };
    // Failures of single connections concern nobody but their client, who sees them.
    drop(timeout(lifetime, served).await);
}

/// Waits until a switch is on, or nobody is left to turn it.
async fn set(switch: &mut watch::Receiver<bool>) {
    drop(switch.wait_for(|is_set| *is_set).await);
}
