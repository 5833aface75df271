//! Snapshots: a snapshot and the log after it are the whole log, whatever happens on the way.

use quipu_core::canary::Bug;
use quipu_core::op::Action;
use quipu_core::outcome::Repeat;
use quipu_log::storage::Storage;
use quipu_log::storage::fault::{Operation, Verdict};

use crate::life::{Disk, Life, cut_power, disk, outcome};
use crate::{Claim, claim};

pub(crate) const CHECKS: &[(Bug, Claim)] = &[
    (Bug::SnapshotUnchecked, a_snapshot_that_does_not_read_back_is_refused),
    (Bug::RetiredEarly, a_crash_in_a_fold_loses_nothing),
    (Bug::DeleteForgotten, what_was_deleted_is_not_in_the_next_snapshot),
    (Bug::TokenLostInSnapshot, tokens_are_in_the_snapshot),
    (Bug::ComposeSwapped, changes_of_one_counter_fold_in_their_order),
];

fn restart(disk: &Disk) -> Result<Life, String> {
    Life::start(&cut_power(disk))
}

/// The disk garbles the new snapshot between its naming and its reading.
fn a_snapshot_that_does_not_read_back_is_refused() -> Result<(), String> {
    let disk = disk();
    let mut life = Life::start(&disk)?;
    life.add("a", 1);
    let memory = disk.inner().clone();
    disk.set_hook(move |call| {
        if call.operation == Operation::SyncDir {
            let names = memory.list().unwrap_or_default();
            let snapshots = names.iter().filter(|name| name.starts_with("snapshot-"));
            // Within the first item of the first block.
            snapshots.for_each(|name| _ = memory.flip_bit(name, 8 * 60));
        }
        Verdict::Go
    });
    claim(life.fold().is_err(), "a snapshot that does not read back replaced what was before it")
}

/// Two folds with a crash at every call of the second.
fn a_crash_in_a_fold_loses_nothing() -> Result<(), String> {
    for call in 0.. {
        let disk = disk();
        let mut life = Life::start(&disk)?;
        life.add("a", 1);
        life.fold()?;
        life.add("a", 1);
        life.commit()?;
        disk.crash_at(disk.calls() + call);
        let _ended_early = life.fold().is_err();
        let found = restart(&disk)?.value("a");
        claim(found == Some(2), "a crash in a fold lost what was acknowledged")?;
        if !disk.crashed() {
            assert!(call > 10, "a fold changes the disk more often");
            break;
        }
    }
    Ok(())
}

fn what_was_deleted_is_not_in_the_next_snapshot() -> Result<(), String> {
    let disk = disk();
    let mut life = Life::start(&disk)?;
    life.add("a", 1);
    life.fold()?;
    life.perform("a", Action::Delete);
    life.fold()?;
    claim(restart(&disk)?.value("a").is_none(), "a deleted counter is back after a fold")
}

fn tokens_are_in_the_snapshot() -> Result<(), String> {
    let disk = disk();
    let mut life = Life::start(&disk)?;
    life.add_once("a", "k");
    life.fold()?;
    let repeat = outcome(&restart(&disk)?.add_once("a", "k"))?;
    claim(repeat.repeat == Repeat::Token, "a token inside its window is forgotten by a fold")
}

fn changes_of_one_counter_fold_in_their_order() -> Result<(), String> {
    let disk = disk();
    let mut life = Life::start(&disk)?;
    life.add("a", 1);
    life.commit()?;
    life.add("a", 1);
    life.fold()?;
    claim(restart(&disk)?.value("a") == Some(2), "a fold changed a value")
}
