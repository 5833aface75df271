//! One client: its requests, its deadlines, its end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use quipu_metrics::label::ConnectionCut;
use quipu_wire::http::problem::{Kind, Problem};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::http::api::{Event, NodeApi};
use crate::http::express::{self, End};
use crate::http::limits::Surface;
use crate::http::link::{Lapse, Link, LinkIo};
use crate::http::refusal::raw_problem;
use crate::http::respond::{Gate, respond};

/// How long a closed connection is read on, so that its last answer is not lost to a reset. Guess.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes thrown away at once while lingering. Guess.
const LINGER_BYTES: usize = 4096;

/// Serves one client until it leaves, errs or lapses, or the node stops and it is answered.
pub(crate) async fn run<N: NodeApi>(
    stream: TcpStream,
    gate: Arc<Gate<N>>,
    mut stop: watch::Receiver<bool>,
) {
    // An error here means that the peer is gone; the first read says so.
    drop(stream.set_nodelay(true));
    let link = Arc::new(Link::new(stream, &gate.limits));
    drive(&link, &gate, &mut stop).await;
    gate.note_traffic(link.take_traffic());
    if let Some(link) = Arc::into_inner(link) {
        close(link).await;
    }
}

async fn drive<N: NodeApi>(
    link: &Arc<Link>,
    gate: &Arc<Gate<N>>,
    stop: &mut watch::Receiver<bool>,
) {
    let mut serving = std::pin::pin!(serve(link, gate));
    let mut sleep = std::pin::pin!(sleep_until(Instant::now() + gate.limits.idle_timeout));
    let mut stopping = std::pin::pin!(stop.wait_for(|is_stopping| *is_stopping));
    std::future::poll_fn(|cx| {
        link.begin_turn();
        if !link.is_stopping() && stopping.as_mut().poll(cx).is_ready() {
            link.stop();
        }
        if serving.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        poll_lapse(sleep.as_mut(), link, cx).map(|lapse| {
            if let Some(lapse) = lapse {
                cut(gate, link, lapse);
            }
        })
    })
    .await;
}

/// Serves requests: in the express lane while they are plain, by hyper from then on.
async fn serve<N: NodeApi>(link: &Arc<Link>, gate: &Arc<Gate<N>>) {
    let has_counters = gate.limits.surface == Surface::Counters;
    if has_counters && express::serve(link, gate).await == End::Closed {
        return;
    }
    let service = service_fn(|request: Request<Incoming>| {
        let (gate, link) = (Arc::clone(gate), Arc::clone(link));
        async move {
            let begun = link.begin_request();
            let response = respond(&gate, request, begun).await;
            link.end_request(false);
            gate.note_traffic(link.take_traffic());
            Ok::<Response<_>, std::convert::Infallible>(response)
        }
    });
    let mut connection = http1::Builder::new()
        .max_buf_size(gate.limits.header_bytes)
        .max_headers(gate.limits.headers)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(LinkIo(Arc::clone(link))), service);
    let mut is_told = false;
    let end = std::future::poll_fn(|cx| {
        let mut connection = Pin::new(&mut connection);
        let end = connection.as_mut().poll(cx);
        // Told after it has looked: it closes at once where it has seen nothing of a request.
        if end.is_ready() || is_told || !link.is_stopping() {
            return end;
        }
        is_told = true;
        connection.as_mut().graceful_shutdown();
        connection.poll(cx)
    });
    if end.await.is_err_and(|error| error.is_parse()) {
        gate.note(Event::Cut(ConnectionCut::Protocol));
    }
}

/// Ready when a deadline has passed, or without one when the connection is broken. The sleep is set
/// again only when it is too late for the deadline or over, so requests that come and go do not
/// move it.
fn poll_lapse(
    mut sleep: Pin<&mut Sleep>,
    link: &Link,
    cx: &mut Context<'_>,
) -> Poll<Option<Lapse>> {
    loop {
        let Ok(deadline) = link.end_turn(cx) else { return Poll::Ready(None) };
        let Some(deadline) = deadline else { return Poll::Pending };
        if deadline.is_over {
            return Poll::Ready(Some(deadline.lapse));
        }
        if sleep.is_elapsed() || deadline.at < sleep.deadline() {
            sleep.as_mut().reset(deadline.at);
        }
        if sleep.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        link.begin_turn();
    }
}

/// A client whose head did not come in time is told so; of others nothing is expected.
fn cut<N: NodeApi>(gate: &Gate<N>, link: &Link, lapse: Lapse) {
    let reason = match lapse {
        Lapse::Idle => ConnectionCut::Idle,
        Lapse::Stalled => ConnectionCut::Unread,
        Lapse::Head => {
            let problem = Problem::new(Kind::Slow, "the head did not come in time");
            link.gather(|out| out.append(&mut raw_problem(&problem)));
            ConnectionCut::Slow
        }
    };
    gate.note(Event::Cut(reason));
}

/// Writes what is left, says that nothing follows, and reads on until the client has seen it: a
/// socket closed with unread bytes resets the connection and takes the answer with it.
async fn close(link: Link) {
    let farewell = async {
        std::future::poll_fn(|cx| link.poll_drain(cx)).await?;
        linger(link.into_stream()).await
    };
    // Out of time or out of connection: either way there is nobody left to tell.
    drop(timeout(LINGER, farewell).await);
}

async fn linger(mut stream: TcpStream) -> std::io::Result<()> {
    stream.shutdown().await?;
    let mut rest = [0; LINGER_BYTES];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Tells a client that there are too many, and closes.
pub(crate) async fn refuse(mut stream: TcpStream) {
    let problem = Problem::new(Kind::Unready, "too many connections; come again");
    let farewell = async {
        stream.write_all(&raw_problem(&problem)).await?;
        linger(stream).await
    };
    drop(timeout(LINGER, farewell).await);
}
