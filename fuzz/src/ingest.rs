//! Ingest: lines out of pieces, names out of lines, requests out of names.
//!
//! The input is text: `#` and a byte that chooses a pattern or a format, or `!` for none; templates on
//! one line with blanks between them, other options among them (see `meaning`); and the source. Patterns are
//! few: the crate `regex` is not ours, and compiling is slow. Lines are the same however the source
//! arrives; a template prints as what it was parsed from; every request reads back in the node as what
//! was meant.

use std::cell::RefCell;
use std::collections::BTreeMap;

use quipu_client::block::Increment;
use quipu_client::condition::Condition;
use quipu_client::format::FORMATS;
use quipu_client::lines::{Lines, Position, Step};
use quipu_client::matcher::{Form, Matcher, Meaning, Reading, TimeBucket, check_name};
use quipu_client::moment::Bucket;
use quipu_client::request::{StreamNames, StreamRequests};
use quipu_client::source::Source;
use quipu_client::template::{Piece, Template};
use quipu_core::op::{Ack, Action, Add, Token};
use quipu_wire::resp::command::{Command, command};
use quipu_wire::resp::frame::{Args, FrameLimits, Parsed, parse};
use stdx::prng::Prng;

/// Patterns as people write them, some of them wrong.
const PATTERNS: [&str; 8] = [
    r"^(?<dir>/[^/]*)/(?:.*/)?(?:[^/]+\.(?<ext>[^./]+)|[^/]+)$",
    r"(?<word>\w+)",
    r"^(?<dir>\S+) (?<ext>\S+)(?<word> .*)?$",
    "",
    r"(?s)(?<ext>.*)",
    r"(?<word>a|b)(?<ext>c)?",
    "(",
    r"(?-u)(?<word>[^\n]*)",
];

/// Matchers that are kept for inputs that differ in their source alone.
const MATCHERS_KEPT: usize = 256;

thread_local! {
    static MATCHERS: RefCell<BTreeMap<(usize, String), Option<Matcher>>> = RefCell::default();
}

/// Tries one input.
pub fn run(input: &[u8]) {
    let (head, rest) = line(input);
    let (middle, source) = line(rest);
    if head == b"!" {
        return lines(source);
    }
    let middle = String::from_utf8_lossy(middle);
    let choice = choice(head);
    MATCHERS.with_borrow_mut(|kept| {
        if kept.len() >= MATCHERS_KEPT {
            kept.clear();
        }
        let made = || Matcher::new(&meaning(choice, &middle)).ok();
        let matcher = kept.entry((choice, middle.clone().into_owned())).or_insert_with(made);
        let Some(matcher) = matcher else { return };
        let streams: Vec<StreamRequests> =
            matcher.identities().iter().map(|text| requests(&middle, text)).collect();
        assert_eq!(matcher.templates(), streams.len());
        let (first, _) = line(source);
        if matcher.needs_first_line() && matcher.start(first).is_err() {
            return;
        }
        for (number, line) in source.split(|byte| *byte == b'\n').take(16).enumerate() {
            count(matcher, &streams, line, number as u64 + 1);
        }
    });
}

/// Which pattern or format the first line chooses.
fn choice(head: &[u8]) -> usize {
    head.get(1).map_or(0, |n| usize::from(*n) % (PATTERNS.len() + FORMATS.len()))
}

/// How lines are to be understood: a word after `?` is a condition, one after `+` the field that says
/// by how much, and a template that names the bucket asks for the line's time.
fn meaning(choice: usize, words: &str) -> Meaning {
    let form = match PATTERNS.get(choice) {
        Some(pattern) => Form::Pattern((*pattern).to_owned()),
        None => Form::Format(FORMATS[choice - PATTERNS.len()].format, None),
    };
    let templates: Vec<Template> = words.split(' ').filter_map(template).take(3).collect();
    let conditions = words.split(' ').filter_map(|word| word.strip_prefix('?'));
    let length = Bucket::parse("1h").expect("a bucket");
    let is_timed = templates.iter().any(|template| template.text().contains("{bucket}"));
    Meaning {
        form,
        conditions: conditions.filter_map(|text| Condition::parse(text).ok()).take(3).collect(),
        by: words.split(' ').find_map(|word| word.strip_prefix('+')).map(str::to_owned),
        bucket: is_timed.then_some(TimeBucket { length, field: None, year: Some(2026) }),
        templates,
    }
}

/// The first line and what follows it.
fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    (&bytes[..at], bytes.get(at + 1..).unwrap_or_default())
}

/// A template is made of the pieces that its text is made of.
fn template(text: &str) -> Option<Template> {
    let template = Template::parse(text).ok()?;
    let written: String = template.pieces().iter().map(piece).collect();
    let again = Template::parse(&written).expect("pieces are a template");
    assert_eq!(again.pieces(), template.pieces(), "{text}");
    assert_eq!(template.text(), text);
    Some(template)
}

fn piece(piece: &Piece) -> String {
    match piece {
        Piece::Text(text) => text.replace('{', "{{").replace('}', "}}"),
        Piece::Field(field) => format!("{{{field}}}"),
    }
}

/// A stream's name is one that a node takes.
fn stream(source: &str, template: &str) -> String {
    let generation = stdx::hash::hash64(2, source.as_bytes()) as u32;
    // Only files have generations.
    let stream = match Source::named(source) {
        Ok(named) => named.stream(template, 0),
        Err(_) => Source::of_file(u64::MAX, source.as_bytes()).stream(template, generation),
    };
    assert!((1..=quipu_core::limits::STREAM_BYTES_MAX).contains(&stream.len()), "{stream}");
    stream
}

/// The requests of the stream for one template.
fn requests(source: &str, template: &str) -> StreamRequests {
    let companion = stream(source, &format!("{template}\0cuts"));
    StreamRequests::new(StreamNames { stream: stream(source, template), companion })
}

/// One line, as an ingest counts it.
fn count(matcher: &mut Matcher, streams: &[StreamRequests], line: &[u8], sequence: u64) {
    let Reading::Counts(delta) = matcher.read(line, sequence) else { return };
    let mut out = Vec::new();
    for (index, stream) in streams.iter().enumerate() {
        let Ok(name) = matcher.name(index, line) else { continue };
        let is_name = check_name(name).is_ok();
        assert_eq!(is_name, quipu_core::name::check(name).is_ok(), "{}", name.escape_ascii());
        if is_name {
            let own = stream.names().stream.as_str();
            let increment = Increment { name, delta, sequence, lines: 1 };
            out.clear();
            stream.put_add(&mut out, &increment);
            node_reads(&out, |command| is_add(command, &increment, own));
            out.clear();
            stream.put_checkpoint(&mut out, sequence);
            node_reads(&out, |command| is_checkpoint(command, (own, sequence)));
        }
    }
}

fn node_reads(bytes: &[u8], is_right: impl FnOnce(&Command<'_>) -> bool) {
    let mut args = Args::default();
    let parsed = parse(bytes, &FrameLimits::default(), &mut args);
    assert_eq!(parsed, Ok(Parsed::Command { consumed: bytes.len() }));
    let command = command(args.request(bytes)).expect("the node knows the command");
    assert!(is_right(&command), "{command:?}");
}

fn is_add(command: &Command<'_>, sent: &Increment<'_>, stream: &str) -> bool {
    let Command::Op(add) = command else { return false };
    add.op.name.as_bytes() == sent.name
        && add.op.action == Action::Add(Add::plain(sent.delta))
        && add.op.token == Token::Stream { name: stream.as_bytes(), sequence: sent.sequence }
        && add.ack == Some(Ack::Fsync)
}

fn is_checkpoint(command: &Command<'_>, (stream, sequence): (&str, u64)) -> bool {
    matches!(command, Command::Checkpoint { name, sequence: n }
        if *name == stream.as_bytes() && *n == sequence)
}

/// Lines are the same in one piece and in many.
fn lines(source: &[u8]) {
    let mut plain: Vec<&[u8]> = source.split(|byte| *byte == b'\n').collect();
    if plain.last().is_some_and(|last| last.is_empty()) {
        plain.pop();
    }
    let mut random = Prng::new(source.len() as u64);
    let mut lines = Lines::new(Position::default());
    let (mut fed, mut next) = (0, 0);
    loop {
        match lines.step() {
            Step::End => break,
            Step::More => {
                let piece = &source[fed..(fed + 1 + random.below(40) as usize).min(source.len())];
                let room = lines.room().expect("lines here are short");
                room[..piece.len()].copy_from_slice(piece);
                lines.fill(piece.len());
                fed += piece.len();
            }
            Step::Line(line) => {
                let expected = plain[next];
                assert_eq!(line, expected.strip_suffix(b"\r").unwrap_or(expected));
                next += 1;
            }
        }
        assert_eq!(lines.position().lines, next as u64);
    }
    assert_eq!((next, fed), (plain.len(), source.len()));
}
