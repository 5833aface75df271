//! Room for entries in blocks of one size, so that pages of any length leave no gaps in memory.
//!
//! Pages that grew as pieces of the allocator would grow all at about the same time, each leaving a
//! hole that is too small for the next. A block that is given back is as good as any other.

/// Entries of a block: half of one is unused in each page. Guess.
pub(super) const BLOCK_ENTRIES: usize = 8;

/// Blocks that are allocated at once: some 40 KiB of counters, so that a table of ten million finds
/// its chunks in the cache. Guess.
const CHUNK_BLOCKS: usize = 128;

const CHUNK_ENTRIES: usize = CHUNK_BLOCKS * BLOCK_ENTRIES;

/// Where an entry lies, or lay: it may have moved, and another may have come.
#[derive(Debug, Clone, Copy)]
pub struct Spot {
    pub(super) block: u32,
    pub(super) at: u32,
}

impl Spot {
    /// Where nothing lies: no table has so many blocks.
    pub const NONE: Self = Self { block: u32::MAX, at: 0 };
}

/// Blocks of entries, known by number.
#[derive(Debug)]
pub(super) struct Blocks<E> {
    chunks: Vec<Box<[Option<E>]>>,
    free: Vec<u32>,
}

impl<E> Blocks<E> {
    /// No block.
    pub(super) fn new() -> Self {
        Self { chunks: Vec::new(), free: Vec::new() }
    }

    /// Takes an empty block.
    pub(super) fn take(&mut self) -> u32 {
        if self.free.is_empty() {
            let first = (self.chunks.len() * CHUNK_BLOCKS) as u32;
            self.chunks.push((0..CHUNK_ENTRIES).map(|_| None).collect());
            // Neighbours are taken one after the other.
            self.free.extend((first..first + CHUNK_BLOCKS as u32).rev());
        }
        self.free.pop().expect("a chunk has blocks")
    }

    /// Gives an empty block back.
    pub(super) fn give_back(&mut self, block: u32) {
        self.free.push(block);
    }

    /// The place of an entry of a block.
    #[inline]
    pub(super) fn get(&self, block: u32, at: usize) -> Option<&E> {
        let (chunk, place) = place(block, at);
        self.chunks.get(chunk)?.get(place)?.as_ref()
    }

    /// Asks for the memory of an entry.
    #[inline]
    pub(super) fn prefetch(&self, spot: Spot) {
        let (chunk, place) = place(spot.block, spot.at as usize);
        if let Some(entry) = self.chunks.get(chunk).and_then(|chunk| chunk.get(place)) {
            stdx::prefetch::prefetch(entry);
        }
    }

    /// The place of an entry of a block, to change.
    #[inline]
    pub(super) fn get_mut(&mut self, block: u32, at: usize) -> Option<&mut Option<E>> {
        let (chunk, place) = place(block, at);
        self.chunks.get_mut(chunk)?.get_mut(place)
    }

    /// Takes every entry out of every block.
    pub(super) fn into_entries(self) -> impl Iterator<Item = E> {
        self.chunks.into_iter().flat_map(|chunk| chunk.into_iter().flatten())
    }

    /// Every entry of every block.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut E> {
        self.chunks.iter_mut().flat_map(|chunk| chunk.iter_mut().flatten())
    }
}

#[inline]
fn place(block: u32, at: usize) -> (usize, usize) {
    let block = block as usize;
    (block / CHUNK_BLOCKS, block % CHUNK_BLOCKS * BLOCK_ENTRIES + at)
}
