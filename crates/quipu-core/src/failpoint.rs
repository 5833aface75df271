//! Named places in the life of a node at which a test build may be stopped dead.
//!
//! Nothing happens here: in builds with the feature `canary`, [`reach`] calls a hook that the
//! binary has registered, and in every other build it is empty and vanishes. The list is closed, so
//! that a test can stop at each of them.

/// One named place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Point {
    /// A frame is put together and not written.
    FrameBuilt,
    /// A frame is written and not synced.
    FrameWritten,
    /// The segment is about to be synced.
    SyncBegun,
    /// The sync of the segment has returned.
    SyncDone,
    /// The full segment is durable; the next one is not in use yet.
    SegmentFull,
    /// The next segment is in use and holds nothing.
    SegmentBegun,
    /// The mark is not written.
    MarkBegun,
    /// The mark is durable.
    MarkDone,
    /// The file of the next segment is there, under its unfinished name.
    PrepareCreated,
    /// It is filled with zeros and has its header.
    PrepareZeroed,
    /// Its contents are durable.
    PrepareSynced,
    /// A segment has its name, which is not durable.
    SegmentRenamed,
    /// The name of a segment is durable.
    SegmentNamed,
    /// The prepared segment may be taken.
    PrepareDone,
    /// Recovery has read and judged the log, and changed nothing.
    RecoverRead,
    /// Recovery has removed one unfinished file.
    RecoverSwept,
    /// Recovery has dropped one segment after the cut.
    RecoverDropped,
    /// Recovery has a fresh segment under its unfinished name.
    RecoverCreated,
    /// Recovery has written the unproven frames again.
    RecoverRewritten,
    /// They are durable; their segment has no name yet.
    RecoverSynced,
    /// The fresh segment has its name, durably.
    RecoverNamed,
    /// The file that says which store it is, is written under its unfinished name.
    StoreWritten,
    /// It has its name, which is not durable.
    StoreRenamed,
    /// Recovery has given back the room of one segment.
    RecoverShortened,
    /// The log is open; the new epoch is not written.
    EpochBegun,
    /// The new epoch is written and not synced.
    EpochWritten,
    /// The new epoch is durable.
    EpochDurable,
    /// A sorted file (a run or a snapshot) is written and not synced.
    SortedWritten,
    /// A run of a fold is durable.
    FoldSpilled,
    /// The next snapshot is durable under its unfinished name.
    FoldWritten,
    /// The next snapshot has its name, which is not durable.
    FoldRenamed,
    /// The name of the next snapshot is durable; it is not read back.
    FoldNamed,
    /// The next snapshot was read back; nothing is retired.
    FoldChecked,
    /// A snapshot that is not needed any more is removed.
    FoldSnapshotRemoved,
    /// A segment is retired; the directory is not synced.
    FoldRetired,
    /// A segment is retired, durably.
    FoldRetiredDurably,
    /// A commit has sealed the open batches.
    CommitCut,
    /// A commit has appended them to the log.
    CommitAppended,
    /// The log says that they are durable; nobody else knows.
    CommitFlushed,
    /// They are known to be durable; no reply has left.
    CommitKnown,
    /// A sender's checkpoint is in the open batch.
    CheckpointStored,
    /// At the end of a node, all is committed; the last mark is not written.
    ShutdownCommitted,
    /// At the end of a node, the last mark is durable.
    ShutdownMarked,
}

/// All places and their names.
pub const POINTS: [(Point, &str); 43] = [
    (Point::FrameBuilt, "frame_built"),
    (Point::FrameWritten, "frame_written"),
    (Point::SyncBegun, "sync_begun"),
    (Point::SyncDone, "sync_done"),
    (Point::SegmentFull, "segment_full"),
    (Point::SegmentBegun, "segment_begun"),
    (Point::MarkBegun, "mark_begun"),
    (Point::MarkDone, "mark_done"),
    (Point::PrepareCreated, "prepare_created"),
    (Point::PrepareZeroed, "prepare_zeroed"),
    (Point::PrepareSynced, "prepare_synced"),
    (Point::SegmentRenamed, "segment_renamed"),
    (Point::SegmentNamed, "segment_named"),
    (Point::PrepareDone, "prepare_done"),
    (Point::RecoverRead, "recover_read"),
    (Point::RecoverSwept, "recover_swept"),
    (Point::RecoverDropped, "recover_dropped"),
    (Point::RecoverCreated, "recover_created"),
    (Point::RecoverRewritten, "recover_rewritten"),
    (Point::RecoverSynced, "recover_synced"),
    (Point::RecoverNamed, "recover_named"),
    (Point::StoreWritten, "store_written"),
    (Point::StoreRenamed, "store_renamed"),
    (Point::RecoverShortened, "recover_shortened"),
    (Point::EpochBegun, "epoch_begun"),
    (Point::EpochWritten, "epoch_written"),
    (Point::EpochDurable, "epoch_durable"),
    (Point::SortedWritten, "sorted_written"),
    (Point::FoldSpilled, "fold_spilled"),
    (Point::FoldWritten, "fold_written"),
    (Point::FoldRenamed, "fold_renamed"),
    (Point::FoldNamed, "fold_named"),
    (Point::FoldChecked, "fold_checked"),
    (Point::FoldSnapshotRemoved, "fold_snapshot_removed"),
    (Point::FoldRetired, "fold_retired"),
    (Point::FoldRetiredDurably, "fold_retired_durably"),
    (Point::CommitCut, "commit_cut"),
    (Point::CommitAppended, "commit_appended"),
    (Point::CommitFlushed, "commit_flushed"),
    (Point::CommitKnown, "commit_known"),
    (Point::CheckpointStored, "checkpoint_stored"),
    (Point::ShutdownCommitted, "shutdown_committed"),
    (Point::ShutdownMarked, "shutdown_marked"),
];

/// The names of all places, in the order of [`POINTS`].
pub fn names() -> impl Iterator<Item = &'static str> {
    POINTS.iter().map(|(_, name)| *name)
}

/// The place of this name, if there is one.
pub fn named(name: &str) -> Option<Point> {
    POINTS.iter().find(|(_, n)| *n == name).map(|(point, _)| *point)
}

#[cfg(feature = "canary")]
static HOOK: std::sync::OnceLock<fn(Point)> = std::sync::OnceLock::new();

/// Says what happens whenever a place is reached, by any thread; false where that was said before.
#[cfg(feature = "canary")]
pub fn hook(reached: fn(Point)) -> bool {
    HOOK.set(reached).is_ok()
}

/// Says that a place is reached.
#[cfg(feature = "canary")]
pub fn reach(point: Point) {
    if let Some(reached) = HOOK.get() {
        reached(point);
    }
}

/// Says that a place is reached: nobody listens, in this build.
#[cfg(not(feature = "canary"))]
#[inline]
pub const fn reach(_point: Point) {}

#[cfg(test)]
mod tests {
    use super::{POINTS, named, names};

    #[test]
    fn the_table_names_every_place_once_and_in_order() {
        for (index, (point, name)) in POINTS.iter().enumerate() {
            assert_eq!((*point as usize, named(name)), (index, Some(*point)));
        }
        assert_eq!(names().count(), POINTS.len());
        assert_eq!(named("no_such_place"), None);
    }
}
