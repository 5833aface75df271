//! Which files are read: several, patterns, folders, also without following.

use super::Scene;

#[test]
fn several_files_and_patterns_are_counted_to_their_ends() {
    let mut scene = Scene::new(&["access.log", "*.txt"]);
    for (name, lines) in [("access.log", 10), ("a.txt", 20), ("b.txt", 30)] {
        scene.write(name, lines);
    }
    std::fs::write(scene.log("other"), "key=none\n").expect("written");
    let summary = scene.ingest_once();
    let lines: Vec<_> = summary["sources"]
        .as_array()
        .expect("sources")
        .iter()
        .map(|source| source["lines"].as_u64().expect("a number"))
        .collect();
    assert_eq!((summary["lines"].as_u64(), lines), (Some(60), vec![20, 10, 30]));
    scene.await_counted();
    assert_eq!(scene.ingest_once()["lines"], 0);
    scene.await_counted();
}

#[test]
fn a_folder_is_all_its_files_that_are_not_hidden() {
    let mut scene = Scene::new(&[""]);
    for name in ["one.log", "two"] {
        scene.write(name, 10);
    }
    std::fs::write(scene.log(".hidden"), "key=none\n").expect("written");
    assert_eq!(scene.ingest_once()["lines"], 20);
    scene.await_counted();
    scene.follow();
    scene.write("three", 10);
    scene.write("two", 10);
    scene.await_counted();
    scene.check();
}

#[test]
fn files_that_come_later_are_followed_from_their_start() {
    let mut scene = Scene::new(&["access.log", "*.txt"]);
    scene.follow();
    scene.write("a.txt", 10);
    scene.write("access.log", 10);
    scene.await_counted();
    scene.write("b.txt", 10);
    scene.await_counted();
    scene.check();
}

#[test]
fn more_files_than_readers_take_turns() {
    let mut scene = Scene::new(&["*.txt", "access.log"]);
    scene.follow();
    for round in 0..3 {
        for file in 0..20 {
            scene.write(&format!("{file}.txt"), 10 + round);
        }
    }
    scene.await_counted();
    scene.check();
}

#[test]
fn files_that_begin_alike_are_not_taken_for_each_other() {
    let mut scene = Scene::new(&["*.csv", "access.log"]);
    for name in ["part-1.csv", "part-2.csv", "access.csv", "access.csv.1"] {
        std::fs::write(scene.log(name), "time,what\n").expect("written");
        scene.write(name, 2);
    }
    scene.follow();
    for name in ["part-2.csv", "part-1.csv", "access.csv"] {
        scene.write(name, 2);
    }
    scene.write("access.log", 1);
    // The rotated file beside is none that was counted.
    scene.forget(2, "access.csv.1");
    scene.await_counted();
    scene.check();
}
