//! Blocks of lines that are cut short by the end of the file or of a process.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use super::{Node, append, await_acked, ingest_args, place, totals};
use crate::canaries::CANARY;

/// Forwards one connection to `node` until the first checkpoint that confirms a block: the fourth
/// one, after those of the source's print and path and of the cut.
fn forward_until_confirmed(listener: &TcpListener, node: &str) {
    let (mut client, _) = listener.accept().expect("the ingest connects");
    let mut server = TcpStream::connect(node).expect("the node accepts");
    let mut replies = server.try_clone().expect("cloned");
    let mut back = client.try_clone().expect("cloned");
    let pump = thread::spawn(move || std::io::copy(&mut replies, &mut back).map_or((), drop_it));
    let (mut room, mut checkpoints) = (vec![0; 1 << 16], 0);
    loop {
        let bytes = client.read(&mut room).expect("read");
        let sent = &room[..bytes];
        checkpoints += sent.windows(16).filter(|part| part == b"QUIPU.CHECKPOINT").count();
        if bytes == 0 || checkpoints >= 4 {
            break;
        }
        server.write_all(sent).expect("written");
    }
    for socket in [&client, &server] {
        // Whichever side is gone already is what is wanted.
        socket.shutdown(Shutdown::Both).unwrap_or_default();
    }
    pump.join().expect("joined");
}

fn drop_it(_bytes: u64) {}

/// An ingest dies after the sums of a partial block and before its checkpoint; then the file grows
/// and another ingest goes on. Returns the total; `canary` is a bug of both ingests.
fn total_after_growth(canary: Option<&str>) -> u64 {
    let (_place, data, file) = place();
    std::fs::write(&file, "a.rs\nb.rs\nc.rs\n").expect("written");
    let node = Node::start(&data);
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let proxy = listener.local_addr().expect("an address").to_string();
    let run = |address: &str| {
        let mut command = match canary {
            Some(bug) => Command::new(&*CANARY).env_set("QUIPU_CANARY", bug),
            None => Command::new(super::QUIPU),
        };
        let file = file.to_str().expect("UTF-8");
        command.args(["ingest", file, "--match", "rs$", "--count", "total", "--node", address]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let mut first = run(&proxy).spawn().expect("runs");
    forward_until_confirmed(&listener, &node.resp);
    drop(listener);
    first.kill().expect("killed");
    first.wait().expect("ended");
    assert_eq!(node.totals()["total"], 3, "the sums were counted");
    append(&file, "d.rs\ne.rs\n");
    assert!(run(&node.resp).status().expect("runs").success());
    node.totals()["total"]
}

/// `Command::env` that gives the command back.
trait EnvSet {
    fn env_set(self, name: &str, value: &str) -> Self;
}

impl EnvSet for Command {
    fn env_set(mut self, name: &str, value: &str) -> Self {
        self.env(name, value);
        self
    }
}

#[test]
fn lines_after_a_block_that_was_cut_short_by_a_kill_count_once() {
    assert_eq!(total_after_growth(None), 5);
}

#[test]
fn an_ingest_that_forgets_its_cuts_loses_lines() {
    assert_ne!(total_after_growth(Some("cuts_forgotten")), 5, "the check misses its canary");
}

/// Lines from `first` on, with counters that repeat within a block.
fn lines(first: u64, count: u64) -> String {
    (first..first + count).fold(String::new(), |mut text, line| {
        let ext = ["rs", "toml", "md", "c"][(line * 7 % 11 % 4) as usize];
        writeln!(text, "{line}.{ext}").expect("a string takes it");
        text
    })
}

/// Either side is killed in turn while the file grows by odd numbers of lines.
#[test]
fn kills_of_either_side_and_growth_lose_and_double_nothing() {
    let (_place, data, file) = place();
    let mut node = Node::start(&data);
    let mut written = 0;
    for (cycle, grown) in [3_000, 1, 2_501, 40, 1_777, 3_333, 7, 2_048].into_iter().enumerate() {
        append_lines(&file, written, grown);
        written += grown;
        let mut child = node
            .command(&ingest_args(&file))
            .args(["--report-every", "1", "--checkpoint-every", "700", "--window", "3"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("runs");
        if grown > 1_000 {
            let _stderr = await_acked(&mut child, written - grown + 500);
            if cycle % 3 == 0 {
                node = node.restart(&data);
            } else {
                child.kill().expect("killed");
            }
            // The pipe is read no more: an ingest that goes on does not wait for it.
        }
        child.wait().expect("ended");
    }
    node.ingest(&file);
    let found = node.totals();
    assert_eq!(found["total"], written);
    let all: u64 = ["rs", "toml", "md", "c"].map(|ext| found[&format!("ext/{ext}")]).iter().sum();
    assert_eq!(all, written);
    let expected = lines(0, written).lines().filter(|line| line.contains(".md")).count();
    assert_eq!(found["ext/md"], expected as u64);
}

fn append_lines(file: &Path, first: u64, count: u64) {
    if !file.exists() {
        std::fs::write(file, "").expect("created");
    }
    append(file, &lines(first, count));
}

#[test]
fn a_slow_pipe_counts_each_line_as_it_comes() {
    let (_place, data, _file) = place();
    let node = Node::start(&data);
    let words = ["ingest", "-", "--source", "slow", "--match", "(?<all>.+)", "--count", "{all}"];
    let mut child =
        node.command(&words).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("runs");
    let mut stdin = child.stdin.take().expect("standard input");
    for count in 1..=5 {
        stdin.write_all(b"x\n").expect("written");
        let seen = || (node.totals() == totals(&[("x", count)])).then_some(());
        crate::node::poll(crate::node::PATIENCE, seen).expect("counted while the pipe is open");
    }
    drop(stdin);
    assert!(child.wait().expect("ended").success());
}
