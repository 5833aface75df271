//! A target of frames: what it is told, and what becomes of requests.

use std::sync::Arc;

use quipu_lab::request::{Requests, Run, Stream};
use quipu_lab::scenario::Scenario;
use quipu_lab::slot::Slot;

use crate::driver::http2::encode::Fields;
use crate::driver::http2::frame::{self, Frame};
use crate::driver::http2::{Http2, WINDOW_DEFAULT};
use crate::driver::{Done, Driver as _};

/// A target in whose place the tests speak.
struct Target {
    http2: Http2,
    output: Vec<u8>,
    done: Vec<Done>,
}

/// A frame that was sent: its kind, flags and stream, and its content.
type Sent = ((u8, u8, u32), Vec<u8>);

impl Target {
    /// A connection whose target has said its settings. `lines` are of the table of the target.
    fn new(lines: &str, settings: &[(u16, u32)]) -> Self {
        let text = format!(
            "version = 1\nname = \"test\"\n[target]\nkind = \"http\"\nversion = \"2\"\n\
             url = \"http://h:1/a\"\n{lines}\n[[phase]]\nname = \"main\"\nrate = 1\nfor = \"1s\"\n"
        );
        let scenario = Scenario::parse(&text, None, &|_| Err(String::new())).expect("a scenario");
        let requests = Requests::new(&scenario, Run { id: 1, start_wall_ms: 0 });
        let fields = Arc::new(Fields::new(&requests, "h:1", false));
        let mut http2 = Http2::new(requests, fields, 4);
        let mut output = Vec::new();
        http2.open(&mut output);
        assert!(output.starts_with(frame::PREFACE));
        assert!(!http2.is_ready());
        let mut target = Self { http2, output: Vec::new(), done: Vec::new() };
        let mut content = Vec::new();
        for (name, value) in settings {
            frame::setting(*name, *value, &mut content);
        }
        target.says(frame::SETTINGS, 0, 0, &content);
        assert_eq!(target.sent(), [((frame::SETTINGS, frame::ACK, 0), vec![])]);
        assert!(target.http2.is_ready());
        target
    }

    fn request(&mut self) -> u64 {
        self.http2.send(&Slot { number: 7, phase: 0, due_ns: 0 }, Stream::of(0), &mut self.output)
    }

    /// Says a frame, in pieces, and returns whether the connection lives on.
    fn try_says(&mut self, kind: u8, flags: u8, stream: u32, content: &[u8]) -> bool {
        let mut bytes = Vec::new();
        frame::head(content.len(), kind, flags, stream, &mut bytes);
        bytes.extend_from_slice(content);
        let (mut input, mut is_alive) = (Vec::new(), true);
        for piece in bytes.chunks(5) {
            input.extend_from_slice(piece);
            match self.http2.receive(&input, &mut self.output, &mut self.done) {
                Ok(taken) => drop(input.drain(..taken)),
                Err(_) => is_alive = false,
            }
        }
        is_alive
    }

    fn says(&mut self, kind: u8, flags: u8, stream: u32, content: &[u8]) {
        assert!(self.try_says(kind, flags, stream, content), "{kind} is understood");
    }

    /// Returns the frames that were sent since the last time.
    fn sent(&mut self) -> Vec<Sent> {
        let output = std::mem::take(&mut self.output);
        let (mut rest, mut sent) = (&output[..], Vec::new());
        while let Some(frame) = Frame::read(rest).expect("a frame") {
            sent.push(((frame.kind, frame.flags, frame.stream), frame.content.to_vec()));
            rest = &rest[frame.len()..];
        }
        assert!(rest.is_empty());
        sent
    }

    /// Returns the ends since the last time: tags, and `ok` or the name of the failure.
    fn ends(&mut self) -> Vec<(u64, String)> {
        let name = |done: Done| match done.outcome {
            Ok(()) => (done.tag, "ok".to_owned()),
            Err(failure) => (done.tag, failure.to_string()),
        };
        self.done.drain(..).map(name).collect()
    }
}

fn ends(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
    expected.iter().map(|(tag, name)| (*tag, (*name).to_owned())).collect()
}

const ENDS_ALL: u8 = frame::END_HEADERS | frame::END_STREAM;

#[test]
fn headers_that_stay_the_same_are_said_once() {
    let lines =
        "method = \"PUT\"\nbody = \"{{n}}\"\n[target.headers]\nX-A = \"b\"\nUpgrade = \"no\"";
    let mut target = Target::new(lines, &[]);
    assert_eq!((target.request(), target.request()), (1, 3));
    let sent = target.sent();
    let kinds: Vec<_> = sent.iter().map(|(head, _)| *head).collect();
    let (headers, data) = ((frame::HEADERS, frame::END_HEADERS), (frame::DATA, frame::END_STREAM));
    let of = |(kind, flags), stream| (kind, flags, stream);
    assert_eq!(kinds, [of(headers, 1), of(data, 1), of(headers, 3), of(data, 3)]);
    let first = b"\x42\x03PUT\x86\x41\x03h:1\x44\x02/a\x40\x03x-a\x01b\x0f\x0d\x011";
    assert_eq!(sent[0].1.escape_ascii().to_string(), first.escape_ascii().to_string());
    assert_eq!(sent[2].1, b"\xc1\x86\xc0\xbf\xbe\x0f\x0d\x011");
    assert_eq!((&sent[1].1, &sent[3].1), (&b"7".to_vec(), &b"7".to_vec()));
}

#[test]
fn a_target_without_a_table_gets_all_headers_each_time() {
    let mut target = Target::new("", &[(frame::SETTINGS_HEADER_TABLE_SIZE, 0)]);
    target.request();
    target.request();
    let sent = target.sent();
    assert_eq!(sent[0].1, b"\x20\x20\x82\x86\x01\x03h:1\x04\x02/a");
    assert_eq!(sent[1].1, b"\x82\x86\x01\x03h:1\x04\x02/a");
}

#[test]
fn answers_end_requests_in_any_order() {
    let mut target = Target::new("[target.expect]\n status = [200]\ncontains = \"yes\"", &[]);
    for _ in 0..4 {
        target.request();
    }
    target.says(frame::HEADERS, frame::END_HEADERS, 3, b"\x88");
    // A padded frame, and another in the middle of a body.
    target.says(frame::DATA, 0x8, 3, b"\x02ye\0\0");
    target.says(frame::HEADERS, ENDS_ALL, 5, b"\x8d");
    target.says(frame::DATA, frame::END_STREAM, 3, b"s");
    assert_eq!(target.ends(), ends(&[(5, "4xx"), (3, "ok")]));
    // An answer that says that another comes, headers in three frames with a priority, trailers.
    target.says(frame::HEADERS, frame::END_HEADERS, 1, b"\x08\x03103");
    target.says(frame::HEADERS, 0x20, 1, b"\0\0\0\0\0\x88");
    target.says(frame::CONTINUATION, 0, 1, b"\x0f\x0d");
    target.says(frame::CONTINUATION, frame::END_HEADERS, 1, b"\x013");
    target.says(frame::DATA, 0, 1, b"no");
    target.says(frame::HEADERS, ENDS_ALL, 1, b"\x00\x01a\x01b");
    assert_eq!(target.ends(), ends(&[(1, "validation")]));
}

#[test]
fn what_the_target_refuses_has_its_own_class() {
    let mut target = Target::new("", &[]);
    for _ in 0..4 {
        target.request();
    }
    target.says(frame::RST_STREAM, 0, 1, &frame::REFUSED_STREAM.to_be_bytes());
    target.says(frame::RST_STREAM, 0, 3, &2_u32.to_be_bytes());
    assert!(!target.http2.is_last());
    target.says(frame::GOAWAY, 0, 0, &[0, 0, 0, 5, 0, 0, 0, 0]);
    assert!(target.http2.is_last());
    let expected = [(1, "refused-stream"), (3, "reset-stream"), (7, "goaway")];
    assert_eq!(target.ends(), ends(&expected));
    target.says(frame::HEADERS, ENDS_ALL, 5, b"\x88");
    assert_eq!(target.ends(), ends(&[(5, "ok")]), "what was begun comes to its end");
}

#[test]
fn no_more_streams_are_opened_than_the_target_permits() {
    let mut target = Target::new("", &[(frame::SETTINGS_MAX_CONCURRENT_STREAMS, 2)]);
    assert_eq!(target.http2.depth(), 2);
    target.says(frame::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]);
    assert_eq!(target.http2.depth(), 4);
}

#[test]
fn a_body_waits_for_the_windows() {
    let body = "x".repeat(100_000);
    let mut target = Target::new(&format!("method = \"POST\"\nbody = \"{body}\""), &[]);
    target.request();
    assert_eq!(target.http2.depth(), 0, "nothing overtakes it");
    let len = |sent: &[Sent]| -> usize {
        let data = sent.iter().filter(|(head, _)| head.0 == frame::DATA);
        data.map(|(_, content)| content.len()).sum()
    };
    let sent = target.sent();
    assert_eq!(len(&sent), WINDOW_DEFAULT as usize);
    assert!(sent.iter().all(|(head, _)| head.1 & frame::END_STREAM == 0));
    target.says(frame::WINDOW_UPDATE, 0, 0, &60_000_u32.to_be_bytes());
    assert_eq!(len(&target.sent()), 0, "the window of the stream is closed");
    target.says(frame::WINDOW_UPDATE, 0, 1, &60_000_u32.to_be_bytes());
    let sent = target.sent();
    assert_eq!(len(&sent), 100_000 - WINDOW_DEFAULT as usize);
    assert_eq!(sent.last().map(|(head, _)| head.1), Some(frame::END_STREAM));
    assert_eq!(target.http2.depth(), 4);
    // The windows of streams follow the settings, below nothing too.
    target.says(frame::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    target.request();
    assert_eq!(len(&target.sent()), 0);
    target.says(frame::HEADERS, ENDS_ALL, 3, b"\x88");
    let told = ((frame::RST_STREAM, 0, 3), frame::CANCEL.to_be_bytes().to_vec());
    assert_eq!(target.sent(), [told], "an early answer ends the request");
    assert_eq!(target.http2.depth(), 4);
}

#[test]
fn a_request_that_is_given_up_leaves_the_others_alone() {
    let mut target = Target::new("", &[]);
    let (late, other) = (target.request(), target.request());
    target.sent();
    assert!(target.http2.cancel(late, &mut target.output));
    assert_eq!(target.sent()[0].0, (frame::RST_STREAM, 0, 1));
    // Its answer was on its way.
    target.says(frame::HEADERS, frame::END_HEADERS, 1, b"\x48\x03201");
    target.says(frame::DATA, frame::END_STREAM, 1, b"late");
    target.says(frame::HEADERS, ENDS_ALL, 3, b"\xbe");
    assert_eq!(target.ends(), ends(&[(other, "ok")]), "the table was kept");
}

#[test]
fn a_ping_is_answered() {
    let mut target = Target::new("", &[]);
    target.says(frame::PING, 0, 0, b"12345678");
    target.says(frame::PING, frame::ACK, 0, b"12345678");
    let pong = ((frame::PING, frame::ACK, 0), b"12345678".to_vec());
    assert_eq!(target.sent(), [pong]);
}

#[test]
fn what_is_not_of_the_protocol_ends_the_connection() {
    let check = |kind, flags, stream, content: &[u8]| {
        let mut target = Target::new("", &[]);
        target.request();
        assert!(!target.try_says(kind, flags, stream, content), "{kind} {flags} {stream}");
    };
    check(frame::PUSH_PROMISE, frame::END_HEADERS, 1, b"\0\0\0\x02\x82");
    check(frame::DATA, 0, 3, b"of nothing");
    check(frame::HEADERS, ENDS_ALL, 3, b"\x88");
    check(frame::HEADERS, ENDS_ALL, 1, b"\x0f\x0d\x013");
    check(frame::CONTINUATION, frame::END_HEADERS, 1, b"\x88");
    check(frame::DATA, 0x8, 1, b"\x05abc");
    check(frame::SETTINGS, 0, 0, b"\0");
    check(frame::GOAWAY, 0, 0, b"\0");
    check(frame::DATA, 0, 1, &vec![0; frame::CONTENT_BYTES_MAX + 1]);
}

#[test]
fn an_answer_of_another_version_is_none() {
    let mut target = Target::new("", &[]);
    target.http2.open(&mut Vec::new());
    let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    assert!(target.http2.receive(answer, &mut Vec::new(), &mut Vec::new()).is_err());
}
