//! Deliberate bugs, chosen at run time, that exist only in builds with the feature `canary`.
//!
//! A check that matters must catch its canary. In every other build [`is`] is constantly false and
//! vanishes. Each bug stands where a real mistake would be made; the list is closed, and
//! `docs/guarantees.md` says what the invariants are.

/// One deliberate bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Bug {
    /// Replies leave before their batch is durable.
    AckBeforeSync = 1,
    /// A sync that failed is asked for once more: the kernel has marked the pages clean by then.
    SyncRetried,
    /// A failed write or sync does not latch the writer: the next call goes on.
    FailureNotLatched,
    /// The error of a sync is taken for success.
    SyncErrorIgnored,
    /// The error of a write is taken for success.
    WriteErrorIgnored,
    /// A sync does nothing and says that all is durable.
    SyncNothing,
    /// The directory is not synced after a segment got its name.
    NoDirSync,
    /// The first frame of a segment is written before the last one of the segment before is
    /// durable, which no later sync makes up for.
    NextSegmentEarly,
    /// A frame is written together with the block before it, which holds durable data.
    FrameTouchesDurable,
    /// The payload of a frame is taken whatever its checksum says.
    TornTailAccepted,
    /// Damage to acknowledged frames is cut off like a torn tail.
    DamageCutOff,
    /// What recovery reads is believed to be durable and not written again.
    TailNotRewritten,
    /// A frame of an earlier use of a segment counts.
    SegmentIdUnchecked,
    /// A frame counts whatever frame it says that it follows.
    LinkUnchecked,
    /// The batches of one cut go into two frames.
    GroupSplit,
    /// A new snapshot replaces the one before without being read back.
    SnapshotUnchecked,
    /// Segments go before the snapshot that replaces them is durable.
    RetiredEarly,
    /// A snapshot keeps a counter that was deleted since the one before.
    DeleteForgotten,
    /// A snapshot leaves tokens out that are inside their window.
    TokenLostInSnapshot,
    /// Two changes of one key are composed in the wrong order.
    ComposeSwapped,
    /// Tokens and streams are not looked up.
    NoDedup,
    /// A token is remembered and not written into the batch of its effect.
    TokenOutsideRecord,
    /// A token is remembered although its operation was refused.
    TokenClaimedEarly,
    /// A token of an aborted group stays remembered.
    AbortKeepsToken,
    /// A stream's mark of an aborted group stays.
    AbortKeepsMark,
    /// The effect of an aborted group stays in the table.
    AbortKeepsEffect,
    /// When the token memory is full, the oldest token inside its window gives way.
    WindowShortened,
    /// Recovery measures the age of tokens by another clock than log time: one that is far ahead.
    EvictionByWallClock,
    /// Log time follows the wall clock wherever it jumps, so tokens and expiries end early.
    LogTimeJumps,
    /// Log time begins at the wall clock even where the log is later.
    LogTimeStepsBack,
    /// A start does not open a new epoch, so positions that a crash took back are given again.
    EpochReused,
    /// A stream is not held when one of its operations is refused: the mark jumps over it.
    MarkJumpsRefusal,
    /// A stream's mark is not written into the batch of its effect.
    MarkOutsideRecord,
    /// A committed read of a counter does not wait for the counter's newest batch.
    ReadNotHeld,
    /// A rejected bound is answered before what it depends on is durable.
    RejectionNotHeld,
    /// A repeat of a token is answered before the original is durable.
    RepeatNotHeld,
    /// An add answers the value before it.
    AnswerStale,
    /// A sum beyond 64 bits wraps.
    OverflowWraps,
    /// A saturating add goes beyond its bounds.
    SaturateOvershoots,
    /// A take answers the value and leaves it there.
    TakeDoubles,
    /// A counter that is found expired is forgotten without a record.
    ExpiryUnrecorded,
    /// The bound on remembered tokens is not looked at.
    TokensUnbounded,
    /// Operations are admitted whether or not the log has room for them.
    RoomUnchecked,
    /// A shard whose open batch gets its first operation is not marked as dirty.
    DirtyForgotten,
    /// An answer from memory says that it was synced.
    MemorySaysFsync,
    /// An effect is in the table and not in the batch that its answer waits for.
    EffectOutsideBatch,
    /// A stream that an operator ended is forgotten without a record.
    EndUnrecorded,
    /// A stream ends on its home shard only, and not on the others that have a mark of it.
    EndOnOneShard,
    /// A snapshot keeps a stream that was ended since the one before.
    EndForgotten,
}

/// A bug, its name, and the invariant of `docs/guarantees.md` that it breaks, which the check that
/// catches it should name.
pub type Entry = (Bug, &'static str, &'static str);

/// All bugs.
pub const BUGS: [Entry; 49] = [
    (Bug::AckBeforeSync, "ack_before_sync", "I1"),
    (Bug::SyncRetried, "sync_retried", "I12"),
    (Bug::FailureNotLatched, "failure_not_latched", "I12"),
    (Bug::SyncErrorIgnored, "sync_error_ignored", "I12"),
    (Bug::WriteErrorIgnored, "write_error_ignored", "I12"),
    (Bug::SyncNothing, "sync_nothing", "I1"),
    (Bug::NoDirSync, "no_dir_sync", "I1"),
    (Bug::NextSegmentEarly, "next_segment_early", "I1"),
    (Bug::FrameTouchesDurable, "frame_touches_durable", "I1"),
    (Bug::TornTailAccepted, "torn_tail_accepted", "I8"),
    (Bug::DamageCutOff, "damage_cut_off", "I1"),
    (Bug::TailNotRewritten, "tail_not_rewritten", "I1"),
    (Bug::SegmentIdUnchecked, "segment_id_unchecked", "I8"),
    (Bug::LinkUnchecked, "link_unchecked", "I8"),
    (Bug::GroupSplit, "group_split", "I4"),
    (Bug::SnapshotUnchecked, "snapshot_unchecked", "I9"),
    (Bug::RetiredEarly, "retired_early", "I9"),
    (Bug::DeleteForgotten, "delete_forgotten", "I9"),
    (Bug::TokenLostInSnapshot, "token_lost_in_snapshot", "I9"),
    (Bug::ComposeSwapped, "compose_swapped", "I9"),
    (Bug::NoDedup, "no_dedup", "I2"),
    (Bug::TokenOutsideRecord, "token_outside_record", "I2"),
    (Bug::TokenClaimedEarly, "token_claimed_early", "I4"),
    (Bug::AbortKeepsToken, "abort_keeps_token", "I4"),
    (Bug::AbortKeepsMark, "abort_keeps_mark", "I4"),
    (Bug::AbortKeepsEffect, "abort_keeps_effect", "I8"),
    (Bug::WindowShortened, "window_shortened", "I2"),
    (Bug::EvictionByWallClock, "eviction_by_wall_clock", "I2"),
    (Bug::LogTimeJumps, "log_time_jumps", "I2"),
    (Bug::LogTimeStepsBack, "log_time_steps_back", "I6"),
    (Bug::EpochReused, "epoch_reused", "I6"),
    (Bug::MarkJumpsRefusal, "mark_jumps_refusal", "I4"),
    (Bug::MarkOutsideRecord, "mark_outside_record", "I2"),
    (Bug::ReadNotHeld, "read_not_held", "I5"),
    (Bug::RejectionNotHeld, "rejection_not_held", "I5"),
    (Bug::RepeatNotHeld, "repeat_not_held", "I1"),
    (Bug::AnswerStale, "answer_stale", "I7"),
    (Bug::OverflowWraps, "overflow_wraps", "I15"),
    (Bug::SaturateOvershoots, "saturate_overshoots", "I3"),
    (Bug::TakeDoubles, "take_doubles", "I3"),
    (Bug::ExpiryUnrecorded, "expiry_unrecorded", "I8"),
    (Bug::TokensUnbounded, "tokens_unbounded", "I13"),
    (Bug::RoomUnchecked, "room_unchecked", "I13"),
    (Bug::DirtyForgotten, "dirty_forgotten", "I1"),
    (Bug::MemorySaysFsync, "memory_says_fsync", "I1"),
    (Bug::EffectOutsideBatch, "effect_outside_batch", "I8"),
    (Bug::EndUnrecorded, "end_unrecorded", "I8"),
    (Bug::EndOnOneShard, "end_on_one_shard", "I4"),
    (Bug::EndForgotten, "end_forgotten", "I9"),
];

/// The names of all bugs, in the order of [`BUGS`].
pub fn names() -> impl Iterator<Item = &'static str> {
    BUGS.iter().map(|(_, name, _)| *name)
}

/// The invariant that the bug of this name breaks, if there is such a bug.
pub fn invariant(name: &str) -> Option<&'static str> {
    BUGS.iter().find(|(_, n, _)| *n == name).map(|(_, _, invariant)| *invariant)
}

#[cfg(feature = "canary")]
static CHOSEN: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Whether `bug` is in force.
#[cfg(feature = "canary")]
pub fn is(bug: Bug) -> bool {
    CHOSEN.load(std::sync::atomic::Ordering::Relaxed) == bug as u8
}

/// Whether `bug` is in force: never, in this build.
#[cfg(not(feature = "canary"))]
#[inline]
pub const fn is(_bug: Bug) -> bool {
    false
}

/// Chooses the bug of this process by name; answers whether there is one of that name.
#[cfg(feature = "canary")]
pub fn choose(name: &str) -> bool {
    let found = BUGS.iter().find(|(_, n, _)| *n == name);
    if let Some((bug, ..)) = found {
        CHOSEN.store(*bug as u8, std::sync::atomic::Ordering::Relaxed);
    }
    found.is_some()
}

/// Puts no bug in force: the process is right again from here on.
#[cfg(feature = "canary")]
pub fn unchoose() {
    CHOSEN.store(0, std::sync::atomic::Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::{BUGS, invariant, names};

    #[test]
    fn the_table_names_every_bug_once_and_in_order() {
        for (index, (bug, ..)) in BUGS.iter().enumerate() {
            assert_eq!(*bug as usize, index + 1, "{bug:?}");
        }
        let mut sorted: Vec<_> = names().collect();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), BUGS.len());
        assert_eq!(invariant("overflow_wraps"), Some("I15"));
        assert_eq!(invariant("no_such_bug"), None);
    }
}
