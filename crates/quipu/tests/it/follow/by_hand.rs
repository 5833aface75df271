//! Files that are moved, cut and replaced by hand.

use std::fs;

use super::Scene;
use super::scene::rename;

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
