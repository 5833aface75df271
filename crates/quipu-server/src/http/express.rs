//! The express lane of a connection: plain requests, one after the other.
//!
//! A connection begins here and stays as long as its requests are plain. With the first one that is
//! not it goes over to hyper, unread and for good: so there is no second opinion about where a
//! request ends.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use hyper::StatusCode;
use hyper::header::{CONNECTION, CONTENT_TYPE};
use quipu_wire::http::problem::Problem;
use quipu_wire::json::reply;
use tokio::io::ReadBuf;
use tokio::time::{Instant, timeout_at};

use crate::http::api::{Event, NodeApi};
use crate::http::body;
use crate::http::content::Content;
use crate::http::link::Link;
use crate::http::plain::{self, Begin, Plain, REQUEST_BYTES_MAX};
use crate::http::respond::{self, Gate, JSON};

/// Room for the body of an answer. Measured: an add has 130 bytes and its counter's name.
const ANSWER_BYTES: usize = 256;

/// How the express lane of a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With a request that is not plain; its bytes are with the link.
    Other,
    /// With the connection.
    Closed,
}

/// Serves plain requests until another comes or the connection ends.
pub(crate) async fn serve<N: NodeApi>(link: &Link, gate: &Gate<N>) -> End {
    let mut lane = Lane { link, gate, input: Input::new(), body: Vec::with_capacity(ANSWER_BYTES) };
    let end = lane.run().await;
    link.hand_over(lane.input.unread());
    end.unwrap_or(End::Closed)
}

struct Lane<'a, N> {
    link: &'a Link,
    gate: &'a Gate<N>,
    input: Input,
    /// The body of the last answer, kept for its room.
    body: Vec<u8>,
}

impl<N: NodeApi> Lane<'_, N> {
    /// # Errors
    /// The connection is broken.
    async fn run(&mut self) -> io::Result<End> {
        loop {
            let end = match plain::begin(self.input.unread(), &self.gate.limits) {
                Begin::Plain(request, bytes) => {
                    let begun = self.link.begin_request();
                    let answering = answer(self.gate, &request, &mut self.body);
                    let answered = until_gone(self.link, answering).await;
                    self.input.consume(bytes);
                    answered
                        .is_none_or(|answered| self.send(&answered, begun))
                        .then_some(End::Closed)
                }
                Begin::Head => (self.read().await? == 0).then(|| self.input.end()),
                Begin::Body => {
                    let deadline = self.link.begin_request() + self.gate.limits.body_timeout;
                    // hyper has words for a body that does not come.
                    let read = timeout_at(deadline, self.read()).await;
                    (!matches!(read, Ok(Ok(1..)))).then_some(End::Other)
                }
                Begin::Other => Some(End::Other),
            };
            if let Some(end) = end {
                return Ok(end);
            }
            std::future::poll_fn(|cx| self.link.poll_room(cx)).await?;
        }
    }

    /// Gathers a response; says whether it is the last one.
    fn send(&self, answered: &Result<(), Problem>, begun: Instant) -> bool {
        let is_last = self.link.is_stopping();
        let traffic = self.link.answer(self.input.has_unread(), |out| {
            word(self.gate, answered, &self.body, is_last, out);
        });
        self.gate.note_traffic(traffic);
        self.gate.note(Event::Answered(begun.elapsed()));
        is_last
    }

    /// Reads what there is; 0 at the end, and where the node stops first.
    async fn read(&mut self) -> io::Result<usize> {
        let (link, input) = (self.link, &mut self.input);
        std::future::poll_fn(|cx| match input.poll_read(link, cx) {
            Poll::Pending if link.is_stopping() => Poll::Ready(Ok(0)),
            read => read,
        })
        .await
    }
}

/// Does what a request asks and leaves the body of the answer in `out`.
async fn answer<N: NodeApi>(
    gate: &Gate<N>,
    request: &Plain<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    out.clear();
    let Plain { route, asks, body } = request;
    let _share = match body::reserve(&gate.inflight, body.len()) {
        Ok(share) => share,
        Err(busy) => {
            respond::hold_stream(gate, route, asks);
            return Err(busy);
        }
    };
    let done = respond::operate_counter(gate, route, asks, body).await?;
    reply::write(&done, out);
    Ok(())
}

/// Nothing where the client leaves before the answer is there.
async fn until_gone<T>(link: &Link, answering: impl Future<Output = T>) -> Option<T> {
    let mut answering = pin!(answering);
    std::future::poll_fn(|cx| match answering.as_mut().poll(cx) {
        Poll::Ready(answered) => Poll::Ready(Some(answered)),
        Poll::Pending => link.poll_gone(cx).map(|()| None),
    })
    .await
}

/// Appends a response. hyper words one in the same way.
fn word<N: NodeApi>(
    gate: &Gate<N>,
    answered: &Result<(), Problem>,
    body: &[u8],
    is_last: bool,
    out: &mut Vec<u8>,
) {
    match answered {
        Ok(()) => {
            push_status(StatusCode::OK, out);
            push_line(CONTENT_TYPE.as_str(), JSON.as_bytes(), out);
            push_rest(gate, body, is_last, out);
        }
        Err(problem) => {
            let response = respond::failure(gate, problem);
            push_status(response.status(), out);
            for (name, value) in response.headers() {
                push_line(name.as_str(), value.as_bytes(), out);
            }
            let Content::Whole(body) = response.into_body() else { return };
            push_rest(gate, &body, is_last, out);
        }
    }
}

fn push_status(status: StatusCode, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn push_line(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn push_rest<N: NodeApi>(gate: &Gate<N>, body: &[u8], is_last: bool, out: &mut Vec<u8>) {
    push_line("content-length", itoa::Buffer::new().format(body.len()).as_bytes(), out);
    if is_last {
        push_line(CONNECTION.as_str(), b"close", out);
    }
    out.extend_from_slice(b"date: ");
    gate.date.append(out);
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
}

/// What was read and not yet answered; at most one plain request that is not whole.
#[derive(Debug)]
struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    fn new() -> Self {
        Self { bytes: vec![0; REQUEST_BYTES_MAX], start: 0, end: 0 }
    }

    fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    fn has_unread(&self) -> bool {
        self.start < self.end
    }

    fn consume(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.end);
    }

    /// How it ends where nothing follows: hyper has words for what is no whole request.
    fn end(&self) -> End {
        if self.has_unread() { End::Other } else { End::Closed }
    }

    /// Reads behind what is there. There is room: what fills all of it is no part of a plain request.
    fn poll_read(&mut self, link: &Link, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let mut room = ReadBuf::new(self.bytes.get_mut(self.end..).unwrap_or_default());
        ready!(link.poll_read(cx, &mut room))?;
        let bytes = room.filled().len();
        self.end += bytes;
        Poll::Ready(Ok(bytes))
    }
}
