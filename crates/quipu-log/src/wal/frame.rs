//! The header of a frame: 48 bytes, little-endian, before the payload.
//!
//! A frame starts on a fresh block and is padded with zeros to the next one, so that no write ever
//! touches a block that holds an earlier frame. The header checksum covers the payload checksum,
//! so the link to the previous frame (its header checksum) covers all that came before.

use stdx::checksum::crc32c;

/// Length of a frame's header in bytes.
pub const HEADER_BYTES: usize = 48;

/// The version of frames that this code writes and reads.
pub const VERSION: u16 = 1;

/// "QPFR" read as a little-endian number.
const MAGIC: u32 = u32::from_le_bytes(*b"QPFR");

const OFFSET_MAGIC: usize = 0;
const OFFSET_VERSION: usize = OFFSET_MAGIC + 4;
const OFFSET_KIND: usize = OFFSET_VERSION + 2;
const OFFSET_LENGTH: usize = OFFSET_KIND + 2;
const OFFSET_PAYLOAD_CRC: usize = OFFSET_LENGTH + 4;
const OFFSET_SEGMENT_ID: usize = OFFSET_PAYLOAD_CRC + 4;
const OFFSET_POSITION: usize = OFFSET_SEGMENT_ID + 8;
const OFFSET_DURABLE_UPTO: usize = OFFSET_POSITION + 8;
const OFFSET_LINK: usize = OFFSET_DURABLE_UPTO + 8;
const OFFSET_HEADER_CRC: usize = OFFSET_LINK + 4;

const _: () = assert!(OFFSET_HEADER_CRC + 4 == HEADER_BYTES, "fields fill the header");
const _: () = assert!(OFFSET_SEGMENT_ID.is_multiple_of(8), "8-byte fields are aligned");
const _: () = assert!(HEADER_BYTES <= 512, "a header fits into the smallest block");

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It carries a payload.
    Data,
    /// It carries only the news of what is durable.
    Mark,
}

/// The fields of a frame's header, without magic, version and its own checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the frame is for.
    pub kind: Kind,
    /// Length of the payload in bytes.
    pub length: u32,
    /// CRC-32C of the payload.
    pub payload_crc: u32,
    /// The identity of the segment's present use.
    pub segment_id: u64,
    /// The frame's number in the log, from 1, without gaps.
    pub position: u64,
    /// The newest position that was known durable when this frame was written.
    pub durable_upto: u64,
    /// The header checksum of the frame before; 0 before the first.
    pub link: u32,
}

/// Why bytes are not a frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderFault {
    /// They do not start like a header, or are too few.
    NotAFrame,
    /// The header checksum does not fit.
    Checksum,
    /// The header is intact and of a version that this code does not know.
    Version(u16),
    /// The header is intact and has a value that this version does not have.
    Value,
}

impl Header {
    /// Returns the header's bytes and its checksum, which is the next frame's link.
    pub fn encode(&self) -> ([u8; HEADER_BYTES], u32) {
        let mut bytes = [0_u8; HEADER_BYTES];
        put(&mut bytes, OFFSET_MAGIC, MAGIC.to_le_bytes());
        put(&mut bytes, OFFSET_VERSION, VERSION.to_le_bytes());
        put(&mut bytes, OFFSET_KIND, [kind_to_byte(self.kind), 0]);
        put(&mut bytes, OFFSET_LENGTH, self.length.to_le_bytes());
        put(&mut bytes, OFFSET_PAYLOAD_CRC, self.payload_crc.to_le_bytes());
        put(&mut bytes, OFFSET_SEGMENT_ID, self.segment_id.to_le_bytes());
        put(&mut bytes, OFFSET_POSITION, self.position.to_le_bytes());
        put(&mut bytes, OFFSET_DURABLE_UPTO, self.durable_upto.to_le_bytes());
        put(&mut bytes, OFFSET_LINK, self.link.to_le_bytes());
        let checksum = crc32c(&bytes[..OFFSET_HEADER_CRC]);
        put(&mut bytes, OFFSET_HEADER_CRC, checksum.to_le_bytes());
        (bytes, checksum)
    }

    /// Reads a header from the start of `bytes`; also returns its checksum.
    ///
    /// # Errors
    /// See [`HeaderFault`].
    pub fn decode(bytes: &[u8]) -> Result<(Self, u32), HeaderFault> {
        let bytes = bytes.first_chunk::<HEADER_BYTES>().ok_or(HeaderFault::NotAFrame)?;
        if u32::from_le_bytes(get(bytes, OFFSET_MAGIC)) != MAGIC {
            return Err(HeaderFault::NotAFrame);
        }
        let checksum = u32::from_le_bytes(get(bytes, OFFSET_HEADER_CRC));
        if crc32c(&bytes[..OFFSET_HEADER_CRC]) != checksum {
            return Err(HeaderFault::Checksum);
        }
        let version = u16::from_le_bytes(get(bytes, OFFSET_VERSION));
        if version != VERSION {
            return Err(HeaderFault::Version(version));
        }
        let header = Self {
            kind: kind_from_bytes(get(bytes, OFFSET_KIND)).ok_or(HeaderFault::Value)?,
            length: u32::from_le_bytes(get(bytes, OFFSET_LENGTH)),
            payload_crc: u32::from_le_bytes(get(bytes, OFFSET_PAYLOAD_CRC)),
            segment_id: u64::from_le_bytes(get(bytes, OFFSET_SEGMENT_ID)),
            position: u64::from_le_bytes(get(bytes, OFFSET_POSITION)),
            durable_upto: u64::from_le_bytes(get(bytes, OFFSET_DURABLE_UPTO)),
            link: u32::from_le_bytes(get(bytes, OFFSET_LINK)),
        };
        // A writer knows only earlier frames as durable, and never writes the last number there is.
        if header.durable_upto >= header.position || header.position == u64::MAX {
            return Err(HeaderFault::Value);
        }
        Ok((header, checksum))
    }
}

/// Returns how many bytes a frame with a payload of `length` bytes takes on disk.
pub fn extent(length: u64, block_bytes: u32) -> u64 {
    (HEADER_BYTES as u64 + length).next_multiple_of(u64::from(block_bytes))
}

fn kind_to_byte(kind: Kind) -> u8 {
    match kind {
        Kind::Data => 1,
        Kind::Mark => 2,
    }
}

fn kind_from_bytes(bytes: [u8; 2]) -> Option<Kind> {
    match bytes {
        [1, 0] => Some(Kind::Data),
        [2, 0] => Some(Kind::Mark),
        _ => None,
    }
}

fn put<const N: usize>(bytes: &mut [u8; HEADER_BYTES], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}

fn get<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&bytes[at..at + N]);
    value
}

#[cfg(test)]
mod tests {
    use super::{HEADER_BYTES, Header, HeaderFault, Kind, extent};

    const HEADER: Header = Header {
        kind: Kind::Data,
        length: 5,
        payload_crc: 0x0102_0304,
        segment_id: 0x1112_1314_1516_1718,
        position: 7,
        durable_upto: 6,
        link: 0x2122_2324,
    };

    /// The bytes of format version 1, kept forever.
    const FIXTURE: [u8; HEADER_BYTES] = [
        0x51, 0x50, 0x46, 0x52, 0x01, 0x00, 0x01, 0x00, 0x05, 0x00, 0x00, 0x00, 0x04, 0x03, 0x02,
        0x01, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x07, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x06, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x24, 0x23, 0x22, 0x21, 0xC2,
        0x64, 0xD8, 0x98,
    ];

    #[test]
    fn the_bytes_of_version_1_stay() {
        let (bytes, checksum) = HEADER.encode();
        assert_eq!(bytes, FIXTURE);
        assert_eq!(Header::decode(&FIXTURE), Ok((HEADER, checksum)));
    }

    #[test]
    fn a_frame_that_no_writer_can_have_written_is_none() {
        for (position, durable_upto) in [(0, 0), (7, 7), (7, u64::MAX), (u64::MAX, 6)] {
            let (bytes, _) = Header { position, durable_upto, ..HEADER }.encode();
            assert_eq!(Header::decode(&bytes), Err(HeaderFault::Value), "{position}");
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (bytes, _) = HEADER.encode();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn an_intact_header_of_another_version_is_told_from_damage() {
        let (mut bytes, _) = HEADER.encode();
        bytes[4] = 9;
        let checksum = stdx::checksum::crc32c(&bytes[..44]);
        bytes[44..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(Header::decode(&bytes), Err(HeaderFault::Version(9)));
        assert_eq!(Header::decode(&bytes[..47]), Err(HeaderFault::NotAFrame));
        assert_eq!(Header::decode(&[0; 64]), Err(HeaderFault::NotAFrame));
    }

    #[test]
    fn frames_take_whole_blocks() {
        let check = |length, block, expected| assert_eq!(extent(length, block), expected);
        check(0, 512, 512);
        check(464, 512, 512);
        check(465, 512, 1024);
        check(1, 4096, 4096);
    }
}
