//! The table of all knobs. To add one: add it here and follow the compiler.

use crate::knob::{Apply, Basis, Class, Domain, Knob, Range};

/// Bytes in a kibibyte.
const KIB: u64 = 1 << 10;
/// Bytes in a mebibyte.
const MIB: u64 = 1 << 20;
/// Bytes in a gibibyte.
const GIB: u64 = 1 << 30;
/// Bytes in a tebibyte.
const TIB: u64 = 1 << 40;
/// Bytes in a pebibyte.
const PIB: u64 = 1 << 50;
/// Nanoseconds in a millisecond.
const MILLISECOND: u64 = 1_000_000;
/// Nanoseconds in a second.
const SECOND: u64 = 1_000 * MILLISECOND;
/// Nanoseconds in a minute.
const MINUTE: u64 = 60 * SECOND;
/// Nanoseconds in an hour.
const HOUR: u64 = 60 * MINUTE;
/// Nanoseconds in a day.
const DAY: u64 = 24 * HOUR;

/// Makes the keys and their table from one list, so that neither can lack what the other has.
macro_rules! knobs {
    ($($key:ident { name: $name:literal, help: $help:literal, $($field:ident: $value:expr,)* })*) => {
        /// The names of the knobs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Key {
            $(#[doc = concat!("`", $name, "`: ", $help)] $key,)*
        }

        /// All knobs, in the order of [`Key`].
        pub const KNOBS: &[Knob] =
            &[$(Knob { key: Key::$key, name: $name, help: $help, $($field: $value,)* },)*];
    };
}

knobs! {
    DataDir {
        name: "data.dir",
        help: "Directory of the log and the snapshots; one process at a time.",
        domain: Domain::Path,
        default: "quipu-data",
        apply: Apply::Restart,
        class: Class::Safety,
        basis: Basis::Guess,
        why: "Beside where the command runs, so that a first try needs no rights.",
    }
    RespAddr {
        name: "resp.addr",
        help: "Address of the listener for Redis clients.",
        domain: Domain::Loopback,
        default: "127.0.0.1:7411",
        apply: Apply::Restart,
        class: Class::Safety,
        basis: Basis::Spec,
        why: "Loopback alone until there is authentication; next to Redis's 6379 without meeting \
            it.",
    }
    RespIdleTimeout {
        name: "resp.idle_timeout",
        help: "A connection of a Redis client that sends nothing for this long is closed.",
        domain: Domain::Duration(Range::new(SECOND, DAY).or_zero("no limit")),
        default: "0",
        apply: Apply::Restart,
        class: Class::Limits,
        basis: Basis::Spec,
        why: "Redis's own default: pools keep connections for days.",
    }
    HttpAddr {
        name: "http.addr",
        help: "Address of the HTTP listener for counters.",
        domain: Domain::Loopback,
        default: "127.0.0.1:7412",
        apply: Apply::Restart,
        class: Class::Safety,
        basis: Basis::Spec,
        why: "Loopback alone until there is authentication.",
    }
    HttpHeaderTimeout {
        name: "http.header_timeout",
        help: "The head of a request must be complete this long after its first byte, else the \
            connection is closed.",
        domain: Domain::Duration(Range::new(10 * MILLISECOND, HOUR)),
        default: "10s",
        apply: Apply::Restart,
        class: Class::Limits,
        basis: Basis::Spec,
        why: "Long enough for a bad line, short enough that slow heads cannot pile up.",
    }
    HttpBodyTimeout {
        name: "http.body_timeout",
        help: "The body of a request must be complete this long after its head, else the \
            connection is closed.",
        domain: Domain::Duration(Range::new(10 * MILLISECOND, HOUR)),
        default: "15s",
        apply: Apply::Restart,
        class: Class::Limits,
        basis: Basis::Spec,
        why: "A full body of 1 MiB passes at 70 KiB a second.",
    }
    HttpIdleTimeout {
        name: "http.idle_timeout",
        help: "A connection without a request for this long is closed.",
        domain: Domain::Duration(Range::new(10 * MILLISECOND, DAY)),
        default: "1m",
        apply: Apply::Restart,
        class: Class::Limits,
        basis: Basis::Spec,
        why: "What common proxies keep, so that the proxy mostly closes first.",
    }
    AdminAddr {
        name: "admin.addr",
        help: "Address of the listener for health, metrics and administration.",
        domain: Domain::Loopback,
        default: "127.0.0.1:7413",
        apply: Apply::Restart,
        class: Class::Safety,
        basis: Basis::Spec,
        why: "Apart from the counters, so that it can be closed off apart.",
    }
    Shards {
        name: "shards",
        help: "Partitions of the key space; fixed when a data directory is made.",
        domain: Domain::Count(Range::new(1, 1024).powers_of_two()),
        default: "64",
        apply: Apply::Restart,
        class: Class::Safety,
        basis: Basis::Spec,
        why: "More than the cores of most machines, so that two workers seldom want the same lock.",
    }
    ServerWorkers {
        name: "server.workers",
        help: "Event loops that serve connections, each on a thread of its own.",
        domain: Domain::Count(Range::new(1, 1024).or_zero("half of the cores, at least one")),
        default: "0",
        apply: Apply::Restart,
        class: Class::Performance,
        basis: Basis::Guess,
        why: "Leaves the other half to the kernel's network and disk work and to the clients of a \
            shared machine.",
    }
    AckDefault {
        name: "ack.default",
        help: "What an answer promises where the request does not say: fsync is on disk, memory \
            follows within flush.interval.",
        domain: Domain::Choice(&["fsync", "memory"]),
        default: "fsync",
        apply: Apply::Restart,
        class: Class::Safety,
        basis: Basis::Spec,
        why: "An answered increment must survive a power cut unless somebody asked for less.",
    }
    FlushInterval {
        name: "flush.interval",
        help: "Operations answered from memory are on disk at most this much later.",
        domain: Domain::Duration(Range::new(MILLISECOND, MINUTE)),
        default: "1s",
        apply: Apply::Restart,
        class: Class::Safety,
        basis: Basis::Spec,
        why: "What Redis's `appendfsync everysec` has made people expect.",
    }
    Linger {
        name: "linger",
        help: "A commit waits this long for company before it is written.",
        domain: Domain::Duration(Range::new(0, 100 * MILLISECOND)),
        default: "0",
        apply: Apply::Restart,
        class: Class::Performance,
        basis: Basis::Spec,
        why: "Batches form by themselves while the one before is being synced; a timer only adds \
            delay.",
    }
    CommitStrategy {
        name: "commit.strategy",
        help: "Who syncs: the event loop itself, a committer thread, or whichever suits the sync \
            time seen (auto).",
        domain: Domain::Choice(&["auto", "loop", "committer"]),
        default: "auto",
        apply: Apply::Restart,
        class: Class::Performance,
        basis: Basis::Measured,
        why: "In the loop was 1.2 to 1.7 times as fast where a sync takes 0.1 ms, and stalls \
            readers where it takes 1 ms.",
    }
    CommitLoopSyncMax {
        name: "commit.loop_sync_max",
        help: "With commit.strategy auto, the sync time up to which the event loop itself syncs.",
        domain: Domain::Duration(Range::new(0, 10 * MILLISECOND)),
        default: "300us",
        apply: Apply::Restart,
        class: Class::Performance,
        basis: Basis::Guess,
        why: "Between the two measured cases, 0.1 ms and 1 ms, nearer to the one that harms \
            nobody.",
    }
    TokenWindow {
        name: "token.window",
        help: "How long a token is remembered: a repeat within it counts nothing.",
        domain: Domain::Duration(Range::new(SECOND, 30 * DAY)),
        default: "1h",
        apply: Apply::Restart,
        class: Class::Safety,
        basis: Basis::Spec,
        why: "Longer than any client's retries; each remembered token costs memory.",
    }
    TokenMax {
        name: "token.max",
        help: "Most tokens remembered at once; further operations with a token are refused as \
            busy.",
        domain: Domain::Count(Range::new(1, 1_000_000_000)),
        default: "10000000",
        apply: Apply::Restart,
        class: Class::Limits,
        basis: Basis::Guess,
        why: "2,700 operations with a token a second for the whole window, in 0.6 to 2 GiB.",
    }
    StreamMax {
        name: "stream.max",
        help: "Most streams that one shard remembers; further ones are refused as busy until some \
            are ended with quipu stream end.",
        domain: Domain::Count(Range::new(1, 10_000_000)),
        default: "100000",
        apply: Apply::Restart,
        class: Class::Limits,
        basis: Basis::Guess,
        why: "Streams end by an operator's word alone, so their number needs a bound; a source of \
            lines is one or a few.",
    }
    LogSegmentBytes {
        name: "log.segment_bytes",
        help: "Size of a log file, prepared in full ahead of need.",
        domain: Domain::Bytes(Range::new(MIB, GIB).powers_of_two()),
        default: "64MiB",
        apply: Apply::Restart,
        class: Class::Performance,
        basis: Basis::Spec,
        why: "What etcd uses; a new one is then needed every few seconds at most.",
    }
    LogFrameBytesMax {
        name: "log.frame_bytes_max",
        help: "Most bytes that are synced at once, and so the largest group; at most a quarter of \
            log.segment_bytes.",
        domain: Domain::Bytes(Range::new(256 * KIB, 256 * MIB).powers_of_two()),
        default: "16MiB",
        apply: Apply::Restart,
        class: Class::Limits,
        basis: Basis::Guess,
        why: "A quarter of a segment: little is left unused at a segment's end, and a sync stays \
            short.",
    }
    LogMarkInterval {
        name: "log.mark_interval",
        help: "When nothing is written for this long, a mark frame says up to where all is \
            durable.",
        domain: Domain::Duration(Range::new(MILLISECOND, MINUTE)),
        default: "100ms",
        apply: Apply::Restart,
        class: Class::Performance,
        basis: Basis::Spec,
        why: "Short enough that a crash while idle is proven complete, and rare enough to cost \
            nothing.",
    }
    LogRetainBytes {
        name: "log.retain_bytes",
        help: "Most bytes of folded log and older snapshots that are kept for recount and audit; \
            given up first when the disk is full.",
        domain: Domain::Bytes(Range::new(0, PIB)),
        default: "1GiB",
        apply: Apply::Restart,
        class: Class::Limits,
        basis: Basis::Guess,
        why: "Some minutes of heavy writing or months of light writing, on any disk.",
    }
    LogRetainTime {
        name: "log.retain_time",
        help: "Folded log that is older than this is not kept.",
        domain: Domain::Duration(Range::new(SECOND, 36_500 * DAY).or_zero("no limit")),
        default: "30d",
        apply: Apply::Restart,
        class: Class::Limits,
        basis: Basis::Guess,
        why: "A month's question can be answered, and what was deleted is not kept for ever.",
    }
    LogAllowNetworkFs {
        name: "log.allow_network_fs",
        help: "Whether the data directory may be on a network file system.",
        domain: Domain::Switch,
        default: "false",
        apply: Apply::Restart,
        class: Class::Safety,
        basis: Basis::Spec,
        why: "Locks and syncs of network file systems do not keep what they promise often enough.",
    }
    FoldLogBytesMin {
        name: "fold.log_bytes_min",
        help: "A fold starts when the log since the last snapshot exceeds this and the snapshot's \
            own size.",
        domain: Domain::Bytes(Range::new(16 * KIB, TIB)),
        default: "256MiB",
        apply: Apply::Restart,
        class: Class::Performance,
        basis: Basis::Spec,
        why: "Writes are then amplified at most about twice, and recovery reads a second's worth \
            of log.",
    }
    FoldMemory {
        name: "fold.memory",
        help: "Memory in which a fold sorts its changes; what exceeds it is spilled to disk as \
            sorted runs.",
        domain: Domain::Bytes(Range::new(64 * KIB, 64 * GIB)),
        default: "64MiB",
        apply: Apply::Restart,
        class: Class::Performance,
        basis: Basis::Spec,
        why: "A segment's changes fit, so that spilling is the exception.",
    }
    MemoryMax {
        name: "memory.max",
        help: "Memory beyond which new counters are refused; existing ones go on counting.",
        domain: Domain::Bytes(Range::new(MIB, PIB)
            .or_zero("3/4 of the machine or its control group")),
        default: "0",
        apply: Apply::Restart,
        class: Class::Limits,
        basis: Basis::Spec,
        why: "A quarter is left to buffers, folds and the page cache, so that the kernel kills \
            nobody.",
    }
    LimitsConnections {
        name: "limits.connections",
        help: "Most open connections of clients, RESP and HTTP together; further ones are closed at \
            once. The admin listener has 16 of its own. No more than the limit of open files allows.",
        domain: Domain::Count(Range::new(1, 1_000_000)),
        default: "10000",
        apply: Apply::Restart,
        class: Class::Limits,
        basis: Basis::Spec,
        why: "Redis's `maxclients`; twice the connections of a large fleet's pools.",
    }
    LimitsInlineBytes {
        name: "limits.inline_bytes",
        help: "Longest line of a RESP command: an inline command or a length line.",
        domain: Domain::Bytes(Range::new(64, MIB)),
        default: "64KiB",
        apply: Apply::Restart,
        class: Class::Limits,
        basis: Basis::Spec,
        why: "Redis's `PROTO_INLINE_MAX_SIZE`.",
    }
    LimitsBulkBytes {
        name: "limits.bulk_bytes",
        help: "Longest argument of a RESP command.",
        domain: Domain::Bytes(Range::new(512, 16 * MIB)),
        default: "64KiB",
        apply: Apply::Restart,
        class: Class::Limits,
        basis: Basis::Guess,
        why: "A name has at most 256 bytes and a token 64: this is ample, and a hostile length \
            allocates little.",
    }
    LimitsArrayLen {
        name: "limits.array_len",
        help: "Most arguments of a RESP command, and so most names of one `MGET`.",
        domain: Domain::Count(Range::new(16, 1_048_576)),
        default: "65536",
        apply: Apply::Restart,
        class: Class::Limits,
        basis: Basis::Guess,
        why: "A sixteenth of Redis's bound; with short names it fits into limits.pipeline_bytes.",
    }
    LimitsHeaderBytes {
        name: "limits.header_bytes",
        help: "Longest head of an HTTP request.",
        domain: Domain::Bytes(Range::new(8 * KIB, MIB)),
        default: "16KiB",
        apply: Apply::Restart,
        class: Class::Limits,
        basis: Basis::Spec,
        why: "Twice the 8 KiB that common servers and proxies accept.",
    }
    LimitsHeaders {
        name: "limits.headers",
        help: "Most header lines of an HTTP request.",
        domain: Domain::Count(Range::new(8, 1_024)),
        default: "64",
        apply: Apply::Restart,
        class: Class::Limits,
        basis: Basis::Spec,
        why: "Clients send about 10, and chains of proxies add some 20.",
    }
    LimitsBodyBytes {
        name: "limits.body_bytes",
        help: "Longest body of an HTTP request.",
        domain: Domain::Bytes(Range::new(KIB, GIB)),
        default: "1MiB",
        apply: Apply::Restart,
        class: Class::Limits,
        basis: Basis::Spec,
        why: "nginx's default; a batch of limits.batch_ops short operations fits.",
    }
    LimitsBatchOps {
        name: "limits.batch_ops",
        help: "Most operations of one HTTP batch.",
        domain: Domain::Count(Range::new(1, 1_000_000)),
        default: "10000",
        apply: Apply::Restart,
        class: Class::Limits,
        basis: Basis::Spec,
        why: "About a millisecond or two of one core, so that others do not wait long.",
    }
    LimitsPipelineBytes {
        name: "limits.pipeline_bytes",
        help: "Most bytes of one connection's requests that wait to be read; also the longest \
            RESP command. More than limits.bulk_bytes and limits.inline_bytes.",
        domain: Domain::Bytes(Range::new(KIB, GIB)),
        default: "1MiB",
        apply: Apply::Restart,
        class: Class::Limits,
        basis: Basis::Spec,
        why: "Some 30,000 increments ahead of their answers; Redis allows as much before \
            authentication.",
    }
    LimitsOutputBytes {
        name: "limits.output_bytes",
        help: "A client that leaves this many bytes of answers unread is closed.",
        domain: Domain::Bytes(Range::new(64 * KIB, GIB)),
        default: "8MiB",
        apply: Apply::Restart,
        class: Class::Limits,
        basis: Basis::Guess,
        why: "Several times the longest single answer; Redis has no limit here, which has been an \
            attack.",
    }
    LimitsMultiCommands {
        name: "limits.multi_commands",
        help: "Most commands between `MULTI` and `EXEC`.",
        domain: Domain::Count(Range::new(1, 1_000_000)),
        default: "65536",
        apply: Apply::Restart,
        class: Class::Limits,
        basis: Basis::Guess,
        why: "Client libraries send whole pipelines this way; the group still fits \
            log.frame_bytes_max.",
    }
    LimitsInflightBytes {
        name: "limits.inflight_bytes",
        help: "Most bytes of requests and held answers, all connections together; beyond it \
            requests are refused as busy. At least limits.pipeline_bytes.",
        domain: Domain::Bytes(Range::new(64 * KIB, TIB)),
        default: "256MiB",
        apply: Apply::Restart,
        class: Class::Limits,
        basis: Basis::Guess,
        why: "250 connections at their own limit at once, which no honest load comes near.",
    }
    ClockAccept {
        name: "clock.accept",
        help: "Start although the wall clock is more than 5 minutes behind or 30 days ahead of \
            the log.",
        domain: Domain::Switch,
        default: "false",
        apply: Apply::Restart,
        class: Class::Safety,
        basis: Basis::Spec,
        why: "A wrong clock forgets tokens and expires counters too early; a person must look \
            first.",
    }
}
