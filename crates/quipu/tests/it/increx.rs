//! INCREX against what is published of it: grammar and replies are the facts of the command's page in
//! redis/docs (`content/commands/increx.md`, since 8.8.0) and of the test suites that its two servers
//! keep for it (redis/redis `tests/unit/type/increx.tcl` after redis/redis#15237; valkey-io/valkey
//! `tests/unit/type/incr.tcl` of valkey-io/valkey#4679). What concerns floats, other types,
//! replication and notifications is left out; the refusals of the grammar stand beside the parser.

use crate::node::start;
use crate::resp::{Reply, Resp};

const MAX: &str = "9223372036854775807";
const MIN: &str = "-9223372036854775808";

/// The value that is set before, or `absent`; the options; the reply; the value afterwards.
///
/// `MAX` and `MIN` stand for the ends of 64 bits.
const CASES: &[(&str, &str, &str, &str)] = &[
    ("absent", "", "1 1", "1"),
    ("10", "", "11 1", "11"),
    ("100", "BYINT 5", "105 5", "105"),
    ("105", "BYINT -10", "95 -10", "95"),
    ("95", "BYINT 0", "95 0", "95"),
    // Beyond a bound nothing happens.
    ("99", "BYINT 5 UBOUND 100", "99 0", "99"),
    ("10", "BYINT 10 UBOUND 15", "10 0", "10"),
    ("10", "BYINT -10 LBOUND 5", "10 0", "10"),
    ("7", "BYINT 10 LBOUND 0 UBOUND 10", "7 0", "7"),
    ("7", "BYINT -20 LBOUND 0 UBOUND 10", "7 0", "7"),
    ("10", "BYINT 5 LBOUND 10 UBOUND 10", "10 0", "10"),
    ("absent", "BYINT 15 UBOUND 10", "0 0", "absent"),
    ("absent", "BYINT 5 LBOUND 10", "0 0", "absent"),
    ("absent", "UBOUND 0", "0 0", "absent"),
    // Within the bounds, which include themselves.
    ("5", "BYINT 1 LBOUND 0 UBOUND 10", "6 1", "6"),
    ("5", "BYINT 5 UBOUND 10", "10 5", "10"),
    ("10", "BYINT -10 LBOUND 0", "0 -10", "0"),
    ("10", "BYINT 3 UBOUND 20 SATURATE", "13 3", "13"),
    ("absent", "BYINT 5 UBOUND 10", "5 5", "5"),
    // To the bound.
    ("99", "BYINT 5 UBOUND 100 SATURATE", "100 1", "100"),
    ("50", "BYINT 100 UBOUND 80 SATURATE", "80 30", "80"),
    ("10", "BYINT -100 LBOUND 0 SATURATE", "0 -10", "0"),
    ("5", "LBOUND 0 BYINT 100 UBOUND 10 SATURATE", "10 5", "10"),
    ("10", "BYINT 5 UBOUND 10 SATURATE", "10 0", "10"),
    ("absent", "UBOUND 0 SATURATE", "0 0", "0"),
    ("absent", "LBOUND 5 SATURATE", "5 5", "5"),
    // A value that is beyond its bound already is treated as one that was pushed there.
    ("50", "BYINT 5 UBOUND 30", "50 0", "50"),
    ("50", "BYINT 5 UBOUND 30 SATURATE", "30 -20", "30"),
    ("50", "BYINT -1 UBOUND 30 SATURATE", "30 -20", "30"),
    ("50", "BYINT -25 UBOUND 30", "25 -25", "25"),
    ("-50", "BYINT -5 LBOUND -30 SATURATE", "-30 20", "-30"),
    ("10", "BYINT -5 LBOUND 20 SATURATE", "20 10", "20"),
    // The ends of 64 bits are bounds like any others.
    (
        "9223372036854775800",
        "BYINT 9223372036854775800",
        "9223372036854775800 0",
        "9223372036854775800",
    ),
    (
        "9223372036854775800",
        "BYINT 9223372036854775800 UBOUND MAX",
        "9223372036854775800 0",
        "9223372036854775800",
    ),
    ("9223372036854775800", "BYINT 9223372036854775800 SATURATE", "MAX 7", "MAX"),
    ("9223372036854775800", "BYINT 9223372036854775800 UBOUND MAX SATURATE", "MAX 7", "MAX"),
    (
        "-9223372036854775800",
        "BYINT -9223372036854775800",
        "-9223372036854775800 0",
        "-9223372036854775800",
    ),
    ("-9223372036854775800", "BYINT -9223372036854775800 SATURATE", "MIN -8", "MIN"),
    ("-9223372036854775800", "BYINT -9223372036854775800 LBOUND MIN SATURATE", "MIN -8", "MIN"),
    ("10", "BYINT MAX UBOUND 100 SATURATE", "100 90", "100"),
    ("10", "BYINT MAX UBOUND 100", "10 0", "10"),
    ("MAX", "BYINT 1 SATURATE", "MAX 0", "MAX"),
    // What was really added must fit into 64 bits.
    (
        "9223372036854775800",
        "BYINT 1 SATURATE UBOUND MIN",
        "ERR applied increment would overflow",
        "9223372036854775800",
    ),
    ("MAX", "BYINT -5 UBOUND MIN SATURATE", "ERR applied increment would overflow", "MAX"),
    // An expiry that has passed takes the counter away; with ENX only where it has none.
    ("10", "BYINT 1 EXAT 1", "11 1", "absent"),
    ("10", "BYINT 1 PXAT 1", "11 1", "absent"),
    ("10", "EXAT 100 ENX", "11 1", "absent"),
    ("10 EX 500", "BYINT 1 EXAT 1 ENX", "11 1", "11"),
];

/// The value and its options that are set before; the options; the least and the most `TTL` after.
const EXPIRIES: &[(&str, &str, (i64, i64))] = &[
    ("10", "EX 100", (90, 100)),
    ("10", "PX 100000", (90, 100)),
    ("10 EX 1000", "BYINT 1", (990, 1000)),
    ("10 EX 1000", "BYINT 1 PERSIST", (-1, -1)),
    ("10", "BYINT 1 PERSIST", (-1, -1)),
    ("10", "BYINT 1 EX 100 ENX", (90, 100)),
    ("10 EX 500", "BYINT 1 EX 10 ENX", (490, 500)),
    ("10 EX 500", "BYINT 1 PX 100000 ENX", (490, 500)),
    ("absent", "BYINT 5 EX 100 ENX", (90, 100)),
    // What is rejected leaves the expiry alone; what is moved to a bound does not.
    ("10", "BYINT 100 UBOUND 15 EX 100", (-1, -1)),
    ("10 EX 500", "BYINT 5 UBOUND 5 EX 100", (490, 500)),
    ("10 EX 500", "BYINT 5 UBOUND 5 PERSIST", (490, 500)),
    ("9223372036854775807", "BYINT 1 EX 100 ENX", (-1, -1)),
    ("10", "BYINT 100 UBOUND 15 SATURATE EX 200", (190, 200)),
];

fn words(text: &str) -> String {
    text.replace("MAX", MAX).replace("MIN", MIN)
}

fn prepare(socket: &mut Resp, before: &str) {
    let line = if before == "absent" { "DEL k".to_owned() } else { format!("SET k {before}") };
    let reply = socket.call(&words(&line));
    assert!(reply.error().is_none(), "{line}: {reply:?}");
}

fn shown(reply: &Reply) -> String {
    let pair: Vec<_> = reply.items().iter().filter_map(Reply::int).collect();
    match (reply.error(), &pair[..]) {
        (Some(error), _) => error.to_owned(),
        (None, [value, applied]) => format!("{value} {applied}"),
        _ => format!("{reply:?}"),
    }
}

#[test]
fn increx_answers_and_leaves_what_is_published() {
    let folder = tempfile::TempDir::new().expect("a directory");
    let node = start(&folder.path().join("data")).run();
    for hello in ["HELLO 2", "HELLO 3"] {
        let mut socket = node.resp();
        socket.call(hello);
        for (before, options, reply, after) in CASES {
            prepare(&mut socket, before);
            let answered = socket.call(words(&format!("INCREX k {options}")).trim_end());
            assert_eq!(shown(&answered), words(reply), "{before}: {options}");
            let left = socket.call("GET k");
            let left = left.text().filter(|_| !left.is_null()).unwrap_or("absent").to_owned();
            assert_eq!(left, words(after), "{before}: {options}");
        }
        for (before, options, (least, most)) in EXPIRIES {
            prepare(&mut socket, before);
            socket.call(words(&format!("INCREX k {options}")).trim_end());
            let ttl = socket.call("TTL k").int().expect("a number");
            assert!((*least..=*most).contains(&ttl), "{before}: {options}: {ttl}");
        }
    }
}

#[test]
fn quipu_add_saturates_as_increx_does() {
    let folder = tempfile::TempDir::new().expect("a directory");
    let node = start(&folder.path().join("data")).run();
    let mut socket = node.resp();
    prepare(&mut socket, "50");
    let added = socket.call("QUIPU.ADD k 5 MAX 30 SATURATE");
    let pair: Vec<_> = added.items().iter().take(2).filter_map(Reply::int).collect();
    assert_eq!(pair, [30, -20]);
    prepare(&mut socket, MAX);
    let far = socket.call(&format!("QUIPU.ADD k 1 MAX {MIN} SATURATE"));
    assert!(far.fails_with("ERR increment or decrement would overflow"), "{far:?}");
}
