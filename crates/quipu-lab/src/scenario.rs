//! What a person wrote of a load test, checked: target, data, arrival, phases, promises, output.
//!
//! Everything here has its final form: defaults are filled in, templates compiled, names resolved.

mod built_in;
mod error;
mod extent;
mod rate;
mod read;
mod scale;
mod slice;
mod table;

use stdx::units::Nanos;

pub use self::built_in::{BUILT_IN, built_in, built_in_text};
pub use self::error::ScenarioError;
pub use self::rate::Rate;
pub use self::read::Lines;

use crate::data::Keys;
use crate::slo::{Check, Slo, Sustained};
use crate::template::{Hole, Template};
use crate::validity::Limits;

/// A load test as it is to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// What reports call it.
    pub name: String,
    /// What everything drawn follows from.
    pub seed: u64,
    /// What is tested.
    pub target: Target,
    /// The sources of keys, in the order in which templates number them; at most
    /// [`crate::data::SOURCES_MAX`].
    pub data: Vec<Source>,
    /// What is asked, at least one operation.
    pub operations: Vec<Operation>,
    /// How much one request adds, where its template says `{{delta}}`.
    pub delta: Delta,
    /// When requests leave.
    pub arrival: Arrival,
    /// What is done in turn; none where a search makes its own phases.
    pub phases: Vec<Phase>,
    /// What is promised.
    pub slos: Vec<Slo>,
    /// What the run itself must keep to.
    pub validity: Limits,
    /// A search for the greatest rate, if this is one.
    pub search: Option<Search>,
    /// Where results go.
    pub output: Output,
}

/// What is tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What it speaks.
    pub protocol: Protocol,
    /// A host name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Encryption, if any.
    pub tls: Option<Tls>,
    /// How many connections there are over all threads. Of HTTP/1.1 also the most in flight.
    pub connections: u32,
    /// How many requests may be on the way on one connection.
    pub pipeline: u32,
    /// For how many requests a connection is used.
    pub reuse: Reuse,
    /// After how long a request, or a connect, has failed.
    pub timeout: Nanos,
}

/// What a target speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP in this version.
    Http(HttpVersion),
    /// The protocol of Redis, version 2 of it.
    Resp,
}

/// Which HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HttpVersion {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2; without TLS by prior knowledge.
    Http2,
    /// What ALPN agrees on; HTTP/1.1 without TLS.
    Auto,
}

/// How the target is to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// A file with the certificates of authorities, in place of the system's.
    pub ca: Option<String>,
    /// The name that the certificate must have, in place of the host.
    pub server_name: Option<String>,
    /// Whether any certificate will do.
    pub insecure: bool,
}

/// For how many requests a connection is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reuse {
    /// As long as it lives.
    #[default]
    KeepAlive,
    /// Once.
    PerRequest,
    /// That many times.
    Every(u32),
}

/// A source of keys and its name in templates.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Its name in templates.
    pub name: String,
    /// What it gives.
    pub keys: Keys,
}

/// One kind of request.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// What reports call it.
    pub name: String,
    /// How often it comes, against the weights of the others; above 0.
    pub weight: u32,
    /// What is sent.
    pub request: Request,
    /// What it adds to its key, as far as conservation is concerned.
    pub counts: Counts,
    /// Which answer is a success.
    pub expect: Expect,
}

/// What one operation sends.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// An HTTP request. `Host` and `Content-Length` are the driver's.
    Http(HttpRequest),
    /// A command and its arguments.
    Resp(Vec<Template>),
}

/// An HTTP request to be filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpRequest {
    /// The method, in capitals.
    pub method: String,
    /// Path and query, beginning with a slash.
    pub path: Template,
    /// Header names as written, and values.
    pub headers: Vec<(String, Template)>,
    /// The body; empty for none.
    pub body: Template,
}

/// What a request adds to the key that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// Nothing: it reads, or what it does is not a sum.
    Nothing,
    /// The same each time.
    Fixed(i64),
    /// What `{{delta}}` was drawn as.
    Delta,
}

/// Which answer is a success.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expect {
    /// HTTP statuses that are; none listed means any of 200 to 299.
    pub statuses: Vec<u16>,
    /// A text that the body, or a RESP string, must contain.
    pub contains: Option<String>,
    /// The type that a RESP reply must have; none means any that is no error.
    pub reply: Option<ReplyType>,
}

/// Types of RESP replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyType {
    /// `+...`.
    Simple,
    /// `:...`.
    Integer,
    /// `$...` that is not null.
    Bulk,
    /// `*...`.
    Array,
    /// Any null.
    Null,
}

/// How much one request adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delta {
    /// The same each time.
    Fixed(i64),
    /// A whole number between these, both included, all equally likely.
    Uniform(i64, i64),
}

/// When requests leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// What decides that a request leaves.
    pub model: Model,
    /// How moments are spaced.
    pub process: Process,
    /// How finely moments are met.
    pub pacing: Pacing,
    /// What becomes of slots whose moment has passed.
    pub late: Late,
    /// How many requests may be on the way at once over all threads.
    pub max_in_flight: u32,
    /// How many slots share one moment; 1 for none.
    pub burst: u32,
}

/// What decides that a request leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// The schedule, whether or not earlier requests were answered.
    Open,
    /// The answer of the one before: so many users that each wait for theirs. A test of throughput,
    /// in which latency is service time.
    Closed {
        /// How many users, where a phase does not say otherwise.
        users: u32,
    },
}

/// How moments are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Process {
    /// Evenly.
    #[default]
    Uniform,
    /// By exponential gaps: as independent users come.
    Poisson,
}

/// How finely moments are met, against processor time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pacing {
    /// One wake-up per moment.
    Precise,
    /// What is due within 200 microseconds leaves together.
    #[default]
    Balanced,
    /// What is due within a millisecond leaves together.
    Batch,
}

/// What becomes of slots whose moment has passed and that could not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Late {
    /// They wait and leave as soon as they can; the wait is part of their response time.
    #[default]
    Queue,
    /// As `Queue`, and those that have waited this long are missed.
    Drop(Nanos),
    /// They are missed at once.
    NoCatchUp,
}

/// What is done for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// What reports and promises call it.
    pub name: String,
    /// How much is asked.
    pub load: Load,
    /// For how long (`for` in the file).
    pub lasts: Nanos,
    /// The length of the windows over which percentiles are kept as a series.
    pub window: Nanos,
    /// Whether it belongs to the result: a warm-up does not.
    pub record: bool,
    /// Whether it comes again.
    pub repeat: Option<Repeat>,
    /// What ends the whole run.
    pub abort_if: Option<Sustained>,
}

/// How much is asked in a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// The same rate all the time.
    Rate(Rate),
    /// From one rate to another.
    Ramp {
        /// At the start.
        from: Rate,
        /// At the end.
        to: Rate,
        /// How the rate goes between them.
        shape: Shape,
    },
    /// A closed loop with so many users.
    Users(u32),
}

/// How a rate goes from one value to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// By the same amount in the same time.
    #[default]
    Linear,
    /// By the same factor in the same time.
    Exponential,
    /// By so many jumps of one height between plateaus of one length.
    Steps(u32),
}

/// How a phase comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    /// How often in total.
    pub times: u32,
    /// From the start of one to the start of the next.
    pub every: Nanos,
    /// The rate from the end of one to the start of the next.
    pub between: Rate,
}

/// A search for the greatest rate at which promises are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// What must hold.
    pub checks: Vec<Check>,
    /// The first rate that is tried.
    pub from: Rate,
    /// The greatest.
    pub to: Rate,
    /// How near the least rate that fails must be to the greatest that passes, as a share.
    pub precision: f64,
    /// How long a trial lasts.
    pub trial: Nanos,
    /// How long the target rests between trials.
    pub cooldown: Nanos,
    /// How the found rate is confirmed.
    pub confirm: Confirm,
}

/// How a found rate is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirm {
    /// By how many trials.
    pub runs: u32,
    /// How long each lasts.
    pub lasts: Nanos,
}

impl Default for Search {
    /// Trials that settle p99.9 from 5,000/s on, rests of which a queue is gone.
    fn default() -> Self {
        Self {
            checks: Vec::new(),
            from: Rate::whole(1_000),
            to: Rate::MAX,
            precision: 0.05,
            trial: Nanos::from_secs(30),
            cooldown: Nanos::from_secs(10),
            confirm: Confirm { runs: 3, lasts: Nanos::from_secs(120) },
        }
    }
}

/// Where results go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The folder; `{{name}}` and `{{time}}` are filled in by whoever writes.
    pub dir: String,
    /// What is written into it.
    pub write: Vec<Format>,
}

/// Forms of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// All of it, with a schema.
    Json,
    /// One page to look at.
    Html,
    /// Histograms over time, as HdrHistogram logs them.
    Hlog,
    /// Percentiles, as HdrHistogram's plotters read them.
    Hgrm,
    /// The summary of k6.
    K6,
    /// The lines of Go benchmarks.
    Benchfmt,
    /// A test report, one case per promise.
    Junit,
}

impl Format {
    /// All of them and their names, in the order in which they are written.
    pub const NAMES: [(Self, &'static str); 7] = [
        (Self::Json, "json"),
        (Self::Html, "html"),
        (Self::Hlog, "hlog"),
        (Self::Hgrm, "hgrm"),
        (Self::K6, "k6"),
        (Self::Benchfmt, "benchfmt"),
        (Self::Junit, "junit"),
    ];
}

/// What makes a request recognisable to the target when it comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// Nothing: what is sent again may count again.
    None,
    /// A token of its own, by `{{token}}`: it may be sent again at any time.
    Key,
    /// A place in a stream, by `{{stream}}` and `{{sequence}}`: those of one stream leave in order.
    Stream,
}

impl Scenario {
    /// Returns the most requests that may be on the way at once: what was asked for, or fewer if
    /// the connections have fewer places.
    pub fn in_flight_max(&self) -> u32 {
        self.arrival.max_in_flight.min(self.target.places())
    }

    /// Returns the strictest latency that is promised, in nanoseconds.
    pub fn latency_limit_ns(&self) -> Option<u64> {
        let checks = self.slos.iter().flat_map(|slo| &slo.checks);
        checks.filter_map(Check::latency_limit_ns).min()
    }
}

impl Target {
    /// Returns how many requests all connections have places for.
    pub fn places(&self) -> u32 {
        self.connections.saturating_mul(self.pipeline)
    }

    /// Returns host and port as in a URL.
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl Load {
    /// Returns the greatest rate.
    pub fn peak(&self) -> Rate {
        match self {
            Self::Rate(rate) => *rate,
            Self::Ramp { from, to, .. } => *from.max(to),
            Self::Users(_) => Rate::ZERO,
        }
    }

    /// Returns the users of a closed loop; 0 in an open one.
    pub fn users(&self) -> u32 {
        if let Self::Users(users) = self { *users } else { 0 }
    }
}

impl Operation {
    /// Returns all its templates.
    pub fn templates(&self) -> Vec<&Template> {
        match &self.request {
            Request::Resp(arguments) => arguments.iter().collect(),
            Request::Http(HttpRequest { path, headers, body, .. }) => {
                let headers = headers.iter().map(|(_, value)| value);
                [path, body].into_iter().chain(headers).collect()
            }
        }
    }

    /// Returns what makes it recognisable when it comes again.
    pub fn tokens(&self) -> Tokens {
        let has =
            |hole| self.templates().iter().any(|template| template.holes().any(|h| h == hole));
        match (has(Hole::Token), has(Hole::Stream)) {
            (true, _) => Tokens::Key,
            (false, true) => Tokens::Stream,
            (false, false) => Tokens::None,
        }
    }

    /// Returns the number of the source whose key its template names first, if it names one.
    pub fn source(&self) -> Option<u8> {
        let holes = self.templates().into_iter().flat_map(Template::holes);
        holes
            .into_iter()
            .find_map(|hole| if let Hole::Key(source) = hole { Some(source) } else { None })
    }
}

#[cfg(test)]
mod tests;
