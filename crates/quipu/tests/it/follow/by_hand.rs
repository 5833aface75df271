//! Files that are moved, cut and replaced by hand.

use std::fs;

use std::process::Command;

use super::Scene;
use super::scene::rename;
use crate::chance::Chance;
use crate::tool;

/// Rotations one after the other. Measured: far more than one between two looks.
const ROUNDS: u64 = 16;

fn followed(lines: u64) -> Scene {
    let mut scene = Scene::new(&["access.log"]);
    scene.write("access.log", lines);
    scene.follow();
    scene.await_counted();
    scene
}

#[test]
fn a_renamed_file_is_read_to_its_end_though_its_last_line_is_not_terminated() {
    let mut scene = followed(100);
    rename(&scene.log("access.log"), &scene.log("moved"));
    scene.write_unterminated("moved");
    scene.await_counted();
    scene.await_said("finished");
    scene.check();
}

#[test]
fn a_line_that_is_not_terminated_waits_for_its_end() {
    let mut scene = followed(10);
    let before = scene.written();
    scene.write_unterminated("access.log");
    scene.stop();
    scene.await_lines(before);
    scene.follow();
    std::io::Write::write_all(&mut scene.open("access.log"), b"\n").expect("written");
    scene.await_counted();
    scene.check();
}

#[test]
fn a_file_that_is_cut_begins_anew() {
    let mut scene = followed(1000);
    fs::File::create(scene.log("access.log")).expect("cut");
    scene.write("access.log", 10);
    scene.await_counted();
    // Filled beyond its old length before anybody looks.
    scene.kill_ingest();
    fs::File::create(scene.log("access.log")).expect("cut");
    scene.write("access.log", 2000);
    scene.follow();
    scene.await_counted();
    scene.check();
}

#[test]
fn a_file_that_is_written_over_under_the_same_inode_is_another() {
    let mut scene = followed(300);
    let log = scene.log("access.log");
    for lines in [300, 299, 600] {
        // One write that leaves no moment at which it is short.
        scene.write("next", lines);
        let next = fs::read(scene.log("next")).expect("read");
        fs::remove_file(scene.log("next")).expect("removed");
        let file = fs::OpenOptions::new().write(true).open(&log).expect("opened");
        std::os::unix::fs::FileExt::write_all_at(&file, &next, 0).expect("written");
        file.set_len(next.len() as u64).expect("cut");
        scene.await_counted();
    }
    scene.check();
}

#[test]
fn a_file_that_takes_the_name_of_another_is_counted_from_its_start() {
    let mut scene = followed(100);
    for _ in 0..3 {
        scene.write("next", 50);
        rename(&scene.log("next"), &scene.log("access.log"));
        scene.await_counted();
    }
    scene.check();
}

#[test]
fn a_file_that_is_removed_and_made_again_may_have_the_same_inode() {
    let mut scene = followed(100);
    for _ in 0..3 {
        fs::remove_file(scene.log("access.log")).expect("removed");
        scene.write("access.log", 60);
        scene.await_counted();
        scene.kill_ingest();
        fs::remove_file(scene.log("access.log")).expect("removed");
        scene.write("access.log", 150);
        scene.follow();
        scene.await_counted();
    }
    scene.check();
}

/// Copies and cuts the log, and compresses the copy if `packs` says so.
fn copy_and_cut(scene: &Scene, round: u64, packs: bool) {
    let (log, copy) = (scene.log("access.log"), scene.log(&format!("access.log-{round}")));
    fs::copy(&log, &copy).expect("copied");
    fs::File::create(&log).expect("cut");
    if packs {
        tool::output_of(Command::new("gzip").arg(&copy));
    }
}

#[test]
fn a_file_that_is_copied_and_cut_faster_than_it_is_looked_at() {
    let (mut scene, mut chance) = (followed(10), Chance::new(7));
    for round in 0..ROUNDS {
        scene.write("access.log", chance.below(800) as u64);
        copy_and_cut(&scene, round, chance.percent(50));
    }
    scene.write("access.log", 5);
    scene.await_counted();
    scene.check();
}

#[test]
fn a_file_that_was_copied_and_cut_again_and_again_meanwhile() {
    let (mut scene, mut chance) = (followed(100), Chance::new(8));
    scene.write("access.log", 100);
    scene.kill_ingest();
    for round in 0..10 {
        scene.write("access.log", chance.below(300) as u64);
        copy_and_cut(&scene, round, chance.percent(50));
    }
    // A copy of what is in the file too.
    scene.write("access.log", 70);
    fs::copy(scene.log("access.log"), scene.log("access.log-99")).expect("copied");
    scene.follow();
    scene.await_counted();
    scene.check();
}
