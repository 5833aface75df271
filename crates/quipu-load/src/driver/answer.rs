//! Whether an answer over HTTP is the expected one, whichever version carried it.

use quipu_lab::failure::Failure;
use quipu_lab::scenario::Expect;

/// How much of a body is kept to look for the expected text.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Whether the body has to be kept.
pub(super) fn wants_body(expect: Option<&Expect>) -> bool {
    expect.is_some_and(|expect| expect.contains.is_some())
}

/// Keeps a part of a body.
pub(super) fn keep(part: &[u8], body: &mut Vec<u8>) {
    let room = BODY_BYTES_MAX - body.len().min(BODY_BYTES_MAX);
    body.extend_from_slice(part.get(..part.len().min(room)).unwrap_or_default());
}

/// Judges an answer by what is expected of it; one that nobody asked for is none.
///
/// # Errors
/// The class of what is wrong with it.
pub(super) fn judge(expect: Option<&Expect>, status: u16, body: &[u8]) -> Result<(), Failure> {
    let Some(expect) = expect else { return Err(Failure::Protocol) };
    let is_expected = match expect.statuses.as_slice() {
        [] => (200..300).contains(&status),
        statuses => statuses.contains(&status),
    };
    if !is_expected {
        return Err(Failure::of_status(status).unwrap_or(Failure::Validation));
    }
    match &expect.contains {
        Some(text) if memchr::memmem::find(body, text.as_bytes()).is_none() => {
            Err(Failure::Validation)
        }
        _ => Ok(()),
    }
}
