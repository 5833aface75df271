//! What the log does when the disk fails, and what it never writes over.

use std::sync::atomic::{AtomicBool, Ordering};

use quipu_core::canary::Bug;
use quipu_log::storage::fault::{Operation, Verdict};

use crate::blocks::a_write_touches_no_durable_block;
use crate::life::{Disk, Life, disk};
use crate::{Claim, claim};

pub(crate) const CHECKS: &[(Bug, Claim)] = &[
    (Bug::SyncRetried, a_failed_sync_is_never_believed),
    (Bug::SyncErrorIgnored, a_failed_sync_is_never_believed),
    (Bug::FailureNotLatched, nothing_is_durable_after_the_first_failure),
    (Bug::WriteErrorIgnored, a_failed_write_is_never_believed),
    (Bug::FrameTouchesDurable, a_write_touches_no_durable_block),
];

/// Fails the next call of one kind.
fn fail_next(disk: &Disk, operation: Operation) {
    let failed = AtomicBool::new(false);
    disk.set_hook(move |call| {
        if call.operation == operation && !failed.swap(true, Ordering::Relaxed) {
            Verdict::Fail(std::io::ErrorKind::Other)
        } else {
            Verdict::Go
        }
    });
}

fn a_failed_sync_is_never_believed() -> Result<(), String> {
    let disk = disk();
    let mut life = Life::start(&disk)?;
    life.add("a", 1);
    life.append()?;
    disk.lose_next_sync();
    claim(life.flush().is_err(), "a commit says durable although its sync failed")
}

fn nothing_is_durable_after_the_first_failure() -> Result<(), String> {
    let disk = disk();
    let mut life = Life::start(&disk)?;
    life.add("a", 1);
    life.append()?;
    disk.lose_next_sync();
    claim(life.flush().is_err(), "a commit says durable although its sync failed")?;
    claim(life.flush().is_err(), "the log says durable after it has failed")
}

fn a_failed_write_is_never_believed() -> Result<(), String> {
    let disk = disk();
    let mut life = Life::start(&disk)?;
    life.add("a", 1);
    fail_next(&disk, Operation::Write);
    claim(life.append().is_err(), "the log took a write that failed")
}
