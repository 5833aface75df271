//! Numbers as bytes: little-endian, LEB128 varints, zigzag for signed ones.

use crate::record::RecordError;

/// Highest epoch, batch or log time that is believed. Spec: what a node counts one by one, or in
/// milliseconds, never gets there; a record that says so would stop the next one.
const COUNT_MAX: u64 = u64::MAX >> 1;

/// Appends an unsigned LEB128 number.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Appends a signed number so that small ones of either sign are short.
#[inline]
pub fn put_zigzag(out: &mut Vec<u8>, n: i64) {
    put_varint(out, (n.wrapping_shl(1) ^ (n >> 63)) as u64);
}

/// Reads numbers from the front of bytes and knows where it is.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How far it has read.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Whether all is read.
    pub fn is_done(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// An error about `what` at this place.
    pub fn error(&self, what: &'static str) -> RecordError {
        RecordError { at: self.at, what }
    }

    /// Takes `n` bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn take(&mut self, n: usize, what: &'static str) -> Result<&'a [u8], RecordError> {
        let end = self.at.checked_add(n).ok_or_else(|| self.error(what))?;
        let taken = self.bytes.get(self.at..end).ok_or_else(|| self.error(what))?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], RecordError> {
        let taken = self.take(N, what)?;
        taken.try_into().map_err(|_| self.error(what))
    }

    /// One byte.
    ///
    /// # Errors
    /// There is none.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, RecordError> {
        Ok(self.array::<1>(what)?[0])
    }

    /// One byte of which only the bits in `known` may be set.
    ///
    /// # Errors
    /// There is none, or another bit is set: a later version means something by it.
    pub fn flags(&mut self, known: u8, what: &'static str) -> Result<u8, RecordError> {
        let found = self.u8(what)?;
        if found & !known == 0 { Ok(found) } else { Err(self.error(what)) }
    }

    /// Two bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, RecordError> {
        self.array(what).map(u16::from_le_bytes)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, RecordError> {
        self.array(what).map(u32::from_le_bytes)
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, RecordError> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// Eight bytes that count something: at most 63 bits of them, so that one more always fits.
    ///
    /// # Errors
    /// There are fewer bytes, or the count is beyond what anything was ever counted to.
    pub fn count(&mut self, what: &'static str) -> Result<u64, RecordError> {
        let found = self.u64(what)?;
        if found > COUNT_MAX { Err(self.error(what)) } else { Ok(found) }
    }

    /// Sixteen bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn u128(&mut self, what: &'static str) -> Result<u128, RecordError> {
        self.array(what).map(u128::from_le_bytes)
    }

    /// A LEB128 number of at most ten bytes.
    ///
    /// # Errors
    /// It does not end, or does not fit 64 bits.
    pub fn varint(&mut self, what: &'static str) -> Result<u64, RecordError> {
        let mut n = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(what)?;
            if shift == 63 && byte > 1 {
                return Err(self.error(what));
            }
            n |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(n);
            }
        }
        Err(self.error(what))
    }

    /// Passes over a LEB128 number.
    ///
    /// # Errors
    /// It does not end.
    #[inline]
    pub fn skip_varint(&mut self, what: &'static str) -> Result<(), RecordError> {
        while self.u8(what)? & 0x80 != 0 {}
        Ok(())
    }

    /// A zigzag number.
    ///
    /// # Errors
    /// As for [`Reader::varint`].
    pub fn zigzag(&mut self, what: &'static str) -> Result<i64, RecordError> {
        let n = self.varint(what)?;
        Ok((n >> 1) as i64 ^ -((n & 1) as i64))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Reader, put_varint, put_zigzag};

    proptest! {
        #[test]
        fn numbers_survive(n in any::<u64>(), shift in 0_u32..64, s in any::<i64>()) {
            let mut out = Vec::new();
            put_varint(&mut out, n >> shift);
            put_zigzag(&mut out, s >> shift);
            let mut r = Reader::new(&out);
            prop_assert_eq!(r.varint("n"), Ok(n >> shift));
            prop_assert_eq!(r.zigzag("s"), Ok(s >> shift));
            prop_assert!(r.is_done());
        }
    }

    #[test]
    fn a_number_that_does_not_end_is_refused() {
        assert!(Reader::new(&[0x80; 10]).varint("n").is_err());
        assert!(
            Reader::new(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2])
                .varint("n")
                .is_err()
        );
    }
}
