//! Load until the end of a life: clients with one operation in flight each.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use quipu_proof::chance::Chance;
use quipu_proof::node::PATIENCE;

use crate::books::Account;
use crate::system::{Client, Life, NoAnswer};

/// How much load a life gets; the same for every system.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Clients, each with a connection of its own.
    pub clients: usize,
    /// Counters of each client.
    pub counters: usize,
    /// How long it lasts at least.
    pub time: Duration,
    /// After that, so long at most, by chance: the end comes at any place between two syncs of a
    /// system that syncs by time.
    pub spread: Duration,
    /// After that, at most so many acknowledgements until the end: it comes in the midst of load.
    pub further_max: usize,
}

impl Default for Load {
    /// Eight clients, so that syncs are shared and two cores are busy (guess). A second and a half,
    /// and up to a second more: `everysec` and `flush.interval` sync once a second, so every life
    /// has at least one of their syncs, and ends anywhere after it.
    fn default() -> Self {
        Self {
            clients: 8,
            counters: 4,
            time: Duration::from_millis(1500),
            spread: Duration::from_secs(1),
            further_max: 400,
        }
    }
}

/// What happened under load.
#[derive(Debug, Clone, Copy, Default)]
pub struct Driven {
    /// Operations acknowledged in its time.
    pub in_time: u64,
    /// Those, and what was still read after the kill: it had been sent before.
    pub acknowledged: u64,
    /// How long the load lasted.
    pub time: Duration,
    /// Processor time of the system in it.
    pub cpu: Duration,
}

#[derive(Debug, Default)]
struct Count {
    acknowledged: u64,
    running: usize,
}

#[derive(Debug, Default)]
struct Progress {
    count: Mutex<Count>,
    moved: Condvar,
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, Count> {
        self.count.lock().expect("no client panics while it counts")
    }

    fn acknowledge(&self) {
        self.lock().acknowledged += 1;
        self.moved.notify_one();
    }

    fn leave(&self) {
        self.lock().running -= 1;
        self.moved.notify_one();
    }

    /// Waits so long, or until so many were acknowledged, or until every client has stopped.
    fn wait(&self, time: Duration, target: u64) -> u64 {
        let goes_on = |count: &mut Count| count.acknowledged < target && count.running > 0;
        let waited = self.moved.wait_timeout_while(self.lock(), time, goes_on);
        waited.expect("no client panics while it counts").0.acknowledged
    }
}

/// Drives all clients, ends the life under load, and leaves in the accounts what had no answer.
///
/// # Errors
/// A client cannot connect.
pub fn drive(
    life: &mut dyn Life,
    accounts: &mut [Account],
    load: &Load,
    chance: &mut Chance,
) -> Result<Driven, NoAnswer> {
    let clients = accounts.iter().map(|_| life.connect()).collect::<Result<Vec<_>, _>>()?;
    let spread_us = load.spread.as_micros() as usize;
    let time = load.time + Duration::from_micros(chance.below(spread_us + 1) as u64);
    let further = 1 + chance.below(load.further_max) as u64;
    let count = Count { running: clients.len(), acknowledged: 0 };
    let progress = Progress { count: Mutex::new(count), moved: Condvar::new() };
    let (cpu, started) = (life.tree().cpu(), Instant::now());
    let mut driven = thread::scope(|scope| {
        for (client, account) in clients.into_iter().zip(accounts) {
            let (seed, progress) = (chance.next(), &progress);
            scope.spawn(move || work(client, account, seed, progress));
        }
        let so_far = progress.wait(time, u64::MAX);
        // A system that has stopped answering is ended all the same.
        let in_time = progress.wait(PATIENCE, so_far + further);
        let driven = Driven {
            in_time,
            acknowledged: in_time,
            time: started.elapsed(),
            cpu: life.tree().cpu().saturating_sub(cpu),
        };
        life.kill();
        driven
    });
    driven.acknowledged = progress.lock().acknowledged;
    Ok(driven)
}

/// One client, until it gets no answer.
fn work(mut client: Box<dyn Client>, account: &mut Account, seed: u64, progress: &Progress) {
    let mut chance = Chance::new(seed);
    loop {
        let (counter, token) = account.next(&mut chance);
        if client.add(counter, &token).is_err() {
            break;
        }
        account.acknowledge();
        progress.acknowledge();
    }
    progress.leave();
}
