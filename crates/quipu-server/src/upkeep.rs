//! What goes on beside the requests: the committer, the segments' preparer, the housekeeper.

use std::time::Duration;

use parking_lot::Mutex;
use quipu_core::node::Cells;
use quipu_log::storage::Storage;
use quipu_log::wal::{PrepareError, Preparer};
use quipu_metrics::name::{Counter, Gauge};

use crate::clock::Stopwatch;
use crate::hub::{Committed, Hub};
use crate::machine;

/// How often the housekeeper looks around. Guess: ten looks a second cost under 0.1 % of a core.
const HOUSEKEEPING: Duration = Duration::from_millis(100);

/// Expired counters deleted in one step of one shard: about 50 us under its lock. Guess.
const REAP_STEPS: usize = 256;

/// How long the preparer waits before it asks a full disk again. Guess.
const NO_SPACE_PAUSE: Duration = Duration::from_secs(1);

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

/// Prepares segments ahead of need.
pub(crate) fn prepare_loop<S: Storage>(hub: &Hub, preparer: &Mutex<Preparer<S>>) {
    let mut said = false;
    while !hub.is_stopping() {
        let outcome = preparer.lock().run();
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
