//! The operator's word: streams that were ended are gone for good, and what they remembered counts
//! again.

use std::collections::BTreeMap;

use super::{Node, code, place, text, write_lines};

/// The names of the streams of a node, as the tool prints them.
fn names(node: &Node) -> Vec<String> {
    node.ok(&["stream", "list", "--names"]).lines().map(str::to_owned).collect()
}

fn doubled(totals: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    totals.iter().map(|(name, value)| (name.clone(), 2 * value)).collect()
}

#[test]
fn an_end_outlives_a_kill_and_a_file_whose_streams_ended_counts_again() {
    let (_place, data, file) = place();
    let totals = write_lines(&file, 300);
    let node = Node::start(&data);
    node.ingest(&file).check(0, 300, 600);
    node.ingest(&file).check(300, 0, 0);
    let streams = names(&node);
    assert!(streams.iter().any(|name| name.starts_with("file/")), "{streams:?}");
    let all: Vec<&str> = streams.iter().map(String::as_str).collect();
    let said = node.ok(&[&["stream", "end"][..], &all].concat());
    assert_eq!(said.lines().count(), streams.len(), "{said}");
    let node = node.restart(&data);
    assert_eq!(
        names(&node),
        Vec::<String>::new(),
        "an end that was answered is there after a kill"
    );
    assert_eq!(node.totals(), totals, "what was counted stays");
    node.ingest(&file).check(0, 300, 600);
    assert_eq!(node.totals(), doubled(&totals));
    assert_eq!(names(&node), streams, "the same file has the same streams");
    node.ingest(&file).check(300, 0, 0);
}

#[test]
fn a_stream_is_listed_shown_and_ended_by_the_name_that_is_printed() {
    let (_place, data, file) = place();
    write_lines(&file, 10);
    let node = Node::start(&data);
    node.ingest(&file).check(0, 10, 20);
    let table = node.ok(&["stream", "list", "--match", "file/*"]);
    assert!(table.starts_with("STREAM"), "{table}");
    let streams = names(&node);
    let items = node.ok(&["stream", "list", "--json"]);
    let items = items.lines().map(|line| serde_json::from_str(line).expect("an object"));
    let items: Vec<serde_json::Value> = items.collect();
    let item = items.iter().find(|item| item["checkpoint"] == 10).expect("a stream of the file");
    assert_eq!((&item["used_since_start"], &item["held"]), (&true.into(), &().into()));
    let counted = item["stream"].as_str().expect("a name");
    let shown = node.ok(&["stream", "show", counted]);
    assert!(shown.contains(counted) && shown.contains("checkpoint  10"), "{shown}");
    let node = node.restart(&data);
    let unused = node.ok(&["stream", "list", "--unused", "--names"]);
    assert_eq!(unused.lines().collect::<Vec<_>>(), streams, "nothing was used since the start");
    node.ok(&["stream", "end", counted]);
    let again = node.command(&["stream", "end", counted, "no-such"]).output().expect("runs");
    assert_eq!(code(&again), 1);
    let complaints = text(&again.stderr);
    assert_eq!(complaints.matches("there is no stream").count(), 2, "{complaints}");
}
