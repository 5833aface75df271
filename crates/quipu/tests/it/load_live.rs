//! `quipu load run` on a terminal: taken over, given back, and the result told after it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::clients::fresh_node;
use crate::node::{Node, PATIENCE, binary, poll};
use crate::tool;

/// Adds for so long, slowly.
fn scenario(lasts: &str) -> String {
    format!(
        r#"
version = 1
name = "seen"
[target]
kind = "resp"
address = "127.0.0.1:1"
command = "INCRBY {{{{key}}}} 1"
connections = 1
[data.key]
dist = "uniform"
count = 10
[[phase]]
name = "only"
rate = 200
for = "{lasts}"
"#
    )
}

/// Runs on a terminal of `script` and presses these keys once numbers are seen.
fn on_a_terminal(node: &Node, lasts: &str, keys: &[u8]) -> Option<String> {
    let script = tool::find("script")?;
    let folder = TempDir::new().expect("a temporary directory");
    let file = folder.path().join("s.toml");
    std::fs::write(&file, scenario(lasts)).expect("it is written");
    let target = format!("redis://{}", node.address("resp"));
    // Some shells stay beside their last command, and Ctrl-C ends them too.
    let line = format!("exec {} load run --target {target} {}", binary().display(), file.display());
    let mut child = Command::new(script)
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script starts");
    let mut output = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
    let mut seen = Vec::new();
    let has = |seen: &[u8], text: &[u8]| seen.windows(text.len()).any(|part| part == text);
    let is_drawn = |seen: &[u8]| has(seen, b"in flight") && seen.ends_with(b"\x1b[J");
    while !(keys.is_empty() || is_drawn(&seen)) {
        assert!(output.read_until(b'J', &mut seen).expect("it draws") > 0, "it ended");
    }
    child.stdin.as_mut().expect("stdin is a pipe").write_all(keys).expect("it takes keys");
    output.read_to_end(&mut seen).expect("the rest");
    let ended = poll(PATIENCE, || child.try_wait().expect("a child can be waited for"));
    let code = ended.expect("it ends").code().expect("it was not killed");
    // A machine that is busy makes a run invalid, which is told by 98.
    assert!(code == 0 || code == 98, "{code}: {}", String::from_utf8_lossy(&seen));
    Some(String::from_utf8_lossy(&seen).into_owned())
}

/// Checks what a terminal saw, and what stands on it after it was given back.
fn check(node: &Node, lasts: &str, keys: &[u8], after: &[&str]) {
    let Some(seen) = on_a_terminal(node, lasts, keys) else { return };
    let (live, told) = seen.split_once("\x1b[?25h\x1b[?1049l").expect("it is given back");
    assert!(live.contains("\x1b[?1049h\x1b[?25l"), "{live:?}");
    for text in ["requests per second", "response time in ms", "run so far"] {
        assert!(live.contains(text), "{text}: {live:?}");
    }
    for text in after {
        assert!(told.contains(text), "{text}: {told:?}");
    }
    assert!(!told.contains("\x1b["), "the page is plain: {told:?}");
}

#[test]
fn a_live_run_ends_by_its_plan_or_by_a_key_and_reports() {
    let (node, _folder) = fresh_node();
    check(&node, "1s", b"", &["run: ", "200"]);
    // `q`, and Ctrl-C, which the terminal makes a signal.
    for keys in [b"q", b"\x03"] {
        check(&node, "10m", keys, &["stopping", "run: "]);
    }
}
