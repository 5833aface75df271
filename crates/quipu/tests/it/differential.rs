//! Differential test: redis-server 7 is the oracle for everything that both know.

mod stream;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::env;

use tempfile::TempDir;

use crate::chance::Chance;
use crate::node::Peer;
use crate::node::{self};
use crate::resp::{Reply, Resp, encode, encode_line};
use crate::tool;
use stream::{Compare, Step, Stream, claimed};
use table::{CLOCK, CURSORS, DIFFERENCES, IDENTITY};

/// Commands compared in one run (issue: "a random stream of 50,000 commands").
const COMMANDS: usize = 50_000;
/// Commands of one pipeline, at most (guess: below what fits unread into socket buffers).
const PIPELINE_MAX: usize = 80;
/// Disagreements shown before a run gives up.
const SHOWN_MAX: usize = 20;
/// Full scans are compared once per this many pipelines.
const PIPELINES_PER_SCAN: usize = 20;
const SEED: u64 = 7411;
/// Options of the full scans.
const SCANS: &[&str] = &[
    "",
    " COUNT 1",
    " COUNT 1000",
    " MATCH k*",
    " MATCH k[0-4]*",
    " MATCH user:?/*",
    " MATCH k[^0-4]",
    " MATCH \\*",
    " MATCH *s COUNT 3",
    " MATCH k\\1?",
    " MATCH nothing",
];

/// Who stands on our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Quipu,
    /// A second redis-server: shows that the stream itself is deterministic.
    Redis,
}

/// Both servers, on one connection of each protocol.
struct Sides {
    subject: Subject,
    /// RESP2, RESP3.
    ours: [Resp; 2],
    peer: [Resp; 2],
    disagreements: Vec<String>,
    /// How often each known difference was really needed.
    needed: BTreeMap<&'static str, usize>,
}

impl Sides {
    fn new(subject: Subject, ours: impl Fn() -> Resp, peer: impl Fn() -> Resp) -> Self {
        let (ours, peer) = ([ours(), ours()], [peer(), peer()]);
        let mut sides =
            Self { subject, ours, peer, disagreements: Vec::new(), needed: BTreeMap::new() };
        sides.greet();
        sides
    }

    /// Switches the second connections to RESP3 and compares who answers.
    fn greet(&mut self) {
        let ours = self.ours[1].call("HELLO 3");
        let peer = self.peer[1].call("HELLO 3");
        let (ours, peer) = (fields(&ours), fields(&peer));
        let names = |map: &BTreeMap<String, Reply>| map.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&ours), names(&peer), "the fields of HELLO");
        for equal in ["proto", "mode", "role"] {
            assert_eq!(ours[equal], peer[equal], "the field {equal} of HELLO");
        }
        if ours != peer {
            *self.needed.entry(IDENTITY).or_default() += 1;
        }
    }

    /// Sends one pipeline to both sides, cut into random pieces, and compares the replies.
    fn pipeline(&mut self, steps: &[Step], protocol: usize, chance: &mut Chance) {
        let undone_too = self.subject == Subject::Redis;
        let ours = wire(steps, undone_too);
        send_in_pieces(&mut self.ours[protocol], &ours, chance);
        send_in_pieces(&mut self.peer[protocol], &wire(steps, true), chance);
        for step in steps {
            let ours = receive(&mut self.ours[protocol], step, undone_too);
            let peer = receive(&mut self.peer[protocol], step, true);
            self.compare(step, &ours, &peer);
        }
    }

    fn compare(&mut self, step: &Step, ours: &Reply, peer: &Reply) {
        if self.agree(&step.compare, ours, peer) {
            return;
        }
        let words: Vec<String> =
            step.words.iter().map(|word| word.escape_ascii().to_string()).collect();
        self.disagreements.push(format!("{words:?}\n  ours:  {ours:?}\n  redis: {peer:?}"));
    }

    fn agree(&mut self, compare: &Compare, ours: &Reply, peer: &Reply) -> bool {
        let agrees = match compare {
            Compare::Exact => ours == peer,
            Compare::Near(tolerance) => match (ours.int(), peer.int()) {
                (Some(ours), Some(peer)) if ours >= 0 && peer >= 0 => {
                    ours.abs_diff(peer) <= tolerance.unsigned_abs()
                }
                _ => ours == peer,
            },
            Compare::Each(each) => return self.agree_each(each, ours, peer),
            Compare::Refused(_, prefix) => {
                self.subject == Subject::Redis || ours.fails_with(prefix)
            }
        };
        if let (true, Some(id)) = (agrees && ours != peer, claimed(compare)) {
            *self.needed.entry(id).or_default() += 1;
        }
        agrees
    }

    fn agree_each(&mut self, each: &[Compare], ours: &Reply, peer: &Reply) -> bool {
        let (ours, peer) = (ours.items(), peer.items());
        ours.len() == each.len()
            && peer.len() == each.len()
            && each.iter().zip(ours.iter().zip(peer)).all(|(c, (o, p))| self.agree(c, o, p))
    }

    /// Compares the set of a full iteration.
    fn scan(&mut self, options: &str, protocol: usize) {
        let (ours, ours_walk) = full_scan(&mut self.ours[protocol], options);
        let (peer, peer_walk) = full_scan(&mut self.peer[protocol], options);
        if ours != peer {
            self.disagreements
                .push(format!("full SCAN {options}\n  ours:  {ours:?}\n  redis: {peer:?}"));
        } else if ours_walk != peer_walk {
            *self.needed.entry(CURSORS).or_default() += 1;
        }
    }
}

/// Returns the fields of a map.
fn fields(map: &Reply) -> BTreeMap<String, Reply> {
    map.items()
        .chunks_exact(2)
        .map(|pair| (pair[0].text().expect("a field has a name").to_owned(), pair[1].clone()))
        .collect()
}

fn wire(steps: &[Step], with_undo: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for step in steps {
        bytes.extend_from_slice(&step.wire);
        if let (Some(undo), true) = (&step.undo, with_undo) {
            bytes.extend_from_slice(&encode(undo));
        }
    }
    bytes
}

fn send_in_pieces(connection: &mut Resp, mut bytes: &[u8], chance: &mut Chance) {
    while !bytes.is_empty() {
        let longest = *chance.pick(&[3, 40, 1_000, 100_000]);
        let (piece, rest) = bytes.split_at(1 + chance.below(longest.min(bytes.len())));
        connection.send(piece).expect("the server reads");
        bytes = rest;
    }
}

fn receive(connection: &mut Resp, step: &Step, with_undo: bool) -> Reply {
    let mut next = || connection.receive().unwrap_or_else(|error| panic!("{step:?}: {error}"));
    let reply = next();
    if step.undo.is_some() && with_undo {
        next();
    }
    reply
}

/// Iterates to the end; answers the set of names and the walk, cursors and order.
fn full_scan(connection: &mut Resp, options: &str) -> (BTreeSet<String>, Vec<String>) {
    let (mut found, mut walk, mut cursor) = (BTreeSet::new(), Vec::new(), "0".to_owned());
    loop {
        let reply = connection.call(&format!("SCAN {cursor}{options}"));
        let [next, names] = reply.items() else { panic!("SCAN{options} answered {reply:?}") };
        let names = names.items().iter().map(|name| name.text().expect("a name").to_owned());
        walk.extend(names.clone());
        found.extend(names);
        next.text().expect("a cursor is text").clone_into(&mut cursor);
        walk.push(cursor.clone());
        assert!(walk.len() < 100_000, "SCAN{options} does not end");
        if cursor == "0" {
            return (found, walk);
        }
    }
}

/// Runs the stream on both sides and demands agreement.
fn run(mut sides: Sides, commands: usize) {
    let seed = env::var("QUIPU_SEED").map_or(SEED, |text| text.parse().expect("a seed"));
    let mut stream = Stream::new(seed);
    let (mut sent, mut pipelines) = (0, 0_usize);
    while sent < commands && sides.disagreements.len() < SHOWN_MAX {
        let mut steps = Vec::new();
        for _ in 0..=stream.chance().below(PIPELINE_MAX) {
            stream.next(&mut steps);
        }
        let protocol = stream.chance().below(2);
        sides.pipeline(&steps, protocol, stream.chance());
        if pipelines.is_multiple_of(PIPELINES_PER_SCAN) {
            let options: &'static str = SCANS[stream.chance().below(SCANS.len())];
            sides.scan(options, protocol);
        }
        sent += steps.len();
        pipelines += 1;
    }
    let count = sides.disagreements.len();
    let shown = sides.disagreements.join("\n");
    assert!(count == 0, "{count} disagreements after {sent} commands (seed {seed}):\n{shown}");
    if sides.subject == Subject::Quipu {
        for known in DIFFERENCES {
            assert!(
                known.id == CLOCK || sides.needed.contains_key(known.id),
                "no reply needed the known difference `{}`: strike it from the table",
                known.id
            );
        }
    }
}

#[test]
fn fifty_thousand_random_commands_get_the_replies_of_redis() {
    let Some(redis) = tool::find("redis-server") else { return };
    let folder = TempDir::new().expect("a temporary directory");
    let (node, peer) = (node::start(&folder.path().join("data")).run(), Peer::start(&redis, &[]));
    run(Sides::new(Subject::Quipu, || node.resp(), || peer.resp()), COMMANDS);
}

#[test]
fn the_stream_is_the_same_for_two_redis_servers() {
    let Some(redis) = tool::find("redis-server") else { return };
    let (one, other) = (Peer::start(&redis, &[]), Peer::start(&redis, &[]));
    run(Sides::new(Subject::Redis, || one.resp(), || other.resp()), COMMANDS);
}

/// What a client sends that breaks the protocol, or ends the session.
const ENDINGS: &[&[u8]] = &[
    b"*abc\r\n",
    b"*1\r\n:5\r\n",
    b"*1\r\n$abc\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$-5\r\n",
    b"*2147483648\r\n",
    b"*99999999999999999999\r\n",
    b"*1\r\n$99999999999999999999\r\n",
    b"GET \"unbalanced\r\n",
    b"GET 'unbalanced\r\n",
    b"GET \"a\"b\r\n",
    b"PING\r\n*1\r\n!\r\n",
    b"QUIT\r\n",
    b"*1\r\n$4\r\nQUIT\r\n*1\r\n$4\r\nPING\r\n",
];
/// What looks broken and is not.
const BEGINNINGS: &[&[u8]] = &[
    b"*0\r\n",
    b"*-1\r\n",
    b"*-5\r\n",
    b"\r\n",
    b"\n\r\n",
    b"   \r\n",
    b"MULTI\r\nINCR k0\r\nRESET\r\nEXEC\r\n",
    b"HELLO 4\r\n",
    b"HELLO x\r\n",
    b"HELLO 3 NOSUCH\r\n",
    b"RESET\r\n",
    b"PING \"\\n\\x41\\\"\" \r\n",
    b"ECHO 'it\\'s'\r\n",
];

/// Sends `bytes` and a `PING`, and returns all that comes until `PONG` or the end.
fn session(mut connection: Resp, bytes: &[u8], ends: bool) -> Vec<String> {
    let mut said = Vec::new();
    // A server that closes early may refuse the rest: the replies decide.
    drop(connection.send(bytes));
    if !ends {
        connection.send(&encode_line("ECHO end-of-session")).expect("the session goes on");
    }
    loop {
        match connection.receive() {
            Ok(reply) if reply.text() == Some("end-of-session") => return said,
            Ok(reply) => said.push(format!("{reply:?}")),
            Err(error) => {
                said.push(format!("end: {:?}", error.kind()));
                return said;
            }
        }
    }
}

/// Demands that every session of both lists goes the same way on both sides.
fn compare_sessions(ours: impl Fn() -> Resp, peer: impl Fn() -> Resp) {
    let endings = ENDINGS.iter().map(|bytes| (bytes, true));
    let beginnings = BEGINNINGS.iter().map(|bytes| (bytes, false));
    for (bytes, ends) in endings.chain(beginnings) {
        let (ours, redis) = (session(ours(), bytes, ends), session(peer(), bytes, ends));
        assert_eq!(ours, redis, "after {}", bytes.escape_ascii());
    }
}

#[test]
fn protocol_errors_and_endings_are_those_of_redis() {
    let Some(redis) = tool::find("redis-server") else { return };
    let folder = TempDir::new().expect("a temporary directory");
    let (node, peer) = (node::start(&folder.path().join("data")).run(), Peer::start(&redis, &[]));
    compare_sessions(|| node.resp(), || peer.resp());
}

#[test]
fn the_sessions_are_the_same_for_two_redis_servers() {
    let Some(redis) = tool::find("redis-server") else { return };
    let (one, other) = (Peer::start(&redis, &[]), Peer::start(&redis, &[]));
    compare_sessions(|| one.resp(), || other.resp());
}
