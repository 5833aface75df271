//! The requests of an ingest, encoded, and their answers, without allocation per line.

use quipu_wire::resp::value::{self, Token, Tokens};

use crate::block::Increment;
use crate::canary::{self, Bug};
use crate::connection::ConnectionError;
use crate::refusal::{Refusal, RefusalKind};
use crate::window::Cut;

/// The requests for one stream: all but the counter and the sequence is encoded once.
#[derive(Debug)]
pub struct StreamRequests {
    names: StreamNames,
    /// From after the delta up to the sequence.
    middle: Vec<u8>,
    /// Whether increments leave their stream out: only a deliberate bug does.
    is_plain: bool,
}

/// A stream, and the companion that keeps the cuts of its blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamNames {
    /// The stream of the increments.
    pub stream: String,
    /// The stream whose checkpoint is the newest cut.
    pub companion: String,
}

/// What became of one increment.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was added.
    Added,
    /// The stream's mark says that it was counted before.
    Repeated,
    /// The same request will be refused again: it counts as answered.
    Refused(Refusal),
    /// The same request may succeed later.
    Again(Refusal),
    /// Whether it was counted is not known, and the node will not say on this connection.
    Lost(Refusal),
    /// The node will not let this client do anything.
    Denied(Refusal),
}

impl StreamRequests {
    /// Prepares the requests for the stream of these names.
    pub fn new(names: StreamNames) -> StreamRequests {
        let mut middle = Vec::new();
        for part in [b"STREAM".as_slice(), names.stream.as_bytes()] {
            value::put_part(&mut middle, part);
        }
        let is_plain = canary::is(Bug::NoStreams);
        StreamRequests { names, middle, is_plain }
    }

    /// Returns the names.
    pub fn names(&self) -> &StreamNames {
        &self.names
    }

    /// Appends to `out` an increment, durably.
    pub fn put_add(&self, out: &mut Vec<u8>, increment: &Increment<'_>) {
        let parts = if self.is_plain { b'5' } else { b'8' };
        out.extend_from_slice(&[b'*', parts]);
        out.extend_from_slice(b"\r\n$9\r\nQUIPU.ADD\r\n");
        value::put_part(out, increment.name);
        put_delta(out, increment.delta);
        if !self.is_plain {
            out.extend_from_slice(&self.middle);
            value::put_number(out, increment.sequence);
        }
        out.extend_from_slice(b"$3\r\nACK\r\n$5\r\nfsync\r\n");
    }

    /// Appends to `out` the checkpoint that all up to `sequence` was answered.
    pub fn put_checkpoint(&self, out: &mut Vec<u8>, sequence: u64) {
        put_checkpoint(out, &self.names.stream, sequence);
    }

    /// Appends to `out` the cut of a block.
    pub fn put_cut(&self, out: &mut Vec<u8>, cut: Cut) {
        put_checkpoint(out, &self.names.companion, cut.encode());
    }
}

fn put_checkpoint(out: &mut Vec<u8>, stream: &str, sequence: u64) {
    value::put_header(out, 3);
    value::put_part(out, b"QUIPU.CHECKPOINT");
    value::put_part(out, stream.as_bytes());
    value::put_number(out, sequence);
}

fn put_delta(out: &mut Vec<u8>, delta: i64) {
    match u64::try_from(delta) {
        Ok(delta) => value::put_number(out, delta),
        Err(_) => value::put_part(out, delta.to_string().as_bytes()),
    }
}

/// Reads the answer to an increment: `[value, applied, position, repeat]` or an error.
///
/// # Errors
/// The reply has another shape.
pub fn read_add(reply: &[u8]) -> Result<Outcome, ConnectionError> {
    let mut tokens = Tokens::new(reply);
    match tokens.take()? {
        Token::Error(line) => return Ok(refused(Refusal::parse(line))),
        Token::Array(4) => {}
        _ => return Err(ConnectionError::Unexpected),
    }
    for _ in 0..3 {
        tokens.take()?;
    }
    match tokens.take()? {
        Token::Bulk(b"none") | Token::Simple(b"none") => Ok(Outcome::Added),
        Token::Bulk(b"stream") | Token::Simple(b"stream") => Ok(Outcome::Repeated),
        _ => Err(ConnectionError::Unexpected),
    }
}

/// Reads the answer to a checkpoint: a status line or an error.
///
/// # Errors
/// The reply has another shape.
pub fn read_checkpoint(reply: &[u8]) -> Result<Outcome, ConnectionError> {
    match Tokens::new(reply).take()? {
        Token::Error(line) => Ok(refused(Refusal::parse(line))),
        Token::Simple(_) => Ok(Outcome::Added),
        _ => Err(ConnectionError::Unexpected),
    }
}

/// What a refusal lets the sender do.
pub(crate) fn refused(refusal: Refusal) -> Outcome {
    match refusal.kind {
        RefusalKind::Busy
        | RefusalKind::Held(_)
        | RefusalKind::NoSpace
        | RefusalKind::OutOfMemory => Outcome::Again(refusal),
        RefusalKind::Unknown => Outcome::Lost(refusal),
        RefusalKind::Denied | RefusalKind::Other => Outcome::Denied(refusal),
        RefusalKind::Error | RefusalKind::Expired | RefusalKind::Conflict => {
            Outcome::Refused(refusal)
        }
    }
}

#[cfg(test)]
mod tests {
    use quipu_wire::resp::value::{Value, put_command};

    use super::{Outcome, StreamNames, StreamRequests, read_add, read_checkpoint};
    use crate::block::Increment;
    use crate::window::Cut;

    fn requests() -> StreamRequests {
        let (stream, companion) = ("file/1-2-3".to_owned(), "file/1-2-4".to_owned());
        StreamRequests::new(StreamNames { stream, companion })
    }

    #[test]
    fn an_increment_is_the_documented_command() {
        for delta in [1, i64::MAX, -25, i64::MIN] {
            let mut out = Vec::new();
            let increment = Increment { name: b"files/rs", delta, sequence: 17, lines: 3 };
            requests().put_add(&mut out, &increment);
            let delta = delta.to_string();
            let expected: [&[u8]; 8] = [
                b"QUIPU.ADD",
                b"files/rs",
                delta.as_bytes(),
                b"STREAM",
                b"file/1-2-3",
                b"17",
                b"ACK",
                b"fsync",
            ];
            assert_eq!(out, command(&expected));
            assert!(Value::decode(&out).is_ok());
        }
    }

    fn command(parts: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        put_command(&mut out, parts);
        out
    }

    #[test]
    fn checkpoints_and_cuts_are_the_documented_command() {
        let mut out = Vec::new();
        requests().put_checkpoint(&mut out, u64::MAX);
        let largest = b"18446744073709551615";
        assert_eq!(out, command(&[b"QUIPU.CHECKPOINT", b"file/1-2-3", largest]));
        out.clear();
        requests().put_cut(&mut out, Cut { from: 1, upto: 3 });
        let cut = (3_u64 * 1_048_576 + 2).to_string();
        assert_eq!(out, command(&[b"QUIPU.CHECKPOINT", b"file/1-2-4", cut.as_bytes()]));
    }

    #[test]
    fn every_answer_says_what_to_do_next() {
        let check = |reply: &str, expected: fn(&Outcome) -> bool| {
            let outcome = read_add(reply.as_bytes()).expect("an answer");
            assert!(expected(&outcome), "{reply:?}: {outcome:?}");
        };
        check("*4\r\n:5\r\n:1\r\n$5\r\n3:1:9\r\n$4\r\nnone\r\n", |o| *o == Outcome::Added);
        check("*4\r\n:5\r\n:0\r\n$5\r\n3:1:9\r\n+stream\r\n", |o| *o == Outcome::Repeated);
        check("-ERR overflow\r\n", |o| matches!(o, Outcome::Refused(_)));
        check("-HELD 5 wait\r\n", |o| matches!(o, Outcome::Again(_)));
        check("-BUSY\r\n", |o| matches!(o, Outcome::Again(_)));
        check("-NOSPACE\r\n", |o| matches!(o, Outcome::Again(_)));
        check("-UNKNOWN\r\n", |o| matches!(o, Outcome::Lost(_)));
        check("-NOPERM\r\n", |o| matches!(o, Outcome::Denied(_)));
        assert!(read_add(b":1\r\n").is_err());
        assert!(matches!(read_checkpoint(b"+OK\r\n"), Ok(Outcome::Added)));
        assert!(read_checkpoint(b":1\r\n").is_err());
    }
}
