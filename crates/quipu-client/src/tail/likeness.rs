//! What a file is like while another thread reads it: the one that was identified, or the one that
//! another is a copy of.

use super::Tail;
use crate::input::InputError;
use crate::lines::READ_BYTES;

impl Tail {
    /// Says whether the file is still the one that was identified, whoever reads it.
    ///
    /// # Errors
    /// Reading failed.
    pub fn is_as_identified(&self) -> Result<bool, InputError> {
        let source = self.source()?;
        let mut place = self.place();
        let Some(identity) = &place.identity else { return Ok(false) };
        let is_same = identity.source.with_inode(self.inode) == source;
        Ok(is_same && !place.is_cut && place.is_there().map_err(|error| self.io(error))?)
    }

    /// Says whether the file begins with the content of `copy`, as far as one piece tells.
    ///
    /// # Errors
    /// Reading failed.
    pub fn begins_with(&self, copy: &Tail) -> Result<bool, InputError> {
        let begin = copy.begin()?;
        Ok(!begin.is_empty() && self.begin()?.starts_with(&begin))
    }

    fn begin(&self) -> Result<Vec<u8>, InputError> {
        let mut piece = vec![0; READ_BYTES];
        let read = self.place().content.read_at(&mut piece, 0);
        piece.truncate(read.map_err(|error| self.io(error))?);
        Ok(piece)
    }
}
