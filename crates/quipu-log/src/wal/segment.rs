//! A segment: its names, its header block and its preparation.
//!
//! The header block is written and synced before the file gets its name, so a file with a
//! segment's name always has one. It does not hold the first position, which is not known when a
//! segment is prepared ahead: the first frame says it.

use std::io;

use quipu_core::{
    canary::{self, Bug},
    failpoint::{Point, reach},
};
use stdx::checksum::crc32c;

use crate::storage::{Storage, StorageFile, fill_zeros};

/// Length of the header's fields in bytes; the rest of the first block is zero.
pub const HEADER_BYTES: usize = 48;

/// The version of segments that this code writes and reads.
pub const VERSION: u16 = 1;

const MAGIC: [u8; 8] = *b"QUIPUWAL";
const OFFSET_VERSION: usize = 8;
const OFFSET_BLOCK: usize = 12;
const OFFSET_STORE_ID: usize = 16;
const OFFSET_SEGMENT_ID: usize = 24;
const OFFSET_SEQUENCE: usize = 32;
const OFFSET_CRC: usize = 44;

const _: () = assert!(OFFSET_CRC + 4 == HEADER_BYTES, "the checksum closes the header");
const _: () = assert!(OFFSET_STORE_ID.is_multiple_of(8), "8-byte fields are aligned");

/// The fields of a segment's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Alignment of the frames in bytes.
    pub block_bytes: u32,
    /// The identity of the store that the segment belongs to.
    pub store_id: u64,
    /// The identity of this use of the segment.
    pub segment_id: u64,
    /// The segment's number in the log, without gaps.
    pub sequence: u64,
}

/// Why bytes are not a segment's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderFault {
    /// They do not start like one, or their checksum does not fit.
    Damaged,
    /// The version is not known to this code.
    Version(u16),
}

impl Header {
    /// Returns the header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0_u8; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[OFFSET_VERSION..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[OFFSET_BLOCK..16].copy_from_slice(&self.block_bytes.to_le_bytes());
        bytes[OFFSET_STORE_ID..24].copy_from_slice(&self.store_id.to_le_bytes());
        bytes[OFFSET_SEGMENT_ID..32].copy_from_slice(&self.segment_id.to_le_bytes());
        bytes[OFFSET_SEQUENCE..40].copy_from_slice(&self.sequence.to_le_bytes());
        let checksum = crc32c(&bytes[..OFFSET_CRC]);
        bytes[OFFSET_CRC..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a header.
    ///
    /// # Errors
    /// See [`HeaderFault`].
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let bytes = bytes.first_chunk::<HEADER_BYTES>().ok_or(HeaderFault::Damaged)?;
        let number = |at: usize| {
            let mut value = [0; 8];
            value.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(value)
        };
        if bytes[..8] != MAGIC || (number(40) >> 32) as u32 != crc32c(&bytes[..OFFSET_CRC]) {
            return Err(HeaderFault::Damaged);
        }
        let version = number(OFFSET_VERSION) as u16;
        if version != VERSION {
            return Err(HeaderFault::Version(version));
        }
        let block_bytes = (number(OFFSET_VERSION) >> 32) as u32;
        if !block_bytes.is_power_of_two() || block_bytes < 512 {
            return Err(HeaderFault::Damaged);
        }
        Ok(Self {
            block_bytes,
            store_id: number(OFFSET_STORE_ID),
            segment_id: number(OFFSET_SEGMENT_ID),
            sequence: number(OFFSET_SEQUENCE),
        })
    }
}

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment<F> {
    pub(crate) file: F,
    pub(crate) header: Header,
    pub(crate) length: u64,
}

impl<F> Segment<F> {
    pub(crate) fn name(&self) -> String {
        name(self.header.sequence)
    }
}

/// Returns the file name of the segment with this number.
pub fn name(sequence: u64) -> String {
    format!("segment-{sequence:016}.wal")
}

/// Returns the name under which a segment is made before it counts.
pub(crate) fn unfinished_name(sequence: u64) -> String {
    format!("segment-{sequence:016}.unfinished")
}

/// Returns the name of a file that waits to become a segment again.
pub(crate) fn spare_name(sequence: u64) -> String {
    format!("segment-{sequence:016}.spare")
}

/// What a file name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Segment(u64),
    Unfinished,
    Spare,
    Other,
}

pub(crate) fn parse(name: &str) -> Name {
    let Some((stem, kind)) = name.split_once('.') else { return Name::Other };
    let digits = stem.strip_prefix("segment-").filter(|digits| digits.len() == 16);
    let Some(sequence) = digits.and_then(|digits| digits.parse().ok()) else { return Name::Other };
    match kind {
        "wal" => Name::Segment(sequence),
        "unfinished" => Name::Unfinished,
        "spare" => Name::Spare,
        _ => Name::Other,
    }
}

/// Fills a file with zeros up to `length` and puts the header into its first block. Nothing is
/// durable before the next sync of the file.
pub(crate) fn format<F: StorageFile>(file: &F, header: &Header, length: u64) -> io::Result<()> {
    if file.length()? > length {
        file.set_length(length)?;
    }
    let block = u64::from(header.block_bytes);
    let mut first = vec![0_u8; block as usize];
    first[..HEADER_BYTES].copy_from_slice(&header.encode());
    file.write_at(&first, 0)?;
    fill_zeros(file, block, length)
}

/// Gives a complete and synced segment its name, durably.
pub(crate) fn publish<S: Storage>(storage: &S, from: &str, sequence: u64) -> io::Result<()> {
    storage.rename(from, &name(sequence))?;
    reach(Point::SegmentRenamed);
    if !canary::is(Bug::NoDirSync) {
        storage.sync_dir()?;
    }
    reach(Point::SegmentNamed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Header, HeaderFault, Name, name, parse, spare_name, unfinished_name};

    const HEADER: Header = Header {
        block_bytes: 512,
        store_id: 0x0102_0304_0506_0708,
        segment_id: 0x1112_1314_1516_1718,
        sequence: 3,
    };

    #[test]
    fn the_bytes_of_version_1_stay() {
        let bytes = HEADER.encode();
        let fixture = b"QUIPUWAL\x01\0\0\0\0\x02\0\0\x08\x07\x06\x05\x04\x03\x02\x01\
            \x18\x17\x16\x15\x14\x13\x12\x11\x03\0\0\0\0\0\0\0\0\0\0\0";
        assert_eq!(&bytes[..44], fixture);
        assert_eq!(Header::decode(&bytes), Ok(HEADER));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = HEADER.encode();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&flipped), Err(HeaderFault::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn names_say_what_a_file_is() {
        let check = |name: &str, expected| assert_eq!(parse(name), expected, "{name}");
        check(&name(12), Name::Segment(12));
        check(&unfinished_name(12), Name::Unfinished);
        check(&spare_name(12), Name::Spare);
        check("segment-12.wal", Name::Other);
        check("segment-000000000000000x.wal", Name::Other);
        check("snapshot-1", Name::Other);
    }
}
