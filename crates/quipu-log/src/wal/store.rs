//! The file that says that a directory is a store, and which one.
//!
//! Written once, after the first segment is durable. Without it, a directory whose segments were
//! all lost would look like a new one and start from nothing.

use std::io;

use stdx::checksum::crc32c;

use crate::storage::{Storage, StorageFile};

/// The file's name.
pub(crate) const NAME: &str = "STORE";

const UNFINISHED_NAME: &str = "STORE.unfinished";
const BYTES: usize = 24;
const MAGIC: [u8; 8] = *b"QUIPUSTO";

/// The version of the store that this code writes and reads.
pub(crate) const VERSION: u32 = 1;

/// Why the file cannot be used.
#[derive(Debug)]
pub(crate) enum StoreFault {
    Io(io::Error),
    Damaged,
    Version(u32),
}

fn encode(store_id: u64) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..20].copy_from_slice(&store_id.to_le_bytes());
    let checksum = crc32c(&bytes[..20]);
    bytes[20..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Reads the identity of the store.
pub(crate) fn read<S: Storage>(storage: &S) -> Result<u64, StoreFault> {
    let mut bytes = [0; BYTES];
    let read = storage.open(NAME).and_then(|file| file.read_at(&mut bytes, 0));
    if read.map_err(StoreFault::Io)? != BYTES {
        return Err(StoreFault::Damaged);
    }
    let [body @ .., a, b, c, d] = bytes;
    let [m0, m1, m2, m3, m4, m5, m6, m7, v0, v1, v2, v3, id @ ..] = body;
    if [m0, m1, m2, m3, m4, m5, m6, m7] != MAGIC
        || u32::from_le_bytes([a, b, c, d]) != crc32c(&body)
    {
        return Err(StoreFault::Damaged);
    }
    match u32::from_le_bytes([v0, v1, v2, v3]) {
        VERSION => Ok(u64::from_le_bytes(id)),
        version => Err(StoreFault::Version(version)),
    }
}

/// Writes the identity of the store, durably.
pub(crate) fn write<S: Storage>(storage: &S, store_id: u64) -> io::Result<()> {
    match storage.remove(UNFINISHED_NAME) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = storage.create(UNFINISHED_NAME)?;
    file.write_at(&encode(store_id), 0)?;
    file.sync()?;
    storage.rename(UNFINISHED_NAME, NAME)?;
    storage.sync_dir()
}

#[cfg(test)]
mod tests {
    use super::{NAME, StoreFault, read, write};
    use crate::storage::{Storage, StorageFile, memory::Memory};

    #[test]
    fn the_identity_survives_and_damage_is_noticed() {
        let memory = Memory::new();
        assert!(matches!(read(&memory), Err(StoreFault::Io(_))));
        write(&memory, 0x0102_0304).unwrap();
        assert!(matches!(read(&memory), Ok(0x0102_0304)));
        for bit in 0..24 * 8 {
            let damaged = memory.copy();
            damaged.flip_bit(NAME, bit);
            assert!(matches!(read(&damaged), Err(StoreFault::Damaged)), "bit {bit}");
        }
    }

    #[test]
    fn the_bytes_of_version_1_stay() {
        let memory = Memory::new();
        write(&memory, 7).unwrap();
        let mut bytes = [0; 24];
        memory.open(NAME).unwrap().read_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes[..20], b"QUIPUSTO\x01\0\0\0\x07\0\0\0\0\0\0\0");
    }
}
