//! The protocol of Redis, version 2: commands from templates, replies read where they lie.

use std::collections::VecDeque;

use quipu_lab::failure::{Failure, Word};
use quipu_lab::request::{Requests, Stream};
use quipu_lab::scenario::{Expect, ReplyType, Request};
use quipu_lab::slot::Slot;

use crate::driver::{Done, Driver};

/// The longest reply that is taken: enough for any counter, and a bound for a target gone mad.
const REPLY_BYTES_MAX: usize = 64 << 20;
/// The deepest nesting of arrays that is taken; Redis's own `COMMAND` has 5.
const DEPTH_MAX: usize = 8;

/// Says commands on one connection.
#[derive(Debug)]
pub struct Resp {
    requests: Requests,
    pipeline: usize,
    next_tag: u64,
    /// The tag of the next reply and the operations that are under way, in order.
    under_way: VecDeque<u16>,
    argument: Vec<u8>,
}

impl Resp {
    /// Makes a driver with `pipeline` commands under way at most.
    pub fn new(requests: Requests, pipeline: u32) -> Self {
        let pipeline = pipeline.max(1) as usize;
        Self {
            requests,
            pipeline,
            next_tag: 0,
            under_way: VecDeque::with_capacity(pipeline),
            argument: Vec::new(),
        }
    }
}

impl Driver for Resp {
    fn open(&mut self, _output: &mut Vec<u8>) {
        self.next_tag += self.under_way.len() as u64;
        self.under_way.clear();
    }

    fn send(&mut self, slot: &Slot, stream: Stream, output: &mut Vec<u8>) -> u64 {
        let drawn = self.requests.draw(*slot);
        let filling = self.requests.filling(drawn, stream);
        let operation = self.requests.operations().get(usize::from(drawn.operation));
        if let Some(Request::Resp(arguments)) = operation.map(|operation| &operation.request) {
            length(b'*', arguments.len(), output);
            for argument in arguments {
                self.argument.clear();
                argument.render(&filling, &mut self.argument);
                bulk(&self.argument, output);
            }
        }
        self.under_way.push_back(drawn.operation);
        self.next_tag + self.under_way.len() as u64 - 1
    }

    fn receive(
        &mut self,
        input: &[u8],
        _output: &mut Vec<u8>,
        done: &mut Vec<Done>,
    ) -> Result<usize, Failure> {
        let mut taken = 0;
        while let Some(rest) = input.get(taken..).filter(|rest| !rest.is_empty()) {
            let end = match reply_len(rest, 0)? {
                Some(end) => end,
                None if rest.len() > REPLY_BYTES_MAX => return Err(Failure::Protocol),
                None => break,
            };
            let operation = self.under_way.pop_front().ok_or(Failure::Protocol)?;
            let reply = rest.get(..end).unwrap_or_default();
            let operations = self.requests.operations();
            let expect = operations.get(usize::from(operation)).map(|operation| &operation.expect);
            done.push(Done { tag: self.next_tag, outcome: judge(reply, expect) });
            self.next_tag += 1;
            taken += end;
        }
        Ok(taken)
    }

    fn depth(&self) -> usize {
        self.pipeline
    }
}

/// Whether the first reply is complete, or none at all.
pub(crate) fn is_complete(input: &[u8]) -> bool {
    !matches!(reply_len(input, 0), Ok(None))
}

/// Reads a complete array of numbers, in which null is 0; nothing if it is something else.
pub(crate) fn integers(reply: &[u8]) -> Option<Vec<i64>> {
    let mut at = line_len(reply)?;
    let count = number(reply, at - 1).ok()??;
    let mut values = Vec::with_capacity(count.min(reply.len()));
    for _ in 0..count {
        let rest = reply.get(at..)?;
        let len = reply_len(rest, 1).ok()??;
        let item = rest.get(..len)?;
        let text = item.get(line_len(item)?..).filter(|text| !text.is_empty());
        let text =
            text.map_or(Some("0"), |text| std::str::from_utf8(text.trim_ascii_end()).ok())?;
        values.push(text.parse().ok()?);
        at += len;
    }
    reply.starts_with(b"*").then_some(values)
}

fn line_len(input: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', input).map(|end| end + 1)
}

/// Writes the line of a length.
pub(crate) fn length(kind: u8, count: usize, output: &mut Vec<u8>) {
    output.push(kind);
    output.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
    output.extend_from_slice(b"\r\n");
}

/// Writes a text with its length.
pub(crate) fn bulk(bytes: &[u8], output: &mut Vec<u8>) {
    length(b'$', bytes.len(), output);
    output.extend_from_slice(bytes);
    output.extend_from_slice(b"\r\n");
}

/// Returns how long the first reply is, or nothing if it is not complete.
fn reply_len(input: &[u8], depth: usize) -> Result<Option<usize>, Failure> {
    let Some(&kind) = input.first() else { return Ok(None) };
    let Some(line_end) = memchr::memchr(b'\n', input) else { return Ok(None) };
    let after = line_end + 1;
    match kind {
        b'+' | b'-' | b':' => Ok(Some(after)),
        b'$' => match number(input, line_end)? {
            Some(bytes) if bytes <= REPLY_BYTES_MAX => {
                let end = after + bytes + 2;
                Ok((input.len() >= end).then_some(end))
            }
            Some(_) => Err(Failure::Protocol),
            None => Ok(Some(after)),
        },
        b'*' if depth < DEPTH_MAX => {
            let mut end = after;
            for _ in 0..number(input, line_end)?.unwrap_or(0) {
                let rest = input.get(end..).unwrap_or_default();
                let Some(len) = reply_len(rest, depth + 1)? else { return Ok(None) };
                end += len;
            }
            Ok(Some(end))
        }
        _ => Err(Failure::Protocol),
    }
}

/// Reads the number of the first line; nothing is a negative one, which means null.
fn number(input: &[u8], line_end: usize) -> Result<Option<usize>, Failure> {
    let line = input.get(1..line_end).unwrap_or_default().trim_ascii_end();
    if line.starts_with(b"-") {
        return Ok(None);
    }
    let text = std::str::from_utf8(line).map_err(|_| Failure::Protocol)?;
    text.parse().map(Some).map_err(|_| Failure::Protocol)
}

/// Says whether a complete reply is the expected one.
fn judge(reply: &[u8], expect: Option<&Expect>) -> Result<(), Failure> {
    let Some((&kind, rest)) = reply.split_first() else { return Err(Failure::Protocol) };
    if kind == b'-' {
        return Err(Failure::Resp(Word::first_of(rest)));
    }
    let Some(expect) = expect else { return Ok(()) };
    let is_null = rest.first() == Some(&b'-') && kind != b':' && kind != b'+';
    let found = match kind {
        _ if is_null => ReplyType::Null,
        b'+' => ReplyType::Simple,
        b':' => ReplyType::Integer,
        b'$' => ReplyType::Bulk,
        _ => ReplyType::Array,
    };
    if expect.reply.is_some_and(|reply| reply != found) {
        return Err(Failure::Validation);
    }
    match &expect.contains {
        Some(text) if memchr::memmem::find(reply, text.as_bytes()).is_none() => {
            Err(Failure::Validation)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use quipu_lab::failure::Failure;
    use quipu_lab::scenario::{Expect, ReplyType};

    use super::{integers, judge, reply_len};

    #[test]
    fn a_reply_ends_where_it_ends_however_it_comes() {
        let check = |reply: &str| {
            let bytes = reply.as_bytes();
            for len in 0..bytes.len() {
                assert_eq!(reply_len(&bytes[..len], 0), Ok(None), "{reply:?} cut at {len}");
            }
            let more = [bytes, b":1\r\n"].concat();
            assert_eq!(reply_len(&more, 0), Ok(Some(bytes.len())), "{reply:?}");
        };
        check("+OK\r\n");
        check("-ERR no\r\n");
        check(":12\r\n");
        check("$3\r\na\nb\r\n");
        check("$0\r\n\r\n");
        check("$-1\r\n");
        check("*-1\r\n");
        check("*2\r\n$1\r\nx\r\n*1\r\n:5\r\n");
        check("*0\r\n");
    }

    #[test]
    fn an_array_of_counters_is_read_and_a_missing_one_is_0() {
        assert_eq!(integers(b"*3\r\n$2\r\n12\r\n$-1\r\n$2\r\n-4\r\n"), Some(vec![12, 0, -4]));
        assert_eq!(integers(b"-ERR no\r\n"), None);
        assert_eq!(integers(b"*1\r\n$1\r\nx\r\n"), None);
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for bad in ["HTTP/1.1 200 OK\r\n", "$x\r\n", "$99999999999\r\n"] {
            assert_eq!(reply_len(bad.as_bytes(), 0), Err(Failure::Protocol), "{bad:?}");
        }
        let deep = "*1\r\n".repeat(20) + ":1\r\n";
        assert_eq!(reply_len(deep.as_bytes(), 0), Err(Failure::Protocol));
    }

    #[test]
    fn an_answer_is_judged_by_what_was_expected() {
        let check = |reply: &str, expect: &Expect, expected: Option<&str>| {
            let failure = judge(reply.as_bytes(), Some(expect)).err().map(|f| f.to_string());
            assert_eq!(failure.as_deref(), expected, "{reply:?} {expect:?}");
        };
        let any = Expect::default();
        check(":1\r\n", &any, None);
        check("$-1\r\n", &any, None);
        check("-BUSY later\r\n", &any, Some("resp:BUSY"));
        let integer = Expect { reply: Some(ReplyType::Integer), ..Expect::default() };
        check(":-1\r\n", &integer, None);
        check("+OK\r\n", &integer, Some("validation"));
        let null = Expect { reply: Some(ReplyType::Null), ..Expect::default() };
        check("$-1\r\n", &null, None);
        check("$1\r\nx\r\n", &null, Some("validation"));
        let text = Expect { contains: Some("ell".into()), ..Expect::default() };
        check("$5\r\nhello\r\n", &text, None);
        check("$5\r\nworld\r\n", &text, Some("validation"));
    }
}
