//! All that a node says when it is asked, as one number.

use quipu_core::shard::{Shard, ShardLimits};
use quipu_log::log::Log;
use quipu_log::log::memory::{Manner, MemoryLog};
use quipu_log::snapshot;
use quipu_log::storage::memory::Memory;
use quipu_log::wal::replay;
use stdx::hash::hash64;

use crate::checks::{Check, Checked, Violation};
use crate::crash::life::{self, with_causes};
use crate::crash::plan::Plan;
use crate::driver::Driver;
use crate::recovery::{SEED, fold};

/// Streams of a shard, at most: more than any trace has.
const STREAMS_MAX: usize = 10;

/// What a node says: every counter, every mark, and the answer to every request of the script.
pub(super) fn of<L: Log>(driver: &mut Driver<L>, plan: &Plan) -> u64 {
    let mut text = Vec::new();
    let node = &driver.node;
    let mut counters = Vec::new();
    let mut visit = |name: &str, value: i64| counters.push((name.to_owned(), value));
    let now = driver.now;
    node.scan(now, (0, usize::MAX), &mut visit, &mut Vec::new());
    counters.sort_unstable();
    text.extend(format!("{counters:?} {:?}", node.stream(b"stream").marks).into_bytes());
    for (number, request) in plan.script.iter().take(plan.requests).enumerate() {
        if let Some(answer) = request.probe(driver, number) {
            text.extend(format!("{answer:?}").into_bytes());
        }
    }
    hash64(0, &text)
}

/// What a node says that recovered the log up to a position.
///
/// # Errors
/// The intact store is refused.
pub(super) fn upto(disk: &Memory, plan: &Plan, position: u64) -> Checked<u64> {
    let refused = |error: &dyn std::error::Error| {
        Violation::new(Check::RefusedStart, format!("intact: {}", with_causes(error)))
    };
    let limits = ShardLimits { streams_max: STREAMS_MAX };
    let mut shards: Vec<Shard> = (0..plan.shards).map(|id| Shard::new(id, SEED, limits)).collect();
    let newest = snapshot::newest(disk, plan.store_id()).map_err(|error| refused(&error))?;
    if let Some(snapshot) = &newest.snapshot
        && life::load(disk, snapshot, &mut shards).is_err()
    {
        return Err(Violation::new(Check::RefusedStart, "the intact snapshot does not load"));
    }
    let visit =
        |at, payload: &[u8]| if at > position { Ok(()) } else { fold(&mut shards, payload) };
    replay(disk, newest.start(), visit).map_err(|error| refused(&error))?;
    let mut driver = Driver::start(MemoryLog::new(Manner::InTurn), shards)
        .map_err(|error| refused(&error))?
        .with_roomy_preparer(|| {});
    Ok(of(&mut driver, plan))
}
