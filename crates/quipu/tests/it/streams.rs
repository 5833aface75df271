//! Streams over RESP: a place that was refused comes again before any later one counts.

use crate::clients::fresh_node;
use crate::resp::{Reply, Resp};

/// Sends `refused` at place 1, then a good command at place 2, and 1 and 2 again.
fn check(socket: &mut Resp, counter: &str, refused: &str) {
    let stream = format!("{counter}-stream");
    let good = |sequence: u64| format!("QUIPU.ADD {counter} 1 STREAM {stream} {sequence}");
    let reply = socket.call(&format!("QUIPU.ADD {counter} {refused} STREAM {stream} 1"));
    assert!(reply.fails_with("ERR"), "{refused}: {reply:?}");
    assert!(socket.call(&good(2)).fails_with("HELD 1"), "{refused}: place 2 passed place 1");
    for sequence in [1, 2] {
        let reply = socket.call(&good(sequence));
        let value = reply.items().first().and_then(Reply::int);
        assert_eq!(value, Some(sequence as i64), "{refused}: {reply:?}");
    }
}

#[test]
fn a_command_that_is_not_understood_holds_its_stream() {
    let (node, _folder) = fresh_node();
    let mut socket = node.resp();
    for (counter, refused) in
        [("delta", "oops"), ("bounds", "1 MIN 5 MAX 4"), ("ack", "1 ACK quorum"), ("word", "1 NO")]
    {
        check(&mut socket, counter, refused);
    }
}

#[test]
fn a_group_that_is_not_performed_holds_its_streams() {
    let (node, _folder) = fresh_node();
    let mut socket = node.resp();
    for command in ["MULTI", "QUIPU.ADD g 1 STREAM s 1", "NOSUCH"] {
        socket.call(command);
    }
    assert!(socket.call("EXEC").fails_with("EXECABORT"));
    assert!(socket.call("QUIPU.ADD g 1 STREAM s 2").fails_with("HELD 1"));
    for command in ["MULTI", "QUIPU.ADD h oops STREAM t 1"] {
        socket.call(command);
    }
    assert!(socket.call("EXEC").items().first().is_some_and(|reply| reply.fails_with("ERR")));
    assert!(socket.call("QUIPU.ADD h 1 STREAM t 2").fails_with("HELD 1"));
}
