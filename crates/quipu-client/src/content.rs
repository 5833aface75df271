//! The bytes of a regular file, readable at any place: as they are, or unpacked.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::inflate::{Packing, Unpacked};

/// The bytes of a file.
#[derive(Debug)]
pub enum Content {
    /// As they are.
    Plain(Arc<File>),
    /// Compressed.
    Packed(Box<Unpacked>),
}

impl Content {
    /// Takes the bytes of `file`, which are unpacked if they are compressed.
    ///
    /// # Errors
    /// Reading failed.
    pub fn new(file: Arc<File>) -> io::Result<Content> {
        Ok(match Packing::of(&file)? {
            Some(packing) => Content::Packed(Box::new(Unpacked::new(file, packing))),
            None => Content::Plain(file),
        })
    }

    /// Says whether the file can only be read as a whole: it neither grows nor is cut.
    pub fn is_packed(&self) -> bool {
        matches!(self, Content::Packed(_))
    }

    /// Reads from `offset` on into `room`; nothing means the end.
    ///
    /// # Errors
    /// Reading failed; of a compressed file, what was whole before the fault comes first.
    pub fn read_at(&mut self, room: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < room.len() {
            let rest = room.get_mut(filled..).unwrap_or_default();
            let read = match self {
                Content::Plain(file) => file.read_at(rest, offset + filled as u64),
                Content::Packed(unpacked) => unpacked.read_at(rest, offset + filled as u64),
            };
            match read {
                Ok(0) => break,
                // A file gives less than asked for at its end only. Asking again there could mix
                // what it was with what it becomes when it is cut and filled meanwhile.
                Ok(bytes) if !self.is_packed() => return Ok(filled + bytes),
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if filled > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}
