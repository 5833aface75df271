//! Disks that fail, and a disk that never answers.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use quipu_core::op::Action;
use quipu_log::log::local::WalLog;
use quipu_log::log::{Cut, Log, LogError, Written};
use quipu_log::storage::fault::{Faulty, Gate, Operation, Verdict};
use quipu_log::storage::memory::{Keep, Memory};

use crate::client::Client;
use crate::crash::start;
use quipu_sim::driver::Driver;
use quipu_sim::recovery::open;

/// Requests before and after, and how often they commit.
const WORK: (usize, usize) = (60, 4);

/// Runs the workload with a failure of the given call, if it is a write or a sync of a segment;
/// restarts on what the disk then holds. Says whether the log failed.
fn check(call: u64, verdict: Verdict, keep: Keep) -> bool {
    let memory = Memory::new();
    let faulty = Faulty::new(memory.clone());
    let mut client = Client::new(true);
    let mut driver = start(&faulty, 1).expect("the disk works at first");
    let begin = faulty.calls();
    faulty.set_hook(move |now| {
        let hit = matches!(now.operation, Operation::Write | Operation::Sync);
        if hit && now.number == begin + call { verdict } else { Verdict::Go }
    });
    let failed = client.work(&mut driver, WORK).is_err();
    let acknowledged = client.acknowledged();
    if failed {
        faulty.set_hook(|_| Verdict::Go);
        assert!(driver.flush().is_err(), "a failed log stays failed");
        assert!(driver.release().is_empty(), "nothing leaves after the failure");
        assert_eq!(client.acknowledged(), acknowledged);
    }
    drop(driver);
    let image = memory.power_cut(keep);
    let mut driver = start(&image, 2).expect("a restart recovers");
    client.resume(&mut driver).expect("the disk works again");
    client.work(&mut driver, (8, 3)).expect("the disk works again");
    failed
}

#[test]
fn nothing_is_acknowledged_after_a_failed_write_or_sync_and_a_restart_recovers() {
    let keeps = [Keep::None, Keep::All, Keep::Random(7)];
    let mut failures = 0;
    for call in 0..60 {
        let verdicts = [Verdict::Fail(ErrorKind::Other), Verdict::Short(100 + 50 * call as usize)];
        for (verdict, keep) in
            verdicts.into_iter().zip(keeps.into_iter().cycle().skip(call as usize))
        {
            failures += usize::from(check(call, verdict, keep));
        }
    }
    assert!(failures > 40, "{failures} failures reached the log");
}

#[test]
fn a_sync_that_lost_the_pages_is_never_believed_later() {
    for skipped in 0..8 {
        let memory = Memory::new();
        let faulty = Faulty::new(memory.clone());
        let mut client = Client::new(true);
        let mut driver = start(&faulty, 1).expect("the disk works at first");
        client.work(&mut driver, (skipped * 4, 4)).expect("the disk works");
        faulty.lose_next_sync();
        let failed = (0..4).any(|_| client.work(&mut driver, (4, 2)).is_err());
        assert!(failed, "a lost sync is told");
        drop(driver);
        // The process ends; the page cache still shows what the disk never took.
        let mut driver = start(&memory, 2).expect("a restart recovers");
        client.resume(&mut driver).expect("the disk works again");
        let after = memory.power_cut(Keep::None);
        drop(driver);
        let mut driver = start(&after, 3).expect("and so does one after a power cut");
        client.resume(&mut driver).expect("the disk works again");
    }
}

/// A log that another thread may flush.
#[derive(Debug)]
struct Shared<L>(Arc<Mutex<L>>);

impl<L: Log> Shared<L> {
    fn log(&self) -> MutexGuard<'_, L> {
        self.0.lock().expect("no thread panicked")
    }
}

impl<L: Log> Log for Shared<L> {
    fn append(&mut self, cut: &Cut) -> Result<(), LogError> {
        self.log().append(cut)
    }

    fn flush(&mut self, durable: &mut Vec<(u16, u64)>) -> Result<(), LogError> {
        self.log().flush(durable)
    }

    fn mark(&mut self) -> Result<(), LogError> {
        self.log().mark()
    }

    fn groups(&self) -> bool {
        self.log().groups()
    }

    fn room(&self) -> u64 {
        self.log().room()
    }

    fn needs_segment(&self) -> bool {
        self.log().needs_segment()
    }

    fn seal(&mut self) -> Result<bool, LogError> {
        self.log().seal()
    }

    fn written(&self) -> Written {
        self.log().written()
    }
}

/// The numbers of the replies that may leave.
fn leaving<L: Log>(driver: &mut Driver<L>) -> Vec<usize> {
    driver.release().into_iter().map(|(number, _)| number).collect()
}

#[test]
fn while_a_sync_does_not_return_nothing_leaves_that_depends_on_it() {
    let (faulty, gate) = (Faulty::new(Memory::new()), Gate::new());
    let (recovered, shards) = open(&faulty, 1).expect("the disk works at first");
    let log = Shared(Arc::new(Mutex::new(WalLog::new(recovered.wal))));
    let mut driver = Driver::start(Shared(Arc::clone(&log.0)), shards).expect("it still does");
    driver.add(0, "old");
    assert_eq!(driver.commit().expect("it still does").len(), 1);
    let hook_gate = gate.clone();
    faulty.set_hook(move |call| {
        if call.operation == Operation::Sync {
            hook_gate.wait();
        }
        Verdict::Go
    });
    gate.close();
    driver.add(1, "new");
    driver.append().expect("a write does not wait for a sync");
    let syncing = thread::spawn(move || {
        let mut durable = Vec::new();
        log.log().flush(&mut durable).map(|()| durable)
    });
    gate.until_reached();
    for (number, name) in [(2, "old"), (3, "new"), (4, "absent")] {
        driver.submit_plain(number, name, Action::Get);
    }
    driver.add(5, "new");
    assert_eq!(leaving(&mut driver), [2, 4], "what depends on nothing undurable does not wait");
    gate.open();
    let durable = syncing.join().expect("it ends").expect("the sync is fine");
    let left: Vec<usize> = driver.learn(&durable).into_iter().map(|(number, _)| number).collect();
    assert_eq!(left, [1, 3], "the later add waits for its own batch");
    assert_eq!(driver.held(), 1);
}
