//! Where the lines come from: a regular file, or a stream of bytes that a person named.

use std::fs::File;
use std::io::{Read, Stdin};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec};
use thiserror::Error;

use crate::inflate::{PackedInput, Packing};
use crate::lines::{LINE_BYTES_MAX, Position, READ_BYTES};
use crate::source::Source;

/// Why an input cannot be read.
#[derive(Debug, Error)]
pub enum InputError {
    /// The operating system refused.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file, or `-`.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// A compressed file is cut short or damaged.
    #[error("{path} is damaged after {offset} bytes of it: {source}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Compressed bytes that were read until then.
        offset: u64,
        /// What is wrong.
        source: std::io::Error,
    },
    /// A directory, pipe or device.
    #[error(
        "{0} is not a regular file; pipe it in and name it: ... | quipu ingest - --source NAME"
    )]
    NotRegular(PathBuf),
}

/// An input.
#[derive(Debug)]
pub enum Input {
    /// A regular file, read from any place.
    File(FileInput),
    /// A compressed file, read from its start.
    Packed(PackedInput),
    /// Standard input, read once, known by a name.
    Pipe(Stdin, Source),
}

/// A regular file and how far it was read.
#[derive(Debug)]
pub struct FileInput {
    file: File,
    path: PathBuf,
    offset: u64,
}

impl Input {
    /// Opens the regular file at `path`.
    ///
    /// # Errors
    /// It cannot be opened, or is something else than a regular file.
    pub fn open(path: &Path) -> Result<Input, InputError> {
        let io = |source| InputError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        if !file.metadata().map_err(io)?.is_file() {
            return Err(InputError::NotRegular(path.to_owned()));
        }
        let file = FileInput { file, path: path.to_owned(), offset: 0 };
        match Packing::of(&file.file).map_err(io)? {
            Some(packing) => Ok(Input::Packed(PackedInput::new(file, packing)?)),
            None => Ok(Input::File(file)),
        }
    }

    /// Reads what comes next into `room`; nothing means the end.
    ///
    /// # Errors
    /// Reading failed.
    pub fn read(&mut self, room: &mut [u8]) -> Result<usize, InputError> {
        match self {
            Input::File(file) => {
                let bytes = file.read_at(room, file.offset)?;
                file.offset += bytes as u64;
                Ok(bytes)
            }
            Input::Packed(packed) => packed.read(room),
            Input::Pipe(stdin, _) => {
                let io = |source| InputError::Io { path: PathBuf::from("-"), source };
                stdin.lock().read(room).map_err(io)
            }
        }
    }

    /// Says whether a read would return at once.
    pub fn ready(&self) -> bool {
        match self {
            Input::File(_) | Input::Packed(_) => true,
            Input::Pipe(stdin, _) => {
                let mut polled = [PollFd::new(stdin, PollFlags::IN)];
                let now = Timespec { tv_sec: 0, tv_nsec: 0 };
                // Whatever poll cannot say, the read will.
                rustix::event::poll(&mut polled, Some(&now)) != Ok(0)
            }
        }
    }

    /// Returns what a person calls it.
    pub fn label(&self) -> String {
        match self {
            Input::File(file) => file.path.display().to_string(),
            Input::Packed(packed) => packed.path().display().to_string(),
            Input::Pipe(_, source) => source.label().to_owned(),
        }
    }

    /// Returns the first line, if it can be read without taking it away from what comes.
    ///
    /// # Errors
    /// Reading failed.
    pub fn first_line(&self) -> Result<Vec<u8>, InputError> {
        match self {
            Input::File(file) => file.first_line(),
            Input::Packed(_) | Input::Pipe(..) => Ok(Vec::new()),
        }
    }
}

impl FileInput {
    /// Returns which source this is: its inode and its first line.
    ///
    /// While the only line is not terminated, it stands for the first line as it is.
    ///
    /// # Errors
    /// Reading failed.
    pub fn source(&self) -> Result<Source, InputError> {
        Ok(Source::of_file(self.inode()?, &self.first_line()?))
    }

    pub(crate) fn inode(&self) -> Result<u64, InputError> {
        Ok(self.file.metadata().map_err(|source| self.io(source))?.ino())
    }

    fn first_line(&self) -> Result<Vec<u8>, InputError> {
        let mut first = Vec::new();
        let mut piece = vec![0; READ_BYTES];
        while first.len() < LINE_BYTES_MAX {
            let bytes = self.read_at(&mut piece, first.len() as u64)?;
            let piece = piece.get(..bytes).unwrap_or_default();
            let end = memchr::memchr(b'\n', piece);
            first.extend_from_slice(piece.get(..end.unwrap_or(bytes)).unwrap_or_default());
            if end.is_some() || bytes == 0 {
                break;
            }
        }
        Ok(first)
    }

    /// Returns the place after `lines` lines, or the end if there are fewer.
    ///
    /// # Errors
    /// Reading failed.
    pub fn after(&self, lines: u64) -> Result<Position, InputError> {
        let mut at = Position::default();
        let mut piece = vec![0; READ_BYTES];
        let mut terminated = true;
        while at.lines < lines {
            let bytes = self.read_at(&mut piece, at.offset)?;
            let piece = piece.get(..bytes).unwrap_or_default();
            let Some(last) = piece.last() else {
                at.lines += u64::from(!terminated);
                break;
            };
            let wanted = usize::try_from(lines - at.lines).unwrap_or(usize::MAX);
            let mut ends = memchr::memchr_iter(b'\n', piece);
            if let Some(end) = ends.nth(wanted - 1) {
                return Ok(Position { lines, offset: at.offset + end as u64 + 1 });
            }
            terminated = *last == b'\n';
            at.lines += memchr::memchr_iter(b'\n', piece).count() as u64;
            at.offset += bytes as u64;
        }
        Ok(at)
    }

    /// Reads on from `offset`.
    pub(crate) fn seek(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// Returns the size, in bytes.
    ///
    /// # Errors
    /// The operating system does not tell.
    pub fn size(&self) -> Result<u64, InputError> {
        Ok(self.file.metadata().map_err(|source| self.io(source))?.len())
    }

    /// Returns the open file, whose own position nothing here uses.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Returns where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read_at(&self, room: &mut [u8], offset: u64) -> Result<usize, InputError> {
        loop {
            match self.file.read_at(room, offset) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                read => return read.map_err(|source| self.io(source)),
            }
        }
    }

    fn io(&self, source: std::io::Error) -> InputError {
        InputError::Io { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{FileInput, Input};
    use crate::lines::{Position, READ_BYTES};

    fn file(content: &[u8]) -> (tempfile::NamedTempFile, FileInput) {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(content).expect("written");
        let Ok(Input::File(input)) = Input::open(file.path()) else { panic!("a regular file") };
        (file, input)
    }

    fn check(content: &[u8], lines: u64, expected: (u64, u64)) {
        let (_kept, input) = file(content);
        let expected = Position { lines: expected.0, offset: expected.1 };
        assert_eq!(input.after(lines).expect("counted"), expected);
    }

    #[test]
    fn the_place_after_so_many_lines_is_found() {
        check(b"a\nbb\nccc\n", 0, (0, 0));
        check(b"a\nbb\nccc\n", 2, (2, 5));
        check(b"a\nbb\nccc\n", 3, (3, 9));
        check(b"a\nbb\nccc\n", 4, (3, 9));
        check(b"a\nbb", 2, (2, 4));
        check(b"a\nbb", 9, (2, 4));
        check(b"", 1, (0, 0));
        let long = [b"x".repeat(READ_BYTES), b"\ny\n".to_vec()].concat();
        check(&long, 1, (1, READ_BYTES as u64 + 1));
        check(&long, 2, (2, READ_BYTES as u64 + 3));
    }

    #[test]
    fn a_source_keeps_its_identity_while_it_grows_and_loses_it_with_its_first_line() {
        let (mut kept, input) = file(b"first\nsecond\n");
        let before = input.source().expect("a source");
        kept.write_all(b"third\n").expect("written");
        assert_eq!(input.source().expect("a source"), before);
        kept.as_file_mut().set_len(0).expect("cut");
        assert_ne!(input.source().expect("a source"), before);
    }

    #[test]
    fn a_directory_is_not_an_input() {
        assert!(Input::open(std::path::Path::new("/")).is_err());
    }
}
