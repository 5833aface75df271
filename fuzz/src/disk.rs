//! Files of a store in memory, spoiled as a script says.

use quipu_log::storage::memory::Memory;
use quipu_log::storage::{Storage, StorageFile};
use quipu_log::wal::{frame, segment};
use stdx::checksum::crc32c;

use crate::script::Script;

/// How much was spoiled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Spoiled {
    /// Changes of one byte.
    pub(crate) bytes: usize,
    /// Larger changes: blocks, lengths, names.
    pub(crate) larger: usize,
    /// Changes after which checksums were made right again.
    pub(crate) forged: usize,
}

/// The smallest unit of the disk.
const BLOCK: u64 = 512;

/// Does one thing to one file.
pub(crate) fn spoil(disk: &Memory, script: &mut Script<'_>, spoiled: &mut Spoiled) {
    let mut names = disk.list().expect("memory lists");
    names.sort();
    let Some(name) = names.get(script.below(names.len().clamp(1, 256))) else { return };
    match script.below(16) {
        0..=4 => {
            let mask = script.byte();
            let at = place(disk, name, script);
            spoiled.bytes += usize::from(edit(disk, name, at, &mut |bytes| flip(bytes, mask)));
        }
        5..=10 => spoiled.forged += usize::from(forge(disk, name, script)),
        11 => {
            let (from, to) = (place(disk, name, script), place(disk, name, script) / BLOCK * BLOCK);
            let block = read(disk, name, from / BLOCK * BLOCK, BLOCK as usize);
            write(disk, name, to, &block);
            spoiled.larger += 1;
        }
        12 => {
            let at = place(disk, name, script) / BLOCK * BLOCK;
            write(disk, name, at, &[0; BLOCK as usize]);
            spoiled.larger += 1;
        }
        13 => {
            let file = disk.open(name).expect("it is listed");
            let length = place(disk, name, script) + script.number() % BLOCK;
            file.set_length(length).and_then(|()| file.sync()).expect("memory has no limit");
            spoiled.larger += 1;
        }
        14 => {
            disk.remove(name).expect("it is listed");
            spoiled.larger += 1;
        }
        _ => {
            let to = segment::name(script.number() % 8);
            disk.rename(name, &to).expect("it is listed");
            spoiled.larger += 1;
        }
    }
    disk.sync_dir().expect("memory syncs");
}

/// A place in a file: mostly near the start of a block, where headers are.
fn place(disk: &Memory, name: &str, script: &mut Script<'_>) -> u64 {
    let length = disk.open(name).and_then(|file| file.length()).unwrap_or(0).max(1);
    let block = script.number();
    let at = u64::from(script.byte());
    let at = if at < 200 { at % 64 } else { at * 2 };
    (block.wrapping_mul(BLOCK).wrapping_add(at)) % length
}

fn flip(bytes: &mut [u8], mask: u8) -> bool {
    bytes.first_mut().map(|byte| *byte ^= mask).is_some() && mask != 0
}

pub(crate) fn read(disk: &Memory, name: &str, at: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let file = disk.open(name).expect("it is listed");
    let count = file.read_at(&mut bytes, at).expect("memory reads");
    bytes.truncate(count);
    bytes
}

pub(crate) fn write(disk: &Memory, name: &str, at: u64, bytes: &[u8]) {
    let file = disk.open(name).expect("it is listed");
    file.write_at(bytes, at).and_then(|()| file.sync()).expect("memory has no limit");
}

/// Changes up to a block of bytes from `at` on; says whether `change` did.
fn edit(disk: &Memory, name: &str, at: u64, change: &mut dyn FnMut(&mut [u8]) -> bool) -> bool {
    let mut bytes = read(disk, name, at, BLOCK as usize);
    let changed = change(&mut bytes);
    if changed {
        write(disk, name, at, &bytes);
    }
    changed
}

/// Changes a field of a header and makes its checksums right again.
fn forge(disk: &Memory, name: &str, script: &mut Script<'_>) -> bool {
    let at = place(disk, name, script) / BLOCK * BLOCK;
    edit(disk, name, at, &mut |bytes| match at {
        0 if name == "STORE" => forge_store(bytes, script),
        0 => forge_segment(bytes, script),
        _ => forge_frame(bytes, script),
    })
}

fn forge_store(bytes: &mut [u8], script: &mut Script<'_>) -> bool {
    let Some(fields) = bytes.get_mut(..28) else { return false };
    fields[8 + script.below(16)] = script.byte();
    let checksum = crc32c(&fields[..24]);
    fields[24..].copy_from_slice(&checksum.to_le_bytes());
    true
}

fn forge_segment(bytes: &mut [u8], script: &mut Script<'_>) -> bool {
    let Ok(mut header) = segment::Header::decode(bytes) else { return false };
    match script.below(4) {
        0 => header.block_bytes = 1_u32.wrapping_shl(u32::from(script.byte())),
        1 => header.store_id = script.number(),
        2 => header.segment_id = script.number(),
        _ => header.sequence = script.number(),
    }
    bytes[..segment::HEADER_BYTES].copy_from_slice(&header.encode());
    true
}

fn forge_frame(bytes: &mut [u8], script: &mut Script<'_>) -> bool {
    let Ok((mut header, _)) = frame::Header::decode(bytes) else { return false };
    match script.below(8) {
        0 => header.kind = frame::Kind::Mark,
        1 => header.kind = frame::Kind::Data,
        2 => header.length = script.number() as u32,
        3 => header.segment_id = script.number(),
        4 => header.position = around(header.position, script),
        5 => header.durable_upto = around(header.durable_upto, script),
        6 => header.link = script.number() as u32,
        _ => flip_payload(bytes, &header, script),
    }
    let length = header.length as usize;
    if let Some(payload) = bytes.get(frame::HEADER_BYTES..frame::HEADER_BYTES + length) {
        header.payload_crc = crc32c(payload);
    }
    bytes[..frame::HEADER_BYTES].copy_from_slice(&header.encode().0);
    true
}

fn flip_payload(bytes: &mut [u8], header: &frame::Header, script: &mut Script<'_>) {
    let at = script.byte() as usize % (header.length as usize).max(1);
    let mask = script.byte();
    bytes.iter_mut().skip(frame::HEADER_BYTES + at).take(1).for_each(|byte| *byte ^= mask);
}

/// A number close to another, or any.
fn around(number: u64, script: &mut Script<'_>) -> u64 {
    match script.byte() {
        near @ 0..=127 => number.wrapping_add(u64::from(near)).wrapping_sub(64),
        _ => script.number(),
    }
}
