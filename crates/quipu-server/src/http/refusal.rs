//! What is said where there is no request to answer.

use quipu_wire::http::problem::{Kind, MEDIA_TYPE, Problem};
use quipu_wire::json::reply;

/// A whole response with a problem, for where there is no request to answer.
pub(crate) fn raw_problem(problem: &Problem) -> Vec<u8> {
    let mut body = Vec::new();
    reply::write(problem, &mut body);
    let (status, length) = (problem.status(), body.len());
    let title = problem.kind.line().title;
    let retry =
        problem.retry_after_s().map(|s| format!("Retry-After: {s}\r\n")).unwrap_or_default();
    let mut response = format!(
        "HTTP/1.1 {status} {title}\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {length}\r\n\
         {retry}Connection: close\r\n\r\n"
    )
    .into_bytes();
    response.append(&mut body);
    response
}

/// The problem for what hyper refuses by itself, with this status, as no request.
pub(crate) fn no_request(status: u16) -> Problem {
    match status {
        431 => Problem::new(Kind::BigHead, "the head has more bytes or lines than allowed"),
        414 => Problem::new(Kind::LongTarget, "the path and query are too long"),
        _ => Problem::new(Kind::BadRequest, "this is not a request of HTTP/1.1"),
    }
}
