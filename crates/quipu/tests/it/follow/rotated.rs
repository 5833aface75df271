//! Rotation by the real logrotate, in each of its manners.

use std::fs::File;

use super::{Rotation, Scene};
use crate::tool;

/// Writes, rotates twice as `rotation` says, and writes on each time, with a program that opens its
/// log anew after the rotation, or goes on with the same file where that is cut.
fn check(wanted: &[&str], rotation: Rotation<'_>) {
    let mut scene = Scene::new(wanted);
    scene.write("access.log", 700);
    scene.follow();
    // What was rotated away before the first look is history.
    scene.await_lines(1);
    for lines in [500, 40] {
        scene.write("access.log", lines);
        if !scene.rotate(rotation) {
            return;
        }
        scene.write("access.log", 30);
    }
    scene.await_counted();
    scene.check();
}

const CREATE: Rotation<'_> = Rotation("create");
const COPY: Rotation<'_> = Rotation("copytruncate");
const COMPRESS: Rotation<'_> = Rotation("create\ncompress");
const DELAY: Rotation<'_> = Rotation("create\ncompress\ndelaycompress");
const ZSTD: Rotation<'_> = Rotation(
    "create\ncompress\ncompresscmd /usr/bin/zstd\ncompressext .zst\ncompressoptions -q --rm",
);
const COPY_COMPRESS: Rotation<'_> = Rotation("copytruncate\ncompress");
/// Rotations within one second would have the same date.
const DATE: Rotation<'_> =
    Rotation("create\ndateext\ndateformat -%Y%m%d-%s\nfirstaction\nsleep 1\nendscript");

#[test]
fn a_file_that_is_moved_and_made_anew() {
    check(&["access.log"], CREATE);
    check(&["access.log*"], CREATE);
}

#[test]
fn a_file_that_is_copied_and_cut() {
    check(&["access.log"], COPY);
    check(&["access.log*"], COPY);
}

#[test]
fn a_file_that_is_compressed_at_once() {
    check(&["access.log"], COMPRESS);
    check(&["access.log*"], COMPRESS);
}

#[test]
fn a_file_that_is_compressed_with_zstd() {
    if tool::find("zstd").is_none() {
        return;
    }
    check_rotated_down(&[""], ZSTD);
    check(&["access.log*"], ZSTD);
}

#[test]
fn a_file_that_is_compressed_at_the_next_rotation() {
    check(&["access.log"], DELAY);
    check(&[""], DELAY);
}

#[test]
fn a_copy_that_is_compressed() {
    check(&["access.log*"], COPY_COMPRESS);
}

#[test]
fn a_file_that_gets_its_date_as_a_name() {
    check(&["access.log*"], DATE);
}

#[test]
fn a_program_that_keeps_writing_to_the_file_that_was_moved() {
    let mut scene = Scene::new(&["access.log"]);
    let mut log = scene.open("access.log");
    scene.write_to(&mut log, 100);
    scene.follow();
    scene.await_counted();
    if !scene.rotate(CREATE) {
        return;
    }
    scene.write_to(&mut log, 50);
    scene.write("access.log", 20);
    scene.write_to(&mut log, 50);
    scene.await_counted();
    scene.check();
}

/// Kills the ingest, lets `while_down` happen, and starts it again.
fn check_down(wanted: &[&str], while_down: impl Fn(&mut Scene, &mut File)) {
    let mut scene = Scene::new(wanted);
    let mut log = scene.open("access.log");
    scene.write_to(&mut log, 3000);
    scene.follow();
    scene.await_lines(1000);
    scene.kill_ingest();
    scene.write_to(&mut log, 500);
    while_down(&mut scene, &mut log);
    scene.follow();
    scene.await_counted();
    scene.check();
}

/// As [`check_down`], with one rotation in between.
fn check_rotated_down(wanted: &[&str], rotation: Rotation<'_>) {
    check_down(wanted, |scene, _| {
        scene.rotate(rotation);
        scene.write("access.log", 20);
    });
}

#[test]
fn the_rest_of_a_file_that_was_moved_meanwhile_is_found() {
    check_rotated_down(&["access.log"], CREATE);
    check_rotated_down(&["access.log*"], CREATE);
    check_rotated_down(&[""], DATE);
}

#[test]
fn the_rest_of_a_file_that_was_copied_and_cut_meanwhile_is_found() {
    check_rotated_down(&["access.log"], COPY);
    check_rotated_down(&["access.log*"], COPY);
}

#[test]
fn the_rest_of_a_file_that_was_compressed_meanwhile_is_found() {
    check_rotated_down(&["access.log"], COMPRESS);
    check_rotated_down(&["access.log*"], COMPRESS);
    check_rotated_down(&["access.log"], COPY_COMPRESS);
}

#[test]
fn a_file_that_was_rotated_twice_meanwhile_is_found_compressed() {
    check_down(&["access.log"], |scene, _| {
        for _ in 0..2 {
            scene.rotate(DELAY);
            scene.write("access.log", 20);
        }
    });
}

#[test]
fn a_file_that_was_cut_and_has_grown_beyond_its_old_length_meanwhile() {
    check_down(&["access.log"], |scene, _| {
        scene.rotate(COPY);
        scene.write("access.log", 5000);
    });
}
