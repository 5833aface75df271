//! A power cut at every call of the storage, several images of each, and on again.

use quipu_log::log::local::WalLog;
use quipu_log::storage::Storage;
use quipu_log::storage::fault::Faulty;
use quipu_log::storage::memory::{Keep, Memory};
use quipu_log::wal::Preparer;

use crate::client::Client;
use quipu_sim::driver::Driver;
use quipu_sim::recovery::open;

/// Requests of the first life, and how often it commits. They fill more than one segment.
const WORK: (usize, usize) = (90, 4);

/// A node over the write-ahead log of this storage. `life` numbers the starts.
pub(crate) fn start<S: Storage>(
    storage: &S,
    life: u64,
) -> Result<Driver<WalLog<S>>, Box<dyn std::error::Error>> {
    let (recovered, shards) = open(storage, life)?;
    let mut preparer: Preparer<S> = recovered.preparer;
    let log = WalLog::new(recovered.wal);
    // Without a segment ahead the node is only busy; what fails is seen by the next write.
    let prepare = move || drop(preparer.run());
    Ok(Driver::start(log, shards)?.with_preparer(prepare))
}

/// One life: recover, resume, work. Ends where the storage does. Returns how many segments it
/// sealed.
fn live<S: Storage>(
    storage: &S,
    life: u64,
    client: &mut Client,
    work: (usize, usize),
) -> Result<usize, Box<dyn std::error::Error>> {
    let mut driver = start(storage, life)?;
    client.resume(&mut driver)?;
    client.work(&mut driver, work)?;
    Ok(driver.log.wal().sealed().len())
}

fn images(memory: &Memory, seed: u64) -> Vec<Keep> {
    let mut keeps = vec![Keep::None, Keep::All, Keep::Random(seed), Keep::Random(seed + 1000)];
    if let Some(index) = memory.unsynced().checked_sub(1) {
        keeps.push(Keep::AllBut(index));
        keeps.push(Keep::Torn { index, others: true, seed });
    }
    keeps
}

/// A second crash during recovery, resumption or later work, and then a life without one.
fn check_image(image: &Memory, mut client: Client, second: u64, context: &str) {
    let faulty = Faulty::new(image.clone());
    faulty.crash_at(second);
    let ended = live(&faulty, 2, &mut client, (8, 3));
    assert!(ended.is_ok() || faulty.crashed(), "{context}: {ended:?}");
    let after = image.power_cut(Keep::Random(second));
    let ended = live(&after, 3, &mut client, (4, 2));
    assert!(ended.is_ok(), "{context}: {ended:?}");
}

#[test]
fn a_crash_at_any_call_loses_nothing_acknowledged_and_doubles_nothing() {
    let mut most = 0;
    for call in 0.. {
        let memory = Memory::new();
        let faulty = Faulty::new(memory.clone());
        faulty.crash_at(call);
        let mut client = Client::new(true);
        let ended = live(&faulty, 1, &mut client, WORK);
        assert_eq!(ended.is_err(), faulty.crashed());
        most = most.max(client.acknowledged());
        for (n, keep) in images(&memory, call).into_iter().enumerate() {
            let image = memory.power_cut(keep);
            let second = (call * 7 + n as u64 * 5) % 40;
            check_image(&image, client.clone(), second, &format!("call {call}, {keep:?}"));
        }
        if let Ok(sealed) = ended {
            assert!(sealed > 0, "the work fills a segment");
            assert!(call > 40, "{call} calls are few");
            break;
        }
    }
    assert_eq!(most, WORK.0, "a life without a crash acknowledges everything");
}
