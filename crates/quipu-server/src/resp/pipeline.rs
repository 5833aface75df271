//! Commands of a pipeline found ahead of their execution, so that memory can be asked for in time.
//!
//! With many counters nearly every operation waits for memory, and a fresh token always does. While
//! one command runs, the cells of the next ones are on their way.

use quipu_core::node::Sought;
use quipu_wire::resp::command::token;
use quipu_wire::resp::error::ProtocolError;
use quipu_wire::resp::frame::{Args, FrameLimits, Parsed, Request, parse};

use crate::hub::Hub;

/// How many commands are found ahead. Guess: 16 lines in flight are about what a core can have.
const AHEAD: usize = 16;

/// Commands found ahead; one for each event loop.
#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    found: Vec<Found>,
    len: usize,
}

#[derive(Debug, Default)]
struct Found {
    args: Args,
    start: usize,
    end: usize,
    /// Where what it names will be looked for.
    sought: Option<Sought>,
}

/// Why no more commands were found.
#[derive(Debug)]
pub(crate) enum Stop {
    /// There may be more.
    Enough,
    /// The rest is the beginning of a command.
    Incomplete,
    /// The rest is not the protocol.
    Broken(ProtocolError),
}

impl Pipeline {
    /// Finds commands in `bytes` from `at` on. `args` keeps the progress of an incomplete one.
    pub(crate) fn look(
        &mut self,
        bytes: &[u8],
        mut at: usize,
        limits: &FrameLimits,
        args: &mut Args,
    ) -> Stop {
        self.len = 0;
        while self.len < AHEAD {
            let rest = bytes.get(at..).unwrap_or(&[]);
            match parse(rest, limits, args) {
                Ok(Parsed::Incomplete) => return Stop::Incomplete,
                Ok(Parsed::Empty { consumed }) => at += consumed,
                Ok(Parsed::Command { consumed }) => {
                    self.keep(args, at, at + consumed);
                    at += consumed;
                }
                Err(error) => return Stop::Broken(error),
            }
        }
        Stop::Enough
    }

    fn keep(&mut self, args: &mut Args, start: usize, end: usize) {
        if self.len == self.found.len() {
            self.found.push(Found::default());
        }
        if let Some(found) = self.found.get_mut(self.len) {
            std::mem::swap(&mut found.args, args);
            (found.start, found.end) = (start, end);
            self.len += 1;
        }
    }

    /// How many were found.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// One of them, and where it ends.
    #[inline]
    pub(crate) fn get<'a>(&'a self, index: usize, bytes: &'a [u8]) -> Option<(Request<'a>, usize)> {
        let found = self.found.get(index).filter(|_| index < self.len)?;
        let frame = bytes.get(found.start..found.end).unwrap_or(&[]);
        Some((found.args.request(frame), found.end))
    }

    /// Asks for the memory of the counters and tokens that the commands after the first name.
    /// What one command waits for others do not wait for in turn: one loop asks for all that the
    /// next one looks at.
    pub(crate) fn prefetch(&mut self, hub: &Hub, bytes: &[u8]) {
        for found in self.found.iter_mut().take(self.len).skip(1) {
            let request = found.args.request(bytes.get(found.start..found.end).unwrap_or(&[]));
            found.sought = request.get(1).map(|name| hub.node.seek(name, token(request)));
            found.sought.iter().for_each(|sought| hub.node.prefetch_index(sought));
        }
        let sought = self.found.iter().take(self.len).skip(1).filter_map(|found| found.sought);
        sought.for_each(|sought| hub.node.prefetch(&sought));
    }
}
