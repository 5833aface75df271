//! The file that says that a directory is a store, which one, and with how many shards.
//!
//! Written once, after the first segment is durable. Without it, a directory whose segments were
//! all lost would look like a new one and start from nothing.

use std::io;
use std::path::Path;

use quipu_core::failpoint::{Point, reach};
use stdx::checksum::crc32c;

use crate::storage::{Storage, StorageFile};

/// The file's name.
pub(crate) const NAME: &str = "STORE";

const UNFINISHED_NAME: &str = "STORE.unfinished";
const BYTES: usize = 28;
const MAGIC: [u8; 8] = *b"QUIPUSTO";

/// The version of the store that this code writes and reads.
pub(crate) const VERSION: u32 = 1;

/// What is fixed when a store is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Random; in every file of the store. Routes may depend on it.
    pub store_id: u64,
    /// Into how many shards the key space is divided.
    pub shards: u16,
}

/// Why the file cannot be used.
#[derive(Debug)]
pub(crate) enum StoreFault {
    Io(io::Error),
    Damaged,
    Version(u32),
}

fn encode(identity: Identity) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..14].copy_from_slice(&identity.shards.to_le_bytes());
    bytes[16..24].copy_from_slice(&identity.store_id.to_le_bytes());
    let checksum = crc32c(&bytes[..24]);
    bytes[24..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn decode(bytes: [u8; BYTES]) -> Result<Identity, StoreFault> {
    let number = |at: usize| {
        let mut value = [0; 8];
        value.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(value)
    };
    if bytes[..8] != MAGIC || (number(20) >> 32) as u32 != crc32c(&bytes[..24]) {
        return Err(StoreFault::Damaged);
    }
    match number(8) as u32 {
        VERSION => Ok(Identity { store_id: number(16), shards: (number(8) >> 32) as u16 }),
        version => Err(StoreFault::Version(version)),
    }
}

/// Why the file that says what a store is cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The operating system refused.
    #[error("cannot read {NAME}: {0}")]
    Io(io::Error),
    /// It does not check.
    #[error("{NAME} is damaged")]
    Damaged,
    /// It is of another version of this program.
    #[error("{NAME} has version {0}, and this program reads version {VERSION}")]
    Version(u32),
}

/// Looks which store a directory holds, without locking it; none where it holds no `STORE`.
///
/// # Errors
/// The file is there and cannot be read.
pub fn look(directory: &Path) -> Result<Option<Identity>, LookError> {
    let bytes = match std::fs::read(directory.join(NAME)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(LookError::Io(error)),
    };
    let bytes = <[u8; BYTES]>::try_from(bytes).map_err(|_| LookError::Damaged)?;
    decode(bytes).map(Some).map_err(|fault| match fault {
        StoreFault::Io(error) => LookError::Io(error),
        StoreFault::Damaged => LookError::Damaged,
        StoreFault::Version(version) => LookError::Version(version),
    })
}

/// Reads the identity of the store.
pub(crate) fn read<S: Storage>(storage: &S) -> Result<Identity, StoreFault> {
    let mut bytes = [0; BYTES];
    let read = storage.open(NAME).and_then(|file| file.read_at(&mut bytes, 0));
    if read.map_err(StoreFault::Io)? != BYTES {
        return Err(StoreFault::Damaged);
    }
    decode(bytes)
}

/// Writes the identity of the store, durably.
pub(crate) fn write<S: Storage>(storage: &S, identity: Identity) -> io::Result<()> {
    match storage.remove(UNFINISHED_NAME) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = storage.create(UNFINISHED_NAME)?;
    file.write_at(&encode(identity), 0)?;
    file.sync()?;
    reach(Point::StoreWritten);
    storage.rename(UNFINISHED_NAME, NAME)?;
    reach(Point::StoreRenamed);
    storage.sync_dir()
}

#[cfg(test)]
mod tests {
    use super::{Identity, LookError, NAME, StoreFault, encode, look, read, write};
    use crate::storage::{Storage, StorageFile, memory::Memory};

    #[test]
    fn the_identity_survives_and_damage_is_noticed() {
        let memory = Memory::new();
        assert!(matches!(read(&memory), Err(StoreFault::Io(_))));
        let identity = Identity { store_id: 0x0102_0304, shards: 64 };
        write(&memory, identity).unwrap();
        assert_eq!(read(&memory).ok(), Some(identity));
        for bit in 0..28 * 8 {
            let damaged = memory.copy();
            damaged.flip_bit(NAME, bit);
            assert!(matches!(read(&damaged), Err(StoreFault::Damaged)), "bit {bit}");
        }
    }

    #[test]
    fn the_bytes_of_version_1_stay() {
        let memory = Memory::new();
        write(&memory, Identity { store_id: 7, shards: 64 }).unwrap();
        let mut bytes = [0; 28];
        memory.open(NAME).unwrap().read_at(&mut bytes, 0).unwrap();
        let fixture = b"QUIPUSTO\x01\0\0\0\x40\0\0\0\x07\0\0\0\0\0\0\0\x76\x7E\x09\x59";
        assert_eq!(&bytes, fixture);
    }

    #[test]
    fn a_look_from_outside_tells_what_is_there_and_locks_nothing() {
        let folder = tempfile::TempDir::new().unwrap();
        assert_eq!(look(folder.path()).unwrap(), None);
        let identity = Identity { store_id: 7, shards: 16 };
        let put = |bytes: &[u8]| std::fs::write(folder.path().join(NAME), bytes).unwrap();
        put(&encode(identity));
        assert_eq!(look(folder.path()).unwrap(), Some(identity));
        put(&encode(identity)[1..]);
        assert!(matches!(look(folder.path()), Err(LookError::Damaged)));
        let mut flipped = encode(identity);
        flipped[17] ^= 1;
        put(&flipped);
        assert!(matches!(look(folder.path()), Err(LookError::Damaged)));
        let file = folder.path().join(NAME);
        assert!(matches!(look(&file), Err(LookError::Io(_))), "a file is no directory");
    }
}
