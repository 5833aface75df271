//! The sections of the settings, and the way back from each field to its knob.

use core::net::SocketAddr;
use std::num::NonZeroUsize;

use stdx::units::{Bytes, Nanos};

use crate::knob::Key;
use crate::settings::Settings;
use crate::settings::values::Reader;

/// The listener for Redis clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resp {
    /// `resp.addr`: where it listens; port 0 takes a free one.
    pub addr: SocketAddr,
    /// `resp.idle_timeout`: a silent connection is closed after this; nothing stands for never.
    pub idle_timeout: Option<Nanos>,
}

/// The HTTP listener for counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// `http.addr`: where it listens; port 0 takes a free one.
    pub addr: SocketAddr,
    /// `http.header_timeout`: time for a head, from its first byte.
    pub header_timeout: Nanos,
    /// `http.body_timeout`: time for a body, from the end of its head.
    pub body_timeout: Nanos,
    /// `http.idle_timeout`: time between two requests of a connection.
    pub idle_timeout: Nanos,
}

/// How connections are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `server.workers`: event loops; nothing stands for half of the cores, at least one.
    pub workers: Option<NonZeroUsize>,
}

/// When an answer leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// When it is on disk.
    Fsync,
    /// At once; the disk follows.
    Memory,
}

/// Who syncs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// `commit.strategy`.
    pub strategy: CommitStrategy,
    /// `commit.loop_sync_max`: with `auto`, the sync time up to which the event loop itself syncs.
    pub loop_sync_max: Nanos,
}

/// Who syncs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitStrategy {
    /// Whoever suits the sync time seen.
    Auto,
    /// The event loop, once per turn.
    Loop,
    /// A thread of its own.
    Committer,
}

/// What is remembered of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// `token.window`: how long a token is remembered.
    pub window: Nanos,
    /// `token.max`: most tokens at once, all shards together.
    pub max: usize,
    /// `stream.max`: most streams at once.
    pub streams_max: usize,
}

/// The local log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// `log.segment_bytes`: a power of two.
    pub segment_bytes: Bytes,
    /// `log.frame_bytes_max`: a power of two, at most a quarter of a segment.
    pub frame_bytes_max: Bytes,
    /// `log.mark_interval`: a pause of this length is marked as durable.
    pub mark_interval: Nanos,
    /// `log.retain_bytes`: history is kept up to this size, all together.
    pub retain_bytes: Bytes,
    /// `log.retain_time`: history is kept for this long; nothing stands for ever.
    pub retain_time: Option<Nanos>,
    /// `log.allow_network_fs`: whether the directory may be on a network file system.
    pub allow_network_fs: bool,
}

/// Folding the log into snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// `fold.log_bytes_min`: no fold starts before the log has grown by this.
    pub log_bytes_min: Bytes,
    /// `fold.memory`: memory of one fold.
    pub memory: Bytes,
}

/// Bounds on what clients may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `limits.connections`: of clients, RESP and HTTP together.
    pub connections: usize,
    /// `limits.inline_bytes`: longest line of a RESP command.
    pub inline_bytes: Bytes,
    /// `limits.bulk_bytes`: longest argument of a RESP command.
    pub bulk_bytes: Bytes,
    /// `limits.array_len`: most arguments of a RESP command.
    pub array_len: usize,
    /// `limits.header_bytes`: longest head of an HTTP request.
    pub header_bytes: Bytes,
    /// `limits.headers`: most header lines of an HTTP request.
    pub headers: usize,
    /// `limits.body_bytes`: longest body of an HTTP request.
    pub body_bytes: Bytes,
    /// `limits.batch_ops`: most operations of one HTTP batch.
    pub batch_ops: usize,
    /// `limits.pipeline_bytes`: most unread request bytes of a connection.
    pub pipeline_bytes: Bytes,
    /// `limits.output_bytes`: most unread answer bytes of a connection.
    pub output_bytes: Bytes,
    /// `limits.multi_commands`: most commands between `MULTI` and `EXEC`.
    pub multi_commands: usize,
    /// `limits.inflight_bytes`: requests and held answers, all connections together.
    pub inflight_bytes: Bytes,
}

impl Resp {
    pub(super) fn read(reader: &Reader) -> Self {
        Self {
            addr: reader.address(Key::RespAddr),
            idle_timeout: reader.span_or_zero(Key::RespIdleTimeout),
        }
    }
}

impl Http {
    pub(super) fn read(reader: &Reader) -> Self {
        Self {
            addr: reader.address(Key::HttpAddr),
            header_timeout: reader.span(Key::HttpHeaderTimeout),
            body_timeout: reader.span(Key::HttpBodyTimeout),
            idle_timeout: reader.span(Key::HttpIdleTimeout),
        }
    }
}

impl Server {
    pub(super) fn read(reader: &Reader) -> Self {
        Self { workers: reader.length_or_zero(Key::ServerWorkers) }
    }
}

impl Ack {
    /// Returns the word for it, the same on every surface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Memory => "memory",
        }
    }

    pub(super) fn read(reader: &Reader) -> Self {
        match reader.choice(Key::AckDefault) {
            "memory" => Self::Memory,
            _ => Self::Fsync,
        }
    }
}

impl Commit {
    pub(super) fn read(reader: &Reader) -> Self {
        Self {
            strategy: match reader.choice(Key::CommitStrategy) {
                "loop" => CommitStrategy::Loop,
                "committer" => CommitStrategy::Committer,
                _ => CommitStrategy::Auto,
            },
            loop_sync_max: reader.span(Key::CommitLoopSyncMax),
        }
    }
}

impl CommitStrategy {
    /// Returns the word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Loop => "loop",
            Self::Committer => "committer",
        }
    }
}

impl Tokens {
    pub(super) fn read(reader: &Reader) -> Self {
        Self {
            window: reader.span(Key::TokenWindow),
            max: reader.length(Key::TokenMax),
            streams_max: reader.length(Key::StreamMax),
        }
    }
}

impl Log {
    pub(super) fn read(reader: &Reader) -> Self {
        Self {
            segment_bytes: reader.bytes(Key::LogSegmentBytes),
            frame_bytes_max: reader.bytes(Key::LogFrameBytesMax),
            mark_interval: reader.span(Key::LogMarkInterval),
            retain_bytes: reader.bytes(Key::LogRetainBytes),
            retain_time: reader.span_or_zero(Key::LogRetainTime),
            allow_network_fs: reader.switch(Key::LogAllowNetworkFs),
        }
    }
}

impl Fold {
    pub(super) fn read(reader: &Reader) -> Self {
        Self {
            log_bytes_min: reader.bytes(Key::FoldLogBytesMin),
            memory: reader.bytes(Key::FoldMemory),
        }
    }
}

impl Limits {
    pub(super) fn read(reader: &Reader) -> Self {
        Self {
            connections: reader.length(Key::LimitsConnections),
            inline_bytes: reader.bytes(Key::LimitsInlineBytes),
            bulk_bytes: reader.bytes(Key::LimitsBulkBytes),
            array_len: reader.length(Key::LimitsArrayLen),
            header_bytes: reader.bytes(Key::LimitsHeaderBytes),
            headers: reader.length(Key::LimitsHeaders),
            body_bytes: reader.bytes(Key::LimitsBodyBytes),
            batch_ops: reader.length(Key::LimitsBatchOps),
            pipeline_bytes: reader.bytes(Key::LimitsPipelineBytes),
            output_bytes: reader.bytes(Key::LimitsOutputBytes),
            multi_commands: reader.length(Key::LimitsMultiCommands),
            inflight_bytes: reader.bytes(Key::LimitsInflightBytes),
        }
    }
}

/// Returns the value of a knob as a person would write it: the match is what forces every knob to
/// have a field.
pub(super) fn text(settings: &Settings, key: Key) -> String {
    let Settings { resp, http, server, commit, tokens, log, fold, limits, .. } = settings;
    match key {
        Key::DataDir => settings.data_dir.display().to_string(),
        Key::RespAddr => resp.addr.to_string(),
        Key::RespIdleTimeout => resp.idle_timeout.unwrap_or_default().to_string(),
        Key::HttpAddr => http.addr.to_string(),
        Key::HttpHeaderTimeout => http.header_timeout.to_string(),
        Key::HttpBodyTimeout => http.body_timeout.to_string(),
        Key::HttpIdleTimeout => http.idle_timeout.to_string(),
        Key::AdminAddr => settings.admin_addr.to_string(),
        Key::Shards => settings.shards.to_string(),
        Key::ServerWorkers => server.workers.map_or(0, NonZeroUsize::get).to_string(),
        Key::AckDefault => settings.ack_default.name().to_owned(),
        Key::FlushInterval => settings.flush_interval.to_string(),
        Key::Linger => settings.linger.to_string(),
        Key::CommitStrategy => commit.strategy.name().to_owned(),
        Key::CommitLoopSyncMax => commit.loop_sync_max.to_string(),
        Key::TokenWindow => tokens.window.to_string(),
        Key::TokenMax => tokens.max.to_string(),
        Key::StreamMax => tokens.streams_max.to_string(),
        Key::LogSegmentBytes => log.segment_bytes.to_string(),
        Key::LogFrameBytesMax => log.frame_bytes_max.to_string(),
        Key::LogMarkInterval => log.mark_interval.to_string(),
        Key::LogRetainBytes => log.retain_bytes.to_string(),
        Key::LogRetainTime => log.retain_time.unwrap_or_default().to_string(),
        Key::LogAllowNetworkFs => log.allow_network_fs.to_string(),
        Key::FoldLogBytesMin => fold.log_bytes_min.to_string(),
        Key::FoldMemory => fold.memory.to_string(),
        Key::MemoryMax => settings.memory_max.unwrap_or_default().to_string(),
        Key::LimitsConnections => limits.connections.to_string(),
        Key::LimitsInlineBytes => limits.inline_bytes.to_string(),
        Key::LimitsBulkBytes => limits.bulk_bytes.to_string(),
        Key::LimitsArrayLen => limits.array_len.to_string(),
        Key::LimitsHeaderBytes => limits.header_bytes.to_string(),
        Key::LimitsHeaders => limits.headers.to_string(),
        Key::LimitsBodyBytes => limits.body_bytes.to_string(),
        Key::LimitsBatchOps => limits.batch_ops.to_string(),
        Key::LimitsPipelineBytes => limits.pipeline_bytes.to_string(),
        Key::LimitsOutputBytes => limits.output_bytes.to_string(),
        Key::LimitsMultiCommands => limits.multi_commands.to_string(),
        Key::LimitsInflightBytes => limits.inflight_bytes.to_string(),
        Key::ClockAccept => settings.clock_accept.to_string(),
    }
}
