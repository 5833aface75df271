//! What is performed between MULTI and EXEC beyond single counters, and what INFO tells.

use std::thread;

use tempfile::TempDir;

use crate::clients::fresh_node;
use crate::node::Node;
use crate::node::{self};
use crate::resp::{Reply, Resp, encode_line};

/// Clients of the concurrent test (guess: more than event loops, so that some wait).
const CLIENTS: usize = 4;
/// Groups of each of them (guess: enough that they meet on every shard).
const GROUPS: usize = 200;

/// Sends `lines` as one group and returns the replies to its commands.
fn group(connection: &mut Resp, lines: &[&str]) -> Vec<Reply> {
    let all = std::iter::once(&"MULTI").chain(lines).chain([&"EXEC"]);
    let bytes: Vec<u8> = all.flat_map(|line| encode_line(line)).collect();
    connection.send(&bytes).expect("the node reads");
    let mut next = || connection.receive().expect("a reply");
    assert_eq!(next().text(), Some("OK"), "MULTI");
    for line in lines {
        assert_eq!(next().text(), Some("QUEUED"), "{line}");
    }
    next().items().to_vec()
}

/// The value of a field of INFO.
fn field(info: &str, name: &str) -> Option<String> {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned);
    info.lines().find_map(value)
}

#[test]
fn a_group_looks_at_all_counters_and_streams_between_its_writes() {
    let (node, _folder) = fresh_node();
    let mut client = node.resp();
    let lines = [
        "DBSIZE",
        "INCR first",
        "DBSIZE",
        "EXPIRE first 1000",
        "SCAN 0 COUNT 100",
        "QUIPU.ADD second 5 STREAM lines 7",
        "QUIPU.CHECKPOINT lines 7",
        "QUIPU.STREAM lines",
        "INFO keyspace",
        "DEL first",
        "DBSIZE",
        "QUIPU.CHECKPOINT lines 0",
    ];
    let replies = group(&mut client, &lines);
    let sizes: Vec<_> = [0, 2, 10].map(|at: usize| replies[at].int()).into();
    assert_eq!(sizes, [Some(0), Some(1), Some(1)], "{replies:?}");
    assert_eq!(replies[4].items()[1].items()[0].text(), Some("first"), "{replies:?}");
    assert_eq!(replies[6].text(), Some("OK"), "{replies:?}");
    let [_, checkpoint, _, marks] = replies[7].items() else { panic!("{replies:?}") };
    assert_eq!((checkpoint.int(), marks.items()[0].items()[1].int()), (Some(7), Some(7)));
    let keyspace = replies[8].text().expect("INFO is text");
    assert_eq!(field(keyspace, "db0").as_deref(), Some("keys=2,expires=1"));
    assert_eq!(client.call("QUIPU.STREAM lines").items()[1].int(), Some(7), "it is stored");
}

/// Counts with groups that look at the size before and after, while others do the same.
fn count_in_groups(mut client: Resp, id: usize) {
    for at in 0..GROUPS {
        let incr = format!("INCR {id}-{at}");
        let replies = group(&mut client, &["DBSIZE", &incr, "SCAN 0 COUNT 1", "INFO", "DBSIZE"]);
        let [before, _, _, _, after] = &replies[..] else { panic!("{replies:?}") };
        let (before, after) = (before.int().expect("a size"), after.int().expect("a size"));
        assert_eq!(after - before, 1, "nobody comes between the commands of a group");
        assert_eq!(client.call(&incr).int(), Some(2));
    }
}

#[test]
fn groups_of_all_shards_neither_mix_nor_wait_for_each_other_for_ever() {
    let folder = TempDir::new().expect("a temporary directory");
    let start = node::start(&folder.path().join("data"));
    let node: Node = start.flag("server.workers", "2").run();
    thread::scope(|scope| {
        for id in 0..CLIENTS {
            let client = node.resp();
            scope.spawn(move || count_in_groups(client, id));
        }
    });
    assert_eq!(node.resp().call("DBSIZE").int(), Some((CLIENTS * GROUPS) as i64));
}

#[test]
fn info_tells_what_is_so() {
    let folder = TempDir::new().expect("a temporary directory");
    let start = node::start(&folder.path().join("data"));
    let info = |node: &Node| {
        let mut client = node.resp();
        client.call("SET lasting 1");
        client.call("SET passing 1 EX 1000");
        client.call("INFO").text().expect("INFO is text").to_owned()
    };
    let node = start.run();
    let first = info(&node);
    let number = |name: &str| field(&first, name).and_then(|value| value.parse::<f64>().ok());
    assert_eq!(number("tcp_port"), Some(f64::from(node.address("resp").port())));
    assert_eq!(number("connected_clients"), Some(1.0));
    assert_eq!(field(&first, "db0").as_deref(), Some("keys=2,expires=1"));
    assert!(number("used_memory").is_some_and(|bytes| bytes > 0.0), "{first}");
    assert!(number("used_memory_peak") >= number("used_memory"), "{first}");
    assert!(number("total_system_memory") > number("used_memory"), "{first}");
    for counted in ["used_cpu_sys", "used_cpu_user", "total_net_output_bytes"] {
        assert!(number(counted).is_some(), "{counted} in {first}");
    }
    drop(node);
    let again = info(&start.run());
    assert_ne!(field(&first, "run_id"), field(&again, "run_id"), "a run has its own number");
}
