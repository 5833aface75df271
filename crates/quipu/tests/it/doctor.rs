//! What `quipu doctor` says of real disks, limits and nodes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::faults::room::Room;
use crate::node::{PATIENCE, binary, poll, start};
use crate::tool;

/// What it found, by check.
struct Findings {
    all: Value,
    code: i32,
}

impl Findings {
    fn of(output: &Output) -> Self {
        let all = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", tool::text_of(output)));
        Self { all, code: output.status.code().expect("no signal") }
    }

    /// Demands a state of a check, and words in its figure; with BAD the code must be 1. What is not
    /// OK must have a remedy.
    fn check(&self, name: &str, state: &str, figure: &str) {
        let checks = self.all["checks"].as_array().expect("checks");
        let found = checks.iter().find(|check| check["check"] == name).expect("the check");
        assert_eq!(found["state"], state, "{found}");
        assert!(found["figure"].as_str().is_some_and(|text| text.contains(figure)), "{found}");
        assert_eq!(found["remedy"].is_null(), state == "OK", "{found}");
        let is_bad = self.all["state"] == "BAD";
        assert_eq!(self.code, i32::from(is_bad), "{}", self.all);
        assert!(is_bad || state != "BAD", "{}", self.all);
    }
}

/// Runs it on `directory` behind a line of shell such as `ulimit -n 500;`.
fn doctor(before: &str, directory: &Path, flags: &[&str]) -> Findings {
    let line = format!("{before} exec \"$0\" doctor --json --sync-ms 50 \"$@\"");
    let mut command = Command::new("sh");
    command.arg("-c").arg(line).arg(binary()).arg(directory).args(flags);
    Findings::of(&command.output().expect("sh starts"))
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into()).collect()
}

#[test]
fn a_place_for_a_new_store_is_measured_and_left_as_it_was() {
    let folder = TempDir::new().expect("a directory");
    let found = doctor("", &folder.path().join("not/there"), &[]);
    found.check("lock", "OK", "does not exist");
    found.check("store", "OK", "none yet");
    found.check("block size", "OK", "frames take");
    assert!(found.all.to_string().contains("ms, max "), "{}", found.all);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn beside_a_running_node_it_only_looks() {
    let folder = TempDir::new().expect("a directory");
    let data = folder.path().join("data");
    let mut node = start(&data).run();
    node.resp().call("INCR a");
    // The next segment is made beside the service.
    let segments = |end: &str| {
        let is_one = |name: &&String| name.starts_with("segment-") && name.ends_with(end);
        names(&data).iter().filter(is_one).count()
    };
    let is_calm = || (segments(".wal") > 1 && segments(".unfinished") == 0).then_some(());
    assert!(poll(PATIENCE, is_calm).is_some(), "{:?}", names(&data));
    let written = || fs::metadata(&data).and_then(|facts| facts.modified()).expect("a time");
    let before = written();
    let found = doctor("", &data, &[]);
    found.check("lock", "OK", "a node runs here");
    found.check("sync time", "OK", "not measured");
    found.check("store", "OK", "64 shards");
    assert_eq!(written(), before, "no name came or went");
    assert_eq!(node.resp().call("INCR a").int(), Some(2), "the node goes on");
    node.kill();
    drop(node);
    let found = doctor("", &data, &[]);
    found.check("lock", "OK", "no node runs here");
    assert!(found.all.to_string().contains("ms, max "), "{}", found.all);
    let again = start(&data).run();
    assert_eq!(again.resp().call("GET a").text(), Some("2"), "a start finds all as it was");
}

#[test]
fn what_does_not_fit_a_store_is_named() {
    let folder = TempDir::new().expect("a directory");
    let data = folder.path().join("data");
    drop(start(&data).run());
    doctor("", &data, &["--shards", "32"]).check(
        "store",
        "BAD",
        "64 shards, and the settings say 32",
    );
    fs::write(data.join("notes.txt"), "mine").expect("written");
    doctor("", &data, &[]).check("leftovers", "WARN", "notes.txt");
    fs::remove_file(data.join("notes.txt")).expect("removed");
    fs::write(data.join("fold-0001.run"), "half").expect("written");
    doctor("", &data, &[]).check("leftovers", "OK", "unfinished (");
    let now = fs::metadata(data.join("fold-0001.run")).and_then(|facts| facts.modified());
    let now = now.expect("a time");
    let lock = File::options().write(true).open(data.join("LOCK")).expect("opened");
    lock.set_modified(now + Duration::from_secs(4000)).expect("set");
    doctor("", &data, &[]).check("clock", "BAD", "s in the future");
    lock.set_modified(now).expect("set");
    let mut identity = fs::read(data.join("STORE")).expect("readable");
    identity[20] ^= 1;
    fs::write(data.join("STORE"), identity).expect("written");
    doctor("", &data, &[]).check("store", "BAD", "damaged");
    fs::remove_file(data.join("STORE")).expect("removed");
    doctor("", &data, &[]).check("store", "BAD", "no STORE beside");
}

#[test]
fn limits_of_the_process_are_seen() {
    let folder = TempDir::new().expect("a directory");
    let place = folder.path();
    doctor("ulimit -n 500;", place, &[]).check("open files", "WARN", "500 may be open");
    let few = ["--limits.connections", "100"];
    doctor("ulimit -n 500;", place, &few).check("open files", "OK", "need 164");
    doctor("ulimit -n 60;", place, &few).check("open files", "BAD", "60 may be open");
    // In blocks of 512 bytes: less than a segment, and then less than the file of the measuring.
    let found = doctor("ulimit -f 8192;", place, &[]);
    found.check("file size", "BAD", "4MiB at most");
    let found = doctor("ulimit -f 8;", place, &[]);
    found.check("sync time", "BAD", "File too large");
    assert!(names(place).is_empty());
    doctor("", place, &["--memory.max", "1PiB"]).check("memory", "BAD", "may use 1");
}

#[test]
fn a_disk_in_memory_and_a_full_disk_are_named() {
    let Some(room) = Room::new(4096) else { return };
    let inside = |flags: &[&str]| {
        let (program, data) = (binary().display().to_string(), room.data().display().to_string());
        let words = [&[program.as_str(), "doctor", &data, "--json", "--sync-ms", "20"], flags];
        Findings::of(&room.run(&words.concat()))
    };
    let found = inside(&["--log.segment_bytes", "1MiB", "--log.frame_bytes_max", "256KiB"]);
    found.check("file system", "WARN", "tmpfs");
    found.check("sync time", "WARN", "a file system in memory");
    found.check("free room", "WARN", "writes need 2MiB");
    let found = inside(&[]);
    found.check("free room", "BAD", "writes need 128MiB");
    let full = room.run(&[
        "sh",
        "-c",
        &format!("head -c 9000000 /dev/zero > {}.fill", room.data().display()),
    ]);
    assert!(!full.status.success(), "the disk is full");
    let found = inside(&[]);
    found.check("sync time", "BAD", "No space left");
    found.check("free room", "BAD", "0 free");
    room.remount("ro");
    inside(&[]).check("sync time", "BAD", "Read-only");
}

#[test]
fn the_table_shows_state_figure_and_remedy() {
    let folder = TempDir::new().expect("a directory");
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 500; exec \"$0\" doctor \"$1\" --sync-ms 20"])
        .arg(binary())
        .arg(folder.path())
        .output()
        .expect("sh starts");
    let text = tool::text_of(&output);
    assert!(text.contains("WARN  open files    500 may be open, 10000 connections"), "{text}");
    assert!(text.contains("-> raise the limit (LimitNOFILE= of the service"), "{text}");
}
