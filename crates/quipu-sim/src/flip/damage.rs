//! What disks do to blocks besides flipping bits.

use quipu_log::storage::memory::Memory;
use quipu_log::storage::{Storage, StorageFile};
use stdx::prng::Prng;

/// One damage of whole blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    kind: Kind,
    file: String,
    /// The block that is damaged.
    at: u64,
    /// The other block: where the wrong bytes come from.
    from: u64,
    block_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The block reads as zeros.
    Zeroed,
    /// Two blocks changed places.
    Swapped,
    /// A write of another block went here too.
    Misdirected,
    /// The end of the file from this block on is gone. Not of a segment: cutting one short is how
    /// an operator gives up its end, as the refusal of a damaged log says.
    CutOff,
    /// The block holds noise.
    Noise,
}

impl Damage {
    /// Draws one; none where there is nothing to damage.
    pub fn draw(files: &[(String, u64)], block_bytes: u32, random: &mut Prng) -> Option<Self> {
        let (file, bytes) = random.pick(files)?.clone();
        let block_bytes = u64::from(block_bytes);
        let blocks = bytes.div_ceil(block_bytes);
        if blocks == 0 {
            return None;
        }
        let kinds = [Kind::Zeroed, Kind::Swapped, Kind::Misdirected, Kind::CutOff, Kind::Noise];
        let is_segment = file.rsplit_once('.').is_some_and(|(_, end)| end == "wal");
        let kind = *random.pick(&kinds).filter(|kind| **kind != Kind::CutOff || !is_segment)?;
        let (at, from) = (random.below(blocks), random.below(blocks));
        Some(Self { kind, file, at, from, block_bytes })
    }

    /// Damages the disk, durably; false where that changed nothing.
    pub fn inflict(&self, disk: &Memory) -> bool {
        let Ok(file) = disk.open(&self.file) else { return false };
        let (at, from) = (self.read(&file, self.at), self.read(&file, self.from));
        let before = disk.fingerprint();
        let done = match self.kind {
            Kind::Zeroed => file.write_at(&vec![0; at.len()], self.offset(self.at)),
            Kind::Noise => {
                let noise: Vec<u8> = (0..at.len()).map(|n| (n * 37 + 11) as u8).collect();
                file.write_at(&noise, self.offset(self.at))
            }
            Kind::Misdirected => file.write_at(&from, self.offset(self.at)),
            Kind::Swapped => file
                .write_at(&from, self.offset(self.at))
                .and_then(|()| file.write_at(&at, self.offset(self.from))),
            Kind::CutOff => file.set_length(self.offset(self.at)),
        };
        done.and_then(|()| file.sync()).is_ok() && disk.fingerprint() != before
    }

    fn offset(&self, block: u64) -> u64 {
        block * self.block_bytes
    }

    fn read(&self, file: &impl StorageFile, block: u64) -> Vec<u8> {
        let mut bytes = vec![0; self.block_bytes as usize];
        let count = file.read_at(&mut bytes, self.offset(block)).unwrap_or(0);
        bytes.truncate(count);
        bytes
    }
}
