//! Rankings over both surfaces, and the commands that show a node live.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clients::fresh_node;
use crate::http::request;
use crate::node::{self, Node, PATIENCE, binary, poll};
use crate::resp::Reply;
use crate::tool;

/// Adds to counters over RESP.
fn fill(node: &Node, counters: &[(&str, i64)]) {
    let mut socket = node.resp();
    for (name, value) in counters {
        assert!(socket.call(&format!("INCRBY {name} {value}")).int().is_some(), "{name}");
    }
}

/// The command `quipu` with these words and the address that it asks.
fn command(node: &Node, words: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(words).stdin(Stdio::null());
    match words {
        ["stat", ..] => command.args(["--admin", &node.address("admin").to_string()]),
        _ => command.args(["--node", &node.address("resp").to_string()]),
    };
    command
}

fn quipu(node: &Node, words: &[&str]) -> Output {
    command(node, words).output().expect("quipu starts")
}

fn check(node: &Node, words: &[&str], expected: &[&str]) {
    let output = quipu(node, words);
    assert!(output.status.success(), "{words:?}: {}", tool::text_of(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{words:?}");
}

/// The answer to QUIPU.TOP as JSON: names of fields and what they hold.
fn top(node: &Node, n: &str) -> Value {
    let answer = node.resp().call(&format!("QUIPU.TOP {n}"));
    let text = |reply: &Reply| reply.text().expect("a text").to_owned();
    let number = |reply: &Reply| reply.int().expect("a number");
    let mut object = json!({});
    for pair in answer.items().chunks(2) {
        let name = text(&pair[0]);
        object[&name] = match name.as_str() {
            "items" => pair[1]
                .items()
                .iter()
                .map(|item| {
                    let pair = item.items();
                    json!({ "counter": text(&pair[0]), "value": number(&pair[1]) })
                })
                .collect(),
            "positions" => pair[1].items().iter().map(text).collect(),
            _ => json!(number(&pair[1])),
        };
    }
    object
}

#[test]
fn a_ranking_is_the_same_over_both_surfaces_and_says_as_of_when() {
    let (node, _folder) = fresh_node();
    fill(&node, &[("low", -5), ("b", 7), ("a", 7), ("high", i64::MAX)]);
    let over_resp = top(&node, "3");
    let web = node.http().call(&request("GET", "/v1/default/top?n=3", "")).json();
    let expected = json!([{ "counter": "high", "value": i64::MAX }, { "counter": "a", "value": 7 },
        { "counter": "b", "value": 7 }]);
    for answer in [&over_resp, &web] {
        assert_eq!(answer["items"], expected, "{answer}");
        assert_eq!(answer["counters"], 4);
        assert_eq!(answer["positions"].as_array().map(Vec::len), Some(64));
    }
    assert_eq!(over_resp["positions"], web["positions"]);
    let position = node.resp().call("QUIPU.GET high").items()[1].text().map(str::to_owned);
    let positions = web["positions"].as_array().expect("a list");
    assert!(positions.contains(&json!(position)), "{position:?} is not in {positions:?}");
    assert_eq!(web["ack"], "fsync");
    assert!(web["from_ms"].as_u64() <= web["to_ms"].as_u64() && web["to_ms"].as_u64() > Some(0));
}

#[test]
fn a_pipeline_waits_for_its_ranking_and_goes_on_in_order() {
    let (node, _folder) = fresh_node();
    let mut socket = node.resp();
    socket.send(b"INCR a\r\nQUIPU.TOP 1\r\nINCR a\r\nQUIPU.TOP 1\r\nPING\r\n").expect("it reads");
    let mut next = || socket.receive().expect("a reply");
    let value = |top: &Reply| top.items()[1].items()[0].items()[1].int();
    assert_eq!(next().int(), Some(1));
    assert_eq!(value(&next()), Some(1));
    assert_eq!(next().int(), Some(2));
    assert_eq!(value(&next()), Some(2), "a ranking never misses what was answered before it");
    assert_eq!(next().text(), Some("PONG"));
}

#[test]
fn a_ranking_is_no_part_of_a_group() {
    let (node, _folder) = fresh_node();
    let mut socket = node.resp();
    assert_eq!(socket.call("MULTI").text(), Some("OK"));
    assert!(socket.call("QUIPU.TOP 1").fails_with("ERR QUIPU.TOP cannot stand in a group"));
    assert!(socket.call("EXEC").fails_with("EXECABORT"));
    assert!(socket.call("QUIPU.TOP 1").error().is_none());
}

#[test]
fn what_is_not_on_a_terminal_is_told_in_plain_lines() {
    let (node, _folder) = fresh_node();
    check(&node, &["top", "--once"], &[]);
    fill(&node, &[("user:1", 3), ("user:2", 12_345), ("page", 1)]);
    check(&node, &["top", "--once", "-n", "2"], &["user:2\t12345\t-", "user:1\t3\t-"]);
    check(&node, &["watch", "page", "nosuch", "--once"], &["page\t1\t-", "nosuch\t(none)\t-"]);
    let output = quipu(&node, &["watch", "user:*", "--once", "--json"]);
    let seen: Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(seen["items"].as_array().map(Vec::len), Some(2), "{seen}");
    let output = quipu(&node, &["top", "--count", "2", "--interval", "50", "--json"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 2);
    let output = quipu(&node, &["stat", "--once", "--interval", "50", "--json"]);
    let stat: Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!((&stat["counters"], &stat["version"]), (&json!(3.0), &json!("0.1.0")));
    let text = tool::text_of(&quipu(&node, &["stat", "--once", "--interval", "50"]));
    for word in ["operations/s", "sync", "at risk", "memory", "folds", "connections", "room"] {
        assert!(text.contains(word), "{word} is not in:\n{text}");
    }
}

fn refuses(node: &Node, words: &[&str], expected: &str) {
    let output = quipu(node, words);
    let said = tool::text_of(&output);
    assert!(!output.status.success() && said.contains(expected), "{words:?}: {said}");
}

#[test]
fn what_cannot_be_shown_is_said_in_a_sentence() {
    let (node, _folder) = fresh_node();
    let many: Vec<String> = (0..65).map(|index| format!("many:{index}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), 1)).collect();
    fill(&node, &many);
    refuses(&node, &["watch", "none*"], "no counter matches none*");
    refuses(&node, &["watch", "many:*"], "many:* makes more than 64 counters; watch fewer");
    refuses(&node, &["top", "-n", "1001"], "1001");
    let resp = node.address("resp").to_string();
    let stat = Command::new(binary()).args(["stat", "--admin", &resp]).output().expect("it starts");
    assert!(tool::text_of(&stat).contains("is not the HTTP of a node"), "{stat:?}");
    drop(node);
    for words in [["top", "--node"], ["watch", "--node"], ["stat", "--admin"]] {
        let mut command = Command::new(binary());
        command.args(words).arg(&resp);
        if words[0] == "watch" {
            command.arg("a");
        }
        let said = tool::text_of(&command.output().expect("quipu starts"));
        assert!(said.starts_with(&format!("cannot connect to {resp}: ")), "{words:?}: {said}");
    }
}

/// A command that goes on; killed when the test ends.
struct Going {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Going {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("quipu starts");
        let lines = BufReader::new(child.stdout.take().expect("stdout is a pipe")).lines();
        Self { child, lines }
    }

    /// Reads on to a line that is wanted.
    fn until(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let mut lines = self.lines.by_ref().map_while(Result::ok);
        lines.find(|line| wanted(line)).expect("the line comes")
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_node_that_comes_back_is_watched_on_and_its_gap_is_told() {
    let folder = TempDir::new().expect("a temporary directory");
    let start = node::start(&folder.path().join("data"));
    let node = start.run();
    fill(&node, &[("a", 5)]);
    let (resp, admin) = (node.address("resp").to_string(), node.address("admin").to_string());
    let mut watch = Going::start(command(&node, &["watch", "a", "--interval", "50"]));
    let mut top = Going::start(command(&node, &["top", "--interval", "50", "--json"]));
    let mut stat = Going::start(command(&node, &["stat", "--interval", "50"]));
    watch.until(|line| line == "a\t5\t0");
    top.until(|line| line.contains("\"value\":5"));
    stat.until(|line| line.starts_with("folds"));
    drop(node);
    watch.until(|line| line.starts_with("-- no answer: "));
    top.until(|line| line.starts_with("{\"gap\":"));
    stat.until(|line| line.starts_with("-- no answer: "));
    let node = start.flag("resp", &resp).flag("admin", &admin).run();
    fill(&node, &[("a", 5)]);
    watch.until(|line| line.starts_with("-- the node answers again after "));
    watch.until(|line| line == "a\t10\t0");
    top.until(|line| line.starts_with("{\"gap_ms\":"));
    top.until(|line| line.contains("\"value\":10"));
    stat.until(|line| line.starts_with("-- the node answers again after "));
    stat.until(|line| line.starts_with("operations/s"));
}

/// Runs a command on a terminal of `script`, and ends it by writing these keys.
fn on_a_terminal(node: &Node, words: &str, keys: &[u8]) -> Option<String> {
    let script = tool::find("script")?;
    // Some shells stay beside their last command, and Ctrl-C ends them too.
    let line = format!("exec {} {words}", binary().display());
    let mut child = Command::new(script)
        .args(["-qec", &line, "/dev/null"])
        .env("QUIPU_NODE", node.address("resp").to_string())
        .env("QUIPU_ADMIN", node.address("admin").to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script starts");
    let mut output = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
    let mut seen = Vec::new();
    while !seen.ends_with(b"\x1b[J") {
        assert!(output.read_until(b'J', &mut seen).expect("it draws") > 0, "it ended");
    }
    child.stdin.as_mut().expect("stdin is a pipe").write_all(keys).expect("it takes keys");
    let ended = poll(PATIENCE, || child.try_wait().expect("a child can be waited for"));
    if ended.is_none() {
        drop(child.kill());
    }
    drop(child.wait());
    output.read_to_end(&mut seen).expect("the rest");
    assert!(ended.is_some_and(|status| status.success()), "{words} goes on after {keys:?}");
    Some(String::from_utf8_lossy(&seen).into_owned())
}

#[test]
fn a_terminal_is_taken_over_and_given_back() {
    let (node, _folder) = fresh_node();
    fill(&node, &[("seen", 1_234_567)]);
    // `q`, and Ctrl-C, which the terminal makes a signal.
    let cases: [(&str, &[u8], &str); 3] =
        [("top", b"q", "1,234,567"), ("watch seen", b"\x03", "1,234,567"), ("stat", b"q", "P99")];
    for (words, keys, expected) in cases {
        let Some(seen) = on_a_terminal(&node, words, keys) else { return };
        assert!(seen.contains("\x1b[?1049h\x1b[?25l"), "{words}: {seen:?}");
        assert!(seen.contains(expected), "{words}: {seen:?}");
        let end = seen.trim_end();
        assert!(end.ends_with("\x1b[?25h\x1b[?1049l"), "{words} keeps the terminal: {seen:?}");
    }
}
