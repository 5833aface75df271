//! Counters out of a node, into another, and from a real Redis.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::chance::Chance;
use crate::node::{Node, PATIENCE, Peer, binary, poll, start};
use crate::resp::{Reply, Resp, encode, encode_line};
use crate::tool;

/// Characters of hostile names: quotes, commas, braces, blanks, escapes, wide and combining ones.
const LETTERS: &[&str] = &[
    "a",
    "B",
    "0",
    ",",
    "\"",
    "'",
    "\\",
    "{",
    "}",
    "[",
    "]",
    "*",
    "?",
    " ",
    ";",
    ":",
    "/",
    "%",
    "#",
    "\u{e9}",
    "\u{65e5}",
    "\u{1f600}",
    "\u{301}",
    "\u{a0}",
    "\u{feff}",
    "\u{2028}",
    "=",
    "\\n",
    "nul",
];

/// What a counter is, with the Unix time of its expiry in milliseconds or -1.
type Counters = BTreeMap<String, (i64, i64)>;

struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { folder: TempDir::new().expect("a directory") }
    }

    fn node(&self, name: &str) -> Node {
        start(&self.path(name)).run()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: &str) -> String {
        fs::write(self.path(name), content).expect("written");
        self.path(name).display().to_string()
    }
}

fn quipu(node: &Node, args: &[&str]) -> Output {
    let address = node.address("resp").to_string();
    Command::new(binary()).args(args).args(["--node", &address]).output().expect("runs")
}

/// What an import says in JSON, and its exit code.
fn import(node: &Node, args: &[&str]) -> (Value, i32) {
    let output = quipu(node, &[&["import", "--json"], args].concat());
    let said = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{args:?}: {error}: {}", tool::text_of(&output)));
    (said, output.status.code().expect("no signal"))
}

/// Imports, and demands these figures and this exit code.
fn check(node: &Node, args: &[&str], code: i32, figures: &[(&str, u64)]) -> Value {
    let (said, ended) = import(node, args);
    for (name, count) in figures {
        assert_eq!(said[name].as_u64(), Some(*count), "{name} of {args:?}: {said}");
    }
    assert_eq!((said["is_whole"].as_bool(), ended), (Some(code == 0), code), "{args:?}: {said}");
    said
}

fn call(socket: &mut Resp, words: &[&[u8]]) -> Reply {
    socket.send(&encode(words)).expect("sent");
    socket.receive().expect("answered")
}

fn counters(socket: &mut Resp) -> Counters {
    let mut found = Counters::new();
    let mut cursor = "0".to_owned();
    loop {
        let page = socket.call(&format!("SCAN {cursor} COUNT 1000"));
        page.items()[0].text().expect("a cursor").clone_into(&mut cursor);
        for name in page.items()[1].items().iter().filter_map(Reply::text) {
            let value = call(socket, &[b"GET", name.as_bytes()]);
            let value = value.text().and_then(|text| text.parse().ok()).expect("a value");
            let expiry = call(socket, &[b"PEXPIRETIME", name.as_bytes()]).int().expect("a time");
            found.insert(name.to_owned(), (value, expiry));
        }
        if cursor == "0" {
            return found;
        }
    }
}

fn hostile(chance: &mut Chance) -> String {
    let letters = 1 + chance.below(20);
    (0..letters).map(|_| *chance.pick(LETTERS)).collect()
}

/// Fills a node with counters of hostile names, a third of which expire.
fn fill(node: &Node, seed: u64, count: usize) {
    let mut chance = Chance::new(seed);
    let mut socket = node.resp();
    for _ in 0..count {
        let name = hostile(&mut chance);
        let value = match chance.below(4) {
            0 => i64::MIN,
            1 => i64::MAX,
            _ => chance.next() as i64,
        };
        let value = value.to_string();
        let mut words: Vec<&[u8]> = vec![b"SET", name.as_bytes(), value.as_bytes()];
        if chance.percent(33) {
            words.extend([b"PX".as_slice(), b"86400123"]);
        }
        assert!(call(&mut socket, &words).error().is_none(), "{name:?}");
    }
}

#[test]
fn what_is_exported_is_imported_equal_in_either_format() {
    let scene = Scene::new();
    let from = scene.node("from");
    fill(&from, 1, 700);
    let all = counters(&mut from.resp());
    for format in ["jsonl", "csv"] {
        let file = scene.path(&format!("dump.{format}")).display().to_string();
        let output = quipu(&from, &["export", &file, "--format", format]);
        assert!(output.status.success(), "{}", tool::text_of(&output));
        assert!(tool::text_of(&output).contains(&format!("exported {} counters", all.len())));
        let into = scene.node(&format!("into-{format}"));
        let count = all.len() as u64;
        check(&into, &[&file], 0, &[("set", count), ("read", count)]);
        assert_eq!(counters(&mut into.resp()), all, "{format}");
        check(&into, &[&file], 0, &[("set", 0), ("unchanged", count)]);
        check(&into, &[&file, "--overwrite"], 0, &[("set", count)]);
        assert_eq!(counters(&mut into.resp()), all, "{format} again");
    }
}

#[test]
fn an_export_takes_a_pattern_goes_into_a_pipe_and_replaces_no_file() {
    let scene = Scene::new();
    let node = scene.node("node");
    for line in ["SET a:1 1", "SET a:2 2", "SET b:1 3"] {
        node.resp().call(line);
    }
    let output = quipu(&node, &["export", "--match", "a:*", "--format", "csv"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: std::collections::BTreeSet<_> = text.lines().collect();
    let expected = ["counter,value,expires_at_ms", "a:1,1,", "a:2,2,"];
    assert_eq!(lines, expected.into_iter().collect());
    let file = scene.file("there", "precious");
    let refused = quipu(&node, &["export", &file]);
    assert_eq!(refused.status.code(), Some(1), "{}", tool::text_of(&refused));
    assert_eq!(fs::read_to_string(&file).expect("readable"), "precious");
    assert!(quipu(&node, &["export", &file, "--overwrite"]).status.success());
    assert_eq!(fs::read_to_string(&file).expect("readable").lines().count(), 3);
    assert!(!Path::new(&format!("{file}.part")).exists());
}

#[test]
fn while_counters_come_and_go_each_lasting_one_is_exported_exactly_once() {
    let scene = Scene::new();
    let node = scene.node("node");
    let mut socket = node.resp();
    let lasting: Vec<u8> =
        (0..20_000).flat_map(|n| encode_line(&format!("SET lasting:{n} {n}"))).collect();
    socket.send(&lasting).expect("sent");
    (0..20_000).for_each(|_| drop(socket.receive().expect("answered")));
    let address = node.address("resp").to_string();
    let mut export = Command::new(binary())
        .args(["export", "--node", &address])
        .stdout(Stdio::piped())
        .spawn()
        .expect("runs");
    let mut out = export.stdout.take().expect("a pipe");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut out, &mut text).expect("UTF-8");
        text
    });
    let mut rounds = 0;
    while export.try_wait().expect("a child").is_none() {
        let lines = (0..500).flat_map(|n| {
            let name = format!("fleeting:{}:{n}", rounds % 40);
            let verb =
                if rounds % 80 < 40 { format!("INCR {name}") } else { format!("DEL {name}") };
            encode_line(&verb)
        });
        socket.send(&lines.collect::<Vec<u8>>()).expect("sent");
        (0..500).for_each(|_| drop(socket.receive().expect("answered")));
        rounds += 1;
    }
    let text = reader.join().expect("read");
    let mut names: BTreeMap<String, u64> = BTreeMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        *names.entry(line["counter"].as_str().expect("a name").to_owned()).or_default() += 1;
    }
    assert!(names.values().all(|count| *count == 1), "each name comes once");
    let found = names.keys().filter(|name| name.starts_with("lasting:")).count();
    assert_eq!(found, 20_000, "after {rounds} rounds");
}

#[test]
fn counters_that_exist_are_refused_unless_asked_and_bad_lines_are_named() {
    let scene = Scene::new();
    let node = scene.node("node");
    let mut socket = node.resp();
    socket.call("SET a 7");
    let file = scene.file(
        "dump.csv",
        "counter,value,expires_at_ms\na,1,\nb,2,\nnonsense\nc,x,\nd,4,5\n\"\",1,\n",
    );
    let figures =
        [("read", 6), ("set", 1), ("refused", 1), ("bad", 3), ("over", 1), ("answered", 7)];
    let said = check(&node, &[&file], 1, &figures);
    let examples: BTreeMap<u64, &str> = said["examples"]
        .as_array()
        .expect("examples")
        .iter()
        .map(|one| (one["entry"].as_u64().expect("a line"), one["why"].as_str().expect("why")))
        .collect();
    let why = |line: u64, part: &str| {
        assert!(examples.get(&line).is_some_and(|why| why.contains(part)), "{line}: {examples:?}");
    };
    why(2, "\"a\" exists with value 7, not 1");
    why(4, "not 1 fields");
    why(5, "no 64-bit integer");
    why(7, "empty");
    assert_eq!(socket.call("GET a").text(), Some("7"));
    check(&node, &[&file, "--overwrite"], 1, &[("set", 2), ("refused", 0), ("bad", 3)]);
    assert_eq!(socket.call("GET a").text(), Some("1"));
    let shown = quipu(&node, &["import", &file]);
    assert!(tool::text_of(&shown).contains("entry 4, bad: "), "{}", tool::text_of(&shown));
}

#[test]
fn values_are_added_once_by_content_or_by_name() {
    let scene = Scene::new();
    let node = scene.node("node");
    let mut socket = node.resp();
    let text = "a,1\nb,2\na,3,99999999999999\n";
    let (one, copy) = (scene.file("one", text), scene.file("copy", text));
    check(&node, &[&one, "--add"], 0, &[("added", 3), ("expiries_left", 1)]);
    check(&node, &[&one, "--add"], 0, &[("added", 0), ("resumed_from", 3)]);
    check(&node, &[&copy, "--add"], 0, &[("added", 0), ("resumed_from", 3)]);
    assert_eq!(socket.call("MGET a b").items().len(), 2);
    assert_eq!(socket.call("GET a").text(), Some("4"));
    assert_eq!(socket.call("PTTL a").int(), Some(-1));
    check(&node, &[&copy, "--add", "--source", "day-2"], 0, &[("added", 3)]);
    check(&node, &[&copy, "--add", "--source", "day-2"], 0, &[("added", 0)]);
    assert_eq!(socket.call("GET a").text(), Some("8"));
    socket.call("SET full 9223372036854775807");
    let over = scene.file("over", "full,1\nc,5\n");
    let said = check(&node, &[&over, "--add"], 1, &[("added", 1), ("refused", 1)]);
    assert!(said["examples"][0]["why"].as_str().is_some_and(|why| why.contains("overflow")));
    let nameless = quipu(&node, &["import", "-", "--add"]);
    assert_eq!(nameless.status.code(), Some(2), "{}", tool::text_of(&nameless));
}

#[test]
fn additions_count_once_though_the_node_and_the_import_are_killed() {
    let scene = Scene::new();
    let start = start(&scene.path("node")).flag("resp", free_address());
    let mut text = String::new();
    let mut expected = BTreeMap::<String, i64>::new();
    for line in 0..45_000_i64 {
        let name = format!("n{}", line * line % 97);
        writeln!(text, "{name},{}", line % 7).expect("a string takes it");
        *expected.entry(name).or_default() += line % 7;
    }
    let file = scene.file("dump.csv", &text);
    let mut node = start.run();
    let address = node.address("resp").to_string();
    let args = ["import", &file, "--add", "--json", "--node", &address];
    for round in 0..3 {
        let mut import =
            Command::new(binary()).args(args).stdout(Stdio::null()).spawn().expect("runs");
        reaches(&node, 30_000 * round + 15_000);
        node.kill();
        drop(node);
        node = start.run();
        // The import finds the node again by itself.
        reaches(&node, 30_000 * round + 25_000);
        import.kill().expect("killed");
        import.wait().expect("ended");
    }
    let output = Command::new(binary()).args(args).output().expect("runs");
    assert!(output.status.success(), "{}", tool::text_of(&output));
    let found = counters(&mut node.resp()).into_iter().map(|(name, (value, _))| (name, value));
    assert_eq!(found.collect::<BTreeMap<_, _>>(), expected);
}

/// Waits until the counters add up to so much.
fn reaches(node: &Node, target: i64) {
    let names: Vec<_> = (0..97).map(|n| format!("n{n}")).collect();
    let line = format!("MGET {}", names.join(" "));
    let value = |reply: &Reply| reply.text().and_then(|text| text.parse::<i64>().ok());
    let sum = || {
        let values = node.resp().call(&line);
        values.items().iter().filter_map(value).sum::<i64>()
    };
    let reached = poll(PATIENCE, || (sum() >= target).then_some(()));
    assert!(reached.is_some(), "{target} is not reached");
}

/// An address that nobody has now.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

/// A redis-server on a TCP port, with a password.
fn redis(flags: &[&str]) -> Option<(Peer, String)> {
    let program = tool::find("redis-server")?;
    let address = free_address();
    let (host, port) = address.rsplit_once(':')?;
    // The last `--port` counts.
    let peer = Peer::start(&program, &[&["--bind", host, "--port", port], flags].concat());
    Some((peer, address))
}

#[test]
fn a_live_redis_is_read_with_its_expiries_and_what_is_no_integer_is_named() {
    let Some((peer, address)) = redis(&["--requirepass", "s:cret/1", "--databases", "3"]) else {
        return;
    };
    let mut socket = peer.resp();
    socket.call("AUTH s:cret/1");
    socket.call("SELECT 2");
    let mut lines = Vec::new();
    for n in 0..100_000 {
        let expiry = if n % 10 == 0 { " PX 86400000" } else { "" };
        lines.extend(encode_line(&format!("SET visits:{n} {}{expiry}", n * 3 - 5)));
    }
    socket.send(&lines).expect("sent");
    (0..100_000).for_each(|_| drop(socket.receive().expect("answered")));
    for line in ["SET s hello", "SET f 1.5", "SET z 007", "HSET h a 1", "LPUSH l 1"] {
        assert!(socket.call(line).error().is_none(), "{line}");
    }
    call(&mut socket, &[b"SET", b"odd\nname", b"1"]);
    let scene = Scene::new();
    let node = scene.node("node");
    let url = format!("redis://:s%3Acret%2F1@{address}/2");
    let figures =
        [("set", 100_000), ("not_integer", 3), ("other_type", 2), ("bad", 1), ("read", 100_006)];
    let said = check(&node, &["--from", &url], 1, &figures);
    let whys = said["examples"].to_string();
    for part in ["\\\"s\\\" is \\\"hello\\\"", "\\\"h\\\" is a hash", "odd\\\\nname", "control"] {
        assert!(whys.contains(part), "{part}: {whys}");
    }
    let mut ours = node.resp();
    assert_eq!(ours.call("DBSIZE").int(), Some(100_000));
    for n in [0_i64, 1, 10, 99_999] {
        assert_eq!(ours.call(&format!("GET visits:{n}")).text(), Some(&*(n * 3 - 5).to_string()));
        let (ours, theirs) =
            (ours.call(&format!("PTTL visits:{n}")), socket.call(&format!("PTTL visits:{n}")));
        let (ours, theirs) = (ours.int().expect("a TTL"), theirs.int().expect("a TTL"));
        assert!(ours == theirs || ours.abs_diff(theirs) < 60_000, "{n}: {ours} {theirs}");
    }
    let again = ["--from", &url, "--match", "visits:*"];
    check(&node, &again, 0, &[("set", 0), ("unchanged", 100_000)]);
    socket.call("INCR visits:7");
    check(&node, &again, 1, &[("refused", 1)]);
    let again = ["--from", &url, "--match", "visits:*", "--overwrite"];
    check(&node, &again, 0, &[("set", 100_000), ("bad", 0)]);
    assert_eq!(ours.call("GET visits:7").text(), Some("17"));
}

#[test]
fn a_redis_that_is_not_there_or_does_not_open_is_said_so() {
    let scene = Scene::new();
    let node = scene.node("node");
    let refused = |url: &str, part: &str| {
        let output = quipu(&node, &["import", "--from", url]);
        let text = tool::text_of(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(part) && !text.contains("secret"), "{text}");
    };
    refused(&format!("redis://:secret@{}", free_address()), "cannot connect");
    refused("redis://localhost:1/x", "a number");
    refused("rediss://localhost", "TLS");
    let Some((_peer, address)) = redis(&["--requirepass", "other"]) else { return };
    refused(&format!("redis://:secret@{address}"), "WRONGPASS");
    refused(&format!("redis://{address}"), "NOAUTH");
}

#[test]
fn lines_come_from_a_pipe_too() {
    let scene = Scene::new();
    let node = scene.node("node");
    let address = node.address("resp").to_string();
    let mut import = Command::new(binary())
        .args(["import", "-", "--json", "--node", &address])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("runs");
    let mut pipe = import.stdin.take().expect("a pipe");
    pipe.write_all(b"{\"counter\":\"a\",\"value\":1}\n\n{\"counter\":\"b\",\"val")
        .expect("written");
    drop(pipe);
    let output = import.wait_with_output().expect("ended");
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!((said["set"].as_u64(), said["bad"].as_u64()), (Some(1), Some(1)), "{said}");
    assert_eq!(said["examples"][0]["entry"].as_u64(), Some(3), "{said}");
}
