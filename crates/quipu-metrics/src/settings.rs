//! What a node runs with: every knob as a typed, validated value.
//!
//! Layers ([`Values`]) are texts with the place that each came from; [`Settings::from_values`]
//! turns them into numbers with units and checks what must hold between them. The server reads
//! only [`Settings`], so nothing unvalidated reaches it.

mod section;
mod values;

use core::net::SocketAddr;
use std::path::PathBuf;

use stdx::units::{Bytes, Nanos};

use crate::knob::{Key, ValueError};

pub use self::section::{
    Ack, Commit, CommitStrategy, Fold, Http, Limits, Log, Resp, Server, Tokens,
};
pub use self::values::{Source, Value, Values};

use self::values::Reader;

/// Everything that a node reads from its configuration, valid as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `data.dir`: directory of the log and the snapshots.
    pub data_dir: PathBuf,
    /// `resp.*`: the listener for Redis clients.
    pub resp: Resp,
    /// `http.*`: the HTTP listener for counters.
    pub http: Http,
    /// `admin.addr`: the listener for health, metrics and administration.
    pub admin_addr: SocketAddr,
    /// `shards`: partitions of the key space, a power of two from 1 to 1,024.
    pub shards: u32,
    /// `server.*`: how connections are served.
    pub server: Server,
    /// `ack.default`: what an answer promises where the request does not say.
    pub ack_default: Ack,
    /// `flush.interval`: operations answered from memory are on disk at most this much later.
    pub flush_interval: Nanos,
    /// `linger`: a commit waits this long for company; 0 waits for none.
    pub linger: Nanos,
    /// `commit.*`: who syncs.
    pub commit: Commit,
    /// `token.*` and `stream.*`: what is remembered of requests.
    pub tokens: Tokens,
    /// `log.*`: the local log.
    pub log: Log,
    /// `fold.*`: folding the log into snapshots.
    pub fold: Fold,
    /// `memory.max`: memory beyond which new counters are refused; nothing stands for 3/4 of what
    /// the machine or its control group has.
    pub memory_max: Option<Bytes>,
    /// `limits.*`: bounds on what clients may do.
    pub limits: Limits,
    /// `clock.accept`: start although the wall clock is far from the log's time.
    pub clock_accept: bool,
}

/// Why the values are no settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// One value is not in the domain of its knob.
    #[error(
        "{key} from {origin}: {cause}; allowed is {}, the default is {}",
        key.knob().domain.describe(),
        key.knob().default
    )]
    Value {
        /// The knob.
        key: Key,
        /// Where the value came from.
        origin: Source,
        /// What is wrong with it.
        cause: ValueError,
    },
    /// Two values are good and do not go together.
    #[error("{key} is {value} (from {origin}) and {other} is {other_value}: {law}")]
    Relation {
        /// The knob to turn.
        key: Key,
        /// Its value.
        value: String,
        /// Where the value came from.
        origin: Source,
        /// The knob that it depends on.
        other: Key,
        /// The value of that one.
        other_value: String,
        /// What must hold, as a sentence that names the way out.
        law: &'static str,
    },
}

impl Settings {
    /// Turns the values of all layers into settings.
    ///
    /// # Errors
    /// If a value is not in the domain of its knob, or two values do not go together: the first
    /// such, in the order of the table.
    pub fn from_values(values: &Values) -> Result<Self, SettingsError> {
        let settings = Self::read(values)?;
        settings.check_relations(values)?;
        Ok(settings)
    }

    /// Returns the value of a knob as a person would write it.
    pub fn text(&self, key: Key) -> String {
        section::text(self, key)
    }

    fn read(values: &Values) -> Result<Self, SettingsError> {
        let reader = Reader::new(values)?;
        Ok(Self {
            data_dir: reader.path(Key::DataDir),
            resp: Resp::read(&reader),
            http: Http::read(&reader),
            admin_addr: reader.address(Key::AdminAddr),
            shards: reader.count(Key::Shards) as u32,
            server: Server::read(&reader),
            ack_default: Ack::read(&reader),
            flush_interval: reader.span(Key::FlushInterval),
            linger: reader.span(Key::Linger),
            commit: Commit::read(&reader),
            tokens: Tokens::read(&reader),
            log: Log::read(&reader),
            fold: Fold::read(&reader),
            memory_max: reader.bytes_or_zero(Key::MemoryMax),
            limits: Limits::read(&reader),
            clock_accept: reader.switch(Key::ClockAccept),
        })
    }

    fn check_relations(&self, values: &Values) -> Result<(), SettingsError> {
        let laws = self.laws_of_the_log().into_iter();
        let laws = laws.chain(self.laws_of_limits()).chain(self.laws_of_listeners());
        for (holds, [key, other], law) in laws {
            if !holds {
                let origin = values.get(key).source.clone();
                let (value, other_value) = (self.text(key), self.text(other));
                return Err(SettingsError::Relation {
                    key,
                    value,
                    origin,
                    other,
                    other_value,
                    law,
                });
            }
        }
        Ok(())
    }

    fn laws_of_the_log(&self) -> [Law; 2] {
        let Log { segment_bytes, frame_bytes_max, .. } = self.log;
        [
            (
                frame_bytes_max.0 <= segment_bytes.0 / 4,
                [Key::LogFrameBytesMax, Key::LogSegmentBytes],
                "a frame may take at most a quarter of a segment, so lower the first or raise the \
             second",
            ),
            (
                self.linger.0 == 0 || self.commit.strategy != CommitStrategy::Loop,
                [Key::Linger, Key::CommitStrategy],
                "only a committer thread waits for company, so set the first to 0 or the second \
                 to auto or committer",
            ),
        ]
    }

    fn laws_of_limits(&self) -> [Law; 4] {
        const ONE_OF_ALL: &str = "all connections together may have no less than one, so lower \
                                  the first or raise the second";
        let limits = &self.limits;
        [
            (
                limits.bulk_bytes < limits.pipeline_bytes,
                [Key::LimitsBulkBytes, Key::LimitsPipelineBytes],
                "a command must fit with its longest argument, so lower the first or raise the \
                 second",
            ),
            (
                limits.inline_bytes < limits.pipeline_bytes,
                [Key::LimitsInlineBytes, Key::LimitsPipelineBytes],
                "a command must fit with its longest line, so lower the first or raise the second",
            ),
            (
                limits.pipeline_bytes <= limits.inflight_bytes,
                [Key::LimitsPipelineBytes, Key::LimitsInflightBytes],
                ONE_OF_ALL,
            ),
            (
                limits.body_bytes <= limits.inflight_bytes,
                [Key::LimitsBodyBytes, Key::LimitsInflightBytes],
                ONE_OF_ALL,
            ),
        ]
    }

    fn laws_of_listeners(&self) -> [Law; 3] {
        let Self { resp, http, admin_addr, .. } = self;
        let law = |one: SocketAddr, other: SocketAddr, keys| {
            // Port 0 takes a free one each time.
            let apart = one != other || one.port() == 0;
            (apart, keys, "two listeners cannot share an address, so change one")
        };
        [
            law(http.addr, resp.addr, [Key::HttpAddr, Key::RespAddr]),
            law(*admin_addr, resp.addr, [Key::AdminAddr, Key::RespAddr]),
            law(*admin_addr, http.addr, [Key::AdminAddr, Key::HttpAddr]),
        ]
    }
}

/// Whether something holds between two values, and how to say that it must.
type Law = (bool, [Key; 2], &'static str);

#[cfg(test)]
mod tests;
