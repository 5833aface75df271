//! Clients that know what must be there: those of the kill loop, and two that know when each of
//! their requests was sent, so that an acknowledgement after a failed sync is seen as such.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use quipu_proof::books::{Client, Stop, ask, tokened, untokened};
use rustix::time::{ClockId, clock_gettime};

use crate::chance::Chance;
use crate::node::{Node, PATIENCE};
use crate::resp::{Resp, encode_line};
use crate::{Violation, demand};

/// The wall clock, which the log of a tracer shows too.
pub(crate) fn wall() -> Duration {
    let now = clock_gettime(ClockId::Realtime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Counts acknowledged replies of all clients.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    acknowledged: Mutex<usize>,
    moved: Condvar,
}

impl Progress {
    fn add(&self, count: usize) {
        *self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner) += count;
        self.moved.notify_all();
    }

    /// Returns how many replies were acknowledged.
    pub(crate) fn count(&self) -> usize {
        *self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `count` more replies were acknowledged; false when patience is over.
    pub(crate) fn advances_by(&self, count: usize) -> bool {
        let so_far = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        let target = *so_far + count;
        let waited = self.moved.wait_timeout_while(so_far, PATIENCE, |so_far| *so_far < target);
        *waited.unwrap_or_else(PoisonError::into_inner).0 >= target
    }
}

/// When the acknowledged requests of all [`Timed`] clients were sent.
type Sent = Arc<Mutex<Vec<Duration>>>;

/// The clients of one data directory, over all its lives.
pub(crate) struct Crew {
    clients: Vec<Box<dyn Client>>,
    chance: Chance,
    sent: Sent,
}

impl Crew {
    /// Two clients on shared counters, two with tokens, a stream, a write-behind, two timed ones.
    pub(crate) fn new(seed: u64) -> Self {
        let (shared, sent) = (untokened::shared_counters(), Sent::default());
        let clients: Vec<Box<dyn Client>> = vec![
            Box::new(untokened::Plain::new(shared.clone())),
            Box::new(untokened::Plain::new(shared)),
            Box::new(tokened::Keyed::new(0)),
            Box::new(tokened::Keyed::new(1)),
            Box::new(tokened::Streamed::new("source-0")),
            Box::new(untokened::WriteBehind::new()),
            Box::new(Timed::new(0, &sent)),
            Box::new(Timed::new(1, &sent)),
        ];
        Self { clients, chance: Chance::new(seed), sent }
    }

    /// Lets every client compare its books with the node and send again what had no answer.
    ///
    /// # Errors
    /// A promise was broken.
    pub(crate) fn settle(&mut self, node: &Node) -> Result<(), Violation> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let broken = |error| Violation::new("liveness", format!("connect: {error}"));
        let mut connection = Resp::try_tcp(node.address("resp")).map_err(broken)?;
        self.clients.iter_mut().try_for_each(|client| client.settle(&mut connection))
    }

    /// Drives all clients while `trouble` does its work; kills what is left of the node then.
    ///
    /// # Errors
    /// A promise was broken.
    pub(crate) fn drive<T>(
        &mut self,
        node: &mut Node,
        trouble: impl FnOnce(&mut Node, &Progress) -> Result<T, Violation>,
    ) -> Result<T, Violation> {
        let progress = Progress::default();
        let address = node.address("resp");
        let (clients, chance) = (&mut self.clients, &mut self.chance);
        thread::scope(|scope| {
            let mut running = Vec::new();
            for client in clients {
                let (seed, progress) = (chance.next(), &progress);
                running.push(scope.spawn(move || match Resp::try_tcp(address) {
                    Ok(connection) => work(client.as_mut(), connection, seed, progress),
                    // A node that dies at once takes no connection.
                    Err(_) => Ok(()),
                }));
            }
            let outcome = trouble(node, &progress);
            node.kill();
            let ends = running.into_iter().map(|client| client.join().expect("a client ends"));
            ends.collect::<Result<Vec<()>, Violation>>()?;
            outcome
        })
    }

    /// Demands that nothing sent after `moment` was acknowledged since the last settlement.
    ///
    /// # Errors
    /// Something was.
    pub(crate) fn none_acknowledged_after(&self, moment: Duration) -> Result<(), Violation> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let late = sent.iter().filter(|sent| **sent > moment).count();
        demand(late == 0, "latch", || {
            format!("{late} requests were sent after the failure and acknowledged")
        })
    }
}

/// Drives one client until its connection breaks.
fn work(
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
                // Who waits for progress need not wait any more.
                progress.add(usize::MAX / 4);
                return Err(violation);
            }
        }
    }
}

/// Adds one at a time with a token of its own, notes when, and goes on after an `UNKNOWN`.
#[derive(Debug)]
struct Timed {
    id: usize,
    tokens: u64,
    acknowledged: i64,
    /// Tokens without an answer.
    unresolved: Vec<u64>,
    sent: Sent,
}

impl Timed {
    fn new(id: usize, sent: &Sent) -> Self {
        Self { id, tokens: 0, acknowledged: 0, unresolved: Vec::new(), sent: Arc::clone(sent) }
    }

    fn command(&self, token: u64) -> String {
        format!("QUIPU.ADD timed:{} 1 TOKEN timed-{token}", self.id)
    }
}

impl Client for Timed {
    fn pipeline(&mut self, node: &mut Resp, _: &mut Chance) -> Result<usize, Stop> {
        self.tokens += 1;
        self.unresolved.push(self.tokens);
        let sent = wall();
        node.send(&encode_line(&self.command(self.tokens)))?;
        let reply = node.receive()?;
        match reply.error() {
            None => {
                self.sent.lock().unwrap_or_else(PoisonError::into_inner).push(sent);
                self.unresolved.pop();
                self.acknowledged += 1;
                Ok(1)
            }
            Some(text) if text.starts_with("UNKNOWN") => Ok(0),
            Some(text) => {
                let command = self.command(self.tokens);
                Err(Violation::new("refusal", format!("{command}: {text}")).into())
            }
        }
    }

    fn settle(&mut self, node: &mut Resp) -> Result<(), Violation> {
        let tokens = std::mem::take(&mut self.unresolved);
        let again: Vec<String> = tokens.iter().map(|token| self.command(*token)).collect();
        ask(node, &again)?;
        self.acknowledged += again.len() as i64;
        let read = ask(node, &[format!("GET timed:{}", self.id)])?;
        let value = read.first().and_then(crate::resp::Reply::int).unwrap_or(0);
        demand(value == self.acknowledged, "exactly once", || {
            format!("timed:{} is {value}, {} tokens were sent", self.id, self.acknowledged)
        })
    }
}
