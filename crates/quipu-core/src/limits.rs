//! Every maximum of the counter's meaning, with its reason.

/// Longest counter name in bytes. Spec: the length fits one byte as `length - 1`.
pub const NAME_BYTES_MAX: usize = 256;

/// Longest opaque token in bytes. Spec.
pub const TOKEN_BYTES_MAX: usize = 64;

/// Longest stream name in bytes. Spec: the same bound as a token.
pub const STREAM_BYTES_MAX: usize = 64;

/// Most shards of a node. Guess: above it the per-shard books outweigh their gain.
pub const SHARDS_MAX: u16 = 1024;

/// The most log bytes that one operation can add: an expiry, a slot, a token and a stream record,
/// each with a name of the longest kind and fixed fields below 96 bytes.
pub const OP_LOG_BYTES_MAX: u64 = 2 * (NAME_BYTES_MAX as u64 + 96)
    + (NAME_BYTES_MAX as u64 + TOKEN_BYTES_MAX as u64 + 96)
    + (STREAM_BYTES_MAX as u64 + 32);

/// Log bytes of a batch before its first slot, rounded up.
pub const BATCH_LOG_BYTES: u64 = 48;

/// How far in the future a UUIDv7 token may lie, in milliseconds. Spec: five minutes.
pub const TOKEN_FUTURE_MS: u64 = 5 * 60 * 1000;

/// Default time for which a token is remembered, in milliseconds. Spec: one hour.
pub const TOKEN_WINDOW_MS: u64 = 60 * 60 * 1000;

/// Longest relative expiry in milliseconds. Guess: about 1,000 years keeps sums far from overflow.
pub const TTL_MS_MAX: u64 = 1_000 * 366 * 24 * 3600 * 1000;

/// Steps of housekeeping (expired tokens, tombstones) that ride on one operation. Guess: two keep
/// up with one insertion each and stay far below a microsecond.
pub const SWEEP_STEPS: usize = 2;

/// Most counters of one ranking. Guess: more than anybody reads, and below 300 KiB of the longest
/// names in one answer; all counters are a listing.
pub const TOP_MAX: usize = 1_000;

/// Changes of one shard that a ranking takes in while it looks at the shard in several steps. Guess:
/// a walk over 150,000 counters takes some 2 ms, in which a busy shard changes some dozens.
pub const TOP_CHANGES_MAX: usize = 1_024;

const _: () = assert!(NAME_BYTES_MAX == u8::MAX as usize + 1);
