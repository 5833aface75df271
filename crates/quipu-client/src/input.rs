//! Where the lines come from: a regular file, or a stream of bytes that a person named.

use std::fs::File;
use std::io::{Read, Stdin};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec};
use thiserror::Error;

use crate::inflate::Damage;
use crate::source::Source;
use crate::tail::{Tail, Until};

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
    #[error("{path} is damaged after {} bytes of it: {damage}", .damage.offset)]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong.
        damage: Damage,
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
    /// A regular file, compressed or not, known by its inode and content.
    File(Arc<Tail>),
    /// Standard input, read once, known by a name.
    Pipe(Stdin, Source),
}

impl Input {
    /// Opens the regular file at `path`, to be read to its end.
    ///
    /// # Errors
    /// It cannot be opened, or is something else than a regular file.
    pub fn open(path: &Path) -> Result<Input, InputError> {
        let io = |source| InputError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        Ok(Input::File(Arc::new(Tail::new(Arc::new(file), path, Until::End)?)))
    }

    /// Reads what comes next into `room`; nothing means the end.
    ///
    /// # Errors
    /// Reading failed.
    pub fn read(&mut self, room: &mut [u8]) -> Result<usize, InputError> {
        match self {
            Input::File(file) => file.read(room),
            Input::Pipe(stdin, _) => {
                let io = |source| InputError::Io { path: PathBuf::from("-"), source };
                stdin.lock().read(room).map_err(io)
            }
        }
    }

    /// Says whether a read would return at once.
    pub fn ready(&self) -> bool {
        match self {
            Input::File(file) => file.ready(),
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
            Input::File(file) => file.path().display().to_string(),
            Input::Pipe(_, source) => source.label(),
        }
    }

    /// Returns the first line, if it can be read without taking it away from what comes.
    ///
    /// # Errors
    /// Reading failed.
    pub fn first_line(&self) -> Result<Vec<u8>, InputError> {
        match self {
            Input::File(file) => Ok(file.first_line()?.0),
            Input::Pipe(..) => Ok(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Input;

    #[test]
    fn a_directory_is_not_an_input() {
        assert!(Input::open(std::path::Path::new("/")).is_err());
    }
}
