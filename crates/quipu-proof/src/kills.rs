//! SIGKILL at any moment, again and again on one data directory: what was acknowledged is there,
//! what was not is there at most once, and a token answers the same before and after.
//!
//! Each connection is driven by a client that keeps its own books. A cycle starts the node, lets
//! every client settle its books against it, drives all of them at once, ends the node after a
//! random number of acknowledgements, and lets the clients note what stayed without an answer.

use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::books::raced::{self, Judged};
use crate::books::{Client, Stop, tokened, untokened};
use crate::chance::Chance;
use crate::node::{Node, PATIENCE, Start};
use crate::resp::Resp;
use crate::{Violation, demand};

/// Acknowledged replies before a kill, at most, by default. Guess: keeps a cycle near 0.2 s.
pub const ACKNOWLEDGED_MAX: usize = 1_500;

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

    /// Waits until `target` replies were acknowledged, and returns how many were; gives up when
    /// patience is over.
    fn wait_for(&self, target: usize) -> usize {
        let count = self.acknowledged.lock().expect("no client panics while it counts");
        let (count, _) = self
            .moved
            .wait_timeout_while(count, PATIENCE, |count| *count < target)
            .expect("no client panics while it counts");
        *count
    }
}

/// The clients of one data directory, over all its lives.
pub struct Crew {
    clients: Vec<Box<dyn Client>>,
    chance: Chance,
    acknowledged_max: usize,
    figures: Figures,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Ends of a node under load, after each of which one reached serving again.
    pub ends: u64,
    /// Acknowledged replies.
    pub acknowledged: u64,
    /// Acknowledged operations with a token that were sent again in a later life, and answered the
    /// same.
    pub repeats_checked: u64,
    /// Histories that were judged.
    pub histories: Judged,
    /// How long each start took until the node served.
    pub starts: Vec<Duration>,
}

impl std::fmt::Debug for Crew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crew").field("figures", &self.figures).finish_non_exhaustive()
    }
}

impl Crew {
    /// Two clients on shared counters, two with tokens, one stream, one write-behind, and four that
    /// race, with their umpire. A node ends after at most `acknowledged_max` replies.
    pub fn new(seed: u64, acknowledged_max: usize) -> Self {
        let shared = untokened::shared_counters();
        let track = Arc::new(raced::Track::default());
        let racer = |id| Box::new(raced::Racer::new(Arc::clone(&track), id));
        let over_http = |id| Box::new(raced::HttpRacer::new(Arc::clone(&track), id));
        let clients: Vec<Box<dyn Client>> = vec![
            Box::new(untokened::Plain::new(shared.clone())),
            Box::new(untokened::Plain::new(shared)),
            Box::new(tokened::Keyed::new(0)),
            Box::new(tokened::Keyed::new(1)),
            Box::new(tokened::Streamed::new("source-0")),
            Box::new(untokened::WriteBehind::new()),
            racer(0),
            racer(1),
            over_http(2),
            over_http(3),
            // The last: it judges when the others have settled.
            Box::new(raced::Umpire::new(Arc::clone(&track))),
        ];
        let chance = Chance::new(seed);
        Self { clients, chance, acknowledged_max, figures: Figures::default() }
    }

    /// What was done so far.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Starts the node, settles all books, drives it, and ends it by `end` under load.
    ///
    /// # Errors
    /// A promise was broken.
    pub fn cycle(
        &mut self,
        start: &Start,
        end: impl FnOnce(&mut Node, &mut Chance),
    ) -> Result<(), Violation> {
        let mut node = self.serve(start)?;
        let target = 1 + self.chance.below(self.acknowledged_max);
        let progress = Progress::default();
        let (clients, chance) = (&mut self.clients, &mut self.chance);
        let acknowledged = thread::scope(|scope| {
            let mut running = Vec::new();
            for client in clients {
                let connection = Resp::try_tcp(node.address("resp"));
                let connection = connection
                    .map_err(|error| Violation::new("liveness", format!("connect: {error}")))?;
                let (seed, progress) = (chance.next(), &progress);
                running
                    .push(scope.spawn(move || drive(client.as_mut(), connection, seed, progress)));
            }
            let moved = progress.wait_for(target);
            end(&mut node, chance);
            let ends = running.into_iter().map(|client| client.join().expect("a client ends"));
            ends.collect::<Result<Vec<()>, Violation>>()?;
            demand(moved >= target, "progress", || {
                format!("{target} acknowledgements did not come")
            })?;
            Ok(moved)
        })?;
        self.figures.acknowledged += acknowledged as u64;
        Ok(())
    }

    /// Starts the node and lets every client settle its books.
    ///
    /// # Errors
    /// A promise was broken; the node does not start.
    pub fn serve(&mut self, start: &Start) -> Result<Node, Violation> {
        let started = Instant::now();
        let node = start.try_run().map_err(|text| Violation::new("refused start", text))?;
        self.figures.starts.push(started.elapsed());
        let broken = |error| Violation::new("liveness", format!("connect: {error}"));
        let mut connection = Resp::try_tcp(node.address("resp")).map_err(broken)?;
        self.clients.iter_mut().try_for_each(|client| client.meet(&node)).map_err(broken)?;
        self.clients.iter_mut().try_for_each(|client| client.settle(&mut connection))?;
        self.figures.repeats_checked = self.clients.iter().map(|client| client.repeats()).sum();
        self.figures.histories = self.clients.last().map(|last| last.judged()).unwrap_or_default();
        // The first start follows no end.
        self.figures.ends += u64::from(self.figures.starts.len() > 1);
        Ok(node)
    }
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

/// Runs `cycles` kills on the node that `start` describes, and a clean audit at the end.
///
/// # Errors
/// The first broken promise that a client found in its books.
pub fn run(start: &Start, cycles: usize, seed: u64) -> Result<Figures, Violation> {
    let mut crew = Crew::new(seed, ACKNOWLEDGED_MAX);
    for _ in 0..cycles {
        crew.cycle(start, |node, _| node.kill())?;
    }
    drop(crew.serve(start)?);
    audit(start)?;
    Ok(crew.figures)
}

/// Demands that the offline audit of the directory finds it consistent.
///
/// # Errors
/// It does not, or cannot be run.
pub fn audit(start: &Start) -> Result<(), Violation> {
    let output = Command::new(start.binary()).arg("audit").arg(start.data()).output();
    let output = output.map_err(|error| Violation::new("audit", error.to_string()))?;
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    let text = text.concat();
    let said_so = text.contains("consistent") && !text.contains("inconsistent");
    let consistent = output.status.success() && said_so;
    demand(consistent, "audit", || format!("audit ended with {}:\n{text}", output.status))
}

/// Makes segments small and history short, so that ends also meet changes of segments, folds and what
/// they retire, and starts are quick.
#[must_use]
pub fn small_segments(start: Start) -> Start {
    start
        .flag("log.segment_bytes", "1MiB")
        .flag("log.frame_bytes_max", "256KiB")
        .flag("fold.log_bytes_min", "256KiB")
        .flag("log.retain_bytes", "4MiB")
}
