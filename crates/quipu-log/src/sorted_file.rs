//! A file of sorted items, written once from front to back and read the same way: snapshots, and
//! the runs that a fold spills.
//!
//! ```text
//! file   = header (40 bytes) | block ... | footer (48 bytes)              (little-endian)
//! header = magic "QUIPUSRT" | version u16 | kind u8 | 0 u8 | time u32 | store id u64 | position u64
//!        | 0 u32 | crc32c of the bytes before
//! block  = length u32 | crc32c of the rest u32 | number u64 | items (length bytes)
//! item   = length varint | body
//! footer = magic "QUIPUEND" | items u64 | blocks u64 | digest u128 | 0 u32 | crc32c before
//! ```
//!
//! Items never span blocks. The digest is the XXH3-128 of each block's items, seeded with the low
//! half of the digest so far, so it speaks of the order as well.

use std::io;

use quipu_core::{
    bytes::Reader as Numbers,
    failpoint::{Point, reach},
    record::RecordError,
};
use stdx::{checksum::crc32c, hash::hash128};
use thiserror::Error;

use crate::storage::{Storage, StorageFile};

/// The version that this code writes and reads.
pub const VERSION: u16 = 1;

const HEADER_BYTES: usize = 40;
const FOOTER_BYTES: usize = 48;
const BLOCK_HEADER_BYTES: usize = 16;
const HEADER_MAGIC: [u8; 8] = *b"QUIPUSRT";
const FOOTER_MAGIC: [u8; 8] = *b"QUIPUEND";

/// A block is closed when its items reach this size; a guess, not measured.
const BLOCK_BYTES: usize = 64 * 1024;

/// Largest length of a block that is believed: a full block and one more largest item.
const BLOCK_BYTES_MAX: usize = 2 * BLOCK_BYTES;

/// After so many bytes the file is synced, so that the last sync is short and the log's own syncs
/// do not wait behind it. A guess, not measured.
const SYNC_BYTES: u64 = 8 << 20;

/// What a sorted file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Items of a snapshot.
    Snapshot,
    /// Changes, spilled by a fold.
    Run,
}

/// What a sorted file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What it holds.
    pub kind: Kind,
    /// The identity of the store.
    pub store_id: u64,
    /// The last log position folded into it.
    pub position: u64,
    /// The newest log time folded into it, in seconds; 0 where it is not known.
    pub time_s: u32,
}

/// What a complete file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Footer {
    /// How many items.
    pub items: u64,
    /// In how many blocks.
    pub blocks: u64,
    /// Digest of all items in their order.
    pub digest: u128,
}

/// Why a sorted file cannot be written or read.
#[derive(Debug, Error)]
pub enum SortedFileError {
    /// The storage failed.
    #[error("cannot {operation} {file}")]
    Storage {
        /// What was being done.
        operation: &'static str,
        /// The file; empty for the directory.
        file: String,
        /// What the storage said.
        source: io::Error,
    },
    /// The file does not check.
    #[error("{file} is damaged at offset {offset}: {what} does not check")]
    Damaged {
        /// The file.
        file: String,
        /// Where, in bytes.
        offset: u64,
        /// Which part.
        what: &'static str,
    },
    /// The file is of another format version.
    #[error("{file} has format version {found}, this program knows {known}; use a newer program")]
    UnknownVersion {
        /// The file.
        file: String,
        /// Its version.
        found: u16,
        /// The newest known version.
        known: u16,
    },
    /// The file belongs to another store.
    #[error("{file} belongs to store {found:016x}, not to {expected:016x}; move it away")]
    Foreign {
        /// The file.
        file: String,
        /// The identity in it.
        found: u64,
        /// The identity of this store.
        expected: u64,
    },
    /// An intact item is not understood.
    #[error("an item of {file} is not understood")]
    Item {
        /// The file.
        file: String,
        /// What is wrong with it.
        source: RecordError,
    },
    /// The caller could not take an item.
    #[error("an item of {file} is refused")]
    Visit {
        /// The file.
        file: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl SortedFileError {
    /// Says whether the file was damaged, as opposed to unreadable now or not ours.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Item { .. })
    }
}

/// Returns the error of a failed operation.
pub(crate) fn failed(
    operation: &'static str,
    file: &str,
) -> impl FnOnce(io::Error) -> SortedFileError {
    let file = file.to_owned();
    move |source| SortedFileError::Storage { operation, file, source }
}

impl Header {
    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&HEADER_MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10] = match self.kind {
            Kind::Snapshot => 1,
            Kind::Run => 2,
        };
        bytes[12..16].copy_from_slice(&self.time_s.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.store_id.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.position.to_le_bytes());
        seal(&mut bytes);
        bytes
    }

    fn decode(bytes: &[u8; HEADER_BYTES], file: &str) -> Result<Self, SortedFileError> {
        let damaged = |what| SortedFileError::Damaged { file: file.to_owned(), offset: 0, what };
        if bytes[..8] != HEADER_MAGIC || !is_sealed(bytes) {
            return Err(damaged("the header"));
        }
        let found = number(bytes, 8) as u16;
        if found != VERSION {
            let file = file.to_owned();
            return Err(SortedFileError::UnknownVersion { file, found, known: VERSION });
        }
        let kind = match bytes[10] {
            1 => Kind::Snapshot,
            2 => Kind::Run,
            _ => return Err(damaged("the kind")),
        };
        let (store_id, position) = (number(bytes, 16), number(bytes, 24));
        let time_s = (number(bytes, 8) >> 32) as u32;
        Ok(Self { kind, store_id, position, time_s })
    }
}

impl Footer {
    fn encode(&self) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0; FOOTER_BYTES];
        bytes[..8].copy_from_slice(&FOOTER_MAGIC);
        bytes[8..16].copy_from_slice(&self.items.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.blocks.to_le_bytes());
        bytes[24..40].copy_from_slice(&self.digest.to_le_bytes());
        seal(&mut bytes);
        bytes
    }

    fn decode(bytes: &[u8; FOOTER_BYTES]) -> Option<Self> {
        (bytes[..8] == FOOTER_MAGIC && is_sealed(bytes)).then(|| Self {
            items: number(bytes, 8),
            blocks: number(bytes, 16),
            digest: u128::from(number(bytes, 24)) | u128::from(number(bytes, 32)) << 64,
        })
    }

    fn add(&mut self, items: &[u8]) {
        self.blocks += 1;
        self.digest = hash128(self.digest as u64, items);
    }
}

/// Reads what a sorted file says of itself.
pub(crate) fn read_header<F: StorageFile>(file: &F, name: &str) -> Result<Header, SortedFileError> {
    let mut bytes = [0; HEADER_BYTES];
    file.read_at(&mut bytes, 0).map_err(failed("read", name))?;
    Header::decode(&bytes, name)
}

/// Puts the checksum of everything before into the last four bytes.
fn seal<const N: usize>(bytes: &mut [u8; N]) {
    let checksum = crc32c(&bytes[..N - 4]);
    bytes[N - 4..].copy_from_slice(&checksum.to_le_bytes());
}

fn is_sealed<const N: usize>(bytes: &[u8; N]) -> bool {
    bytes[N - 4..] == crc32c(&bytes[..N - 4]).to_le_bytes()
}

fn number<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}

/// Writes a sorted file. Nothing is durable before [`Writer::finish`].
#[derive(Debug)]
pub(crate) struct Writer<F> {
    file: F,
    name: String,
    offset: u64,
    synced: u64,
    block: Vec<u8>,
    footer: Footer,
}

impl<F: StorageFile> Writer<F> {
    /// Creates the file, replacing an unfinished one of that name.
    pub(crate) fn create<S>(
        storage: &S,
        name: &str,
        header: &Header,
    ) -> Result<Self, SortedFileError>
    where
        S: Storage<File = F>,
    {
        match storage.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove", name)(error));
            }
            _ => {}
        }
        let file = storage.create(name).map_err(failed("create", name))?;
        file.write_at(&header.encode(), 0).map_err(failed("write", name))?;
        Ok(Self {
            file,
            name: name.to_owned(),
            offset: HEADER_BYTES as u64,
            synced: 0,
            block: vec![0; BLOCK_HEADER_BYTES],
            footer: Footer::default(),
        })
    }

    /// Adds an item, which `put` appends with its length before it.
    pub(crate) fn put(&mut self, put: impl FnOnce(&mut Vec<u8>)) -> Result<(), SortedFileError> {
        put(&mut self.block);
        self.footer.items += 1;
        if self.block.len() >= BLOCK_HEADER_BYTES + BLOCK_BYTES {
            self.close_block()
        } else {
            Ok(())
        }
    }

    fn close_block(&mut self) -> Result<(), SortedFileError> {
        let length = (self.block.len() - BLOCK_HEADER_BYTES) as u32;
        self.block[8..16].copy_from_slice(&self.footer.blocks.to_le_bytes());
        let checksum = crc32c(&self.block[8..]);
        self.block[..4].copy_from_slice(&length.to_le_bytes());
        self.block[4..8].copy_from_slice(&checksum.to_le_bytes());
        self.footer.add(&self.block[BLOCK_HEADER_BYTES..]);
        self.file.write_at(&self.block, self.offset).map_err(failed("write", &self.name))?;
        self.offset += self.block.len() as u64;
        self.block.truncate(BLOCK_HEADER_BYTES);
        if self.offset - self.synced >= SYNC_BYTES {
            self.file.sync().map_err(failed("sync", &self.name))?;
            self.synced = self.offset;
        }
        Ok(())
    }

    /// Closes the file and makes its contents durable; its name is the caller's.
    pub(crate) fn finish(mut self) -> Result<(Footer, u64), SortedFileError> {
        if self.block.len() > BLOCK_HEADER_BYTES {
            self.close_block()?;
        }
        let bytes = self.footer.encode();
        self.file.write_at(&bytes, self.offset).map_err(failed("write", &self.name))?;
        reach(Point::SortedWritten);
        self.file.sync().map_err(failed("sync", &self.name))?;
        Ok((self.footer, self.offset + FOOTER_BYTES as u64))
    }
}

/// Reads a sorted file and checks all of it on the way.
#[derive(Debug)]
pub(crate) struct Reader<F> {
    file: F,
    pub(crate) name: String,
    pub(crate) header: Header,
    pub(crate) footer: Footer,
    /// Where the footer begins.
    end: u64,
    offset: u64,
    block: Vec<u8>,
    at: usize,
    seen: Footer,
}

impl<F: StorageFile> Reader<F> {
    pub(crate) fn open<S>(storage: &S, name: &str) -> Result<Self, SortedFileError>
    where
        S: Storage<File = F>,
    {
        let file = storage.open(name).map_err(failed("open", name))?;
        let length = file.length().map_err(failed("measure", name))?;
        let header = read_header(&file, name)?;
        let end = length.saturating_sub(FOOTER_BYTES as u64).max(HEADER_BYTES as u64);
        let mut bytes = [0; FOOTER_BYTES];
        file.read_at(&mut bytes, end).map_err(failed("read", name))?;
        let footer = Footer::decode(&bytes).ok_or_else(|| SortedFileError::Damaged {
            file: name.to_owned(),
            offset: end,
            what: "the footer",
        })?;
        Ok(Self {
            file,
            name: name.to_owned(),
            header,
            footer,
            end,
            offset: HEADER_BYTES as u64,
            block: Vec::new(),
            at: 0,
            seen: Footer::default(),
        })
    }

    /// Returns the length of the file in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.end + FOOTER_BYTES as u64
    }

    pub(crate) fn damaged(&self, what: &'static str) -> SortedFileError {
        SortedFileError::Damaged { file: self.name.clone(), offset: self.offset, what }
    }

    /// Returns the next item's body; none after the last, when the whole file has checked.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, SortedFileError> {
        if self.at == self.block.len() && !self.next_block()? {
            return Ok(None);
        }
        let mut numbers = Numbers::new(self.block.get(self.at..).unwrap_or_default());
        let length = numbers.varint("item length");
        let range = length.ok().and_then(|length| {
            let start = self.at + numbers.at();
            let end = start.checked_add(usize::try_from(length).ok()?)?;
            (end <= self.block.len()).then_some(start..end)
        });
        let Some(range) = range else { return Err(self.damaged("the length of an item")) };
        self.at = range.end;
        self.seen.items += 1;
        Ok(self.block.get(range))
    }

    /// Returns all items of the next block, each with its length before it; none after the last,
    /// when the whole file has checked. Not to be mixed with [`Reader::next`]. The caller counts the
    /// items.
    pub(crate) fn block(&mut self) -> Result<Option<Vec<u8>>, SortedFileError> {
        Ok(self.next_block()?.then(|| std::mem::take(&mut self.block)))
    }

    /// Notes items of a block that was taken as a whole.
    pub(crate) fn note_items(&mut self, count: u64) {
        self.seen.items += count;
    }

    fn next_block(&mut self) -> Result<bool, SortedFileError> {
        if self.offset == self.end {
            return if self.seen == self.footer {
                Ok(false)
            } else {
                Err(self.damaged("the digest"))
            };
        }
        let mut head = [0; BLOCK_HEADER_BYTES];
        self.file.read_at(&mut head, self.offset).map_err(failed("read", &self.name))?;
        let length = number(&head, 0) as u32 as usize;
        let next = self.offset + (BLOCK_HEADER_BYTES + length) as u64;
        if length == 0 || length > BLOCK_BYTES_MAX || next > self.end {
            return Err(self.damaged("the length of a block"));
        }
        // The block's number is under its checksum: a block in another's place is noticed.
        self.block.resize(8 + length, 0);
        let count = self.file.read_at(&mut self.block, self.offset + 8);
        let count = count.map_err(failed("read", &self.name))?;
        let checksum = (number(&head, 0) >> 32) as u32;
        if count != self.block.len()
            || crc32c(&self.block) != checksum
            || number(&head, 8) != self.seen.blocks
        {
            return Err(self.damaged("a block"));
        }
        self.block.drain(..8);
        self.seen.add(&self.block);
        self.offset = next;
        self.at = 0;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::{Footer, Header, Kind, Reader, SortedFileError, Writer};
    use crate::storage::{Storage, StorageFile, memory::Memory};

    const HEADER: Header = Header { kind: Kind::Snapshot, store_id: 7, position: 9, time_s: 0 };

    /// The bytes of format version 1 with two items, kept forever.
    const FIXTURE: &[u8] = b"QUIPUSRT\x01\0\x01\0\0\0\0\0\
        \x07\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\
        \0\0\0\0\x0D[s\xE1\x05\0\0\0IJ\xC5e\
        \0\0\0\0\0\0\0\0\x02ab\x01cQUI\
        PUEND\x02\0\0\0\0\0\0\0\x01\0\0\
        \0\0\0\0\0\xFD\x9F\x08\x5C\x07\xEC\xF6\x09\xE9\xC9w\
        \x01\xEF;9c\0\0\0\0\x06\xF3J\xCF";

    fn write(memory: &Memory, items: &[&[u8]]) -> (Footer, u64) {
        let mut writer = Writer::create(memory, "file", &HEADER).unwrap();
        for item in items {
            writer
                .put(|out| {
                    quipu_core::bytes::put_varint(out, item.len() as u64);
                    out.extend_from_slice(item);
                })
                .unwrap();
        }
        writer.finish().unwrap()
    }

    fn read(memory: &Memory) -> Result<Vec<Vec<u8>>, SortedFileError> {
        let mut reader = Reader::open(memory, "file")?;
        assert_eq!(reader.header, HEADER);
        let mut items = Vec::new();
        while let Some(item) = reader.next()? {
            items.push(item.to_vec());
        }
        Ok(items)
    }

    fn bytes(memory: &Memory) -> Vec<u8> {
        let file = memory.open("file").unwrap();
        let mut bytes = vec![0; file.length().unwrap() as usize];
        file.read_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn the_bytes_of_version_1_stay() {
        let memory = Memory::new();
        let (footer, length) = write(&memory, &[b"ab", b"c"]);
        assert_eq!(bytes(&memory), FIXTURE);
        assert_eq!((footer.items, footer.blocks, length), (2, 1, FIXTURE.len() as u64));
        assert_eq!(read(&memory).unwrap(), [b"ab".to_vec(), b"c".to_vec()]);
    }

    #[test]
    fn items_of_many_blocks_come_back() {
        let memory = Memory::new();
        let items: Vec<Vec<u8>> = (0..50_000_u32).map(|n| n.to_le_bytes().to_vec()).collect();
        let slices: Vec<&[u8]> = items.iter().map(Vec::as_slice).collect();
        assert!(write(&memory, &slices).0.blocks > 2);
        assert_eq!(read(&memory).unwrap(), items);
        assert_eq!(write(&memory, &[]), (Footer::default(), 40 + 48));
        assert!(read(&memory).unwrap().is_empty());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let memory = Memory::new();
        write(&memory, &[b"ab", b"c"]);
        for bit in 0..bytes(&memory).len() as u64 * 8 {
            let damaged = memory.copy();
            damaged.flip_bit("file", bit);
            let error = read(&damaged).unwrap_err();
            assert!(error.is_damage(), "bit {bit}: {error}");
        }
        for length in 0..bytes(&memory).len() as u64 {
            let damaged = memory.copy();
            damaged.open("file").unwrap().set_length(length).unwrap();
            assert!(read(&damaged).unwrap_err().is_damage(), "{length} bytes");
        }
    }

    #[test]
    fn blocks_in_another_order_are_noticed() {
        let memory = Memory::new();
        let item = vec![7; 40_000];
        write(&memory, &[&item, &item, &item, &item]);
        let whole = bytes(&memory);
        let block = (whole.len() - 40 - 48) / 2;
        let file = memory.open("file").unwrap();
        file.write_at(&whole[40 + block..40 + 2 * block], 40).unwrap();
        file.write_at(&whole[40..40 + block], 40 + block as u64).unwrap();
        assert!(read(&memory).unwrap_err().is_damage());
    }
}
