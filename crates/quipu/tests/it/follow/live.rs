//! A program that writes throughout, and opens its log anew when logrotate tells it to.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Rotation, Scene};
use crate::node::{PATIENCE, poll};
use crate::tool;

/// Lines that are written at most, however long the rotations take.
const LINES_MAX: u64 = 20_000;

/// The script after a rotation: asks the writer to open its log anew, and waits until it has.
fn reopen(ask: &Path) -> String {
    let ask = ask.display();
    format!("postrotate\ntouch {ask}\nwhile [ -e {ask} ]; do sleep 0.01; done\nendscript")
}

/// The scripts around a rotation: no line is written while the file is copied and cut.
fn pause(ask: &Path) -> String {
    let ask = ask.display();
    format!(
        "prerotate\ntouch {ask}\nwhile [ ! -e {ask}.done ]; do sleep 0.01; done\nendscript\n\
         postrotate\nrm {ask}\nwhile [ -e {ask}.done ]; do sleep 0.01; done\nendscript"
    )
}

/// Rotates as `manner` and `script` say while lines are written, which are all counted.
fn check(manner: &str, script: fn(&Path) -> String, answer: fn(&Path)) {
    let mut scene = Scene::new(&["access.log"]);
    scene.write("access.log", 10);
    scene.follow();
    scene.await_lines(1);
    let ask = scene.log("").with_file_name("ask");
    let rotation = format!("{manner}\n{}", script(&ask));
    let Some(mut rotate) = scene.rotation(Rotation(&rotation)) else { return };
    let is_done = AtomicBool::new(false);
    // Before the first rotation: a file that is opened between its moves would be made by us, and
    // logrotate puts that one aside.
    let mut log = scene.open("access.log");
    std::thread::scope(|scope| {
        let rotations = scope.spawn(|| {
            let said: Vec<_> = (0..4).map(|_| rotate.output().expect("runs")).collect();
            is_done.store(true, Ordering::Release);
            said
        });
        while !is_done.load(Ordering::Acquire) {
            if scene.written() < LINES_MAX {
                scene.write_to(&mut log, 20);
            }
            if ask.exists() {
                log = scene.open("access.log");
                answer(&ask);
            }
        }
        for said in rotations.join().expect("joined") {
            assert!(said.status.success(), "{}", tool::text_of(&said));
        }
    });
    scene.await_counted();
    scene.check();
}

/// Says that the log was opened anew.
fn say_reopened(ask: &Path) {
    fs::remove_file(ask).expect("removed");
}

/// Says that nothing is written, until the rotation is over.
fn say_paused(ask: &Path) {
    let done = ask.with_extension("done");
    fs::write(&done, "").expect("written");
    assert!(poll(PATIENCE, || (!ask.exists()).then_some(())).is_some(), "a rotation ends");
    fs::remove_file(&done).expect("removed");
}

#[test]
fn lines_are_written_while_their_file_is_moved() {
    check("create", reopen, say_reopened);
}

#[test]
fn lines_are_written_while_their_file_is_moved_and_compressed() {
    check("create\ncompress", reopen, say_reopened);
    check("create\ncompress\ndelaycompress", reopen, say_reopened);
}

#[test]
fn lines_are_written_before_and_after_their_file_is_copied_and_cut() {
    check("copytruncate\ncompress", pause, say_paused);
}
