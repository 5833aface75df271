//! Every maximum of the wire formats, with its reason.

/// Longest inline command in bytes, without its line end. Spec: Redis's own bound.
pub const INLINE_BYTES_MAX: usize = 64 << 10;

/// Longest argument in bytes. Guess: names have 256 bytes and tokens 64; what is longer is a
/// PING, an ECHO or a mistake.
pub const BULK_BYTES_MAX: usize = 1 << 20;

/// Most arguments of one command. Guess: a bulk MGET or DEL of a million keys is the largest use.
pub const ARRAY_LEN_MAX: usize = 1 << 20;

/// Longest command in bytes, all arguments together. Guess: a hundred thousand longest names fit.
pub const FRAME_BYTES_MAX: u32 = 32 << 20;

/// Spans kept allocated between commands; what a larger command needed is given back. Guess: eight
/// bytes each, so an idle connection keeps at most 2 KiB.
pub const SPANS_KEPT: usize = 256;

/// Most bytes of the arguments that an unknown command's error repeats. Spec: as Redis.
pub const ECHOED_BYTES_MAX: usize = 128;

/// How many keys SCAN looks at where COUNT is not given. Spec: as Redis.
pub const SCAN_COUNT: u64 = 10;

/// Most keys that one SCAN may look at. Guess: a bounded step of about a millisecond.
pub const SCAN_COUNT_MAX: u64 = 10_000;

/// Longest SCAN pattern in bytes. Guess: twice the longest name; bounds the work of a match.
pub const PATTERN_BYTES_MAX: usize = 512;

const _: () = assert!(INLINE_BYTES_MAX < FRAME_BYTES_MAX as usize);
const _: () = assert!(BULK_BYTES_MAX < FRAME_BYTES_MAX as usize);
