//! Plain HTTP requests as the node's express lane reads them, and as hyper does.
//!
//! The input is what a connection brings. Whatever the express lane takes for a request, hyper takes
//! for the same one: route, headers that ask for something, body, and where it ends. A part of such a
//! request is never taken for another.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use hyper::body::{Body, Incoming};
use hyper::header::HeaderMap;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use quipu_wire::http::ask;
use quipu_wire::http::route;

use crate::http::limits::HttpLimits;
use crate::http::plain::{self, Begin, REQUEST_BYTES_MAX};

/// Longest input: some requests, one of them as long as a plain one may be.
const INPUT_BYTES_MAX: usize = 3 * REQUEST_BYTES_MAX;

/// Turns that hyper is given: it takes one where it has read some requests, and there are few.
const TURNS_MAX: usize = 10_000;

/// A request as hyper has read it.
#[derive(Debug)]
struct Seen {
    method: String,
    target: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Tries one input.
pub fn run(input: &[u8]) {
    let input = input.get(..INPUT_BYTES_MAX).unwrap_or(input);
    let limits = HttpLimits::default();
    let mut seen = Vec::new();
    let (mut rest, mut number) = (input, 0);
    while let Begin::Plain(request, bytes) = plain::begin(rest, &limits) {
        if number == 0 {
            seen = hyper_sees(input, &limits);
        }
        let other: &Seen = seen.get(number).expect("hyper takes what the express lane takes");
        let route = route::find(&other.method, &other.target, |_| true).expect("the same route");
        assert_eq!(route, request.route);
        let headers = other.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        assert_eq!(ask::parse(headers).as_ref(), Ok(&request.asks));
        assert_eq!(other.body, request.body);
        let (whole, behind) = rest.split_at(bytes);
        parts(whole, &limits);
        (rest, number) = (behind, number + 1);
    }
}

/// Each part of a request is the beginning of one, and what follows one changes nothing of it.
fn parts(whole: &[u8], limits: &HttpLimits) {
    for end in [1, whole.len() / 2, whole.len() - 1] {
        let part = &whole[..end];
        assert!(matches!(plain::begin(part, limits), Begin::Head | Begin::Body), "{end}");
    }
    let Begin::Plain(_, bytes) = plain::begin(whole, limits) else { panic!("it was one before") };
    assert_eq!(bytes, whole.len());
}

/// The requests that hyper finds in what a connection brings, set up as the server does.
fn hyper_sees(input: &[u8], limits: &HttpLimits) -> Vec<Seen> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Arc::clone(&seen);
        async move {
            if let Some(request) = Seen::read(request).await {
                seen.lock().expect("one thread").push(request);
            }
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let io = Bytes { rest: input.to_vec(), start: 0 };
    let mut connection = http1::Builder::new()
        .max_buf_size(limits.header_bytes)
        .max_headers(limits.headers)
        .header_read_timeout(None)
        // All comes at once, and its end is not that of the answers.
        .half_close(true)
        .serve_connection(io, service);
    let mut cx = Context::from_waker(Waker::noop());
    // Nothing here waits for anybody, so it ends; how does not matter.
    let mut turns = (0..TURNS_MAX).map(|_| Pin::new(&mut connection).poll(&mut cx));
    assert!(turns.any(|end| end.is_ready()), "all bytes are there");
    drop(connection);
    std::mem::take(&mut *seen.lock().expect("one thread"))
}

impl Seen {
    /// Nothing if the body does not come to its end.
    async fn read(request: Request<Incoming>) -> Option<Self> {
        let (parts, body) = request.into_parts();
        let mut whole = Vec::new();
        let mut body = std::pin::pin!(body);
        while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            whole.extend_from_slice(frame.ok()?.data_ref()?);
        }
        let (method, target) = (parts.method.to_string(), parts.uri.to_string());
        Some(Self { method, target, headers: parts.headers, body: whole })
    }
}

/// A connection that brings bytes and then ends, and takes all that is written.
struct Bytes {
    rest: Vec<u8>,
    start: usize,
}

impl Read for Bytes {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut room: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let count = room.remaining().min(self.rest.len() - self.start);
        room.put_slice(&self.rest[self.start..self.start + count]);
        self.start += count;
        Poll::Ready(Ok(()))
    }
}

impl Write for Bytes {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
