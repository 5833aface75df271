//! A disk without room: writes are refused and nothing else, and they return with the room. A disk
//! that is read-only, and a directory that may not be written: a clear refusal of the start.

use std::fs;

use quipu_proof::books::values_of;
use tempfile::TempDir;

use crate::faults::room::Room;
use crate::faults::under::{self, under};
use crate::faults::{Knobs as _, busy_log, count};
use crate::http::{Request, request};
use crate::node::{Node, PATIENCE, Start, poll};
use crate::resp::{Reply, Resp, encode_line};
use crate::{skip, tool};

/// The small disk: the segment in use, one prepared, and two more.
const ROOM_KIB: u64 = 4 * 1024 + 512;
/// Counters that are written to until the disk is full.
const COUNTERS: usize = 8;
/// Most commands until a disk of a few MiB is full: each takes a block of 4 KiB.
const COMMANDS_MAX: usize = 20_000;

/// What was acknowledged of the counters `full:0` and on.
#[derive(Debug, Default)]
struct Books {
    acknowledged: [i64; COUNTERS],
    sent: usize,
}

impl Books {
    /// Adds one at a time, so that each takes a frame, until one is refused; returns the refusal.
    fn fill(&mut self, socket: &mut Resp) -> Reply {
        for _ in 0..COMMANDS_MAX {
            let key = self.sent % COUNTERS;
            self.sent += 1;
            let reply = socket.call(&format!("INCR full:{key}"));
            if reply.error().is_some() {
                return reply;
            }
            self.acknowledged[key] += 1;
        }
        panic!("{COMMANDS_MAX} frames fit into {ROOM_KIB} KiB");
    }

    /// Demands that every counter is exactly what was acknowledged.
    fn are_exact(&self, node: &Node) {
        let values = values_of(&mut node.resp(), "full", COUNTERS);
        let values = values.unwrap_or_else(|violation| panic!("{violation}"));
        assert_eq!(values, self.acknowledged, "acknowledged and counted");
    }
}

fn small(room: &Room) -> Start {
    let start = busy_log(&room.data()).knob("log.segment_bytes", "1MiB");
    start.knob("log.frame_bytes_max", "256KiB")
}

fn unfolded(room: &Room) -> Start {
    room.enter(&small(room).knob("fold.log_bytes_min", "256MiB"))
}

#[test]
fn without_room_writes_are_refused_reads_go_on_and_writes_return_with_the_room() {
    let Some(room) = Room::new(ROOM_KIB) else { return };
    let start = unfolded(&room);
    let mut node = start.run();
    let (mut socket, mut books) = (node.resp(), Books::default());
    let first = socket.call("QUIPU.ADD tokened 5 TOKEN t");
    let refusal = books.fill(&mut socket);
    assert!(refusal.fails_with("NOSPACE"), "{refusal:?}");
    all_but_writes_goes_on(&node, &first);
    books.are_exact(&node);
    room.remount("size=16384k");
    let again = poll(PATIENCE, || socket.call("INCR after").int());
    assert_eq!(again, Some(1), "writes do not return; stderr:\n{}", node.stderr());
    let held = socket.call("QUIPU.ADD streamed 1 STREAM s 1");
    assert!(held.error().is_none(), "the refused sequence comes again: {held:?}");
    for _ in 0..600 {
        let reply = socket.call("INCR after");
        assert!(reply.error().is_none(), "{reply:?}");
    }
    books.are_exact(&node);
    node.kill();
    drop(node);
    let node = start.run();
    books.are_exact(&node);
    assert_eq!(node.resp().call("GET after").int(), Some(601));
    drop(node);
    let output = room.run(&[
        &crate::node::binary().display().to_string(),
        "audit",
        &room.data().display().to_string(),
    ]);
    assert!(output.status.success(), "{}", tool::text_of(&output));
    count("limits", 1);
}

/// Reads, repeats and refusals, with a disk that takes no write.
fn all_but_writes_goes_on(node: &Node, first: &Reply) {
    let mut socket = node.resp();
    for line in ["GET full:0", "QUIPU.GET full:0", "EXISTS full:0", "PING", "DBSIZE"] {
        let reply = socket.call(line);
        assert!(reply.error().is_none(), "{line}: {reply:?}");
    }
    let again = socket.call("QUIPU.ADD tokened 5 TOKEN t");
    assert_eq!(again.items().get(..3), first.items().get(..3), "a repeat answers the same");
    for line in ["SET full:0 7", "DEL full:0", "QUIPU.TAKE full:0", "QUIPU.ADD full:0 1 ACK memory"]
    {
        let reply = socket.call(line);
        assert!(reply.fails_with("NOSPACE"), "{line}: {reply:?}");
    }
    let streamed = socket.call("QUIPU.ADD streamed 1 STREAM s 1");
    assert!(streamed.fails_with("NOSPACE"), "{streamed:?}");
    let next = socket.call("QUIPU.ADD streamed 1 STREAM s 2");
    assert!(next.fails_with("HELD 1"), "{next:?}");
    let mut http = node.http();
    let path = "/v1/default/counters/full:0";
    assert_eq!(http.call(&request("GET", path, "")).status, 200);
    let key =
        Request { headers: &["Idempotency-Key: new"], ..request("POST", path, r#"{"add":1}"#) };
    assert_eq!(http.call(&key).status, 507);
}

#[test]
fn a_full_disk_refuses_the_start_by_name_and_the_start_works_with_the_room() {
    let Some(room) = Room::new(ROOM_KIB) else { return };
    let start = unfolded(&room);
    let mut books = Books::default();
    let mut node = start.run();
    books.fill(&mut node.resp());
    node.kill();
    drop(node);
    let ballast = room.inside().join("ballast");
    // As much as fits: the disk takes a part and then no more.
    drop(fs::write(&ballast, vec![1; 16 << 20]));
    let said = start.refusal();
    let clear = said.contains("No space left on device") && said.contains("segment-");
    assert!(clear && !said.contains("panicked"), "{said}");
    room.remount("size=16384k");
    books.are_exact(&start.run());
    count("limits", 1);
}

#[test]
fn a_log_that_is_folded_lives_on_a_disk_much_smaller_than_what_is_written() {
    let Some(room) = Room::new(12 * 1024) else { return };
    let start = room.enter(&small(&room).knob("fold.log_bytes_min", "1MiB"));
    let mut node = start.run();
    let mut socket = node.resp();
    let (mut counted, mut refused) = (0, 0);
    while counted < 6_000 {
        let reply = socket.call("INCR rolling");
        if let Some(value) = reply.int() {
            counted = value;
            continue;
        }
        assert!(reply.fails_with("NOSPACE") || reply.fails_with("BUSY"), "{reply:?}");
        refused += 1;
        let back = poll(PATIENCE, || socket.call("INCR rolling").int());
        counted = back.unwrap_or_else(|| panic!("{counted}: {}", node.stderr()));
    }
    assert!(refused < 100, "{refused} refusals of {counted}");
    node.kill();
    drop(node);
    // Where the end came before a fold gave room back, there may be none for the segment of a start.
    let node = start.try_run().unwrap_or_else(|said| {
        assert!(said.contains("No space left on device"), "{said}");
        room.remount("size=16384k");
        start.run()
    });
    assert_eq!(node.resp().call("GET rolling").int(), Some(counted));
    count("limits", 1);
}

#[test]
fn a_read_only_disk_refuses_the_start_by_name() {
    let Some(room) = Room::new(16 * 1024) else { return };
    let start = unfolded(&room);
    let mut books = Books { sent: 0, ..Books::default() };
    let mut node = start.run();
    books.acknowledged[0] = node.resp().call("INCR full:0").int().expect("a count");
    node.terminate();
    assert!(node.ended().is_some_and(|status| status.success()));
    drop(node);
    room.remount("ro");
    let said = start.refusal();
    let data = room.data().display().to_string();
    assert!(said.contains("Read-only file system") && said.contains(&data), "{said}");
    room.remount("rw");
    books.are_exact(&start.run());
    count("limits", 1);
}

#[test]
fn a_directory_that_may_not_be_written_refuses_the_start_by_name() {
    // Root may write anywhere, so it gives that up first.
    let line = "exec setpriv --bounding-set=-all --inh-caps=-all \"$@\"";
    if let Err(why) = under::permitted("setpriv --bounding-set=-all --inh-caps=-all true") {
        skip::note("a directory without permission", &why);
        return;
    }
    let folder = TempDir::new().expect("a temporary directory");
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("the directory takes another");
    let start = under(&busy_log(&data), line);
    for (mode, expected) in [(0o500, true), (0o000, true), (0o700, false)] {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&data, fs::Permissions::from_mode(mode)).expect("it is ours");
        if expected {
            let said = start.refusal();
            let named = said.contains(&data.display().to_string());
            assert!(said.contains("Permission denied") && named, "{mode:o}: {said}");
        } else {
            assert_eq!(start.run().resp().call("INCR a").int(), Some(1));
        }
        count("limits", 1);
    }
}

/// Bytes of one request each, as they would be sent by a client that does not wait.
#[test]
fn a_pipeline_into_a_full_disk_is_refused_one_by_one_and_counts_nothing() {
    let Some(room) = Room::new(ROOM_KIB) else { return };
    let start = unfolded(&room);
    let node = start.run();
    let (mut socket, mut books) = (node.resp(), Books::default());
    books.fill(&mut socket);
    let pipeline: Vec<u8> =
        (0..500).flat_map(|key| encode_line(&format!("INCR full:{}", key % COUNTERS))).collect();
    socket.send(&pipeline).expect("the node reads");
    for _ in 0..500 {
        let reply = socket.receive().expect("a refusal each");
        assert!(reply.fails_with("NOSPACE"), "{reply:?}");
    }
    books.are_exact(&node);
    count("limits", 1);
}
