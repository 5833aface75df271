//! Rankings of all counters, made by one thread for everybody who asks.
//!
//! Who asks while a pass runs gets the next one, so an answer does not miss what was counted before
//! the question; all who wait share it. After a pass the thread rests nine times as long as the pass
//! took of a core, so that rankings cost a tenth of one at most, however many ask. Where that rest
//! is long, those who ask meanwhile get the ranking that is there: it says as of when it speaks.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use quipu_core::limits::TOP_MAX;
use quipu_core::top::{Pass, Top};
use quipu_metrics::name::Timing;
use stdx::units::Nanos;
use tokio::sync::Notify;

use crate::bell::Bell;
use crate::clock::{self, Stopwatch};
use crate::hub::Hub;

/// How many times as long as a pass the thread rests after it. Guess: a tenth of a core is little
/// enough beside the operations.
const REST: u32 = 9;

/// The same for the page that somebody keeps open. Guess.
const LAZY_REST: u32 = 99;

/// How long that page waits for a ranking before it gets the one before. Guess: not felt.
const LAZY_PATIENCE: Duration = Duration::from_millis(100);

/// A pass that took less is not worth sharing after its end: its rest is not felt by who waits for
/// the next one. Guess: some 250,000 counters.
const SHARED_FROM: Duration = Duration::from_millis(5);

/// How long the thread waits in one go, so that it sees that the node stops. Guess.
const NAP: Duration = Duration::from_millis(100);

/// The newest ranking, and who waits for the next.
#[derive(Debug, Default)]
pub struct Ranker {
    state: Mutex<State>,
    /// Rung when somebody wants a ranking.
    asked: Bell,
    /// Paces the thread; rung at the end of the node.
    rest: Bell,
    /// Wakes HTTP tasks that wait for a ranking.
    ranked: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// How many passes began.
    begun: u64,
    newest: Option<Ranking>,
}

#[derive(Debug)]
struct Ranking {
    pass: u64,
    top: Arc<Top>,
    /// What it took of a core: what it waited for one is not its cost.
    took: Duration,
    ended: Stopwatch,
}

impl Ranking {
    fn is_fresh(&self, rest: u32) -> bool {
        self.took >= SHARED_FROM && self.ended.elapsed() < self.took * rest
    }
}

/// The pass that somebody waits for, or any later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

impl Ranker {
    /// Asks for a ranking: one that is there and fresh, or that of a pass to come.
    pub fn ask(&self) -> Ticket {
        self.ask_after(REST)
    }

    /// As [`Ranker::ask`]; fresh is what is not older than `rest` times its making took.
    fn ask_after(&self, rest: u32) -> Ticket {
        let state = self.state.lock();
        match &state.newest {
            Some(ranking) if ranking.is_fresh(rest) => Ticket(ranking.pass),
            _ => {
                let ticket = Ticket(state.begun + 1);
                drop(state);
                self.asked.ring();
                ticket
            }
        }
    }

    /// The ranking that was asked for, if it is there.
    pub fn get(&self, ticket: Ticket) -> Option<Arc<Top>> {
        let state = self.state.lock();
        let ranking = state.newest.as_ref().filter(|ranking| ranking.pass >= ticket.0);
        ranking.map(|ranking| Arc::clone(&ranking.top))
    }

    /// The newest ranking, however old it is.
    pub fn newest(&self) -> Option<Arc<Top>> {
        self.state.lock().newest.as_ref().map(|ranking| Arc::clone(&ranking.top))
    }

    /// Wakes all that wait, here and in the thread: the node stops.
    pub(crate) fn stop(&self) {
        self.asked.ring();
        self.rest.ring();
        self.ranked.notify_waiters();
    }

    fn begin(&self) -> u64 {
        let mut state = self.state.lock();
        state.begun += 1;
        state.begun
    }

    fn publish(&self, ranking: Ranking) {
        self.state.lock().newest = Some(ranking);
        self.ranked.notify_waiters();
    }
}

impl Hub {
    /// A ranking of all counters; none where the node stops first.
    pub async fn top(&self) -> Option<Arc<Top>> {
        self.ranking(self.ranker.ask()).await
    }

    /// A ranking for somebody who looks on: it may be old where a pass takes long, and costs a
    /// hundredth of a core at most.
    pub async fn top_lazily(&self) -> Option<Arc<Top>> {
        let asked = self.ranking(self.ranker.ask_after(LAZY_REST));
        let ranked = tokio::time::timeout(LAZY_PATIENCE, asked).await;
        ranked.unwrap_or_else(|_| self.ranker.newest())
    }

    async fn ranking(&self, ticket: Ticket) -> Option<Arc<Top>> {
        loop {
            let mut ranked = std::pin::pin!(self.ranker.ranked.notified());
            // Registered before the look, so that a pass that ends in between is not missed.
            ranked.as_mut().enable();
            if let Some(top) = self.ranker.get(ticket) {
                return Some(top);
            }
            if self.is_stopping() {
                return None;
            }
            ranked.await;
        }
    }
}

/// Makes rankings until the node stops.
pub(crate) fn rank_loop(hub: &Hub) {
    while !hub.is_stopping() {
        if hub.ranker.asked.wait(NAP)
            && let Some(took) = rank(hub)
        {
            rest(hub, took * REST);
        }
    }
}

/// One pass; says what it took of a core, or nothing where the node stopped.
fn rank(hub: &Hub) -> Option<Duration> {
    let (watch, cpu) = (Stopwatch::start(), clock::thread_cpu());
    let number = hub.ranker.begin();
    let mut pass = Pass::new(number, TOP_MAX, hub.clock.now_ms());
    while pass.step(&hub.node, hub.clock.now_ms()) {
        if hub.is_stopping() {
            return None;
        }
        // Between two steps those come first who answer clients.
        std::thread::yield_now();
    }
    hub.registry.record(Timing::TopDuration, Nanos(watch.elapsed().as_nanos() as u64));
    let took = clock::thread_cpu().saturating_sub(cpu);
    let (top, ended) = (Arc::new(pass.finish()), Stopwatch::start());
    hub.ranker.publish(Ranking { pass: number, top, took, ended });
    hub.wake_loops();
    Some(took)
}

fn rest(hub: &Hub, time: Duration) {
    let watch = Stopwatch::start();
    while let Some(left) = time.checked_sub(watch.elapsed())
        && !left.is_zero()
        && !hub.is_stopping()
    {
        hub.ranker.rest.wait(left.min(NAP));
    }
}
