//! What goes on beside the requests: the committer, the segments' preparer, the folder, the
//! housekeeper.

use std::time::Duration;

use parking_lot::Mutex;
use quipu_core::clock::DEVIATION_MS_REPORTED;
use quipu_core::failpoint::{Point, reach};
use quipu_core::node::Cells;
use quipu_log::fold::{Folder, Outcome, Segments};
use quipu_log::storage::Storage;
use quipu_log::wal::{PrepareError, Preparer};
use quipu_metrics::label::SegmentState;
use quipu_metrics::name::{Counter, Gauge, Timing};
use stdx::units::Nanos;

use crate::clock::Stopwatch;
use crate::hub::{Committed, Hub};
use crate::machine;
use crate::summary::Totals;

/// How often the housekeeper looks around. Guess: ten looks a second cost under 0.1 % of a core.
const HOUSEKEEPING: Duration = Duration::from_millis(100);

/// How far folding stands back behind those who answer clients. Guess: it gets a tenth of a
/// contended core, and all of an idle one.
const FOLD_NICENESS: i32 = 10;

/// Expired counters deleted in one step of one shard: some 10 us under its lock (guess). The log
/// must have room for all of them at once, which with the smallest frames is so for some 200.
const REAP_STEPS: usize = 64;

/// Most steps of one shard in a row, so that others are not kept waiting. Guess.
const REAP_ROUNDS: usize = 16;

/// How often the node sums up in its log. Spec: 60 s.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(60);

/// Which part of a sync the committer waits for clients that it has just answered, when others asked
/// while the sync went on. Without it clients fall into two groups that take turns, and each waits for
/// two syncs. Measured with syncs of 2.3 ms: 1.5 times the requests of 8 connections, 1.1 times those
/// of 50 and of 500, as many of one; where nobody comes it costs an eighth of a sync.
const COMPANY_SHARE: u32 = 8;

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
        let sync_mean = Duration::from_nanos(hub.sync_mean_ns());
        let company = company(linger, sync_mean, hub.was_asked_meanwhile());
        let rang = hub.commit_bell.wait(mark.min(flush));
        if rang {
            wait_for_company(hub, company);
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

/// How long a commit that is asked for waits for others. Where somebody asked while the last one was
/// made, the clients of that one may take a part of a sync to come back.
fn company(linger: Duration, sync_mean: Duration, was_asked_meanwhile: bool) -> Duration {
    if was_asked_meanwhile { linger.max(sync_mean / COMPANY_SHARE) } else { linger }
}

/// Lingers: others may join the commit that is asked for, unless there is enough already.
fn wait_for_company(hub: &Hub, linger: Duration) {
    let watch = Stopwatch::start();
    while let Some(left) = linger.checked_sub(watch.elapsed())
        && !left.is_zero()
        && !hub.is_stopping()
        && !hub.node.is_pressed()
    {
        hub.commit_bell.wait(left);
    }
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
            Err(error) if error.is_final() => return hub.give_up(&error),
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
    // On Linux this is the thread's own. A kernel that refuses leaves it at the common priority.
    let _refused = rustix::process::nice(FOLD_NICENESS).is_err();
    while !hub.is_stopping() {
        let mut folder = folder.lock();
        let least = hub.settings.fold.log_bytes_min.0;
        if folder.wants_seal(hub.open_segment_bytes(), least) {
            hub.seal();
        }
        if folder.is_due(least) {
            fold(hub, &mut folder);
        }
        if let Err(error) = folder.trim(hub.clock.now_ms()) {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "history could not be shortened");
            hub.fold_bell.wait(FAILED_FOLD_PAUSE);
        }
        publish_log_gauges(hub, &folder);
        drop(folder);
        hub.fold_bell.wait(HOUSEKEEPING);
    }
}

fn publish_log_gauges<S: Storage>(hub: &Hub, folder: &Folder<S>) {
    let set = |gauge, value| hub.registry.set(gauge, value);
    let position = folder.newest().map_or(0, |newest| newest.position);
    set(Gauge::SnapshotPosition, position as i64);
    let since = folder.log_bytes() + hub.open_segment_bytes();
    set(Gauge::LogBytesSinceSnapshot, since as i64);
    set(Gauge::RetainedBytes, folder.history_bytes() as i64);
    set(Gauge::RetainedPosition, folder.oldest().position as i64);
    let Segments { prepared, live, retained } = folder.segments();
    set(Gauge::Segments(SegmentState::Prepared), prepared as i64);
    set(Gauge::Segments(SegmentState::Live), live as i64);
    set(Gauge::Segments(SegmentState::Retained), retained as i64);
}

fn fold<S: Storage>(hub: &Hub, folder: &mut Folder<S>) {
    let watch = Stopwatch::start();
    match folder.run(hub.stop_flag()) {
        Ok(outcome) => note_fold(hub, &outcome, watch.elapsed()),
        Err(error) => {
            hub.registry.add(Counter::FoldFailures, 1);
            let full = error.is_no_space();
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, full, "a fold failed; the log stays as it is");
            hub.fold_bell.wait(FAILED_FOLD_PAUSE);
        }
    }
}

/// Counts a fold that ended with a new snapshot, and says so.
pub(crate) fn note_fold(hub: &Hub, outcome: &Outcome, elapsed: Duration) {
    let Outcome::Folded(folded) = outcome else { return };
    hub.registry.add(Counter::Folds, 1);
    hub.registry.add(Counter::FoldBytesWritten, folded.written_bytes);
    hub.registry.record(Timing::FoldDuration, Nanos(elapsed.as_nanos() as u64));
    let (position, items) = (folded.snapshot.position, folded.snapshot.footer.items);
    tracing::info!(position, items, ?elapsed, "the log was folded into a snapshot");
}

/// Deletes what expired, watches memory and the clock, publishes gauges, sums up every minute.
pub(crate) fn housekeeping_loop(hub: &Hub, memory_max: u64) {
    hub.registry.set(Gauge::MemoryMaxBytes, memory_max as i64);
    let (mut was_full, mut was_apart) = (false, false);
    let (mut before, mut minute) = (Totals::read(&hub.registry), Stopwatch::start());
    while !hub.is_stopping() {
        let resident = machine::resident_bytes();
        let full = resident > memory_max;
        if full && !was_full {
            tracing::warn!(resident, memory_max, "memory is full: new counters are refused");
        }
        was_full = full;
        hub.node.set_memory_full(full);
        hub.registry.set(Gauge::MemoryBytes, resident as i64);
        if let Some(free) = machine::free_bytes(&hub.settings.data_dir) {
            hub.registry.set(Gauge::DiskFreeBytes, free as i64);
        }
        reap(hub);
        hub.publish_gauges();
        was_apart = watch_clock(hub, was_apart);
        if minute.elapsed() >= SUMMARY_INTERVAL {
            let now = Totals::read(&hub.registry);
            now.tell(&before, minute.elapsed(), &hub.registry);
            (before, minute) = (now, Stopwatch::start());
        }
        hub.tick_bell.wait(HOUSEKEEPING);
    }
}

/// Warns once each time that log time and wall clock come apart; says whether they are.
fn watch_clock(hub: &Hub, was_apart: bool) -> bool {
    let deviation_ms = hub.clock.deviation_ms();
    let apart = deviation_ms > DEVIATION_MS_REPORTED;
    if apart && !was_apart {
        tracing::warn!(
            deviation_ms,
            "log time and the wall clock are more than a minute apart; log time is drawn towards \
             the wall clock by 1 %"
        );
    }
    apart
}

/// Deletes what expired where nobody looked at it. All deletions are counted, those of others too.
fn reap(hub: &Hub) {
    let now_ms = hub.clock.now_ms();
    let mut expired = 0;
    for id in 0..hub.node.cells().count() {
        let mut rounds = (0..REAP_ROUNDS).map(|_| hub.node.reap(now_ms, id, REAP_STEPS));
        let _done = rounds.find(|reaped| *reaped < REAP_STEPS);
        expired += hub.node.cells().shard(id).expired();
    }
    let counted = hub.registry.total(Counter::Expired);
    hub.registry.add(Counter::Expired, expired.saturating_sub(counted));
}

/// Ends a node in order: all that was decided becomes durable, and the log says so.
pub(crate) fn finish(hub: &Hub) {
    if let Ok(Committed::Wrote | Committed::Nothing) = hub.commit() {
        reach(Point::ShutdownCommitted);
        hub.mark();
        reach(Point::ShutdownMarked);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::company;

    #[test]
    fn only_those_who_would_take_turns_wait_for_each_other() {
        let check = |linger_us, sync_us, was_asked, expected_us| {
            let us = Duration::from_micros;
            assert_eq!(company(us(linger_us), us(sync_us), was_asked), us(expected_us));
        };
        // A lone client is not kept waiting, however slow the disk.
        check(0, 8_000, false, 0);
        check(0, 8_000, true, 1_000);
        // What was configured is waited for in any case.
        check(50, 80, true, 50);
        check(2_000, 8_000, true, 2_000);
        check(50, 8_000, false, 50);
    }
}
