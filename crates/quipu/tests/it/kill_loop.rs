//! SIGKILL at any moment, again and again on one data directory: what was acknowledged is there,
//! what was not is there at most once, and a token answers the same before and after.
//!
//! Each connection is driven by a client that keeps its own books. A cycle starts the node, lets
//! every client settle its books against it, drives all of them at once, kills the node after a
//! random number of acknowledgements, and lets the clients note what stayed without an answer.

mod books;
mod tokened;
mod untokened;

use std::env;
use std::process::Command;
use std::sync::{Condvar, Mutex};
use std::thread;

use tempfile::TempDir;

use crate::chance::Chance;
use crate::node::{Node, PATIENCE, Start, binary};
use crate::resp::Resp;
use crate::{Violation, demand, tool};
use books::{Client, Stop};

/// Cycles in continuous integration (issue: "200 cycles in CI").
const CYCLES: usize = 200;
/// Acknowledged replies before a kill, at most (guess: keeps a cycle near 0.2 s).
const ACKNOWLEDGED_MAX: usize = 1_500;
const SEED: u64 = 0x51_6B_11;

/// Counts acknowledged replies of all clients, so that the kill comes in the midst of the load.
#[derive(Debug, Default)]
struct Progress {
    acknowledged: Mutex<usize>,
    moved: Condvar,
}

impl Progress {
    fn add(&self, count: usize) {
        *self.acknowledged.lock().expect("no client panics while it counts") += count;
        self.moved.notify_one();
    }

    /// Waits until `target` replies were acknowledged; gives up when patience is over.
    fn wait_for(&self, target: usize) -> bool {
        let count = self.acknowledged.lock().expect("no client panics while it counts");
        let (count, _) = self
            .moved
            .wait_timeout_while(count, PATIENCE, |count| *count < target)
            .expect("no client panics while it counts");
        *count >= target
    }
}

/// Runs `cycles` kills on the node that `start` describes, and a clean audit at the end.
///
/// # Errors
/// The first broken promise that a client found in its books.
pub(crate) fn check(start: &Start, cycles: usize) -> Result<(), Violation> {
    let mut clients = crew();
    let mut chance = Chance::new(SEED);
    for _ in 0..cycles {
        let mut node = start.run();
        settle(&mut clients, &node)?;
        let target = 1 + chance.below(ACKNOWLEDGED_MAX);
        drive_and_kill(&mut clients, &mut node, target, &mut chance)?;
    }
    settle(&mut clients, &start.run())?;
    audit(start)
}

/// Returns the clients: two on shared counters, two with tokens, one stream, one write-behind.
fn crew() -> Vec<Box<dyn Client>> {
    let shared = untokened::shared_counters();
    vec![
        Box::new(untokened::Plain::new(shared.clone())),
        Box::new(untokened::Plain::new(shared)),
        Box::new(tokened::Keyed::new(0)),
        Box::new(tokened::Keyed::new(1)),
        Box::new(tokened::Streamed::new("source-0")),
        Box::new(untokened::WriteBehind::new()),
    ]
}

fn settle(clients: &mut [Box<dyn Client>], node: &Node) -> Result<(), Violation> {
    let mut connection = node.resp();
    clients.iter_mut().try_for_each(|client| client.settle(&mut connection))
}

fn drive_and_kill(
    clients: &mut [Box<dyn Client>],
    node: &mut Node,
    target: usize,
    chance: &mut Chance,
) -> Result<(), Violation> {
    let progress = Progress::default();
    thread::scope(|scope| {
        let mut running = Vec::new();
        for client in clients {
            let (connection, seed, progress) = (node.resp(), chance.next(), &progress);
            running.push(scope.spawn(move || drive(client.as_mut(), connection, seed, progress)));
        }
        let moves = progress.wait_for(target);
        node.kill();
        let ends = running.into_iter().map(|client| client.join().expect("a client ends"));
        ends.collect::<Result<Vec<()>, Violation>>()?;
        demand(moves, "progress", || format!("{target} acknowledgements did not come"))
    })
}

/// Drives one client until its connection breaks.
fn drive(
    client: &mut dyn Client,
    mut connection: Resp,
    seed: u64,
    progress: &Progress,
) -> Result<(), Violation> {
    let mut chance = Chance::new(seed);
    loop {
        match client.pipeline(&mut connection, &mut chance) {
            Ok(acknowledged) => progress.add(acknowledged),
            Err(Stop::Broken) => return Ok(()),
            Err(Stop::Violation(violation)) => {
                // The waiting main thread need not wait for the target any more.
                progress.add(usize::MAX / 4);
                return Err(violation);
            }
        }
    }
}

/// Demands that the offline audit of the directory finds it consistent.
fn audit(start: &Start) -> Result<(), Violation> {
    let output =
        Command::new(binary()).arg("audit").arg(start.data()).output().expect("the binary starts");
    let text = tool::text_of(&output);
    let said_so = text.contains("consistent") && !text.contains("inconsistent");
    let consistent = output.status.success() && said_so;
    demand(consistent, "audit", || format!("audit ended with {}:\n{text}", output.status))
}

/// Returns the number of cycles: `QUIPU_KILLS` or the default.
fn cycles() -> usize {
    env::var("QUIPU_KILLS").ok().map_or(CYCLES, |text| text.parse().expect("QUIPU_KILLS: a number"))
}

/// Makes segments small, so that kills also meet changes of segments and folds.
fn small_segments(start: Start) -> Start {
    start
        .flag("log.segment_bytes", "1MiB")
        .flag("log.frame_bytes_max", "256KiB")
        .flag("fold.log_bytes_min", "1MiB")
}

#[test]
fn no_kill_loses_an_acknowledged_count_or_doubles_a_token() {
    let folder = TempDir::new().expect("a temporary directory");
    let start = small_segments(Start::new(&folder.path().join("data")));
    if let Err(violation) = check(&start, cycles()) {
        panic!("{violation}");
    }
}
