//! The body of a request, within its bounds.

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use quipu_wire::http::problem::{Kind, Problem};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use crate::http::limits::HttpLimits;

/// A body and its share of what may be in flight, given back with it.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
    share: Option<SemaphorePermit<'a>>,
}

/// Reads a body whose head was complete at `begun`.
///
/// # Errors
/// It is too big, too slow, broken off, or too much is in flight.
pub(crate) async fn read<'a>(
    incoming: Incoming,
    begun: Instant,
    limits: &HttpLimits,
    inflight: &'a Semaphore,
) -> Result<Body<'a>, Problem> {
    if incoming.is_end_stream() {
        return Ok(Body { bytes: Vec::new(), share: None });
    }
    if incoming.size_hint().lower() > limits.body_bytes as u64 {
        return Err(too_big(limits));
    }
    let deadline = begun + limits.body_timeout;
    match timeout_at(deadline, collect(incoming, limits, inflight)).await {
        Ok(body) => body,
        Err(_) => Err(Problem::new(Kind::Slow, "the body did not come in time")),
    }
}

async fn collect<'a>(
    mut incoming: Incoming,
    limits: &HttpLimits,
    inflight: &'a Semaphore,
) -> Result<Body<'a>, Problem> {
    let mut body = Body { bytes: Vec::new(), share: None };
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|_| Problem::new(Kind::BadRequest, "the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        if body.bytes.len() + data.len() > limits.body_bytes {
            return Err(too_big(limits));
        }
        body.reserve(inflight, data.len())?;
        body.bytes.extend_from_slice(&data);
    }
    Ok(body)
}

impl<'a> Body<'a> {
    fn reserve(&mut self, inflight: &'a Semaphore, bytes: usize) -> Result<(), Problem> {
        let share = reserve(inflight, bytes)?;
        match &mut self.share {
            Some(all) => all.merge(share),
            None => self.share = Some(share),
        }
        Ok(())
    }
}

/// Takes a share of what may be in flight.
///
/// # Errors
/// So much is not left.
pub(crate) fn reserve(inflight: &Semaphore, bytes: usize) -> Result<SemaphorePermit<'_>, Problem> {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    let busy = |_| Problem::new(Kind::Busy, "too much is in flight; retry");
    inflight.try_acquire_many(bytes).map_err(busy)
}

fn too_big(limits: &HttpLimits) -> Problem {
    let detail = format!("a body has at most {} bytes, this one has more", limits.body_bytes);
    Problem::new(Kind::TooBig, detail)
}
