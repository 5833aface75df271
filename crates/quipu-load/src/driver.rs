//! What is said on one connection: a protocol without a socket.
//!
//! A driver turns slots into bytes and bytes into ends of requests. The loop owns the socket, the
//! buffers and the times; it asks for nothing else, so a new protocol is one implementation of
//! [`Driver`] and one arm in `run`.

mod answer;
pub mod http;
pub mod http2;
pub mod resp;

use quipu_lab::failure::Failure;
use quipu_lab::request::Stream;
use quipu_lab::slot::Slot;

/// One request that came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// What [`Driver::send`] returned for it.
    pub tag: u64,
    /// How it ended.
    pub outcome: Result<(), Failure>,
}

/// What is said on one connection.
pub trait Driver {
    /// Prepares for a new connection: forgets all of the last one, and appends what is said first.
    fn open(&mut self, output: &mut Vec<u8>);

    /// Appends the request of `slot`, with tokens of `stream`, and returns the tag that its end will
    /// carry. Protocols that answer in order count up; others may take their own number, such as that
    /// of a stream of theirs.
    fn send(&mut self, slot: &Slot, stream: Stream, output: &mut Vec<u8>) -> u64;

    /// Takes what it can of `input`, appends the ends that it found and what must be said now (an
    /// acknowledgement of settings, say), and returns how many bytes it took. The rest is given
    /// again, with more behind it.
    ///
    /// # Errors
    /// What came is not of this protocol: the connection ends, and with it all that is under way.
    fn receive(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        done: &mut Vec<Done>,
    ) -> Result<usize, Failure>;

    /// The other side has ended the connection: appends what that ends well, such as a body without
    /// a length.
    fn end(&mut self, done: &mut Vec<Done>) {
        let _ = done;
    }

    /// Returns how many requests may be under way at once, as things stand.
    fn depth(&self) -> usize;

    /// Whether requests can be sent on a new connection. One that waits for what the target says first
    /// is looked at again when that has come.
    fn is_ready(&self) -> bool {
        true
    }

    /// Gives up a request, and appends what tells the target so. Returns whether that is possible: if
    /// not, the connection ends with it.
    fn cancel(&mut self, tag: u64, output: &mut Vec<u8>) -> bool {
        let _ = (tag, output);
        false
    }

    /// Appends what asks the target for a sign of life, and returns whether the protocol has such a
    /// thing.
    fn ask(&mut self, output: &mut Vec<u8>) -> bool {
        let _ = output;
        false
    }

    /// Whether the target said that it ends the connection after the last answer.
    fn is_last(&self) -> bool {
        false
    }
}
