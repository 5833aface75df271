//! Logs in memory, in both manners: in turn, and late and out of step between shards.

use quipu_core::shard::Shard;
use quipu_log::log::Log;
use quipu_log::log::memory::{Manner, MemoryLog};

use crate::client::Client;
use quipu_sim::driver::Driver;
use quipu_sim::recovery::{SHARDS, fold, fresh};

/// What is durable, over all lives: the batches of each shard.
type Durable = Vec<Vec<u8>>;

fn recover(durable: &Durable) -> Vec<Shard> {
    let mut shards = fresh();
    for batches in durable {
        fold(&mut shards, batches).expect("durable batches of a shard follow each other");
    }
    shards
}

/// Adds what became durable in one life.
fn keep(durable: &mut Durable, log: &MemoryLog) {
    for (id, batches) in durable.iter_mut().enumerate() {
        let became = log.durable(id as u16).iter();
        became.for_each(|(_, bytes)| batches.extend_from_slice(bytes));
    }
}

/// Three lives, each ended by a crash with batches in flight.
fn check(manner: impl Fn(u64) -> Manner, seed: u64) -> usize {
    let mut durable: Durable = vec![Vec::new(); usize::from(SHARDS)];
    let groups = MemoryLog::new(manner(0)).groups();
    let mut client = Client::new(groups);
    let mut lost = 0;
    for life in 0..3 {
        let log = MemoryLog::new(manner(seed * 10 + life));
        let mut driver = Driver::start(log, recover(&durable)).expect("memory does not fail");
        client.resume(&mut driver).expect("memory does not fail");
        client.work(&mut driver, (40 + seed as usize, 3)).expect("memory does not fail");
        driver.append().expect("memory does not fail");
        lost += driver.held();
        keep(&mut durable, &driver.log);
    }
    let log = MemoryLog::new(manner(seed * 10 + 3));
    let mut driver = Driver::start(log, recover(&durable)).expect("memory does not fail");
    client.resume(&mut driver).expect("memory does not fail");
    lost
}

#[test]
fn a_log_in_turn_loses_nothing_acknowledged() {
    (0..10).for_each(|seed| assert_eq!(check(|_| Manner::InTurn, seed), 0));
}

#[test]
fn a_late_log_out_of_step_loses_nothing_acknowledged_and_takes_no_groups() {
    let lost: usize = (0..40).map(|seed| check(Manner::Late, seed)).sum();
    assert!(lost > 500, "only {lost} replies were in flight at the crashes");
}

#[test]
fn replies_leave_shard_by_shard() {
    let mut out_of_step = 0;
    for seed in 0..50 {
        let mut driver =
            Driver::start(MemoryLog::new(Manner::Late(seed)), fresh()).expect("memory");
        let names = names_of_different_shards(&driver);
        for (number, name) in names.iter().enumerate() {
            driver.add(number, name);
            driver.append().expect("memory does not fail");
        }
        let mut left = Vec::new();
        while driver.held() > 0 {
            let released = driver.flush().expect("memory does not fail");
            for (number, _) in released {
                let shard = driver.node.shard_of(names[number].as_bytes());
                assert_eq!(driver.log.durable(shard).len(), 2, "the epoch and this batch");
                left.push(number);
            }
            let durable = (0..SHARDS).filter(|id| driver.log.durable(*id).len() == 2).count();
            assert_eq!(left.len(), durable, "whatever is durable has left");
        }
        out_of_step += usize::from(!left.is_sorted());
    }
    assert!(out_of_step > 10, "{out_of_step}");
}

/// One name of each shard.
fn names_of_different_shards(driver: &Driver<MemoryLog>) -> Vec<String> {
    let name_of = |id| {
        let mut names = (0..).map(|n| format!("n{n}"));
        names.find(|name| driver.node.shard_of(name.as_bytes()) == id).expect("some name is there")
    };
    (0..SHARDS).map(name_of).collect()
}
