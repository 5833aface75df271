//! The bodies of the fuzz targets.
//!
//! Each module has one `run(input)`: it returns, or panics because a promise is broken. The programs
//! in `targets/` give it to libFuzzer; `tests/replay.rs` gives it the corpus and seeded mutations of
//! it on any toolchain, without instrumentation. `docs` of each module say what is promised and
//! how its bytes are read.
//!
//! Inputs that are texts by nature are read as they are. Formats with checksums are described by a
//! [`script::Script`]: a small language of bytes that builds a good file and then spoils it, with
//! checksums made right again where the bytes say so, as random bytes would never pass them.

mod args;
pub mod config;
mod disk;
pub mod fold;
pub mod http2_answers;
pub mod http_plain;
pub mod http_requests;
pub mod ingest;
pub mod record;
mod records;
pub mod resp_commands;
pub mod resp_frames;
pub mod resp_replies;
pub mod script;
pub mod segment;
pub mod shards;
pub mod snapshot;
pub mod texts;
mod world;

/// What the load test says and reads, in its own files: they depend on its values alone, and building
/// all of it is slow.
#[path = "../../crates/quipu-load/src"]
pub mod load {
    #[expect(dead_code, reason = "what is asked before a load begins is read with some of it")]
    pub mod driver;
}
pub use load::driver;

/// How the server reads plain requests, in its own files: they depend on the wire alone, and building
/// the server is slow.
#[path = "../../crates/quipu-server/src/http"]
pub mod http {
    pub mod limits;
    pub(crate) mod plain;
}

/// A target by its name.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: that of its program and of its corpus.
    pub name: &'static str,
    /// Tries one input.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "config", run: config::run },
    Target { name: "fold", run: fold::run },
    Target { name: "http2_answers", run: http2_answers::run },
    Target { name: "http_plain", run: http_plain::run },
    Target { name: "http_requests", run: http_requests::run },
    Target { name: "ingest", run: ingest::run },
    Target { name: "record", run: record::run },
    Target { name: "resp_commands", run: resp_commands::run },
    Target { name: "resp_frames", run: resp_frames::run },
    Target { name: "resp_replies", run: resp_replies::run },
    Target { name: "segment", run: segment::run },
    Target { name: "snapshot", run: snapshot::run },
    Target { name: "texts", run: texts::run },
];
