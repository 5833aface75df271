//! One source on its way: its lines, and of each stream the sums that grow and the blocks in
//! flight.

use crate::block::Sums;
use crate::ingest::IngestError;
use crate::input::{Input, InputError};
use crate::lines::{Lines, Position, Step};
use crate::matcher::{Matcher, Reading};
use crate::reject::Reason;
use crate::report::{Reject, RejectsError, Report};
use crate::request::{StreamNames, StreamRequests};
use crate::resume::Start;
use crate::window::{Request, Window};

/// Sums of one stream beyond which its block ends, in bytes. Guess: ten thousands of counters, and
/// with as much again in each block in flight far below what a machine notices.
const SUM_BYTES_MAX: usize = 4 << 20;

/// A source and its streams.
#[derive(Debug)]
pub(crate) struct Track {
    /// What the source is called in messages.
    pub(crate) source: String,
    input: Input,
    lines: Lines,
    matcher: Matcher,
    pub(crate) streams: Vec<Stream>,
    block_lines: u64,
    /// The line at which some block has to end.
    boundary: u64,
    /// Why the source ends before its end.
    fault: Option<InputError>,
}

/// One template's stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) requests: StreamRequests,
    pub(crate) window: Window,
    sums: Sums,
}

/// Why reading stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filled {
    /// Enough for one turn; there may be more.
    Some,
    /// Blocks are full and none of them is confirmed.
    Full,
    /// The source has nothing now.
    Starved,
    /// The source has ended and all of it is in blocks.
    Ended,
}

/// Why a block ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// It has as many lines as a block may have, or a run before has cut it here.
    Boundary,
    /// Its sums take as much memory as they may.
    Memory,
    /// Nothing more comes for now.
    Rest,
}

impl Track {
    /// Goes on with `input` where `start` says; a block has at most `block_lines` lines.
    pub(crate) fn new(
        mut input: Input,
        mut matcher: Matcher,
        start: Start,
        block_lines: u64,
    ) -> Result<Track, IngestError> {
        let mut lines = Lines::new(start.from);
        if matcher.needs_first_line() && start.from.lines > 0 {
            matcher.start(&input.first_line()?)?;
        }
        match &mut input {
            Input::File(_) => {}
            Input::Pipe(..) => skip(&mut input, &mut lines, &mut matcher, start.checkpoint)?,
        }
        let mut streams = Vec::new();
        for (names, stored) in start.streams.into_iter().zip(start.stored) {
            let ends = stored.ends()?;
            let confirmed = match stored.checkpoint {
                lines_of if lines_of == lines.position().lines => lines.position(),
                lines => Position { lines, offset: 0 },
            };
            streams.push(Stream::new(names, Window::new(confirmed, ends)));
        }
        let source = input.label();
        let mut track =
            Track { source, input, lines, matcher, streams, block_lines, boundary: 0, fault: None };
        track.boundary = track.next_boundary();
        Ok(track)
    }

    /// Returns where the next line begins.
    pub(crate) fn position(&self) -> Position {
        self.lines.position()
    }

    /// Returns up to where every increment of every line was answered.
    pub(crate) fn answered(&self) -> Position {
        let answered = self.streams.iter().map(|stream| stream.window.answered());
        answered.min().unwrap_or_default()
    }

    /// Says whether no line waits for anything.
    pub(crate) fn is_confirmed(&self) -> bool {
        let here = self.lines.position().lines;
        self.streams.iter().all(|stream| stream.window.is_empty() && stream.sums.from() >= here)
    }

    /// Adds lines up to the sums, about one read of them; waits for the source only if it may
    /// `block`.
    pub(crate) fn fill(&mut self, block: bool, report: &mut Report) -> Result<Filled, IngestError> {
        if !self.cut(Why::Memory) {
            return Ok(Filled::Full);
        }
        let mut may_block = block && self.is_confirmed();
        let mut has_read = false;
        loop {
            if self.lines.position().lines >= self.boundary && !self.cut(Why::Boundary) {
                return Ok(Filled::Full);
            }
            let at = self.lines.position();
            match self.lines.step() {
                Step::Line(line) => {
                    let source = self.source.as_str();
                    let Track { matcher, streams, .. } = self;
                    let number = at.lines + 1;
                    Count { matcher, streams, report, source, line, number }.run()?;
                    report.summary.bytes += self.lines.position().offset - at.offset;
                    may_block = false;
                }
                Step::End => return self.end(),
                Step::More if has_read => return Ok(Filled::Some),
                Step::More if !may_block && !self.input.ready() => return Ok(self.starve()),
                Step::More => {
                    self.read()?;
                    has_read = true;
                }
            }
        }
    }

    /// Reads once, waiting where there is nothing now.
    fn read(&mut self) -> Result<(), IngestError> {
        match self.input.read(self.lines.room()?) {
            Ok(bytes) => self.lines.fill(bytes),
            // What was whole before it counts first.
            Err(fault @ InputError::Damaged { .. }) => {
                self.lines.stop();
                self.fault = Some(fault);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Ends the blocks of a source that has nothing now, unless others are on their way: what
    /// comes meanwhile shares the next one.
    fn starve(&mut self) -> Filled {
        if self.streams.iter().all(|stream| stream.window.is_empty()) {
            self.cut(Why::Rest);
        }
        Filled::Starved
    }

    fn end(&mut self) -> Result<Filled, IngestError> {
        if self.fault.is_some() {
            return self.end_early();
        }
        let lines = self.lines.position().lines;
        let to_come = self.streams.iter().filter_map(|stream| stream.window.end_to_come());
        if let Some(counted) = to_come.max() {
            return Err(IngestError::SourceShorter { counted, lines });
        }
        Ok(if self.cut(Why::Rest) { Filled::Ended } else { Filled::Full })
    }

    /// Confirms what was whole, then says what was not.
    fn end_early(&mut self) -> Result<Filled, IngestError> {
        if !self.cut(Why::Rest) || !self.streams.iter().all(|stream| stream.window.is_empty()) {
            return Ok(Filled::Full);
        }
        self.fault.take().map_or(Ok(Filled::Ended), |fault| Err(fault.into()))
    }

    /// Ends every block that has a reason to end here; says whether there was place for them.
    fn cut(&mut self, why: Why) -> bool {
        let here = self.lines.position();
        let most = self.block_lines;
        let due = |stream: &&mut Stream| stream.is_due(here.lines, why, most);
        for stream in self.streams.iter_mut().filter(due) {
            if !stream.window.has_place() {
                return false;
            }
            let block = stream.sums.cut(here);
            stream.window.push(block);
        }
        self.boundary = self.next_boundary();
        true
    }

    fn next_boundary(&self) -> u64 {
        let ends = self.streams.iter().map(|stream| {
            let most = stream.sums.from() + self.block_lines;
            stream.window.end_to_come().unwrap_or(most)
        });
        ends.min().unwrap_or(u64::MAX)
    }
}

impl Stream {
    fn new(names: StreamNames, window: Window) -> Stream {
        let sums = Sums::new(window.confirmed().lines);
        Stream { requests: StreamRequests::new(names), window, sums }
    }

    /// Appends `request`, which the window gave, to `out`.
    pub(crate) fn put(&self, out: &mut Vec<u8>, request: Request) {
        match request {
            Request::Cut(cut) => self.requests.put_cut(out, cut),
            Request::Checkpoint(sequence) => self.requests.put_checkpoint(out, sequence),
            Request::Add { block, index } => {
                if let Some(increment) = self.window.increment(block, index) {
                    self.requests.put_add(out, &increment);
                }
            }
        }
    }

    /// Says whether the block that is being read has to end after line `here`.
    ///
    /// Where a run before has decided on the end, no other reason counts.
    fn is_due(&self, here: u64, why: Why, block_lines: u64) -> bool {
        let lines = here.saturating_sub(self.sums.from());
        match (self.window.end_to_come(), why) {
            _ if lines == 0 => false,
            (Some(end), _) => here == end,
            (None, Why::Boundary) => lines >= block_lines,
            (None, Why::Memory) => self.sums.bytes() > SUM_BYTES_MAX,
            (None, Why::Rest) => true,
        }
    }
}

/// One line on its way into the sums of every stream that has not counted it before.
struct Count<'a> {
    matcher: &'a mut Matcher,
    streams: &'a mut [Stream],
    report: &'a mut Report,
    source: &'a str,
    line: &'a [u8],
    number: u64,
}

impl Count<'_> {
    #[inline]
    fn run(&mut self) -> Result<(), IngestError> {
        self.report.summary.lines += 1;
        if self.number == 1 {
            self.matcher.start(self.line)?;
        }
        match self.matcher.read(self.line, self.number) {
            Reading::Counts(delta) => {
                self.report.summary.matched += 1;
                self.add(delta)?;
            }
            Reading::Filtered => self.report.summary.filtered += 1,
            Reading::Rejected(reason) => self.reject(reason)?,
        }
        Ok(())
    }

    #[inline]
    fn add(&mut self, delta: i64) -> Result<(), RejectsError> {
        for template in 0..self.streams.len() {
            let Some(stream) = self.streams.get_mut(template) else { continue };
            if self.number <= stream.sums.from() {
                continue;
            }
            let name = self.matcher.name(template, self.line);
            let added = name
                .and_then(|name| stream.sums.add(self.number, name, delta).map_err(Reason::Name));
            if let Err(reason) = added {
                self.reject(reason)?;
            }
        }
        Ok(())
    }

    #[cold]
    fn reject(&mut self, reason: Reason) -> Result<(), RejectsError> {
        let Count { source, number, line, .. } = *self;
        self.report.reject(&Reject { source, number, line, reason })
    }
}

/// Passes over the first `checkpoint` lines of a pipe.
fn skip(
    input: &mut Input,
    lines: &mut Lines,
    matcher: &mut Matcher,
    checkpoint: u64,
) -> Result<(), IngestError> {
    while lines.position().lines < checkpoint {
        let is_first = lines.position().lines == 0;
        match lines.step() {
            Step::Line(line) if is_first => matcher.start(line)?,
            Step::Line(_) => {}
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
