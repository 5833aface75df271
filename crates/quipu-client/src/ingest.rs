//! The ingest of a source, exactly once: lines in, increments out, in a bounded window.
//!
//! One thread moves everything: it adds lines up while there is room, sends the sums of blocks,
//! takes answers, and goes back where an answer or a lost connection asks for it. What may leave
//! when is decided in [`crate::window`].

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::backoff::Backoff;
use crate::client::{Client, ClientError};
use crate::connection::{Connection, ConnectionError, Patience};
use crate::format::HeaderError;
use crate::input::{Input, InputError};
use crate::lines::LineTooLong;
use crate::lock::{InUse, StreamLock};
use crate::matcher::Matcher;
use crate::refusal::{Refusal, RefusalKind};
use crate::report::{RejectsError, Report};
use crate::request::{Outcome, StreamNames, read_add, read_checkpoint};
use crate::resume::{Replaced, Start, start, stored};
use crate::summary::Summary;
use crate::track::{Filled, Track};
use crate::window::{Request, Tangled};

/// Requests that may wait to leave, in bytes. Guess: a few writes' worth.
const QUEUED_BYTES_MAX: usize = 256 << 10;

/// What to ingest, and into which node.
#[derive(Debug)]
pub struct Job {
    /// The node's RESP address, `host:port`.
    pub node: String,
    /// Where the lines come from.
    pub input: Input,
    /// What a line counts for.
    pub matcher: Matcher,
    /// Where to append what cannot be counted.
    pub rejects: Option<PathBuf>,
    /// How.
    pub options: Options,
}

/// How to ingest.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Most increments in flight.
    pub window: usize,
    /// Most lines of a block: lines between two checkpoints.
    pub block_lines: u64,
    /// The longest wait for a node that says nothing.
    pub timeout: Duration,
    /// How long to try without any progress before giving up.
    pub give_up: Duration,
}

/// What happens during an ingest, for whoever shows it.
#[derive(Debug)]
pub enum Event<'a> {
    /// The run begins after this line.
    Started {
        /// Lines that the node had counted before.
        after: u64,
        /// Bytes before them.
        offset: u64,
    },
    /// The file is not the one that was counted before; it is counted from its start.
    Replaced(Replaced),
    /// Every line up to `answered` was answered, durably.
    Progress {
        /// The number of that line.
        answered: u64,
        /// Bytes up to its end.
        offset: u64,
        /// The run so far.
        summary: &'a Summary,
    },
    /// The node asked for patience; the run waits and sends again.
    Waiting(&'a Refusal),
    /// The connection was lost; the run tries to make it anew.
    Lost(&'a dyn std::error::Error),
    /// The connection was made anew; the run goes on after this line.
    Resumed(u64),
}

/// Why an ingest ended before its source did. Running it again goes on where it ended.
#[derive(Debug, Error)]
pub enum IngestError {
    /// The source cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A line is too long to be one.
    #[error(transparent)]
    Line(#[from] LineTooLong),
    /// The first line does not name the columns that are asked for.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// What cannot be counted cannot be written down either.
    #[error(transparent)]
    Rejects(#[from] RejectsError),
    /// The same source is being counted already.
    #[error(transparent)]
    InUse(#[from] InUse),
    /// The first conversation with the node failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The node will not let this client go on.
    #[error("the node does not let the ingest go on: {0}")]
    Denied(Refusal),
    /// Nothing went forward for too long.
    #[error("no progress for {waited:?}: {cause}")]
    GaveUp {
        /// How long.
        waited: Duration,
        /// What stood in the way last.
        cause: String,
    },
    /// The node's checkpoint lies before what it confirmed to this run.
    #[error(
        "the node confirmed line {confirmed} and now says {checkpoint}: it lost data or is \
             another node; run again to count what it lacks"
    )]
    WentBack {
        /// What it had confirmed.
        confirmed: u64,
        /// What it says now.
        checkpoint: u64,
    },
    /// What the node has stored cannot be of one ingest.
    #[error(transparent)]
    Tangled(#[from] Tangled),
    /// Whether a file continues one that was counted cannot be told.
    #[error("the file may be the copy of one that was counted, and is not complete")]
    NotIdentified,
    /// A source ended before the line that the node has counted.
    #[error(
        "this source was counted up to line {counted} and has only {lines} lines: give \
             another source another name"
    )]
    SourceShorter {
        /// The checkpoint.
        counted: u64,
        /// Lines that came.
        lines: u64,
    },
}

/// How a session with a node ends before the work does.
enum Trouble {
    /// The connection: another may do.
    Lost(Box<dyn std::error::Error>),
    /// Everything.
    Fatal(IngestError),
}

impl From<ConnectionError> for Trouble {
    fn from(error: ConnectionError) -> Trouble {
        Trouble::Lost(Box::new(error))
    }
}

impl<E: Into<IngestError>> From<E> for Trouble
where
    IngestError: From<E>,
{
    fn from(error: E) -> Trouble {
        Trouble::Fatal(error.into())
    }
}

/// Counts every line of the job's input, and tells `watch` what happens.
///
/// # Errors
/// See [`IngestError`]. What was answered until then is counted and will not count again.
pub fn ingest(job: Job, watch: &mut dyn FnMut(Event<'_>)) -> Result<Summary, IngestError> {
    let mut client = Client::connect(&job.node, job.options.timeout)?;
    let start = start(&mut client, &job.input, job.matcher.identities())?;
    let lock = |names: &StreamNames| StreamLock::take(&job.node, &names.stream);
    let _locks = start.streams.iter().map(lock).collect::<Result<Vec<_>, _>>()?;
    let mut run = Run::new(job, start, watch)?;
    let mut connection = client.into_connection();
    loop {
        match run.session(&mut connection) {
            Ok(()) => return Ok(run.report.summary),
            Err(Trouble::Fatal(error)) => return Err(error),
            Err(Trouble::Lost(error)) => connection = run.reconnect(error.as_ref())?,
        }
    }
}

struct Run<'w> {
    node: String,
    options: Options,
    track: Track,
    /// The requests whose answers are awaited, each with the number of its stream.
    flying: VecDeque<(usize, Request)>,
    report: Report,
    backoff: Backoff,
    /// Since when nothing went forward although something should.
    stuck: Option<Instant>,
    /// What stood in the way last, and asks for a pause.
    obstacle: Option<Refusal>,
    watch: &'w mut dyn FnMut(Event<'_>),
}

impl<'w> Run<'w> {
    fn new(
        job: Job,
        start: Start,
        watch: &'w mut dyn FnMut(Event<'_>),
    ) -> Result<Run<'w>, IngestError> {
        let Job { node, input, matcher, rejects, options } = job;
        let mut report = Report::new(rejects.as_deref())?;
        let replaced = start.replaced;
        let track = Track::new(input, matcher, start, options.block_lines)?;
        let from = track.position();
        report.summary.resumed_from = from.lines;
        if let Some(replaced) = replaced {
            watch(Event::Replaced(replaced));
        }
        watch(Event::Started { after: from.lines, offset: from.offset });
        Ok(Run {
            node,
            options,
            track,
            flying: VecDeque::with_capacity(options.window),
            report,
            backoff: Backoff::default(),
            stuck: None,
            obstacle: None,
            watch,
        })
    }

    /// Works on one connection until everything is counted and confirmed.
    fn session(&mut self, connection: &mut Connection) -> Result<(), Trouble> {
        loop {
            let idle = self.flying.is_empty() && connection.queued() == 0;
            let filled = self.track.fill(idle, &mut self.report)?;
            self.send(connection)?;
            if filled == Filled::Ended && self.track.is_confirmed() {
                return Ok(());
            }
            let wait = filled != Filled::Some && !self.flying.is_empty();
            connection.pump(if wait { Patience::Wait } else { Patience::None })?;
            self.take_answers(connection)?;
            self.go_back()?;
        }
    }

    /// Queues the requests that may leave, while there is room.
    fn send(&mut self, connection: &mut Connection) -> Result<(), IngestError> {
        if self.obstacle.is_some() {
            return Ok(());
        }
        while self.flying.len() < self.options.window && connection.queued() < QUEUED_BYTES_MAX {
            let mut streams = self.track.streams.iter_mut().enumerate();
            let next = streams.find_map(|(number, stream)| {
                stream.window.next_request().map(|request| (number, stream, request))
            });
            let Some((number, stream, request)) = next else { break };
            if matches!(request, Request::Checkpoint(_)) {
                self.report.sync()?;
            }
            stream.put(connection.out(), request);
            self.flying.push_back((number, request));
        }
        Ok(())
    }

    fn take_answers(&mut self, connection: &mut Connection) -> Result<(), Trouble> {
        let before = self.track.answered();
        while let Some(reply) = connection.reply()? {
            let flying = self.flying.pop_front();
            let (stream, request) = flying.ok_or(ConnectionError::Unexpected)?;
            let outcome = match request {
                Request::Add { .. } => read_add(reply)?,
                Request::Cut(_) | Request::Checkpoint(_) => read_checkpoint(reply)?,
            };
            let again = self.note(stream, request, outcome)?;
            if let Some(stream) = self.track.streams.get_mut(stream) {
                stream.window.answer(request, again);
            }
        }
        let after = self.track.answered();
        if after != before {
            let (answered, offset) = (after.lines, after.offset);
            (self.watch)(Event::Progress { answered, offset, summary: &self.report.summary });
        }
        Ok(())
    }

    /// Counts one outcome; says whether the request must be sent again.
    fn note(&mut self, stream: usize, request: Request, outcome: Outcome) -> Result<bool, Trouble> {
        let stream = self.track.streams.get(stream);
        let increment = match request {
            Request::Add { .. } => stream.and_then(|stream| stream.window.awaited()),
            Request::Cut(_) | Request::Checkpoint(_) => None,
        };
        match (outcome, increment) {
            (Outcome::Repeated, increment) => {
                self.report.summary.repeated += increment.map_or(0, |increment| increment.lines);
                return Ok(false);
            }
            (Outcome::Added, increment) => {
                self.report.summary.added += increment.map_or(0, |increment| increment.lines);
            }
            (Outcome::Refused(refusal), Some(increment)) => {
                self.report.refuse(&self.track.source, &increment, &refusal.text)?;
            }
            (Outcome::Again(refusal), _) => {
                self.obstacle.get_or_insert(refusal);
                return Ok(true);
            }
            (Outcome::Lost(refusal), _) => return Err(Trouble::Lost(Box::new(refusal))),
            (Outcome::Refused(refusal) | Outcome::Denied(refusal), _) => {
                return Err(Trouble::Fatal(IngestError::Denied(refusal)));
            }
        }
        self.stuck = None;
        self.backoff.reset();
        Ok(false)
    }

    /// Waits and goes back to what was refused first, once all answers are in.
    fn go_back(&mut self) -> Result<(), Trouble> {
        if !self.flying.is_empty() {
            return Ok(());
        }
        let Some(refusal) = self.obstacle.take() else { return Ok(()) };
        self.report.summary.retries += 1;
        (self.watch)(Event::Waiting(&refusal));
        self.pause(&refusal)?;
        self.track.streams.iter_mut().for_each(|stream| stream.window.go_back());
        Ok(())
    }

    /// Makes a new connection and goes back to what the node has confirmed.
    fn reconnect(&mut self, cause: &dyn std::error::Error) -> Result<Connection, IngestError> {
        (self.watch)(Event::Lost(cause));
        self.obstacle = None;
        self.flying.clear();
        self.report.summary.reconnects += 1;
        let mut last: Box<dyn std::error::Error> = cause.to_string().into();
        loop {
            self.pause(last.as_ref())?;
            match self.resume() {
                Ok(connection) => return Ok(connection),
                Err(IngestError::Client(error)) if may_pass(&error) => last = Box::new(error),
                Err(error) => return Err(error),
            }
        }
    }

    fn resume(&mut self) -> Result<Connection, IngestError> {
        let mut client = Client::connect(&self.node, self.options.timeout)?;
        for stream in &mut self.track.streams {
            let stored = stored(&mut client, stream.requests.names())?;
            let confirmed = stream.window.confirmed().lines;
            if !stream.window.resume(stored) {
                let checkpoint = stored.checkpoint;
                return Err(IngestError::WentBack { confirmed, checkpoint });
            }
        }
        (self.watch)(Event::Resumed(self.track.answered().lines));
        Ok(client.into_connection())
    }

    /// Waits a little before the next attempt, unless there was no progress for too long.
    fn pause(&mut self, cause: &dyn std::error::Error) -> Result<(), IngestError> {
        let waited = self.stuck.get_or_insert_with(Instant::now).elapsed();
        if waited > self.options.give_up {
            return Err(IngestError::GaveUp { waited, cause: cause.to_string() });
        }
        // Without entropy all clients wait alike, which is worse but not wrong.
        wait(self.backoff.next(getrandom::u64().unwrap_or(u64::MAX)));
        Ok(())
    }
}

/// Says whether another attempt to connect may end otherwise.
fn may_pass(error: &ClientError) -> bool {
    match error {
        ClientError::Connection(_) => true,
        ClientError::Refused(refusal) => {
            matches!(refusal.kind, RefusalKind::Busy | RefusalKind::Unknown)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the node tells nobody when it is there again")]
fn wait(time: Duration) {
    std::thread::sleep(time);
}
