//! SIGKILL of either side in the middle of writing and rotating, again and again.

use super::{Rotation, Scene};
use crate::chance::Chance;

/// Rounds of one seed. Measured: one takes about a quarter of a second.
const ROUNDS: usize = 12;

/// Writes, rotates and kills as `seed` chooses; what was written is counted, exactly.
fn check(seed: u64, wanted: &[&str], rotations: &[&'static str]) {
    let mut chance = Chance::new(seed);
    let mut scene = Scene::new(wanted);
    scene.write("access.log", 10);
    scene.follow();
    // What was rotated away before the first look is history.
    scene.await_lines(1);
    for _ in 0..ROUNDS {
        scene.write("access.log", 1 + chance.below(2000) as u64);
        match chance.below(4) {
            0 => scene.kill_ingest_and_follow(Some(&mut chance)),
            1 => scene.restart_node(),
            2 => scene.await_lines(scene.written() / 2),
            _ => {}
        }
        if chance.percent(60) && !scene.rotate(Rotation(chance.pick::<&str>(rotations))) {
            return;
        }
        if chance.percent(30) {
            scene.kill_ingest_and_follow(None);
        }
    }
    scene.await_counted();
    scene.check();
}

#[test]
fn kills_while_files_are_moved() {
    check(1, &["access.log"], &["create"]);
    check(2, &["access.log*"], &["create", "create\ncompress\ndelaycompress"]);
}

#[test]
fn kills_while_files_are_compressed() {
    check(3, &["access.log"], &["create\ncompress"]);
    check(4, &[""], &["create\ncompress\ndelaycompress", "create\ncompress"]);
}

#[test]
fn kills_while_files_are_copied_and_cut() {
    check(5, &["access.log"], &["copytruncate"]);
    check(6, &["access.log*"], &["copytruncate", "copytruncate\ncompress"]);
}
