//! Claims about files that grow, are cut, and are written over while they are read.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use super::{Look, Pause, Tail, Until};
use crate::identity::Identity;
use crate::lines::{Position, READ_BYTES};

/// Long enough that nobody waits it out.
const LONG: Duration = Duration::from_secs(600);

fn tail(content: &[u8], until: Until) -> (tempfile::NamedTempFile, Tail) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(content).expect("written");
    let open = File::open(file.path()).expect("opened");
    let tail = Tail::new(Arc::new(open), file.path(), until).expect("a regular file");
    (file, tail)
}

/// Reads until there is a pause, other than for a print.
fn read(tail: &Tail) -> (String, Pause) {
    let (mut found, mut room) = (Vec::new(), vec![0; 1000]);
    loop {
        match tail.read(&mut room).expect("read") {
            0 => match tail.take_pause().expect("a reason") {
                Pause::Print => tail.printed(1 << 40),
                pause => return (String::from_utf8(found).expect("text"), pause),
            },
            bytes => found.extend_from_slice(&room[..bytes]),
        }
    }
}

#[test]
fn only_whole_lines_come_until_the_file_is_known_to_grow_no_more() {
    let (mut file, tail) = tail(b"a\nbb\nc", Until::Told(Duration::ZERO));
    assert_eq!(read(&tail), ("a\nbb\n".to_owned(), Pause::Quiet));
    assert_eq!(tail.look().expect("looked"), Look::Partial);
    file.write_all(b"c\nd").expect("written");
    assert_eq!(tail.look().expect("looked"), Look::Lines);
    assert_eq!(read(&tail), ("cc\n".to_owned(), Pause::Quiet));
    tail.order(Until::End);
    assert_eq!(read(&tail), ("d".to_owned(), Pause::Ended));
    assert_eq!(tail.look().expect("looked"), Look::Same);
}

#[test]
fn a_line_that_is_longer_than_a_piece_comes_when_it_ends() {
    let long = "x".repeat(3 * READ_BYTES);
    let (mut file, tail) = tail(long.as_bytes(), Until::Told(Duration::ZERO));
    assert_eq!(read(&tail), (String::new(), Pause::Quiet));
    file.write_all(b"\ny").expect("written");
    assert_eq!(read(&tail), (format!("{long}\n"), Pause::Quiet));
}

#[test]
fn a_file_that_is_cut_or_written_over_is_noticed_whatever_its_length() {
    for content in ["", "a\n", "other\nother\n", "other\nother\nand\nmuch\nmore\n"] {
        let (mut file, tail) = tail(b"first\nlines\n", Until::Told(Duration::ZERO));
        assert_eq!(read(&tail).1, Pause::Quiet);
        file.as_file_mut().set_len(0).expect("cut");
        file.rewind().expect("at its start");
        file.write_all(content.as_bytes()).expect("written");
        assert_eq!(tail.look().expect("looked"), Look::Cut, "{content}");
        assert_eq!(read(&tail), (String::new(), Pause::Cut), "{content}");
    }
}

#[test]
fn a_reader_that_waits_wakes_for_new_lines_and_for_orders() {
    let (mut file, tail) = tail(b"a\n", Until::Told(LONG));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| read(&tail));
        file.write_all(b"b\n").expect("written");
        tail.notify();
        tail.order(Until::LineEnd);
        assert_eq!(reader.join().expect("joined"), ("a\nb\n".to_owned(), Pause::Quiet));
    });
    tail.order(Until::Here);
    file.write_all(b"c\n").expect("written");
    assert_eq!(read(&tail), (String::new(), Pause::Told));
}

#[test]
fn lines_of_a_block_that_was_cut_before_come_in_spite_of_an_order() {
    let (_file, tail) = tail(b"a\nb\nc\n", Until::Here);
    tail.read_at_least(2);
    assert_eq!(read(&tail).0, "a\nb\nc\n", "whole pieces");
}

fn check_place(content: &[u8], lines: u64, expected: (u64, u64)) {
    let (_file, tail) = tail(content, Until::End);
    // Wherever it was read before.
    for before in [0, 1, u64::MAX] {
        tail.terminated_lines(before).expect("read");
        let expected = Position { lines: expected.0, offset: expected.1 };
        assert_eq!(tail.go_after(lines).expect("counted"), expected);
    }
}

#[test]
fn the_place_after_so_many_lines_is_found() {
    check_place(b"a\nbb\nccc\n", 0, (0, 0));
    check_place(b"a\nbb\nccc\n", 2, (2, 5));
    check_place(b"a\nbb\nccc\n", 3, (3, 9));
    check_place(b"a\nbb\nccc\n", 4, (3, 9));
    check_place(b"a\nbb", 1, (1, 2));
    check_place(b"a\nbb", 2, (2, 4));
    check_place(b"a\nbb", 9, (2, 4));
    check_place(b"", 1, (0, 0));
    let long = [b"x".repeat(READ_BYTES), b"\ny\n".to_vec()].concat();
    check_place(&long, 1, (1, READ_BYTES as u64 + 1));
    check_place(&long, 2, (2, READ_BYTES as u64 + 3));
}

#[test]
fn a_source_keeps_its_identity_while_it_grows_and_loses_it_with_its_first_line() {
    let (mut file, tail) = tail(b"first\nsecond\n", Until::End);
    let before = tail.source().expect("a source");
    file.write_all(b"third\n").expect("written");
    assert_eq!(tail.source().expect("a source"), before);
    file.as_file_mut().set_len(0).expect("cut");
    assert_ne!(tail.source().expect("a source"), before);
}

#[test]
fn a_file_that_was_written_over_before_its_start_is_read_again_is_noticed() {
    let (file, tail) = tail(b"first\nlines\n", Until::End);
    tail.print_to_keep().expect("read");
    std::fs::write(file.path(), "other\nlines\nand more\n").expect("written");
    assert_eq!(tail.go_after(0).expect("counted"), Position::default());
    assert_eq!(read(&tail), (String::new(), Pause::Cut));
}

/// Finds out which source it is, as far as a tail is concerned.
fn identify(tail: &Tail) {
    tail.print_to_keep().expect("read").expect("a print");
    tail.identify(Identity { source: tail.source().expect("read"), generation: 0 });
}

#[test]
fn a_file_that_is_cut_after_it_was_identified_and_before_it_is_read_is_noticed() {
    for (content, after) in [("", 0), ("", 1), ("a\n", 0), ("other\n", 0), ("a\nb\n", 3)] {
        let (mut file, tail) = tail(b"a\nb\nc\nd\n", Until::Told(Duration::ZERO));
        identify(&tail);
        tail.go_after(0).expect("gone");
        file.as_file_mut().set_len(0).expect("cut");
        file.rewind().expect("at its start");
        file.write_all(content.as_bytes()).expect("written");
        tail.go_after(after).expect("gone");
        assert_eq!(tail.look().expect("looked"), Look::Cut, "{content} {after}");
        assert_eq!(read(&tail), (String::new(), Pause::Cut), "{content} {after}");
    }
}

#[test]
fn a_file_that_was_cut_is_not_as_it_was_identified_and_a_copy_tells_of_what_it_is() {
    let (mut live, tail_of_live) = tail(b"head\na\n", Until::Told(Duration::ZERO));
    assert!(!tail_of_live.is_as_identified().expect("read"), "not identified");
    identify(&tail_of_live);
    assert!(tail_of_live.is_as_identified().expect("read"));
    live.as_file_mut().set_len(0).expect("cut");
    live.rewind().expect("at its start");
    live.write_all(b"head\nb\nc\n").expect("written");
    assert!(!tail_of_live.is_as_identified().expect("read"), "cut and filled again");
    let check = |copy: &[u8], expected: bool| {
        let (_file, copy) = tail(copy, Until::Told(Duration::ZERO));
        assert_eq!(tail_of_live.begins_with(&copy).expect("read"), expected);
    };
    check(b"head\nb\n", true);
    check(b"head\na\n", false);
    check(b"head\nb\nc\nd\n", false);
    check(b"", false);
}
