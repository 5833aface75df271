//! A sync that fails: nobody is told that it worked, the process stops with a sentence, and the
//! next start recovers from disk.

use std::fs::File;
use std::path::Path;

use tempfile::TempDir;

use crate::node::Start;
use crate::node::{self};
use crate::resp::{Reply, encode_line};
use crate::sync_frozen::shim;

/// Adds that wait for the sync that fails, each on a connection of its own.
const PENDING: usize = 8;

/// Returns a start whose syncs can be broken by the file `gate.broken`.
fn breakable(start: &Start, folder: &Path, shim: &Path) -> Start {
    let gate = folder.join("gate");
    start.clone().variable("LD_PRELOAD", shim).variable("SYNC_GATE", gate)
}

#[test]
fn a_failed_sync_acknowledges_nothing_stops_the_node_and_is_recovered_from() {
    let folder = TempDir::new().expect("a temporary directory");
    let Some(shim) = shim(folder.path()) else { return };
    let start = node::start(&folder.path().join("data"));
    let mut node = breakable(&start, folder.path(), &shim).run();
    assert_eq!(node.resp().call("INCR a").int(), Some(1));
    let mut sockets: Vec<_> = (0..PENDING).map(|_| node.resp()).collect();
    File::create(folder.path().join("gate.broken")).expect("the directory takes a file");
    for (index, socket) in sockets.iter_mut().enumerate() {
        // A node that has stopped already refuses the bytes: no answer, as for the others.
        drop(socket.send(&encode_line(&format!("QUIPU.ADD a 1 TOKEN t{index}"))));
    }
    for socket in &mut sockets {
        // The connection may also end without an answer.
        let reply = socket.receive().ok();
        let unknown = reply.as_ref().is_none_or(|reply| reply.fails_with("UNKNOWN"));
        assert!(unknown, "after a failed sync: {reply:?}");
    }
    let status = node.ended().expect("the node stops after a failed sync");
    assert!(!status.success(), "a failed sync ended with {status}");
    assert!(node.stderr().contains("sync"), "the message names no sync:\n{}", node.stderr());
    drop(node);
    let node = start.run();
    let mut socket = node.resp();
    for index in 0..PENDING {
        let reply = socket.call(&format!("QUIPU.ADD a 1 TOKEN t{index}"));
        assert!(reply.error().is_none(), "{reply:?}");
    }
    let value = socket.call("GET a");
    assert_eq!(Reply::int(&value), Some(1 + PENDING as i64), "each token counts exactly once");
}
