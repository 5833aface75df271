//! What goes on beside the requests: the committer, the segments' preparer, the folder, the
//! housekeeper.

use std::time::Duration;

use parking_lot::Mutex;
use quipu_core::node::Cells;
use quipu_log::fold::{Folder, Outcome};
use quipu_log::storage::Storage;
use quipu_log::wal::{PrepareError, Preparer};
use quipu_metrics::name::{Counter, Gauge, Timing};
use stdx::units::Nanos;

use crate::clock::Stopwatch;
use crate::hub::{Committed, Hub};
use crate::machine;

/// How often the housekeeper looks around. Guess: ten looks a second cost under 0.1 % of a core.
const HOUSEKEEPING: Duration = Duration::from_millis(100);

/// Expired counters deleted in one step of one shard: about 50 us under its lock. Guess.
const REAP_STEPS: usize = 256;

/// How long the preparer waits before it asks a full disk again. Guess.
const NO_SPACE_PAUSE: Duration = Duration::from_secs(1);

/// How long the folder waits after a fold that failed. Guess.
const FAILED_FOLD_PAUSE: Duration = Duration::from_secs(10);

/// Commits for those who do not do it themselves, flushes what was answered from memory, and marks
/// the log as durable when writing pauses.
pub(crate) fn commit_loop(hub: &Hub) {
    let mark = Duration::from_nanos(hub.settings.log.mark_interval.0);
    let flush = Duration::from_nanos(hub.settings.flush_interval.0);
    let linger = Duration::from_nanos(hub.settings.linger.0);
    let mut flushed = Stopwatch::start();
    let mut frames = 0;
    while !hub.is_stopping() {
        let rang = hub.commit_bell.wait(mark.min(flush));
        if rang && !linger.is_zero() {
            hub.commit_bell.wait(linger);
        }
        if rang || flushed.elapsed() >= flush {
            flushed = Stopwatch::start();
            if hub.commit().is_err() {
                return;
            }
        }
        let written = hub.registry.total(Counter::Frames);
        if !rang && written == frames {
            hub.mark();
        }
        frames = written;
    }
    let _failed = hub.commit().is_err();
}

/// Prepares segments ahead of need. On a full disk, history goes first.
pub(crate) fn prepare_loop<S: Storage>(
    hub: &Hub,
    mut preparer: Preparer<S>,
    folder: &Mutex<Folder<S>>,
) {
    let mut said = false;
    while !hub.is_stopping() {
        let mut outcome = preparer.run();
        if matches!(outcome, Err(PrepareError::NoSpace { .. })) && gives_room(folder) {
            outcome = preparer.run();
        }
        match outcome {
            Ok(()) => {
                if std::mem::take(&mut said) {
                    tracing::info!("there is room for the log again; writes go on");
                }
                hub.set_no_space(false);
                hub.upkeep_bell.wait(HOUSEKEEPING);
            }
            Err(error) => {
                if !std::mem::replace(&mut said, true) {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(error, "no segment could be prepared");
                }
                hub.set_no_space(matches!(error, PrepareError::NoSpace { .. }));
                hub.upkeep_bell.wait(NO_SPACE_PAUSE);
            }
        }
    }
}

/// Gives up history; says whether there was any. A fold that is under way is left alone.
fn gives_room<S: Storage>(folder: &Mutex<Folder<S>>) -> bool {
    let Some(mut folder) = folder.try_lock() else { return false };
    match folder.give_up_history() {
        Ok(retired) => retired > 0,
        Err(error) => {
            tracing::error!(%error, "history could not be given up");
            false
        }
    }
}

/// Folds the log into the next snapshot whenever it has outgrown the last one.
pub(crate) fn fold_loop<S: Storage>(hub: &Hub, folder: &Mutex<Folder<S>>) {
    while !hub.is_stopping() {
        let mut folder = folder.lock();
        if folder.is_due(hub.settings.fold.log_bytes_min.0) {
            fold(hub, &mut folder);
        }
        let position = folder.newest().map_or(0, |newest| newest.position);
        hub.registry.set(Gauge::SnapshotPosition, position as i64);
        hub.registry.set(Gauge::LogBytesSinceSnapshot, folder.log_bytes() as i64);
        drop(folder);
        hub.fold_bell.wait(HOUSEKEEPING);
    }
}

fn fold<S: Storage>(hub: &Hub, folder: &mut Folder<S>) {
    let watch = Stopwatch::start();
    match folder.run(hub.stop_flag()) {
        Ok(Outcome::Folded(folded)) => {
            let elapsed = watch.elapsed();
            hub.registry.add(Counter::Folds, 1);
            hub.registry.add(Counter::FoldBytesWritten, folded.written_bytes);
            hub.registry.record(Timing::FoldDuration, Nanos(elapsed.as_nanos() as u64));
            let (position, items) = (folded.snapshot.position, folded.snapshot.footer.items);
            tracing::info!(position, items, ?elapsed, "the log was folded into a snapshot");
            if folder.history_bytes() > hub.settings.log.retain_bytes.0
                && let Err(error) = folder.give_up_history()
            {
                tracing::error!(%error, "history could not be given up");
            }
        }
        Ok(Outcome::Nothing | Outcome::Cancelled) => {}
        Err(error) => {
            hub.registry.add(Counter::FoldFailures, 1);
            let full = error.is_no_space();
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, full, "a fold failed; the log stays as it is");
            hub.fold_bell.wait(FAILED_FOLD_PAUSE);
        }
    }
}

/// Deletes what expired, watches memory, publishes gauges.
pub(crate) fn housekeeping_loop(hub: &Hub, memory_max: u64) {
    hub.registry.set(Gauge::MemoryMaxBytes, memory_max as i64);
    let mut was_full = false;
    while !hub.is_stopping() {
        let resident = machine::resident_bytes();
        let full = resident > memory_max;
        if full && !was_full {
            tracing::warn!(resident, memory_max, "memory is full: new counters are refused");
        }
        was_full = full;
        hub.node.set_memory_full(full);
        hub.registry.set(Gauge::MemoryBytes, resident as i64);
        reap(hub);
        hub.publish_gauges();
        hub.tick_bell.wait(HOUSEKEEPING);
    }
}

fn reap(hub: &Hub) {
    let now_ms = hub.clock.now_ms();
    for id in 0..hub.node.cells().count() {
        let reaped = hub.node.reap(now_ms, id, REAP_STEPS);
        hub.registry.add(Counter::Expired, reaped as u64);
    }
}

/// Ends a node in order: all that was decided becomes durable, and the log says so.
pub(crate) fn finish(hub: &Hub) {
    if let Ok(Committed::Wrote | Committed::Nothing) = hub.commit() {
        hub.mark();
    }
}
