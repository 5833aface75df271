//! The closed list of metrics: names, kinds, units, labels and what each one means.
//!
//! A name is `quipu_<part>_<noun>_<unit>[_total]` in base units (seconds and bytes). The types say
//! what may be done with a metric: a counter only grows, a gauge is set, a timing is recorded.

use crate::label::{
    ConnectionCut, ConnectionRefusal, LabelSet, OperationKind, Refusal, Rejection, Repeat,
    SegmentState, Surface,
};

/// What is known of a metric without its value.
#[derive(Debug)]
pub struct Spec {
    /// The name on the wire.
    pub name: &'static str,
    /// How its values behave.
    pub kind: Kind,
    /// What its values count.
    pub unit: Unit,
    /// What it means.
    pub help: &'static str,
    /// Its label, if it has one.
    pub label: Option<&'static LabelSet>,
}

/// How the values of a metric behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, and starts at zero with the process.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It is a distribution.
    Histogram,
}

/// What the values of a metric count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Bytes.
    Bytes,
    /// Time: kept in nanoseconds, shown in seconds.
    Seconds,
}

impl Kind {
    /// Returns the word for it, as Prometheus has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Unit {
    /// Returns the word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Bytes => "bytes",
            Self::Seconds => "seconds",
        }
    }
}

/// The gauge of value one whose label says which version runs.
pub const BUILD_INFO: Spec = Spec {
    name: "quipu_build_info",
    kind: Kind::Gauge,
    unit: Unit::Count,
    help: "Always 1; the label says which version runs.",
    label: Some(&LabelSet { name: "version", values: &[] }),
};

/// Makes the type of one kind of metric and its table from one list.
macro_rules! metrics {
    ($(#[$doc:meta])* $kind:ident of $behaviour:ident {
        $($metric:ident $(($label:ident))? = $name:literal, $unit:ident, $help:literal;)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $kind {
            $(#[doc = concat!("`", $name, "`: ", $help)] $metric $(($label))?,)*
        }

        impl $kind {
            /// All metrics of this kind, in the order of the variants.
            pub const SPECS: &[Spec] = &[$(Spec {
                name: $name,
                kind: Kind::$behaviour,
                unit: Unit::$unit,
                help: $help,
                label: metrics!(@label $($label)?),
            },)*];

            /// Returns the place of the metric in the table and of its label's value in the set.
            pub(crate) const fn place(self) -> (usize, usize) {
                enum Row { $($metric,)* }
                let row = match self {
                    $(Self::$metric { .. } => Row::$metric as usize,)*
                };
                let column = match self {
                    $($(Self::$metric(value) => { let value: $label = value; value as usize })?)*
                    _ => 0,
                };
                (row, column)
            }
        }
    };
    (@label) => { None };
    (@label $label:ident) => { Some(&$label::SET) };
}

metrics! {
    /// What only grows.
    Counter of Counter {
        ConnectionsAccepted(Surface) = "quipu_server_connections_accepted_total", Count,
            "Connections that were accepted.";
        ConnectionsRefused(ConnectionRefusal) = "quipu_server_connections_refused_total", Count,
            "Connections that were closed before they were served.";
        ConnectionsCut(ConnectionCut) = "quipu_server_connections_cut_total", Count,
            "Connections that the node closed on a client.";
        Commands(Surface) = "quipu_server_commands_total", Count,
            "Commands and requests that were answered, whatever the answer.";
        InputBytes(Surface) = "quipu_server_input_bytes_total", Bytes,
            "Bytes that were read from clients.";
        OutputBytes(Surface) = "quipu_server_output_bytes_total", Bytes,
            "Bytes that were written to clients.";
        Operations(OperationKind) = "quipu_shard_operations_total", Count,
            "Operations that were decided, each item of a batch for itself.";
        Counted = "quipu_shard_counted_total", Count,
            "Adds that counted: not refused, not rejected, no repeats.";
        Refused(Refusal) = "quipu_shard_refused_total", Count,
            "Operations that were refused and left no trace.";
        Rejected(Rejection) = "quipu_shard_rejected_total", Count,
            "Adds that were decided to change nothing.";
        Repeats(Repeat) = "quipu_shard_repeats_total", Count,
            "Operations that were told to be repeats and counted nothing.";
        Expired = "quipu_shard_expired_total", Count,
            "Counters whose time had come and whose deletion was written.";
        Batches = "quipu_shard_batches_total", Count,
            "Batches that shards handed to the log.";
        BatchSlots = "quipu_shard_batch_slots_total", Count,
            "Slots of those batches; operations per slot is how much coalescing saves.";
        Frames = "quipu_log_frames_total", Count,
            "Frames of batches that were written.";
        FrameBytes = "quipu_log_frame_bytes_total", Bytes,
            "Bytes that were written for frames, headers, padding and marks included.";
        PayloadBytes = "quipu_log_payload_bytes_total", Bytes,
            "Bytes of the records within frames.";
        SyncFailures = "quipu_log_sync_failures_total", Count,
            "Writes and syncs that failed; the first one stops the node.";
        Folds = "quipu_folds_total", Count,
            "Folds that ended with a new snapshot.";
        FoldFailures = "quipu_fold_failures_total", Count,
            "Folds that ended without one.";
        FoldBytesWritten = "quipu_fold_written_bytes_total", Bytes,
            "Bytes that folds wrote, spilled runs included.";
    }
}

metrics! {
    /// What goes up and down.
    Gauge of Gauge {
        ConnectionsOpen(Surface) = "quipu_server_connections_open", Count,
            "Connections that are open.";
        InflightBytes = "quipu_server_inflight_bytes", Bytes,
            "Bytes of requests and held answers, all connections together.";
        HeldReplies = "quipu_server_held_replies", Count,
            "Answers that wait for the log.";
        Counters = "quipu_shard_counters", Count,
            "Counters that exist.";
        Tokens = "quipu_shard_tokens", Count,
            "Tokens that are remembered.";
        Streams = "quipu_shard_streams", Count,
            "Streams that are remembered, each counted on every shard that knows it.";
        StreamsFullest = "quipu_shard_streams_fullest", Count,
            "Streams of the shard that remembers most.";
        StreamsMax = "quipu_shard_streams_max", Count,
            "Streams beyond which a shard refuses further ones (stream.max).";
        Tombstones = "quipu_shard_tombstones", Count,
            "Deleted counters whose deletion is not durable yet.";
        TimeDeviation = "quipu_log_time_deviation_seconds", Seconds,
            "How far log time and wall clock are apart; beyond a minute a person should look.";
        BytesAtRisk = "quipu_log_at_risk_bytes", Bytes,
            "Bytes of decided records that are not durable yet, at most; answers from memory may \
             speak of them.";
        Segments(SegmentState) = "quipu_log_segments", Count,
            "Log files by what they are there for.";
        LogBytesSinceSnapshot = "quipu_log_since_snapshot_bytes", Bytes,
            "Bytes of log that a recovery would read after the newest snapshot, at most.";
        RetainedBytes = "quipu_log_retained_bytes", Bytes,
            "Bytes of folded log and older snapshots, kept for recount and audit.";
        RetainedPosition = "quipu_log_retained_position", Count,
            "Log position after which recount and audit can speak; 0 is the beginning.";
        SnapshotPosition = "quipu_fold_snapshot_position", Count,
            "Log position of the newest snapshot.";
        RecoveryDuration = "quipu_recovery_duration_seconds", Seconds,
            "How long the last start took to read snapshot and log.";
        RecoveryTruncatedBytes = "quipu_recovery_truncated_bytes", Bytes,
            "Bytes at the end of the log that the last start cut off: never acknowledged.";
        Uptime = "quipu_node_uptime_seconds", Seconds,
            "Time since the node began to serve.";
        LogRoomBytes = "quipu_log_room_bytes", Bytes,
            "Bytes of prepared log that may still be written; further ones are prepared ahead.";
        DiskFreeBytes = "quipu_node_disk_free_bytes", Bytes,
            "Bytes that the file system of the data directory has left for the node.";
        MemoryBytes = "quipu_node_memory_bytes", Bytes,
            "Memory that counts against memory.max.";
        MemoryMaxBytes = "quipu_node_memory_max_bytes", Bytes,
            "Memory beyond which new counters are refused.";
    }
}

metrics! {
    /// Distributions of time.
    Timing of Histogram {
        RequestDuration(Surface) = "quipu_server_request_duration_seconds", Seconds,
            "Time from a request's last byte read to its answer's first byte ready to leave.";
        CommitWait = "quipu_server_commit_wait_seconds", Seconds,
            "Time that an answer was held for the log.";
        SyncDuration = "quipu_log_sync_duration_seconds", Seconds,
            "Time of one sync of the log.";
        TopDuration = "quipu_top_duration_seconds", Seconds,
            "Time of one pass over all counters for a ranking.";
        FoldDuration = "quipu_fold_duration_seconds", Seconds,
            "Time of one fold, from its start to the verified snapshot.";
    }
}

/// Returns all metrics, in the order in which they are shown.
pub fn all() -> impl Iterator<Item = &'static Spec> {
    const BUILD: &Spec = &BUILD_INFO;
    [BUILD].into_iter().chain(Counter::SPECS).chain(Gauge::SPECS).chain(Timing::SPECS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Kind, Spec, Unit, all};

    /// Abbreviations that `promtool check metrics` refuses as parts of a name.
    const ABBREVIATIONS: [&str; 10] = ["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "m", "h"];

    fn parts(spec: &Spec) -> Vec<&'static str> {
        spec.name.split('_').collect()
    }

    #[test]
    fn names_are_unique_and_of_one_form() {
        let names: BTreeSet<&str> = all().map(|spec| spec.name).collect();
        assert_eq!(names.len(), all().count());
        for spec in all() {
            let parts = parts(spec);
            assert_eq!(parts.first(), Some(&"quipu"), "{}", spec.name);
            assert!(parts.len() >= 3, "{}", spec.name);
            let plain = |part: &&str| part.bytes().all(|byte| byte.is_ascii_lowercase());
            assert!(parts.iter().all(|part| plain(part) && !part.is_empty()), "{}", spec.name);
            assert!(!parts.iter().any(|part| ABBREVIATIONS.contains(part)), "{}", spec.name);
            let types = ["counter", "gauge", "histogram", "summary"];
            assert!(!parts.iter().any(|part| types.contains(part)), "{}", spec.name);
        }
    }

    #[test]
    fn names_end_with_their_unit_and_counters_with_total() {
        for spec in all() {
            let bare = spec.name.strip_suffix("_total");
            assert_eq!(bare.is_some(), spec.kind == Kind::Counter, "{}", spec.name);
            let ends = |unit| bare.unwrap_or(spec.name).ends_with(unit);
            assert_eq!(ends("_bytes"), spec.unit == Unit::Bytes, "{}", spec.name);
            assert_eq!(ends("_seconds"), spec.unit == Unit::Seconds, "{}", spec.name);
        }
    }

    #[test]
    fn every_metric_says_what_it_means_in_one_plain_line() {
        for spec in all() {
            let plain = spec.help.is_ascii() && !spec.help.contains(['\n', '\\']);
            assert!(plain && spec.help.ends_with('.'), "{}", spec.name);
        }
    }
}
