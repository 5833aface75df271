//! HTTP/2 as the load test reads it: frames, blocks of headers, windows.
//!
//! The input is a script of what happens on one connection: requests are sent or given up, and the
//! target says frames, well made or not. Whatever the cut of its bytes, the same ends come and the
//! same is said; a request ends once; what is said are whole frames, within the windows; and a block
//! of headers that is understood means to a decoder of another maker what it means here.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use loona_hpack::Decoder;
use quipu_lab::failure::Failure;
use quipu_lab::request::{Requests, Run, Stream};
use quipu_lab::scenario::Scenario;
use quipu_lab::slot::Slot;

use crate::driver::http2::Http2;
use crate::driver::http2::encode::Fields;
use crate::driver::{Done, Driver};
use crate::script::Script;

/// What a client says before its frames, and their heads (RFC 9113).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const ENDS_ALL: u8 = 5;
/// The table of headers that nobody has made smaller.
const TABLE_BYTES: usize = 4_096;
/// The window of a connection that nobody has widened.
const WINDOW: u64 = 65_535;
/// The most that is asked for at once, and events of a script.
const DEPTH: u32 = 5;
const EVENTS_MAX: usize = 64;

const SCENARIO: &str = r#"
version = 1
name = "fuzz"
[target]
kind = "http"
url = "http://h:1/{{n}}"
version = "2"
method = "POST"
body = "BODY"
headers = { x-a = "b" }
[target.expect]
contains = "yes"
[[phase]]
name = "main"
rate = 1
for = "1s"
"#;

/// One side of a comparison: a driver and what came of it.
struct Side {
    driver: Http2,
    input: Vec<u8>,
    output: Vec<u8>,
    done: Vec<Done>,
    failure: Option<Failure>,
}

/// Tries one input.
pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    if script.byte() & 1 == 1 {
        return blocks(&mut script);
    }
    let seed = usize::from(script.byte());
    let (mut whole, mut cut) = (Side::new(&LONG), Side::new(&LONG));
    let mut talk = Talk::default();
    for _ in 0..EVENTS_MAX {
        if script.is_done() || whole.failure.is_some() {
            break;
        }
        match script.below(6) {
            0 if talk.can_send(&whole) => {
                let tag = whole.send();
                assert_eq!(cut.send(), tag);
                talk.sent.push(tag);
            }
            1 => {
                if let Some(tag) = talk.give_up(script.below(8), &whole) {
                    assert!(whole.cancel(tag) && cut.cancel(tag));
                }
            }
            _ => {
                let said = spoken(&mut script);
                talk.hear(&said);
                whole.receive(&said, usize::MAX);
                cut.receive(&said, 1 + seed % 7);
            }
        }
        talk.check(&mut whole, &mut cut);
    }
}

/// What is sent, with bodies of 40,000 bytes, of which two are longer than the first window; and
/// without.
static LONG: Sent = LazyLock::new(|| sent(40_000));
static SHORT: Sent = LazyLock::new(|| sent(0));

type Sent = LazyLock<(Requests, Arc<Fields>)>;

fn sent(body_bytes: usize) -> (Requests, Arc<Fields>) {
    let text = SCENARIO.replace("BODY", &"b".repeat(body_bytes));
    let scenario = Scenario::parse(&text, None, &|_| Err(String::new())).expect("it is one");
    let requests = Requests::new(&scenario, Run { id: 1, start_wall_ms: 0 });
    let fields = Arc::new(Fields::new(&requests, "h:1", false));
    (requests, fields)
}

impl Side {
    fn new(sent: &Sent) -> Self {
        let (requests, fields) = &**sent;
        let mut driver = Http2::new(requests.clone(), Arc::clone(fields), DEPTH);
        let mut output = Vec::new();
        driver.open(&mut output);
        let said = output.split_off(PREFACE.len());
        assert_eq!(output, PREFACE, "it begins with the preface");
        Self { driver, input: Vec::new(), output: said, done: Vec::new(), failure: None }
    }

    fn send(&mut self) -> u64 {
        let slot = Slot { number: 7, phase: 0, due_ns: 0 };
        self.driver.send(&slot, Stream::of(0), &mut self.output)
    }

    fn cancel(&mut self, tag: u64) -> bool {
        self.driver.cancel(tag, &mut self.output)
    }

    /// Takes bytes in pieces.
    fn receive(&mut self, bytes: &[u8], piece: usize) {
        for part in bytes.chunks(piece) {
            self.input.extend_from_slice(part);
            match self.driver.receive(&self.input, &mut self.output, &mut self.done) {
                Ok(taken) => drop(self.input.drain(..taken)),
                Err(failure) => {
                    self.failure = Some(failure);
                    return;
                }
            }
        }
    }
}

/// What was said on the connection.
#[derive(Default)]
struct Talk {
    sent: Vec<u64>,
    given_up: BTreeSet<u64>,
    /// What the target said, from the last frame on that is not whole.
    heard: Vec<u8>,
    /// What its frames gave to the window of the connection.
    widened: u64,
    /// The bytes of bodies that were sent.
    body_bytes: u64,
}

impl Talk {
    fn can_send(&self, side: &Side) -> bool {
        let ended = side.done.len() + self.given_up.len();
        self.sent.len() - ended < side.driver.depth() && !side.driver.is_last()
    }

    /// Gives up a request that has not ended.
    fn give_up(&mut self, place: usize, side: &Side) -> Option<u64> {
        let tag = *self.sent.get(place)?;
        let has_ended = side.done.iter().any(|done| done.tag == tag);
        (!has_ended && self.given_up.insert(tag)).then_some(tag)
    }

    /// Adds up what the target gives to the window of the connection, which bytes that were not meant
    /// as a frame may do too.
    fn hear(&mut self, said: &[u8]) {
        self.heard.extend_from_slice(said);
        while let Some((kind, stream, content)) = first_frame(&self.heard) {
            if let (WINDOW_UPDATE, 0, Some(wider)) = (kind, stream, content.first_chunk()) {
                self.widened += u64::from(u32::from_be_bytes(*wider) & u32::MAX >> 1);
            }
            let bytes = HEAD_BYTES + content.len();
            self.heard.drain(..bytes);
        }
    }

    /// Compares the sides, and forgets what they have said.
    fn check(&mut self, whole: &mut Side, cut: &mut Side) {
        assert_eq!(whole.failure, cut.failure);
        assert_eq!(whole.done, cut.done, "the ends do not depend on the cut");
        assert!(whole.output == cut.output, "what is said does not depend on the cut");
        assert_eq!(whole.driver.depth(), cut.driver.depth());
        assert!(whole.driver.depth() <= DEPTH as usize);
        let sent = self.sent.iter().copied();
        let mut open: BTreeSet<u64> = sent.filter(|tag| !self.given_up.contains(tag)).collect();
        let ends = whole.done.iter().map(|done| done.tag);
        assert!(ends.into_iter().all(|tag| open.remove(&tag)), "a request of ours ends once");
        self.body_bytes += data_bytes(&whole.output);
        let (bytes, widened) = (self.body_bytes, self.widened);
        assert!(bytes <= WINDOW + widened, "{bytes} bytes of bodies in {widened}");
        whole.output.clear();
        cut.output.clear();
    }
}

/// What the target says as the script tells: a frame, or just bytes.
fn spoken(script: &mut Script<'_>) -> Vec<u8> {
    let kind = match script.byte() {
        byte @ 0..=199 => byte % 10,
        byte @ 200..=240 => byte,
        _ => return script.bytes(64).to_vec(),
    };
    let flags = script.byte();
    let stream = match script.byte() {
        byte @ 0..=240 => u32::from(byte % 16),
        _ => script.number() as u32,
    };
    let filled = if kind == DATA && script.chance(64) { script.number() as usize } else { 0 };
    let mut content = script.bytes(255).to_vec();
    content.resize(content.len().max(filled.min(17_000)), 0);
    frame(kind, flags, stream, &content)
}

fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (content.len() as u32).to_be_bytes();
    [&[a, b, c, kind, flags][..], &stream.to_be_bytes(), content].concat()
}

/// The kind, stream and content of the frame that bytes begin with; nothing if it is not whole.
fn first_frame(bytes: &[u8]) -> Option<(u8, u32, &[u8])> {
    let ([a, b, c, kind, _, stream @ ..], rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let len = u32::from_be_bytes([0, *a, *b, *c]) as usize;
    Some((*kind, u32::from_be_bytes(*stream) & u32::MAX >> 1, rest.get(..len)?))
}

/// Counts the bytes of bodies in what was said, which is whole frames.
fn data_bytes(said: &[u8]) -> u64 {
    let (mut rest, mut bytes) = (said, 0);
    while let Some((kind, _, content)) = first_frame(rest) {
        bytes += if kind == DATA { content.len() as u64 } else { 0 };
        rest = &rest[HEAD_BYTES + content.len()..];
    }
    assert!(rest.is_empty(), "frames are whole");
    bytes
}

/// One block of headers after the other, each of them the whole answer to a request.
fn blocks(script: &mut Script<'_>) {
    let (mut side, mut reference) = (Side::new(&SHORT), Decoder::new());
    reference.set_max_allowed_table_size(TABLE_BYTES);
    side.receive(&frame(SETTINGS, 0, 0, &[]), usize::MAX);
    while !script.is_done() {
        let block = script.bytes(255);
        let tag = side.send();
        side.receive(&frame(HEADERS, ENDS_ALL, tag as u32, block), usize::MAX);
        // Texts that nobody asks for are not decoded here, so others refuse more.
        let Ok(headers) = reference.decode(block) else { return };
        let statuses = headers.iter().filter(|(name, _)| name == b":status");
        let statuses: Vec<_> = statuses.map(|(_, value)| value.as_slice()).collect();
        let Some(found) = side.done.pop() else {
            let is_one = matches!(statuses[..], [[b'0'..=b'9', b'0'..=b'9', b'0'..=b'9']]);
            return assert!(!is_one, "an answer of others is one: {}", block.escape_ascii());
        };
        let digits = str::from_utf8(statuses.first().expect("a status")).expect("three digits");
        assert_eq!(found.outcome, judged(digits), "{digits}");
    }
}

/// What becomes of an answer without a body, where a text is expected in it.
fn judged(status: &str) -> Result<(), Failure> {
    Err(match status {
        "429" => Failure::Status429,
        _ if status.starts_with('4') => Failure::Status4xx,
        _ if status.starts_with('5') => Failure::Status5xx,
        _ => Failure::Validation,
    })
}
