//! A sync that never returns: nothing that depends on it may leave any socket, and everything
//! that does not depend on it goes on.
//!
//! The sync is frozen by a preloaded shim (`gate.c`) in front of libc's `fdatasync`. The check
//! first demands that the shim holds a sync at all, so a binary that syncs by another way fails
//! instead of passing unseen.

mod scene;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::http::{Http, Request, request};
use crate::node::{self};
use crate::node::{Node, PATIENCE, Start, poll};
use crate::resp::{Reply, Resp, encode_line};
use crate::{Violation, demand, tool};
use scene::{FREE_HTTP, FREE_RESP, GROUP, HELD, Held};

/// Rounds of free requests that must be answered while the sync is frozen. They are the clock of
/// this test: a reply that is not held has had the time of all of them to leave.
const FREE_ROUNDS: usize = 200;
/// Time that each held socket is watched on top (guess: a reply that leaks leaves in microseconds).
const WATCH: Duration = Duration::from_millis(10);

/// The gate in front of every sync of a node.
#[derive(Debug)]
struct Gate {
    file: PathBuf,
}

impl Gate {
    fn close(&self) {
        File::create(&self.file).expect("the test's directory takes a file");
    }

    fn open(&self) {
        fs::remove_file(&self.file).expect("the gate was closed");
    }

    /// Waits until a sync stands at the closed gate.
    fn holds_a_sync(&self) -> bool {
        let held = self.file.with_extension("gate.held");
        poll(PATIENCE, || held.exists().then_some(())).is_some()
    }
}

/// A request on its way, on a socket of its own.
enum Waiting {
    Resp(Resp),
    Http(Http),
}

impl Waiting {
    /// Returns the reply as text, if one comes within `patience`.
    fn receive(&mut self, patience: Duration) -> Result<Option<String>, Violation> {
        let broken = |error| Violation::new("liveness", format!("a waiting socket: {error}"));
        match self {
            Self::Resp(socket) => {
                let reply = socket.receive_within(patience).map_err(broken)?;
                Ok(reply.map(|reply| format!("{reply:?}")))
            }
            Self::Http(socket) => {
                let reply = socket.receive_within(patience).map_err(broken)?;
                Ok(reply.map(|reply| {
                    format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body))
                }))
            }
        }
    }
}

/// Starts the node that `start` describes behind a gate, and makes the scene's counters durable.
fn stage(start: &Start, shim: &Path) -> (Node, Gate) {
    let gate = Gate { file: start.data().with_extension("gate") };
    let node = start.clone().variable("LD_PRELOAD", shim).variable("SYNC_GATE", &gate.file).run();
    let mut resp = node.resp();
    for line in scene::DURABLE {
        let reply = resp.call(line);
        assert!(reply.error().is_none(), "{line}: {reply:?}");
    }
    gate.close();
    (node, gate)
}

/// Freezes the sync of a committer thread and checks what leaves the sockets.
///
/// # Errors
/// The name of the first held reply that left, of the free request that did not, or of the held
/// reply that did not come when the gate opened.
pub(crate) fn check(start: &Start, shim: &Path) -> Result<(), Violation> {
    let (node, gate) = stage(&start.clone().flag("commit.strategy", "committer"), shim);
    let mut resp = node.resp();
    let mut waiting = Vec::new();
    for held in HELD {
        waiting.push((held, send(&node, held)));
        if waiting.len() == 1 {
            demand(gate.holds_a_sync(), "shim", || "no sync went through libc".into())?;
        }
        await_visible(&mut resp, held)?;
    }
    waiting.push((&GROUP, held_group(&node)));
    free_requests_go_on(&node)?;
    held_until_open(waiting, &gate)
}

/// Freezes a sync inside the event loop: the loop stands still, and nothing leaves.
fn check_in_loop(start: &Start, shim: &Path) -> Result<(), Violation> {
    let (node, gate) = stage(&start.clone().flag("commit.strategy", "loop"), shim);
    let mut waiting = Vec::new();
    // The later requests of the scene depend on each other; these depend on the first alone.
    for held in HELD.iter().take_while(|held| held.check != "overflow" && held.check != "miss") {
        waiting.push((held, send(&node, held)));
        if waiting.len() == 1 {
            demand(gate.holds_a_sync(), "shim", || "no sync went through libc".into())?;
        }
    }
    held_until_open(waiting, &gate)
}

/// Demands that nothing leaves before the gate opens, and everything after.
fn held_until_open(mut waiting: Vec<(&Held, Waiting)>, gate: &Gate) -> Result<(), Violation> {
    for (held, socket) in &mut waiting {
        nothing_leaves(held.check, held.request, socket)?;
    }
    gate.open();
    for (held, socket) in &mut waiting {
        let reply = socket.receive(PATIENCE)?;
        demand(reply.as_ref().is_some_and(|reply| reply.contains(held.reply)), "release", || {
            format!("{}: {reply:?} when the gate opened, not {}", held.request, held.reply)
        })?;
    }
    Ok(())
}

/// Sends a request on a socket of its own.
fn send(node: &Node, held: &Held) -> Waiting {
    let line = held.request;
    let Some((method, rest)) = line.split_once(" /") else {
        let mut socket = node.resp();
        socket.send(&encode_line(line)).expect("the node reads");
        return Waiting::Resp(socket);
    };
    let path = format!("/{}", rest.split(' ').next().expect("a split has a first part"));
    let body = rest.split_once(' ').map_or("", |(_, body)| body);
    let mut socket = node.http();
    let headers = ["Idempotency-Key: frozen-http"];
    let headers = if held.check == "token repeat" { &headers[..] } else { &[] };
    socket.send(&Request { method, path: &path, headers, body }).expect("the node reads");
    Waiting::Http(socket)
}

/// Waits until a `latest` read shows what the request did, so that the next one depends on it.
fn await_visible(resp: &mut Resp, held: &Held) -> Result<(), Violation> {
    let Some((name, value)) = held.shows else { return Ok(()) };
    let read = format!("QUIPU.GET {name} READ latest");
    let seen = poll(PATIENCE, || (latest(&resp.call(&read)) == value).then_some(()));
    demand(seen.is_some(), "latest read", || format!("{read} does not show {value:?}"))
}

/// Returns the value in the reply to a read, alone or first in an array.
fn latest(reply: &Reply) -> Option<i64> {
    reply.int().or_else(|| reply.items().first().and_then(Reply::int))
}

/// Sends a group on a socket of its own; only the reply to `EXEC` is held.
fn held_group(node: &Node) -> Waiting {
    let mut socket = node.resp();
    for line in ["MULTI", "INCR grouped", "GET durable"] {
        let reply = socket.call(line);
        assert!(reply.error().is_none(), "{line}: {reply:?}");
    }
    socket.send(&encode_line(GROUP.request)).expect("the node reads");
    Waiting::Resp(socket)
}

fn free_requests_go_on(node: &Node) -> Result<(), Violation> {
    let (mut resp, mut http) = (node.resp(), node.http());
    for _ in 0..FREE_ROUNDS {
        for line in FREE_RESP {
            let reply = resp
                .try_call(line)
                .map_err(|error| Violation::new("free", format!("{line}: {error}")))?;
            demand(reply.error().is_none(), "free", || format!("{line}: {reply:?}"))?;
        }
        for (path, body, header) in FREE_HTTP {
            let method = if body.is_empty() { "GET" } else { "POST" };
            let asked = Request { headers: header, ..request(method, path, body) };
            let reply = http
                .try_call(&asked)
                .map_err(|error| Violation::new("free", format!("{asked:?}: {error}")))?;
            demand(reply.status == 200, "free", || format!("{asked:?}: {reply:?}"))?;
        }
    }
    Ok(())
}

fn nothing_leaves(
    check: &'static str,
    request: &str,
    socket: &mut Waiting,
) -> Result<(), Violation> {
    match socket.receive(WATCH)? {
        None => Ok(()),
        Some(reply) => {
            Err(Violation::new(check, format!("{request} was answered {reply} before its sync")))
        }
    }
}

/// Compiles the shim into `folder`; `None` if there is no C compiler.
pub(crate) fn shim(folder: &Path) -> Option<PathBuf> {
    let compiler = tool::find("cc")?;
    let shim = folder.join("gate.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/gate.c");
    let mut command = Command::new(compiler);
    tool::output_of(command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&shim).arg(source));
    Some(shim)
}

#[test]
fn nothing_that_depends_on_a_frozen_sync_leaves_any_socket() {
    let folder = TempDir::new().expect("a temporary directory");
    let Some(shim) = shim(folder.path()) else { return };
    if let Err(violation) = check(&node::start(&folder.path().join("data")), &shim) {
        panic!("{violation}");
    }
}

#[test]
fn nothing_leaves_while_the_event_loop_itself_stands_in_a_frozen_sync() {
    let folder = TempDir::new().expect("a temporary directory");
    let Some(shim) = shim(folder.path()) else { return };
    if let Err(violation) = check_in_loop(&node::start(&folder.path().join("data")), &shim) {
        panic!("{violation}");
    }
}
