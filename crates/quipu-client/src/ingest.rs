//! The ingest of a source, exactly once: lines in, increments out, in a bounded window.
//!
//! One thread moves everything: it reads while there is room, sends, takes answers, stores
//! checkpoints, and goes back where an answer or a lost connection asks for it. What that means
//! for the lines is decided in [`crate::window`].

use std::time::{Duration, Instant};

use thiserror::Error;

use crate::backoff::Backoff;
use crate::client::{Client, ClientError};
use crate::connection::{Connection, ConnectionError, Patience};
use crate::input::{Input, InputError};
use crate::lines::{LineTooLong, Lines, Step};
use crate::matcher::Matcher;
use crate::refusal::{Refusal, RefusalKind};
use crate::request::{Outcome, StreamRequests, read_add, read_checkpoint};
use crate::resume::{Replaced, Start, known, start};
use crate::summary::Summary;
use crate::template::Template;
use crate::window::{Request, Window};

/// Requests that may wait to leave, in bytes. Guess: a few writes' worth.
const QUEUED_BYTES_MAX: usize = 256 << 10;
/// Bytes of unconfirmed lines that make a checkpoint due. Guess.
const CHECKPOINT_BYTES: usize = 4 << 20;
/// Bytes of unconfirmed lines beyond which reading pauses. One line may be larger alone.
const HELD_BYTES_MAX: usize = 32 << 20;
/// How long lines of a slow pipe may stay without a checkpoint. Guess.
const CHECKPOINT_IDLE: Duration = Duration::from_secs(1);

/// What to ingest, and into which node.
#[derive(Debug)]
pub struct Job {
    /// The node's RESP address, `host:port`.
    pub node: String,
    /// Where the lines come from.
    pub input: Input,
    /// The pattern, with the same templates in the same order.
    pub matcher: Matcher,
    /// The templates: one stream each.
    pub templates: Vec<Template>,
    /// How.
    pub options: Options,
}

/// How to ingest.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Most increments in flight.
    pub window: usize,
    /// Lines between two checkpoints.
    pub checkpoint_every: u64,
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
    /// A pipe ended before the line that the node has counted.
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

/// Why filling the window stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Filled {
    /// The window, the queue or the memory for unconfirmed lines is full.
    Full,
    /// The requests that are queued should leave before more are made.
    Queued,
    /// A pipe has nothing now.
    Starved,
    /// The source has ended.
    Ended,
}

/// Counts every line of the job's input, and tells `watch` what happens.
///
/// # Errors
/// See [`IngestError`]. What was answered until then is counted and will not count again.
pub fn ingest(job: Job, watch: &mut dyn FnMut(Event<'_>)) -> Result<Summary, IngestError> {
    let mut client = Client::connect(&job.node, job.options.timeout)?;
    let templates: Vec<_> = job.templates.iter().map(Template::text).collect();
    let start = start(&mut client, &job.input, &templates)?;
    let mut run = Run::new(job, start, watch)?;
    let mut connection = client.into_connection();
    loop {
        match run.session(&mut connection) {
            Ok(()) => return Ok(run.summary),
            Err(Trouble::Fatal(error)) => return Err(error),
            Err(Trouble::Lost(error)) => connection = run.reconnect(error.as_ref())?,
        }
    }
}

struct Run<'w> {
    node: String,
    input: Input,
    matcher: Matcher,
    options: Options,
    streams: Vec<StreamRequests>,
    lines: Lines,
    window: Window,
    summary: Summary,
    name: Vec<u8>,
    backoff: Backoff,
    /// When an answer last brought the run forward.
    moved: Instant,
    /// When the last checkpoint was begun.
    checkpointed: Instant,
    /// The highest line read: only lines above it are new to the summary.
    highest: u64,
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
        let Job { node, mut input, matcher, options, .. } = job;
        let mut lines = Lines::new(start.from);
        match &mut input {
            Input::File(file) => file.seek(start.from.offset),
            Input::Pipe(..) => skip(&mut input, &mut lines, start.checkpoint)?,
        }
        let from = lines.position();
        if let Some(replaced) = start.replaced {
            watch(Event::Replaced(replaced));
        }
        watch(Event::Started { after: from.lines, offset: from.offset });
        let now = Instant::now();
        Ok(Run {
            node,
            input,
            matcher,
            options,
            streams: start.streams.into_iter().map(StreamRequests::new).collect(),
            lines,
            window: Window::new(from, options.window),
            summary: Summary { resumed_from: from.lines, ..Summary::default() },
            name: Vec::new(),
            backoff: Backoff::default(),
            moved: now,
            checkpointed: now,
            highest: from.lines,
            obstacle: None,
            watch,
        })
    }

    /// Works on one connection until everything is counted and confirmed.
    fn session(&mut self, connection: &mut Connection) -> Result<(), Trouble> {
        loop {
            let filled = self.fill(connection)?;
            self.checkpoint(connection, filled);
            let ended = filled == Filled::Ended && self.window.idle();
            if ended && self.window.confirmed() == self.lines.position() {
                return Ok(());
            }
            let patience = if filled == Filled::Queued { Patience::None } else { Patience::Wait };
            connection.pump(patience)?;
            self.take_answers(connection)?;
            self.go_back()?;
        }
    }

    /// Reads lines and queues their increments while there is room.
    fn fill(&mut self, connection: &mut Connection) -> Result<Filled, Trouble> {
        loop {
            if self.window.free() < self.streams.len() || self.lines.held() > HELD_BYTES_MAX {
                return Ok(Filled::Full);
            }
            if connection.queued() > QUEUED_BYTES_MAX {
                return Ok(Filled::Queued);
            }
            let at = self.lines.position();
            let line = match self.lines.step() {
                Step::Line(line) => line,
                Step::End => return Ok(Filled::Ended),
                Step::More if !busy(connection, &self.window) || self.input.ready() => {
                    let bytes = self.input.read(self.lines.room()?)?;
                    self.lines.fill(bytes);
                    continue;
                }
                Step::More => return Ok(Filled::Starved),
            };
            let new = at.lines >= self.highest;
            let Run { matcher, streams, window, summary, name, .. } = self;
            let mut sender = Sender { matcher, streams, window, name, connection };
            sender.send(line, at, new.then_some(summary));
            let after = self.lines.position();
            self.window.read_to(after);
            self.highest = self.highest.max(after.lines);
            self.summary.bytes += if new { after.offset - at.offset } else { 0 };
        }
    }

    /// Queues a checkpoint if one is due.
    fn checkpoint(&mut self, connection: &mut Connection, filled: Filled) {
        let answered = self.window.answered();
        let lines = answered.lines - self.window.confirmed().lines;
        let due = lines >= self.options.checkpoint_every
            || self.lines.held() > CHECKPOINT_BYTES
            || filled == Filled::Starved && self.checkpointed.elapsed() > CHECKPOINT_IDLE
            || filled == Filled::Ended && self.window.idle();
        if !due || self.obstacle.is_some() {
            return;
        }
        let Some(sequence) = self.window.begin_checkpoint(self.streams.len()) else { return };
        self.checkpointed = Instant::now();
        for stream in &self.streams {
            stream.put_checkpoint(connection.out(), sequence);
        }
    }

    fn take_answers(&mut self, connection: &mut Connection) -> Result<(), Trouble> {
        let before = (self.window.answered(), self.window.confirmed());
        while let Some(reply) = connection.reply()? {
            let request = self.window.front().ok_or(ConnectionError::Unexpected)?;
            let outcome = match request {
                Request::Add(_) => read_add(reply)?,
                Request::Checkpoint => read_checkpoint(reply)?,
            };
            let again = self.note(request, outcome)?;
            self.window.answer(again);
        }
        let after = (self.window.answered(), self.window.confirmed());
        if after != before {
            self.moved = Instant::now();
            self.backoff.reset();
            self.lines.release(after.1);
            let (answered, offset) = (after.0.lines, after.0.offset);
            (self.watch)(Event::Progress { answered, offset, summary: &self.summary });
        }
        Ok(())
    }

    /// Counts one outcome; says whether the request must be sent again.
    fn note(&mut self, request: Request, outcome: Outcome) -> Result<bool, Trouble> {
        match (outcome, request) {
            (Outcome::Added, Request::Add(_)) => self.summary.added += 1,
            (Outcome::Repeated, _) => self.summary.repeated += 1,
            (Outcome::Added, Request::Checkpoint) => {}
            (Outcome::Refused(refusal), Request::Add(line)) => {
                self.summary.refuse_add(line.lines + 1, &refusal.text);
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
        Ok(false)
    }

    /// Waits and goes back to the line refused first, once all answers are in.
    fn go_back(&mut self) -> Result<(), Trouble> {
        if !self.window.idle() {
            return Ok(());
        }
        let Some(refusal) = self.obstacle.take() else { return Ok(()) };
        self.summary.retries += 1;
        (self.watch)(Event::Waiting(&refusal));
        self.pause(&refusal)?;
        if let Some(from) = self.window.resend_from() {
            self.lines.go_to(from);
        }
        Ok(())
    }

    /// Makes a new connection and goes back to what the node has confirmed.
    fn reconnect(&mut self, cause: &dyn std::error::Error) -> Result<Connection, IngestError> {
        (self.watch)(Event::Lost(cause));
        self.obstacle = None;
        self.summary.reconnects += 1;
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
        let streams: Vec<_> = self.streams.iter().map(|stream| stream.name().to_owned()).collect();
        let checkpoint = known(&mut client, &streams)?.checkpoint;
        let confirmed = self.window.confirmed().lines;
        let from = self.window.resume(checkpoint);
        let from = from.ok_or(IngestError::WentBack { confirmed, checkpoint })?;
        self.lines.go_to(from);
        (self.watch)(Event::Resumed(from.lines));
        Ok(client.into_connection())
    }

    /// Waits a little before the next attempt, unless there was no progress for too long.
    fn pause(&mut self, cause: &dyn std::error::Error) -> Result<(), IngestError> {
        let waited = self.moved.elapsed();
        if waited > self.options.give_up {
            return Err(IngestError::GaveUp { waited, cause: cause.to_string() });
        }
        // Without entropy all clients wait alike, which is worse but not wrong.
        wait(self.backoff.next(getrandom::u64().unwrap_or(u64::MAX)));
        Ok(())
    }
}

/// What one line needs to leave.
struct Sender<'a> {
    matcher: &'a mut Matcher,
    streams: &'a [StreamRequests],
    window: &'a mut Window,
    name: &'a mut Vec<u8>,
    connection: &'a mut Connection,
}

impl Sender<'_> {
    /// Queues the increments of `line`, which begins at `at`; counts it where it is new.
    fn send(&mut self, line: &[u8], at: crate::lines::Position, mut new: Option<&mut Summary>) {
        let matched = self.matcher.matches(line);
        if let Some(summary) = &mut new {
            summary.lines += 1;
            summary.matched += u64::from(matched);
            summary.unmatched += u64::from(!matched);
        }
        if !matched {
            return;
        }
        let sequence = at.lines + 1;
        for (template, stream) in self.streams.iter().enumerate() {
            match (self.matcher.name(template, line, self.name), &mut new) {
                (Ok(()), _) => {
                    stream.put_add(self.connection.out(), self.name, sequence);
                    self.window.sent(at);
                }
                (Err(why), Some(summary)) => summary.refuse_name(sequence, why),
                (Err(_), None) => {}
            }
        }
    }
}

/// Says whether a read that blocks would keep requests or answers waiting.
fn busy(connection: &Connection, window: &Window) -> bool {
    connection.queued() > 0 || !window.idle()
}

/// Passes over the first `checkpoint` lines of a pipe.
fn skip(input: &mut Input, lines: &mut Lines, checkpoint: u64) -> Result<(), IngestError> {
    while lines.position().lines < checkpoint {
        match lines.step() {
            Step::Line(_) => lines.release(lines.position()),
            Step::More => {
                let bytes = input.read(lines.room()?)?;
                lines.fill(bytes);
            }
            Step::End => {
                let lines = lines.position().lines;
                return Err(IngestError::SourceShorter { counted: checkpoint, lines });
            }
        }
    }
    Ok(())
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
