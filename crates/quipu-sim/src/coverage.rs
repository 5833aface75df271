//! How often each fault and each kind of answer happened: what never happens was never tested.

/// Something that can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Met {
    /// Operations that clients sent for the first time.
    Ops,
    /// Requests that reached a node.
    Deliveries,
    /// Requests whose answer reached the client.
    Answered,
    /// Writes acknowledged as durable.
    Acked,
    /// Writes acknowledged from memory.
    MemoryAcks,
    /// Operations done as asked.
    Done,
    /// Operations that a bound forbade.
    Rejected,
    /// Sums beyond 64 bits.
    Overflows,
    /// Operations whose condition did not hold.
    Unmet,
    /// Repeats of a token.
    TokenRepeats,
    /// Repeats of a place in a stream.
    StreamRepeats,
    /// Tokens used for another operation.
    Conflicts,
    /// Tokens older than the window.
    Expired,
    /// Tokens from the future.
    FutureTokens,
    /// Places refused because an earlier one was.
    HeldStreams,
    /// Operations refused because the token memory was full.
    TokensFull,
    /// Operations refused because there were too many streams.
    StreamsFull,
    /// Operations refused because too much was in flight.
    Busy,
    /// New counters refused because memory was full.
    NoMemory,
    /// Operations refused because the disk was full.
    NoSpace,
    /// Requests in flight when the log failed.
    Unknowns,
    /// Requests that found nobody.
    Unreachable,
    /// Reads of what is durable.
    CommittedReads,
    /// Reads of what is there.
    LatestReads,
    /// Reads that had to wait.
    HeldReads,
    /// Replies that had to wait.
    HeldReplies,
    /// Groups with an answer for each operation.
    Groups,
    /// Atomic groups that were kept.
    Atomics,
    /// Atomic groups that were taken back.
    Aborts,
    /// Plain batches.
    Batches,
    /// Looks at all counters.
    Scans,
    /// Checkpoints stored.
    Checkpoints,
    /// Streams that went on elsewhere from their checkpoint.
    Resumes,
    /// Streams that were sent again from the first unanswered place.
    Reconnects,
    /// Streams that an operator ended and that began again.
    Ends,
    /// Ends of streams that were asked for again, because nobody knew of the first.
    EndsRepeated,
    /// Answered requests that were sent again.
    Replays,
    /// Requests that were sent again.
    Retries,
    /// Requests that were given up.
    GaveUp,
    /// Requests that the network lost.
    LostRequests,
    /// Answers that the network lost.
    LostAnswers,
    /// Requests that arrived twice.
    Doubled,
    /// Frames that became durable.
    Frames,
    /// Frames that say what is durable.
    Marks,
    /// Segments closed early.
    Seals,
    /// Segments prepared ahead.
    Prepares,
    /// Segments that could not be prepared.
    PrepareFailures,
    /// Snapshots made.
    Folds,
    /// Folds that failed.
    FoldFailures,
    /// Folds that were cancelled.
    FoldsCancelled,
    /// Starts.
    Starts,
    /// Starts that the device did not let succeed.
    FailedStarts,
    /// Starts that needed a word about the clock.
    ClockDoubts,
    /// Ends of the log that were cut off.
    TornTails,
    /// Recoveries that wrote the end of the log again.
    Rewrites,
    /// Starts from a snapshot.
    SnapshotStarts,
    /// Power cuts.
    PowerCuts,
    /// Power cuts in the middle of something.
    FusePower,
    /// Writes torn by a power cut.
    TornWrites,
    /// Unsynced changes lost by a power cut.
    LostWrites,
    /// Changes of the directory lost by a power cut.
    LostNames,
    /// Processes killed.
    Kills,
    /// Orderly stops.
    Stops,
    /// Syncs that failed.
    SyncFailures,
    /// Writes that failed.
    WriteFailures,
    /// Syncs of the directory that failed.
    DirFailures,
    /// Times without room on the disk.
    FullDisks,
    /// Syncs that never returned.
    StuckSyncs,
    /// Times with slow syncs.
    SlowDisks,
    /// Jumps of the wall clock.
    ClockJumps,
    /// Times with a frozen wall clock.
    ClockFreezes,
    /// Times without memory for new counters.
    MemoryFull,
    /// Times with a bad network.
    BadNetworks,
    /// Reads checked against their bounds.
    ReadsChecked,
    /// Counters whose total was checked at the end.
    TotalsChecked,
    /// Counters whose total was exactly foretold.
    TotalsExact,
    /// Tokens asked for again after a start.
    TokensChecked,
    /// Recovered states compared with what was decided.
    StatesCompared,
    /// Recovered states compared with the fold of everything.
    FoldsCompared,
    /// Audits of the log at the end.
    Audits,
    /// Histories that were judged.
    Histories,
}

/// All that can happen, by name.
pub const ALL: [(Met, &str); 81] = [
    (Met::Ops, "ops"),
    (Met::Deliveries, "deliveries"),
    (Met::Answered, "answered"),
    (Met::Acked, "acked"),
    (Met::MemoryAcks, "memory_acks"),
    (Met::Done, "done"),
    (Met::Rejected, "rejected"),
    (Met::Overflows, "overflows"),
    (Met::Unmet, "unmet"),
    (Met::TokenRepeats, "token_repeats"),
    (Met::StreamRepeats, "stream_repeats"),
    (Met::Conflicts, "conflicts"),
    (Met::Expired, "expired"),
    (Met::FutureTokens, "future_tokens"),
    (Met::HeldStreams, "held_streams"),
    (Met::TokensFull, "tokens_full"),
    (Met::StreamsFull, "streams_full"),
    (Met::Busy, "busy"),
    (Met::NoMemory, "no_memory"),
    (Met::NoSpace, "no_space"),
    (Met::Unknowns, "unknowns"),
    (Met::Unreachable, "unreachable"),
    (Met::CommittedReads, "committed_reads"),
    (Met::LatestReads, "latest_reads"),
    (Met::HeldReads, "held_reads"),
    (Met::HeldReplies, "held_replies"),
    (Met::Groups, "groups"),
    (Met::Atomics, "atomics"),
    (Met::Aborts, "aborts"),
    (Met::Batches, "batches"),
    (Met::Scans, "scans"),
    (Met::Checkpoints, "checkpoints"),
    (Met::Resumes, "resumes"),
    (Met::Reconnects, "reconnects"),
    (Met::Ends, "ends"),
    (Met::EndsRepeated, "ends_repeated"),
    (Met::Replays, "replays"),
    (Met::Retries, "retries"),
    (Met::GaveUp, "gave_up"),
    (Met::LostRequests, "lost_requests"),
    (Met::LostAnswers, "lost_answers"),
    (Met::Doubled, "doubled"),
    (Met::Frames, "frames"),
    (Met::Marks, "marks"),
    (Met::Seals, "seals"),
    (Met::Prepares, "prepares"),
    (Met::PrepareFailures, "prepare_failures"),
    (Met::Folds, "folds"),
    (Met::FoldFailures, "fold_failures"),
    (Met::FoldsCancelled, "folds_cancelled"),
    (Met::Starts, "starts"),
    (Met::FailedStarts, "failed_starts"),
    (Met::ClockDoubts, "clock_doubts"),
    (Met::TornTails, "torn_tails"),
    (Met::Rewrites, "rewrites"),
    (Met::SnapshotStarts, "snapshot_starts"),
    (Met::PowerCuts, "power_cuts"),
    (Met::FusePower, "fuse_power"),
    (Met::TornWrites, "torn_writes"),
    (Met::LostWrites, "lost_writes"),
    (Met::LostNames, "lost_names"),
    (Met::Kills, "kills"),
    (Met::Stops, "stops"),
    (Met::SyncFailures, "sync_failures"),
    (Met::WriteFailures, "write_failures"),
    (Met::DirFailures, "dir_failures"),
    (Met::FullDisks, "full_disks"),
    (Met::StuckSyncs, "stuck_syncs"),
    (Met::SlowDisks, "slow_disks"),
    (Met::ClockJumps, "clock_jumps"),
    (Met::ClockFreezes, "clock_freezes"),
    (Met::MemoryFull, "memory_full"),
    (Met::BadNetworks, "bad_networks"),
    (Met::ReadsChecked, "reads_checked"),
    (Met::TotalsChecked, "totals_checked"),
    (Met::TotalsExact, "totals_exact"),
    (Met::TokensChecked, "tokens_checked"),
    (Met::StatesCompared, "states_compared"),
    (Met::FoldsCompared, "folds_compared"),
    (Met::Audits, "audits"),
    (Met::Histories, "histories"),
];

/// How often each of it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coverage {
    counts: [u64; ALL.len()],
}

impl Default for Coverage {
    fn default() -> Self {
        Self { counts: [0; ALL.len()] }
    }
}

impl Coverage {
    /// Counts one.
    #[inline]
    pub fn met(&mut self, what: Met) {
        self.add(what, 1);
    }

    /// Counts some.
    #[inline]
    pub fn add(&mut self, what: Met, count: u64) {
        if let Some(place) = self.counts.get_mut(what as usize) {
            *place += count;
        }
    }

    /// How often it happened.
    pub fn of(&self, what: Met) -> u64 {
        self.counts.get(what as usize).copied().unwrap_or(0)
    }

    /// Adds those of another run.
    pub fn join(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
    }

    /// Names and counts, in the order of the list.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ALL.into_iter().map(|(what, name)| (name, self.of(what)))
    }

    /// What never happened.
    pub fn missing(&self) -> Vec<&'static str> {
        self.rows().filter(|(_, count)| *count == 0).map(|(name, _)| name).collect()
    }
}
