//! Which checks may catch which bug: those whose promise it breaks.

use crate::checks::Check::{
    self, AckAfterFailure, AckedDurable, Admission, DurableBlock, FinalTotals, GroupWhole,
    HeldReply, Limits, Linearizable, Liveness, LogTime, Overflow, Position, ReadBounds,
    RecoveredState, RefusedStart, ReplyDepends, SnapshotIsLog, StreamOnce, TokenOnce, TokenWindow,
    ValueIsSum,
};

/// Bugs, and the checks whose promise they break. A log that a bug made wrong may also be refused:
/// every fold is an audit. An answer that speaks of a record that was not written names no batch
/// for it.
const PROMISES: &[(&str, &[Check])] = &[
    ("ack_before_sync", &[HeldReply, AckedDurable]),
    ("sync_retried", &[AckAfterFailure, AckedDurable]),
    ("failure_not_latched", &[AckAfterFailure]),
    ("sync_error_ignored", &[AckAfterFailure, AckedDurable]),
    ("write_error_ignored", &[AckAfterFailure, AckedDurable]),
    ("sync_nothing", &[AckedDurable]),
    ("no_dir_sync", &[AckedDurable, RefusedStart]),
    ("next_segment_early", &[AckedDurable, StreamOnce, RefusedStart]),
    ("frame_touches_durable", &[DurableBlock, AckedDurable]),
    ("torn_tail_accepted", &[RecoveredState, RefusedStart]),
    ("damage_cut_off", &[AckedDurable, RecoveredState]),
    ("tail_not_rewritten", &[AckedDurable, RefusedStart, SnapshotIsLog]),
    ("segment_id_unchecked", &[AckedDurable, RecoveredState, RefusedStart]),
    ("link_unchecked", &[AckedDurable, RecoveredState, RefusedStart]),
    ("group_split", &[GroupWhole]),
    ("snapshot_unchecked", &[SnapshotIsLog]),
    ("retired_early", &[SnapshotIsLog, RefusedStart]),
    ("delete_forgotten", &[SnapshotIsLog, RefusedStart]),
    ("token_lost_in_snapshot", &[SnapshotIsLog, TokenOnce]),
    ("compose_swapped", &[SnapshotIsLog, RefusedStart]),
    ("no_dedup", &[TokenOnce, StreamOnce]),
    ("token_outside_record", &[TokenOnce, RecoveredState]),
    ("token_claimed_early", &[TokenOnce]),
    ("abort_keeps_token", &[TokenOnce, GroupWhole]),
    ("abort_keeps_mark", &[StreamOnce, GroupWhole]),
    ("abort_keeps_effect", &[ValueIsSum, GroupWhole, RecoveredState]),
    ("window_shortened", &[TokenWindow, TokenOnce]),
    ("eviction_by_wall_clock", &[TokenWindow, TokenOnce]),
    ("log_time_jumps", &[LogTime, TokenWindow]),
    ("log_time_steps_back", &[LogTime]),
    ("epoch_reused", &[Position]),
    ("mark_jumps_refusal", &[StreamOnce]),
    ("mark_outside_record", &[StreamOnce, RecoveredState, RefusedStart]),
    ("read_not_held", &[ReplyDepends, HeldReply, ReadBounds]),
    ("rejection_not_held", &[ReplyDepends, HeldReply]),
    ("repeat_not_held", &[ReplyDepends, HeldReply]),
    ("answer_stale", &[ValueIsSum, Linearizable]),
    ("overflow_wraps", &[Overflow]),
    ("saturate_overshoots", &[ValueIsSum]),
    ("take_doubles", &[ValueIsSum, FinalTotals]),
    ("expiry_unrecorded", &[RecoveredState, SnapshotIsLog, RefusedStart, ReplyDepends]),
    ("tokens_unbounded", &[Limits]),
    ("room_unchecked", &[Limits, Admission]),
    ("dirty_forgotten", &[HeldReply, Liveness]),
    ("effect_outside_batch", &[ReplyDepends, RecoveredState, RefusedStart]),
    ("end_unrecorded", &[ReplyDepends, RecoveredState, StreamOnce]),
    ("end_on_one_shard", &[StreamOnce, ReplyDepends, FinalTotals]),
    ("end_forgotten", &[SnapshotIsLog, RecoveredState, StreamOnce]),
];

/// Bugs that no node of one thread over honest blocks can show, and the test that catches them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("memory_says_fsync", "an answer of the HTTP surface: `canaries` of crates/quipu"),
    ("segment_id_unchecked", "a second guard behind positions: `canaries` of crates/quipu-log"),
    ("link_unchecked", "a second guard behind positions: `canaries` of crates/quipu-log"),
    ("snapshot_unchecked", "a device that writes wrong: `canaries` of crates/quipu-log"),
];

/// Bugs that clients of one counter can see, and that histories must catch by themselves: a shadow
/// that knows every answer sees them sooner and would leave the search untried.
const IN_HISTORIES: &[&str] = &["read_not_held", "answer_stale", "take_doubles"];

/// Whether a bug must show in what clients see of one counter.
pub fn shows_in_histories(name: &str) -> bool {
    IN_HISTORIES.contains(&name)
}

/// The checks whose promise a bug breaks.
pub fn accepted(name: &str) -> &'static [Check] {
    PROMISES.iter().find(|(bug, _)| *bug == name).map_or(&[], |(_, checks)| checks)
}

/// Where a bug is looked for that no node of one thread can show.
pub fn elsewhere(name: &str) -> Option<&'static str> {
    ELSEWHERE.iter().find(|(bug, _)| *bug == name).map(|(_, why)| *why)
}
