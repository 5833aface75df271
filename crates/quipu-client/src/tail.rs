//! A regular file that is read in order: to its end, or on and on while it grows.
//!
//! Every read begins with the last bytes of the one before: where they are not there any more, the
//! file was cut and filled again, whatever its length says. What is handed on ends with the end of
//! a line, unless the file is known to grow no more.
//!
//! One thread reads; another may tell it at any time that the file changed, or how to end.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::content::Content;
use crate::identity::Identity;
use crate::inflate::Damage;
use crate::input::InputError;
use crate::lines::{LINE_BYTES_MAX, Position, READ_BYTES};
use crate::print::{Print, Printer};
use crate::source::Source;

mod likeness;

/// Bytes before a place that must still be there when it is read on. Guess: a few lines.
const OVERLAP_BYTES: usize = 512;
/// How many times as many lines a new print must cover before a reader stops to store it.
/// Guess: a dozen stops in a file of a million lines.
const PRINT_GROWTH: u64 = 4;

/// How far to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// To the end as it is found; a last line counts though it is not terminated.
    End,
    /// On and on; at the end wait this long for more.
    Told(Duration),
    /// To the end of the last terminated line as it is found.
    LineEnd,
    /// No further.
    Here,
}

/// Why nothing more is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// The end was reached, and an unterminated last line was read too.
    Ended,
    /// Every terminated line was read, and nothing came for a while.
    Quiet,
    /// A print of more lines should be stored.
    Print,
    /// The file was cut or written over: what was not read of it is gone.
    Cut,
    /// Reading was told to stop.
    Told,
}

/// What has become of a file beyond the place where it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// No whole line is there.
    Same,
    /// The begin of a line is there, without its end.
    Partial,
    /// Whole lines are there.
    Lines,
    /// What was read is not there any more.
    Cut,
}

/// A file and how far it was read.
#[derive(Debug)]
pub struct Tail {
    path: Mutex<PathBuf>,
    file: Arc<File>,
    inode: u64,
    place: Mutex<Place>,
    orders: Mutex<Orders>,
    bell: Condvar,
}

#[derive(Debug)]
struct Orders {
    until: Until,
    changed: bool,
}

#[derive(Debug)]
struct Place {
    content: Content,
    /// Where the next bytes are read, and all that is known of those before.
    printer: Printer,
    /// What was known when the reading began anew: it must be so again.
    reference: Printer,
    /// The last bytes before that place.
    before: Vec<u8>,
    /// Up to here whole lines are known to be.
    clear: u64,
    /// Bytes before that place that were read and not handed on yet.
    ahead: Vec<u8>,
    taken: usize,
    pause: Option<Pause>,
    /// What was read before is not there any more: nothing that is read now fits to it.
    is_cut: bool,
    identity: Option<Identity>,
    /// Lines of the print that the node keeps.
    printed: u64,
    /// Lines that are read before any stop, for a block before has been cut after them.
    least: u64,
    /// Lines that there will ever be, where that is known.
    most: Option<u64>,
}

impl Tail {
    /// Reads `file`, which was found at `path`, as far as `until` says.
    ///
    /// # Errors
    /// The operating system does not tell about it, or it is no regular file.
    pub fn new(file: Arc<File>, path: &Path, until: Until) -> Result<Tail, InputError> {
        let io = |source| InputError::Io { path: path.to_owned(), source };
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() {
            return Err(InputError::NotRegular(path.to_owned()));
        }
        let place = Place {
            content: Content::new(Arc::clone(&file)).map_err(io)?,
            printer: Printer::default(),
            reference: Printer::default(),
            before: Vec::new(),
            clear: 0,
            ahead: Vec::new(),
            taken: 0,
            pause: None,
            is_cut: false,
            identity: None,
            printed: 0,
            least: 0,
            most: None,
        };
        Ok(Tail {
            path: Mutex::new(path.to_owned()),
            file,
            inode: metadata.ino(),
            place: Mutex::new(place),
            orders: Mutex::new(Orders { until, changed: true }),
            bell: Condvar::new(),
        })
    }

    /// Returns where the file was when it was last seen.
    pub fn path(&self) -> PathBuf {
        self.path.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that the file is at `path` now.
    pub fn rename(&self, path: &Path) {
        path.clone_into(&mut self.path.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Returns its inode.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Returns what the file system says of it.
    ///
    /// # Errors
    /// The operating system does not tell.
    pub fn metadata(&self) -> Result<Metadata, InputError> {
        self.file.metadata().map_err(|error| self.io(error))
    }

    /// Returns the same file, of which nothing was read.
    ///
    /// # Errors
    /// The operating system does not tell about it.
    pub fn anew(&self) -> Result<Tail, InputError> {
        Tail::new(Arc::clone(&self.file), &self.path(), self.orders().until)
    }

    /// Says whether it was seen to be cut or written over.
    pub fn is_cut(&self) -> bool {
        self.place().is_cut
    }

    /// Says that the file may have changed.
    pub fn notify(&self) {
        self.orders().changed = true;
        self.bell.notify_one();
    }

    /// Says how far to read from now on.
    pub fn order(&self, until: Until) {
        self.orders().until = until;
        self.bell.notify_one();
    }

    /// Says whether reading was told to stop.
    pub fn is_stopped(&self) -> bool {
        self.orders().until == Until::Here
    }

    /// Returns why nothing more was read, once that is so, and forgets it.
    pub fn take_pause(&self) -> Option<Pause> {
        self.place().pause.take()
    }

    /// Returns which source it was found to be.
    pub fn identity(&self) -> Option<Identity> {
        self.place().identity.clone()
    }

    /// Remembers which source it is.
    pub fn identify(&self, identity: Identity) {
        self.place().identity = Some(identity);
    }

    /// Returns the source of its inode and first line.
    ///
    /// # Errors
    /// Reading failed.
    pub fn source(&self) -> Result<Source, InputError> {
        Ok(Source::of_file(self.inode, &self.first_line()?.0))
    }

    /// Returns the first line, and whether it is terminated.
    ///
    /// While the only line is not terminated, it stands for the first line as it is.
    ///
    /// # Errors
    /// Reading failed.
    pub fn first_line(&self) -> Result<(Vec<u8>, bool), InputError> {
        let mut place = self.place();
        let (mut first, mut piece) = (Vec::new(), vec![0; READ_BYTES]);
        while first.len() < LINE_BYTES_MAX {
            let read = place.content.read_at(&mut piece, first.len() as u64);
            let bytes = read.map_err(|error| self.io(error))?;
            let piece = piece.get(..bytes).unwrap_or_default();
            let end = memchr::memchr(b'\n', piece);
            first.extend_from_slice(piece.get(..end.unwrap_or(bytes)).unwrap_or_default());
            if end.is_some() || bytes == 0 {
                return Ok((first, end.is_some()));
            }
        }
        Ok((first, true))
    }

    /// Says whether it is compressed.
    pub fn is_packed(&self) -> bool {
        self.place().content.is_packed()
    }

    /// Says whether the file begins with the lines of `print`; `None` where it has fewer.
    ///
    /// # Errors
    /// Reading failed.
    pub fn matches(&self, print: Print) -> Result<Option<bool>, InputError> {
        let mut place = self.place();
        place.print_to(print.lines()).map_err(|error| self.io(error))?;
        Ok(place.printer.matches(print))
    }

    /// Returns the print to keep, if it covers more lines than `known` ones, reading some of
    /// the file if nothing of it was read.
    ///
    /// # Errors
    /// Reading failed.
    pub fn print_to_keep(&self) -> Result<Option<Print>, InputError> {
        let mut place = self.place();
        if place.printer.position() == Position::default() {
            place.print_piece(u64::MAX).map_err(|error| self.io(error))?;
        }
        let printed = place.printed;
        Ok(place.printer.latest().filter(|print| print.lines() > printed))
    }

    /// Notes that the node keeps a print of so many lines.
    pub fn printed(&self, lines: u64) {
        self.place().printed = lines;
    }

    /// Returns how many lines are terminated, if that is less than `lines`.
    ///
    /// # Errors
    /// Reading failed.
    pub fn terminated_lines(&self, lines: u64) -> Result<u64, InputError> {
        let mut place = self.place();
        place.print_to(lines).map_err(|error| self.io(error))?;
        Ok(place.printer.position().lines)
    }

    /// Notes that there will never be more lines.
    pub fn has_at_most(&self, lines: u64) {
        self.place().most = Some(lines);
    }

    /// Returns how many lines there will ever be, where that is known.
    pub fn lines_at_most(&self) -> Option<u64> {
        self.place().most
    }

    /// Lets no order stop the reading before so many lines were read.
    pub fn read_at_least(&self, lines: u64) {
        self.place().least = lines;
    }

    /// Goes to the place after `lines` lines, or to the end if there are fewer, and reads on there.
    ///
    /// # Errors
    /// Reading failed.
    pub fn go_after(&self, lines: u64) -> Result<Position, InputError> {
        let mut place = self.place();
        place.go_after(lines).map_err(|error| self.io(error))
    }

    /// Says what is there beyond the place where it is read.
    ///
    /// # Errors
    /// Reading failed.
    pub fn look(&self) -> Result<Look, InputError> {
        let mut place = self.place();
        let Some(bytes) = place.fetch().map_err(|error| self.io(error))? else {
            return Ok(Look::Cut);
        };
        let lines = place.whole_lines(bytes).map_err(|error| self.io(error))?;
        Ok(match (bytes, lines) {
            (0, _) => Look::Same,
            (_, 0) => Look::Partial,
            _ => Look::Lines,
        })
    }

    /// Says whether [`Self::read`] would return at once.
    pub fn ready(&self) -> bool {
        let mut place = self.place();
        // Whatever stands in the way, the read will say.
        !matches!(self.prepare(&mut place), Ok(false))
    }

    /// Reads what comes next into `room`, waiting for it as told; nothing means that there is a
    /// [`Pause`].
    ///
    /// # Errors
    /// Reading failed.
    pub fn read(&self, room: &mut [u8]) -> Result<usize, InputError> {
        loop {
            let mut place = self.place();
            if self.prepare(&mut place)? {
                return Ok(place.take(room));
            }
            drop(place);
            if !self.wait() {
                let mut place = self.place();
                // What came at the last moment is looked at by whoever comes next.
                place.pause = Some(Pause::Quiet);
                return Ok(0);
            }
        }
    }

    /// Waits for a change or an order; answers false when that took too long.
    fn wait(&self) -> bool {
        let orders = self.orders();
        let Until::Told(patience) = orders.until else { return true };
        let waits = |orders: &mut Orders| !orders.changed && matches!(orders.until, Until::Told(_));
        let waited = self.bell.wait_timeout_while(orders, patience, waits);
        let (mut orders, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        orders.changed = false;
        !timeout.timed_out()
    }

    /// Brings bytes ahead or finds out why there are none; answers false to wait for more.
    fn prepare(&self, place: &mut Place) -> Result<bool, InputError> {
        if place.ahead.len() > place.taken || place.pause.is_some() {
            return Ok(true);
        }
        let until = self.orders().until;
        place.pause = match until {
            _ if place.is_cut => Some(Pause::Cut),
            // The lines of a piece are handed on to their ends, however many reads that takes.
            _ if place.offset() < place.clear => None,
            // So are those of a block that was cut before.
            _ if place.printer.position().lines < place.least => None,
            Until::Here => Some(Pause::Told),
            Until::Told(_) if place.wants_print() => Some(Pause::Print),
            Until::Told(_) | Until::End | Until::LineEnd => None,
        };
        if place.pause.is_some() {
            return Ok(true);
        }
        place.bring(until).map_err(|error| self.io(error))
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn io(&self, source: io::Error) -> InputError {
        let path = self.path();
        match source.downcast::<Damage>() {
            Ok(damage) => InputError::Damaged { path, damage },
            Err(source) => InputError::Io { path, source },
        }
    }
}

impl Place {
    /// Reads the next piece ahead, or finds the reason why there is none; false to wait.
    fn bring(&mut self, until: Until) -> io::Result<bool> {
        let Some(bytes) = self.fetch()? else {
            self.pause = Some(Pause::Cut);
            return Ok(true);
        };
        let wanted = if until == Until::End { bytes } else { self.whole_lines(bytes)? };
        if wanted > 0 && self.accept(wanted) {
            return Ok(true);
        }
        if self.is_cut {
            self.pause = Some(Pause::Cut);
            return Ok(true);
        }
        match until {
            Until::End => self.pause = Some(Pause::Ended),
            Until::LineEnd => self.pause = Some(Pause::Quiet),
            Until::Here => self.pause = Some(Pause::Told),
            Until::Told(_) => return Ok(false),
        }
        Ok(true)
    }

    fn offset(&self) -> u64 {
        self.printer.position().offset
    }

    /// Reads what follows into `ahead`, which holds nothing else then, and returns how many bytes
    /// those are; `None` if what was read before is not there any more.
    fn fetch(&mut self) -> io::Result<Option<usize>> {
        let back = if self.content.is_packed() { 0 } else { self.before.len() };
        let from = self.offset() - back as u64;
        self.ahead.resize(back + READ_BYTES, 0);
        let read = self.content.read_at(&mut self.ahead, from)?;
        let kept = self.before.get(self.before.len() - back..).unwrap_or_default();
        self.is_cut |= read < back || self.ahead.get(..back) != Some(kept);
        self.is_cut |= self.is_shorter(from + read as u64, read < self.ahead.len());
        self.ahead.truncate(read.max(back));
        self.ahead.drain(..back);
        // Nothing of it is handed on before it is accepted.
        self.taken = self.ahead.len();
        Ok((!self.is_cut).then_some(self.ahead.len()))
    }

    /// Says whether the file, which was read to `offset` and `ends` there, had more before: then
    /// nothing needs to have been handed on for it to be another.
    fn is_shorter(&self, offset: u64, ends: bool) -> bool {
        // Of a damaged compressed file a piece may end before its time.
        ends && !self.content.is_packed() && offset < self.reference.position().offset
    }

    /// Says whether the last bytes that were read are still there, without reading on.
    fn is_there(&mut self) -> io::Result<bool> {
        let mut again = vec![0; self.before.len()];
        let from = self.offset() - again.len() as u64;
        let read = self.content.read_at(&mut again, from)?;
        Ok(again.get(..read) == Some(&self.before))
    }

    /// Returns how many of the `bytes` that were fetched belong to lines that end.
    fn whole_lines(&mut self, bytes: usize) -> io::Result<usize> {
        let offset = self.offset();
        if offset < self.clear {
            return Ok(bytes.min((self.clear - offset) as usize));
        }
        let fetched = self.ahead.get(..bytes).unwrap_or_default();
        if let Some(end) = memchr::memrchr(b'\n', fetched) {
            return Ok(end + 1);
        }
        if bytes == READ_BYTES {
            self.clear = self.line_end(offset + bytes as u64)?;
        }
        Ok(bytes.min(self.clear.saturating_sub(offset) as usize))
    }

    /// Looks for the end of a long line from `offset` on; answers 0 where it has none yet, and the
    /// place where it is too long to be a line.
    fn line_end(&mut self, mut offset: u64) -> io::Result<u64> {
        let limit = self.offset() + (LINE_BYTES_MAX + 2 * READ_BYTES) as u64;
        let mut piece = vec![0; READ_BYTES];
        while offset < limit {
            let bytes = self.content.read_at(&mut piece, offset)?;
            let found = memchr::memchr(b'\n', piece.get(..bytes).unwrap_or_default());
            match (found, bytes) {
                (Some(end), _) => return Ok(offset + end as u64 + 1),
                (None, 0) => return Ok(0),
                (None, _) => offset += bytes as u64,
            }
        }
        Ok(limit)
    }

    /// Takes the first `bytes` that were fetched as read, to be handed on, unless they are others
    /// than they were before.
    fn accept(&mut self, bytes: usize) -> bool {
        self.pass(bytes, u64::MAX);
        self.ahead.truncate(bytes);
        self.taken = if self.is_cut { bytes } else { 0 };
        !self.is_cut
    }

    /// Takes of the first `bytes` that were fetched those up to the end of line number `lines` as
    /// read, and returns how many those are.
    fn pass(&mut self, bytes: usize, lines: u64) -> usize {
        let fetched = self.ahead.get(..bytes).unwrap_or_default();
        let passed = self.printer.advance(fetched, lines);
        self.is_cut |= !self.printer.agrees(&self.reference);
        let new = fetched.get(passed.saturating_sub(OVERLAP_BYTES)..passed).unwrap_or_default();
        let keep = (OVERLAP_BYTES - new.len()).min(self.before.len());
        self.before.drain(..self.before.len() - keep);
        self.before.extend_from_slice(new);
        passed
    }

    fn take(&mut self, room: &mut [u8]) -> usize {
        if self.pause.is_some() {
            return 0;
        }
        let ahead = self.ahead.get(self.taken..).unwrap_or_default();
        let bytes = ahead.len().min(room.len());
        if let (Some(into), Some(from)) = (room.get_mut(..bytes), ahead.get(..bytes)) {
            into.copy_from_slice(from);
        }
        self.taken += bytes;
        bytes
    }

    fn wants_print(&self) -> bool {
        let lines = self.printer.latest().map_or(0, Print::lines);
        lines >= self.printed.max(1) * PRINT_GROWTH
    }

    /// Lets the printer read on up to the end of line number `lines`, or of the file.
    fn print_to(&mut self, lines: u64) -> io::Result<()> {
        while self.printer.position().lines < lines && self.print_piece(lines)? > 0 {}
        Ok(())
    }

    /// Lets the printer read one more piece, up to the end of line number `lines`.
    fn print_piece(&mut self, lines: u64) -> io::Result<usize> {
        let fetched = self.fetch()?.unwrap_or(0);
        let passed = self.pass(fetched, lines);
        self.taken = self.ahead.len();
        Ok(passed)
    }

    fn go_after(&mut self, lines: u64) -> io::Result<Position> {
        let read = self.printer.position().lines;
        if read > lines || read == lines && self.printer.is_in_line() {
            self.reference = std::mem::take(&mut self.printer);
            self.before.clear();
        }
        self.print_to(lines)?;
        let mut at = self.printer.position();
        // A last line that is not terminated is a line here: it may have been counted as one.
        if at.lines < lines && self.printer.is_in_line() {
            at.lines += 1;
        }
        self.ahead.clear();
        (self.taken, self.clear, self.pause) = (0, 0, None);
        Ok(at)
    }
}

#[cfg(test)]
mod tests;
