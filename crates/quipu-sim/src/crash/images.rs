//! What a crash may leave of what was not synced.

use quipu_log::storage::memory::{Keep, Memory};
use stdx::prng::Prng;

/// Up to so many unsynced changes all subsets are tried.
const ALL_SUBSETS: usize = 6;

/// Subsets that are sampled beyond that, besides the regular ones.
const SAMPLED: usize = 32;

/// Up to so many sectors a write is torn at every boundary.
const ALL_TEARS: usize = 12;

/// One way in which a life can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// The power goes, and this is left.
    Cut(Keep),
    /// The process dies and the page cache stays: all is visible, only what was synced is safe.
    Kill,
    /// The same, and the device never takes what was not synced, whatever is said of it later
    /// unless it is written again.
    StaleKill,
}

impl Image {
    /// The disk that the next life finds.
    #[must_use]
    pub fn build(self, memory: &Memory) -> Memory {
        match self {
            Self::Cut(keep) => memory.power_cut(keep),
            Self::Kill => memory.fork(),
            Self::StaleKill => {
                let disk = memory.fork();
                disk.lose_unsynced();
                disk
            }
        }
    }

    /// Whether the page cache stays.
    pub fn is_kill(self) -> bool {
        !matches!(self, Self::Cut(_))
    }
}

/// All images of a disk that are tried; the sampled ones follow from the seed.
pub fn of(memory: &Memory, seed: u64) -> Vec<Image> {
    let mut random = Prng::new(seed);
    let count = memory.unsynced();
    let mut keeps = subsets(count, &mut random);
    for index in 0..count.min(64) {
        let sectors = memory.unsynced_sectors(index).unwrap_or(1);
        tears(index, sectors, &mut random, &mut keeps);
    }
    let mut images: Vec<Image> = keeps.into_iter().map(Image::Cut).collect();
    // Without anything unsynced a page cache shows nothing that is not on the device.
    if count > 0 {
        images.extend([Image::Kill, Image::StaleKill]);
    }
    images
}

fn subsets(count: usize, random: &mut Prng) -> Vec<Keep> {
    if count <= ALL_SUBSETS {
        return (0..1_u64 << count).map(Keep::Chosen).collect();
    }
    let mut keeps = vec![Keep::None, Keep::All];
    for index in 0..count {
        keeps.extend([Keep::Only(index), Keep::AllBut(index)]);
    }
    keeps.extend((0..SAMPLED).map(|_| Keep::Chosen(random.next_u64())));
    keeps.extend((0..SAMPLED).map(|_| Keep::Random(random.next_u64())));
    keeps
}

/// A write torn at its sector boundaries: the first sectors or the last ones, the changes before it
/// kept, the later ones lost or kept.
fn tears(index: usize, sectors: usize, random: &mut Prng, keeps: &mut Vec<Keep>) {
    let before = (1_u64 << index) - 1;
    let mut tear = |sectors| {
        keeps.push(Keep::Sectors { chosen: before, index, sectors });
        keeps.push(Keep::Sectors { chosen: u64::MAX, index, sectors });
    };
    if sectors <= ALL_TEARS {
        for boundary in 1..sectors {
            let first = (1_u64 << boundary) - 1;
            tear(first);
            tear(!first);
        }
    } else {
        (0..ALL_TEARS).for_each(|_| tear(random.next_u64()));
    }
    if sectors > 2 {
        tear(random.next_u64());
    }
}
