//! `--log-format json`: every line of both streams is one JSON object, whatever happens.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::node::{PATIENCE, binary, poll};
use crate::resp::Resp;
use crate::sync_frozen::shim;

/// Demands that every line is an object with time, level, message and fields; returns them.
fn objects(text: &str) -> Vec<Value> {
    let read = |line: &str| {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        for member in ["time", "level", "target", "message"] {
            assert!(object[member].is_string(), "{member} of {line}");
        }
        assert!(object["fields"].is_object(), "fields of {line}");
        object
    };
    text.lines().map(read).collect()
}

/// A node that logs to files and says where it listens in an object.
struct Logged {
    child: Child,
    folder: TempDir,
    resp: SocketAddr,
}

impl Logged {
    fn start(folder: TempDir, arrange: impl FnOnce(&mut Command, &Path)) -> Self {
        let file = |name: &str| File::create(folder.path().join(name)).expect("a file");
        let mut command = serve(folder.path());
        command.env("QUIPU_LOG_FORMAT", "json").stderr(file("stderr")).stdout(Stdio::piped());
        arrange(&mut command, folder.path());
        let mut child = command.spawn().expect("the binary starts");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("stdout is readable");
        let ready = objects(&line).remove(0);
        assert_eq!(ready["message"], "ready");
        let resp = ready["fields"]["resp"].as_str().and_then(|text| text.parse().ok());
        Self { child, folder, resp: resp.expect("it says where it listens") }
    }

    /// Waits for the end, and returns what was logged.
    fn end(mut self) -> (bool, Vec<Value>) {
        let status = poll(PATIENCE, || self.child.try_wait().expect("a child can be waited for"));
        let status = status.unwrap_or_else(|| {
            self.child.kill().expect("a running child can be killed");
            panic!("the node runs on")
        });
        let log = fs::read_to_string(self.folder.path().join("stderr")).expect("it was logged to");
        (status.success(), objects(&log))
    }
}

fn serve(folder: &Path) -> Command {
    let mut command = Command::new(binary());
    command.args(["serve", "--resp", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    command.args(["--admin", "127.0.0.1:0", "--data"]).arg(folder.join("data"));
    command
}

#[test]
fn a_life_is_told_in_objects() {
    let folder = TempDir::new().expect("a temporary directory");
    let node = Logged::start(folder, |command, _| {
        command.args(["--log-level", "debug"]);
    });
    assert_eq!(Resp::tcp(node.resp).call("INCR a").int(), Some(1));
    let pid = rustix::process::Pid::from_child(&node.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it takes TERM");
    // A life without trouble may have nothing to say.
    let (is_success, log) = node.end();
    assert!(is_success, "{log:?}");
}

#[test]
fn a_failed_sync_is_told_in_objects() {
    let folder = TempDir::new().expect("a temporary directory");
    let Some(shim) = shim(folder.path()) else { return };
    let node = Logged::start(folder, |command, folder| {
        command.env("LD_PRELOAD", shim).env("SYNC_GATE", folder.join("gate"));
    });
    File::create(node.folder.path().join("gate.broken")).expect("the directory takes a file");
    // The connection may end without an answer.
    drop(Resp::tcp(node.resp).try_call("INCR a"));
    let (is_success, log) = node.end();
    assert!(!is_success, "a failed sync ended well");
    let last = log.last().expect("a failure is told");
    assert_eq!(last["level"], "ERROR", "{last}");
    assert!(last["message"].as_str().expect("a text").contains("sync"), "{last}");
}

/// Demands that a start is refused, in objects, with this in the last one.
fn check(arrange: impl FnOnce(&mut Command) -> &mut Command, reason: &str) {
    let folder = TempDir::new().expect("a temporary directory");
    let mut command = serve(folder.path());
    command.args(["--log-format", "json"]);
    arrange(&mut command);
    let (out, err) = (folder.path().join("stdout"), folder.path().join("stderr"));
    let file = |path: &Path| File::create(path).expect("the directory takes a file");
    let mut child = command.stdout(file(&out)).stderr(file(&err)).spawn().expect("it starts");
    let status = poll(PATIENCE, || child.try_wait().expect("a child can be waited for"));
    if status.is_none() {
        child.kill().expect("a running child can be killed");
    }
    assert!(status.is_some_and(|status| !status.success()), "{reason}: {status:?}");
    let read = |path: &Path| fs::read_to_string(path).expect("it was logged to");
    assert_eq!(read(&out), "", "nothing is announced");
    let log = objects(&read(&err));
    let last = log.last().expect("a refusal is told");
    assert_eq!(last["level"], "ERROR");
    assert!(last["message"].as_str().expect("a text").contains(reason), "{last}");
}

#[test]
fn a_refused_start_is_told_in_objects() {
    check(|command| command.arg("--nosuch"), "unexpected argument '--nosuch'");
    check(|command| command.args(["--shards", "3"]), "shards");
    check(|command| command.args(["--log-level", "=="]), "--log-level");
    check(|command| command.env("QUIPU_CONFIG", "/nosuch/quipu.toml"), "/nosuch/quipu.toml");
    check(|command| command.env("QUIPU_LINGER", "never"), "linger");
}
