//! Copies of a running node: taken under load, damaged, interrupted, restored.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use tempfile::TempDir;

use crate::canaries::CANARY;
use crate::history::{folding, path, quipu, quipu_ok, resp_of};
use crate::node::{self, Node};
use crate::resp::Resp;
use crate::tool::text_of;

/// Clients that add to a counter of their own.
const CLIENTS: usize = 4;

/// What one client knows.
#[derive(Default)]
struct Book {
    sent: AtomicU64,
    acknowledged: AtomicU64,
}

/// Adds 1 with token after token until told to stop; returns the positions that it was given.
fn add(mut resp: Resp, client: usize, book: &Book, stop: &AtomicBool) -> BTreeSet<String> {
    let mut positions = BTreeSet::new();
    while !stop.load(Ordering::Relaxed) {
        let number = book.sent.fetch_add(1, Ordering::SeqCst) + 1;
        let reply = resp.call(&token_add(client, number));
        positions.insert(reply.items()[2].text().expect("a position").to_owned());
        book.acknowledged.store(number, Ordering::SeqCst);
    }
    positions
}

fn token_add(client: usize, number: u64) -> String {
    format!("QUIPU.ADD counter-{client} 1 TOKEN {client}-{number}")
}

/// A node that was backed up under load and killed.
struct Before {
    /// What each client had acknowledged when the backup began.
    acknowledged: Vec<u64>,
    /// What each client had sent when it ended.
    sent: Vec<u64>,
    positions: BTreeSet<String>,
}

fn back_up_under_load(node: &mut Node, backup: &str) -> Before {
    let books: Vec<Book> = (0..CLIENTS).map(|_| Book::default()).collect();
    let stop = AtomicBool::new(false);
    let before = thread::scope(|scope| {
        let (books, stop) = (&books, &stop);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| (node.resp(), client))
            .map(|(resp, client)| scope.spawn(move || add(resp, client, &books[client], stop)))
            .collect();
        let all_began = || books.iter().all(|b| b.acknowledged.load(Ordering::SeqCst) > 20);
        node::poll(node::PATIENCE, || all_began().then_some(())).expect("the clients are answered");
        let acknowledged = books.iter().map(|b| b.acknowledged.load(Ordering::SeqCst)).collect();
        quipu_ok(&["backup", backup, "--node", &resp_of(node)]);
        let sent = books.iter().map(|b| b.sent.load(Ordering::SeqCst)).collect();
        stop.store(true, Ordering::Relaxed);
        let given = clients.into_iter().flat_map(|client| client.join().expect("it counts"));
        Before { acknowledged, sent, positions: given.collect() }
    });
    node.kill();
    before
}

#[test]
fn a_backup_under_load_holds_what_was_acknowledged_before_and_nothing_that_was_not_sent() {
    let folder = TempDir::new().expect("a temporary directory");
    let (backup, restored) = (path(&folder, "backup"), path(&folder, "restored"));
    let mut node = folding(&folder.path().join("data"), "1GiB").run();
    let before = back_up_under_load(&mut node, &backup);
    quipu_ok(&["restore", &backup, &restored]);
    let mut node = folding(Path::new(&restored), "1GiB").run();
    let mut resp = node.resp();
    for client in 0..CLIENTS {
        let value = resp.call(&format!("GET counter-{client}")).text().map(str::to_owned);
        let value: u64 = value.and_then(|text| text.parse().ok()).expect("a number");
        let range = before.acknowledged[client]..=before.sent[client];
        assert!(range.contains(&value), "client {client}: {value} is not in {range:?}");
        let repeat = resp.call(&token_add(client, value));
        assert_eq!(repeat.items()[3].text(), Some("token"), "{repeat:?}");
        let next = resp.call(&token_add(client, value + 1));
        assert_eq!(next.items()[0].int(), Some(value as i64 + 1), "{next:?}");
        let position = next.items()[2].text().expect("a position");
        assert!(!before.positions.contains(position), "{position} was given before");
    }
    let audited = quipu_ok(&["audit", "--node", &resp_of(&node)]);
    assert!(audited.contains("\nconsistent"), "{audited}");
    node.terminate();
    node::poll(node::PATIENCE, || node.ended()).expect("the node ends");
    let audited = quipu_ok(&["audit", &restored]);
    assert!(audited.contains("consistent"), "{audited}");
}

#[test]
fn a_damaged_backup_is_refused_with_file_and_offset() {
    let folder = TempDir::new().expect("a temporary directory");
    let backup = path(&folder, "backup");
    let node = node::start(&folder.path().join("data")).run();
    (0..50).for_each(|n| drop(node.resp().call(&format!("INCR counter-{n}"))));
    quipu_ok(&["backup", &backup, "--node", &resp_of(&node)]);
    let entries = fs::read_dir(&backup).expect("a directory").map(|entry| entry.expect("an entry"));
    let files: Vec<_> =
        entries.map(|entry| entry.path()).filter(|p| !p.ends_with("LOCK")).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    for file in files {
        let whole = fs::read(&file).expect("a file");
        for at in [0, whole.len() / 3, whole.len() / 2, whole.len() - 2] {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            fs::write(&file, damaged).expect("it is written");
            let output = quipu(&["restore", &backup, &path(&folder, &format!("to-{at}"))]);
            let said = text_of(&output);
            let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
            assert!(!output.status.success(), "byte {at} of {name}: {said}");
            assert!(said.contains(name) && said.contains("at offset"), "byte {at}: {said}");
        }
        fs::write(&file, whole).expect("it is written");
    }
    let verified = quipu_ok(&["restore", "--verify", &backup]);
    assert!(verified.contains("50 counters"), "{verified}");
}

/// Answers one request for a backup with half of it, and keeps the connection until told to go on.
fn half_a_node(whole: Vec<u8>) -> (String, thread::JoinHandle<()>, SyncSender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let (go_on, told) = sync_channel(1);
    let serve = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).expect("a request");
        }
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", whole.len());
        stream.write_all(head.as_bytes()).expect("the client reads");
        stream.write_all(&whole[..whole.len() / 2]).expect("the client reads");
        // The end of the test is an answer, too.
        let _ended = told.recv().is_err();
    });
    (address, serve, go_on)
}

/// The snapshot of a backup, as bytes.
fn snapshot_of(backup: &str) -> Vec<u8> {
    let entries = fs::read_dir(backup).expect("a directory").map(|e| e.expect("an entry").path());
    let mut snapshots = entries.filter(|path| path.extension().is_some_and(|e| e == "items"));
    fs::read(snapshots.next().expect("a snapshot")).expect("a file")
}

#[test]
fn a_backup_that_was_interrupted_on_either_side_is_none() {
    let folder = TempDir::new().expect("a temporary directory");
    let (whole, broken) = (path(&folder, "whole"), path(&folder, "broken"));
    let node = node::start(&folder.path().join("data")).run();
    (0..500).for_each(|n| drop(node.resp().call(&format!("INCR counter-{n}"))));
    quipu_ok(&["backup", &whole, "--node", &resp_of(&node)]);
    let is_none = || {
        let refused = quipu(&["restore", &broken, &path(&folder, "to")]);
        let said = text_of(&refused);
        assert!(!refused.status.success() && said.contains("there is no backup"), "{said}");
    };
    // The node goes away in the middle.
    let (address, serve, go_on) = half_a_node(snapshot_of(&whole));
    drop(go_on);
    let cut = quipu(&["backup", &broken, "--admin", &address]);
    assert!(text_of(&cut).contains("stopped before all was sent"), "{}", text_of(&cut));
    serve.join().expect("it served");
    is_none();
    // The backup is killed in the middle.
    let (address, serve, go_on) = half_a_node(snapshot_of(&whole));
    let mut command = Command::new(node::binary());
    command.args(["backup", &broken, "--admin", &address]).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut said = String::new();
    let stderr = child.stderr.take().expect("a pipe");
    BufReader::new(stderr).read_line(&mut said).expect("text");
    assert!(said.contains("what an interrupted backup left was removed"), "{said}");
    let unfinished = Path::new(&broken).join("snapshot.unfinished");
    let has_some = || fs::metadata(&unfinished).is_ok_and(|file| file.len() > 0).then_some(());
    node::poll(node::PATIENCE, has_some).expect("it writes");
    child.kill().expect("a running child can be killed");
    child.wait().expect("a killed child ends");
    drop(go_on);
    serve.join().expect("it served");
    is_none();
    // The next one takes its place.
    quipu_ok(&["backup", &broken, "--node", &resp_of(&node)]);
    quipu_ok(&["restore", &broken, &path(&folder, "to")]);
}

#[test]
fn a_node_that_dies_in_the_fold_of_a_backup_loses_nothing() {
    let folder = TempDir::new().expect("a temporary directory");
    let backup = path(&folder, "backup");
    let start = node::start(&folder.path().join("data"));
    let dying = start.clone().program(&CANARY).variable("QUIPU_FAILPOINT", "fold_renamed");
    let mut node = dying.run();
    assert_eq!(node.resp().call("INCRBY a 7").int(), Some(7));
    let output = quipu(&["backup", &backup, "--node", &resp_of(&node)]);
    assert!(!output.status.success(), "{}", text_of(&output));
    node::poll(node::PATIENCE, || node.ended()).expect("the node died");
    assert!(!quipu(&["restore", &backup, &path(&folder, "to")]).status.success());
    let node = start.run();
    assert_eq!(node.resp().call("GET a").text(), Some("7"));
    quipu_ok(&["backup", &backup, "--node", &resp_of(&node)]);
}

#[test]
fn a_restore_leaves_directories_alone_that_hold_something() {
    let folder = TempDir::new().expect("a temporary directory");
    let (data, backup) = (path(&folder, "data"), path(&folder, "backup"));
    let node = node::start(&folder.path().join("data")).run();
    node.resp().call("INCR a");
    quipu_ok(&["backup", &backup, "--node", &resp_of(&node)]);
    let taken = text_of(&quipu(&["backup", &backup, "--node", &resp_of(&node)]));
    assert!(taken.contains("holds a backup already"), "{taken}");
    let used = text_of(&quipu(&["restore", &backup, &data]));
    assert!(used.contains("is in use by another process"), "{used}");
    drop(node);
    let full = text_of(&quipu(&["restore", &backup, &data]));
    assert!(full.contains("name one that is new or empty"), "{full}");
}
