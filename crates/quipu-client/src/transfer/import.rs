//! Entries into a node, in order, in a bounded window, so that a second run changes nothing.
//!
//! Setting is idempotent by itself; additions carry the number of their entry as the sequence of
//! a stream. After a refusal that asks for patience, and after a lost connection, everything from
//! the first unanswered entry on is sent again in its order: of two entries of one counter the
//! later one stays.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use quipu_wire::resp::value::{Value, put_command};
use thiserror::Error;

use crate::backoff::Backoff;
use crate::client::{Client, ClientError};
use crate::connection::{Connection, ConnectionError, Patience};
use crate::refusal::Refusal;
use crate::request::{Outcome, read_add, refused};
use crate::transfer::entry::{Entry, Expiry, Unfit};
use crate::transfer::report::Report;

/// Additions between two checkpoints. Guess: what a lost client sends again within a second.
const CHECKPOINT_EVERY: u64 = 20_000;

/// Bytes of requests that wait to leave, at most. Guess: a few writes' worth.
const QUEUED_BYTES_MAX: usize = 256 << 10;

/// One entry, or why it is none, and its number.
#[derive(Debug)]
pub struct Item {
    /// Its number, rising: the line of a dump, from 1.
    pub number: u64,
    /// The entry.
    pub entry: Result<Entry, Unfit>,
}

/// Why no more entries come.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The file or pipe.
    #[error("cannot read on: {0}")]
    Io(#[from] std::io::Error),
    /// The Redis.
    #[error("the Redis cannot be read on: {0}")]
    Redis(ClientError),
}

/// Where entries come from.
pub trait Entries {
    /// Returns the next one.
    ///
    /// # Errors
    /// The source cannot be read on.
    fn next(&mut self) -> Result<Option<Item>, SourceError>;

    /// Returns how many bytes of the source were read; 0 where it has none.
    fn bytes(&self) -> u64;
}

/// What an entry does to its counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Sets it where there is none.
    Create,
    /// Sets it.
    Overwrite,
    /// Adds the value, as the operation of this stream with the entry's number.
    Add {
        /// The stream.
        stream: String,
    },
}

/// How to import.
#[derive(Debug, Clone)]
pub struct Options {
    /// The node's RESP address.
    pub node: String,
    /// What an entry does.
    pub mode: Mode,
    /// Most entries in flight.
    pub window: usize,
    /// The longest wait for a node that says nothing.
    pub timeout: Duration,
    /// How long to try without any progress before giving up.
    pub give_up: Duration,
    /// The Unix time, by which entries that are over are left out, in milliseconds.
    pub now_ms: u64,
}

/// What happens, for whoever shows it.
#[derive(Debug)]
pub enum Event<'a> {
    /// Entries were answered.
    Progress {
        /// The run so far.
        report: &'a Report,
        /// Bytes of the source that were read.
        bytes: u64,
    },
    /// The node asked for patience.
    Waiting(&'a Refusal),
    /// The connection was lost.
    Lost(&'a dyn std::error::Error),
}

/// Why an import ended before its source did.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The first conversation with the node failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The node will not let this client go on.
    #[error("the node does not let the import go on: {0}")]
    Denied(Refusal),
    /// Nothing went forward for too long.
    #[error("no progress for {waited:?}: {cause}")]
    GaveUp {
        /// How long.
        waited: Duration,
        /// What stood in the way last.
        cause: String,
    },
}

/// Imports `source`; the report tells how far it came, also where it failed.
pub fn import(
    source: &mut dyn Entries,
    options: &Options,
    watch: &mut dyn FnMut(Event<'_>),
) -> (Report, Result<(), ImportError>) {
    let mut run = Run {
        source,
        options,
        watch,
        flying: VecDeque::new(),
        refused: VecDeque::new(),
        again: VecDeque::new(),
        obstacle: None,
        last: 0,
        ended: false,
        checkpoint: 0,
        moved: Instant::now(),
        backoff: Backoff::default(),
        report: Report::default(),
    };
    let done = run.all();
    (run.report, done)
}

/// An entry whose answer is awaited.
#[derive(Debug)]
struct Sent {
    number: u64,
    entry: Entry,
}

/// How a session ends before the work does.
enum Trouble {
    Lost(Box<dyn std::error::Error>),
    Fatal(ImportError),
}

impl From<ConnectionError> for Trouble {
    fn from(error: ConnectionError) -> Self {
        Self::Lost(Box::new(error))
    }
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Connection(error) => error.into(),
            ClientError::Refused(refusal) => refusal_of(refused(refusal)),
        }
    }
}

/// What a refusal of something else than an entry means.
fn refusal_of(outcome: Outcome) -> Trouble {
    match outcome {
        Outcome::Again(refusal) | Outcome::Lost(refusal) => Trouble::Lost(Box::new(refusal)),
        Outcome::Refused(refusal) | Outcome::Denied(refusal) => {
            Trouble::Fatal(ImportError::Denied(refusal))
        }
        Outcome::Added | Outcome::Repeated => ConnectionError::Unexpected.into(),
    }
}

/// What became of an entry.
enum Done {
    Set,
    Unchanged,
    Replaces(i64),
    Node(Outcome),
}

struct Run<'r> {
    source: &'r mut dyn Entries,
    options: &'r Options,
    watch: &'r mut dyn FnMut(Event<'_>),
    /// Sent and not answered, in order.
    flying: VecDeque<Sent>,
    /// Refused for the moment, and what was sent after them, in order.
    refused: VecDeque<Sent>,
    /// To be sent again, in order, before any new one.
    again: VecDeque<Sent>,
    /// Why they were refused.
    obstacle: Option<Refusal>,
    /// The number of the last entry that was read.
    last: u64,
    ended: bool,
    /// The last checkpoint of the stream.
    checkpoint: u64,
    moved: Instant,
    backoff: Backoff,
    report: Report,
}

impl Run<'_> {
    fn all(&mut self) -> Result<(), ImportError> {
        let Options { node, timeout, .. } = self.options;
        let mut client = Client::connect(node, *timeout)?;
        if let Mode::Add { stream } = &self.options.mode {
            self.checkpoint = client.stream(stream)?.checkpoint.unwrap_or(0);
        }
        self.report.resumed_from = self.checkpoint;
        self.report.answered = self.checkpoint;
        loop {
            match self.session(&mut client) {
                Ok(()) => return Ok(()),
                Err(Trouble::Fatal(error)) => return Err(error),
                Err(Trouble::Lost(error)) => client = self.reconnect(error.as_ref())?,
            }
        }
    }

    /// Works on one connection until all entries are answered.
    fn session(&mut self, client: &mut Client) -> Result<(), Trouble> {
        loop {
            self.fill(client.connection())?;
            if !self.flying.is_empty() {
                client.connection().pump(Patience::Wait)?;
                self.take_answers(client.connection())?;
                continue;
            }
            self.store_checkpoint(client)?;
            if self.ended && self.again.is_empty() {
                self.report.answered = self.last;
                return Ok(());
            }
        }
    }

    /// Sends what there is room for.
    fn fill(&mut self, connection: &mut Connection) -> Result<(), Trouble> {
        while self.flying.len() < self.options.window
            && connection.queued() < QUEUED_BYTES_MAX
            && !self.is_checkpoint_due()
        {
            let Some(sent) = self.next_entry()? else { return Ok(()) };
            put(connection.out(), &self.options.mode, &sent);
            self.flying.push_back(sent);
        }
        Ok(())
    }

    fn is_checkpoint_due(&self) -> bool {
        matches!(self.options.mode, Mode::Add { .. })
            && self.again.is_empty()
            && self.last.saturating_sub(self.checkpoint) >= CHECKPOINT_EVERY
    }

    /// The next entry to send: one that must be sent again, or a new one.
    fn next_entry(&mut self) -> Result<Option<Sent>, Trouble> {
        if let Some(sent) = self.again.pop_front() {
            return Ok(Some(sent));
        }
        while !self.ended {
            let item = self.source.next().map_err(|error| Trouble::Fatal(error.into()))?;
            let Some(Item { number, entry }) = item else {
                self.ended = true;
                break;
            };
            self.last = number;
            if number <= self.report.resumed_from {
                continue;
            }
            self.report.read += 1;
            match entry {
                Err(unfit) => self.report.note_unfit(number, unfit),
                Ok(entry) if entry.is_over(self.options.now_ms) => self.report.over += 1,
                Ok(entry) => return Ok(Some(Sent { number, entry })),
            }
        }
        Ok(None)
    }

    /// Takes the answers that have come; after a refusal that asks for patience, all of them.
    fn take_answers(&mut self, connection: &mut Connection) -> Result<(), Trouble> {
        loop {
            while let Some(reply) = connection.reply()? {
                self.take_answer(reply)?;
            }
            if self.refused.is_empty() || self.flying.is_empty() {
                break;
            }
            connection.pump(Patience::Wait)?;
        }
        let bytes = self.source.bytes();
        (self.watch)(Event::Progress { report: &self.report, bytes });
        let Some(refusal) = self.obstacle.take() else { return Ok(()) };
        self.send_again();
        self.report.waits += 1;
        (self.watch)(Event::Waiting(&refusal));
        self.pause(&refusal).map_err(Trouble::Fatal)
    }

    fn take_answer(&mut self, reply: &[u8]) -> Result<(), Trouble> {
        let front = self.flying.front().ok_or(ConnectionError::Unexpected)?;
        let done = match read(reply, &self.options.mode, front.entry.value)? {
            Done::Node(Outcome::Lost(refusal)) => return Err(Trouble::Lost(Box::new(refusal))),
            Done::Node(Outcome::Denied(refusal)) => {
                return Err(Trouble::Fatal(ImportError::Denied(refusal)));
            }
            done => done,
        };
        let sent = self.flying.pop_front().expect("its front was looked at");
        match done {
            Done::Node(Outcome::Again(refusal)) => {
                self.obstacle.get_or_insert(refusal);
                self.refused.push_back(sent);
            }
            // What follows an entry that comes again comes again too, to keep the order.
            _ if !self.refused.is_empty() => self.refused.push_back(sent),
            done => {
                self.count(&sent, done);
                self.moved = Instant::now();
                self.backoff.reset();
            }
        }
        Ok(())
    }

    /// Lets everything that was sent and did not count come again, before what is still to come.
    fn send_again(&mut self) {
        let mut first = std::mem::take(&mut self.refused);
        first.append(&mut self.flying);
        first.append(&mut self.again);
        self.again = first;
    }

    fn count(&mut self, sent: &Sent, done: Done) {
        let report = &mut self.report;
        report.answered = sent.number;
        match done {
            Done::Set => report.set += 1,
            Done::Unchanged => report.unchanged += 1,
            Done::Replaces(value) => {
                let name = sent.entry.name.escape_debug();
                let why = format!("\"{name}\" exists with value {value}, not {}", sent.entry.value);
                report.note_refused(sent.number, why);
            }
            Done::Node(Outcome::Repeated) => report.repeated += 1,
            Done::Node(Outcome::Refused(refusal)) => {
                let name = sent.entry.name.escape_debug();
                report.note_refused(sent.number, format!("\"{name}\": {}", refusal.text));
            }
            Done::Node(_) => {
                report.added += 1;
                report.expiries_left += u64::from(sent.entry.expiry.is_some());
            }
        }
    }

    /// Stores up to where the stream was answered, with nothing in flight.
    fn store_checkpoint(&mut self, client: &mut Client) -> Result<(), Trouble> {
        let Mode::Add { stream } = &self.options.mode else { return Ok(()) };
        if self.again.is_empty() && self.last > self.checkpoint {
            client.checkpoint(stream, self.last)?;
            self.checkpoint = self.last;
        }
        Ok(())
    }

    /// Makes a new connection; everything that was not answered comes again.
    fn reconnect(&mut self, cause: &dyn std::error::Error) -> Result<Client, ImportError> {
        (self.watch)(Event::Lost(cause));
        self.report.reconnects += 1;
        self.obstacle = None;
        self.send_again();
        let mut last: Box<dyn std::error::Error> = cause.to_string().into();
        loop {
            self.pause(last.as_ref())?;
            match Client::connect(&self.options.node, self.options.timeout) {
                Ok(client) => return Ok(client),
                Err(error) => last = Box::new(error),
            }
        }
    }

    /// Waits a little before the next attempt, unless there was no progress for too long.
    fn pause(&mut self, cause: &dyn std::error::Error) -> Result<(), ImportError> {
        let waited = self.moved.elapsed();
        if waited > self.options.give_up {
            return Err(ImportError::GaveUp { waited, cause: cause.to_string() });
        }
        // Without entropy all clients wait alike, which is worse but not wrong.
        wait(self.backoff.next(getrandom::u64().unwrap_or(u64::MAX)));
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "the node tells nobody when it is there again")]
fn wait(time: Duration) {
    std::thread::sleep(time);
}

/// Appends the request of an entry.
fn put(out: &mut Vec<u8>, mode: &Mode, sent: &Sent) {
    let Sent { number, entry: Entry { name, value, expiry } } = sent;
    let (value, number) = (value.to_string(), number.to_string());
    let expiry = expiry.map(|expiry| match expiry {
        Expiry::At(at) => ("PXAT", at.to_string()),
        Expiry::After(ms) => ("PX", ms.to_string()),
    });
    let mut parts: Vec<&[u8]> = match mode {
        Mode::Create | Mode::Overwrite => vec![b"SET"],
        Mode::Add { .. } => vec![b"QUIPU.ADD"],
    };
    parts.extend([name.as_bytes(), value.as_bytes()]);
    match (mode, &expiry) {
        (Mode::Add { stream }, _) => {
            parts.extend([b"STREAM", stream.as_bytes(), number.as_bytes()]);
            parts.extend([b"ACK".as_slice(), b"fsync"]);
        }
        (_, Some((unit, time))) => parts.extend([unit.as_bytes(), time.as_bytes()]),
        (_, None) => {}
    }
    if *mode == Mode::Create {
        parts.extend([b"NX".as_slice(), b"GET"]);
    }
    put_command(out, &parts);
}

/// Reads the answer to an entry that carries `value`.
fn read(reply: &[u8], mode: &Mode, value: i64) -> Result<Done, ConnectionError> {
    if let Mode::Add { .. } = mode {
        return read_add(reply).map(Done::Node);
    }
    match Value::decode(reply)? {
        Value::Error(line) => Ok(Done::Node(refused(Refusal::parse(&line)))),
        Value::Null | Value::Simple(_) => Ok(Done::Set),
        Value::Bulk(digits) => {
            let present = str::from_utf8(&digits).ok().and_then(|text| text.parse().ok());
            let present: i64 = present.ok_or(ConnectionError::Unexpected)?;
            Ok(if present == value { Done::Unchanged } else { Done::Replaces(present) })
        }
        _ => Err(ConnectionError::Unexpected),
    }
}

#[cfg(test)]
mod tests {
    use quipu_wire::resp::value::{Value, put_command};

    use super::{Mode, Sent, put};
    use crate::transfer::entry::{Entry, Expiry};

    fn check(mode: &Mode, expiry: Option<Expiry>, expected: &str) {
        let entry = Entry { name: "a b".to_owned(), value: -5, expiry };
        let mut out = Vec::new();
        put(&mut out, mode, &Sent { number: 7, entry });
        let words: Vec<_> = expected.split('|').map(str::as_bytes).collect();
        let mut wanted = Vec::new();
        put_command(&mut wanted, &words);
        assert_eq!(Value::decode(&out).expect("RESP"), Value::decode(&wanted).expect("RESP"));
    }

    #[test]
    fn an_entry_is_one_documented_command() {
        check(&Mode::Create, None, "SET|a b|-5|NX|GET");
        check(&Mode::Create, Some(Expiry::At(9)), "SET|a b|-5|PXAT|9|NX|GET");
        check(&Mode::Overwrite, Some(Expiry::After(3)), "SET|a b|-5|PX|3");
        let add = Mode::Add { stream: "s".to_owned() };
        check(&add, Some(Expiry::At(9)), "QUIPU.ADD|a b|-5|STREAM|s|7|ACK|fsync");
    }
}
