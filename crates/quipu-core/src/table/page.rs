//! A page: the tags of up to 128 entries, and the blocks that the entries lie in.

use super::blocks::{BLOCK_ENTRIES, Blocks, Spot};

/// Most entries of a page: the tags fill two cache lines. Splitting it takes about 2 us. Guess: with
/// more, every second search would meet a wrong entry of the same tag first.
pub(super) const PAGE_ENTRIES_MAX: usize = 128;

/// Entries without gaps, in no order.
#[derive(Debug)]
pub(super) struct Page {
    tags: [u8; PAGE_ENTRIES_MAX],
    blocks: [u32; PAGE_ENTRIES_MAX / BLOCK_ENTRIES],
    len: u8,
    /// How many bits of the order all its entries share.
    pub(super) depth: u8,
}

impl Page {
    /// An empty page.
    pub(super) fn new(depth: u8) -> Self {
        Self {
            tags: [0; PAGE_ENTRIES_MAX],
            blocks: [0; PAGE_ENTRIES_MAX / BLOCK_ENTRIES],
            len: 0,
            depth,
        }
    }

    /// How many entries it has.
    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Places whose entries may have this hash: few beside the right one.
    #[inline]
    pub(super) fn places(&self, hash: u64) -> impl Iterator<Item = usize> {
        memchr::memchr_iter(tag(hash), self.tags.get(..self.len()).unwrap_or(&self.tags))
    }

    #[inline]
    fn block(&self, at: usize) -> u32 {
        self.blocks[at / BLOCK_ENTRIES % self.blocks.len()]
    }

    /// The entry at a place.
    #[inline]
    pub(super) fn get<'b, E>(&self, blocks: &'b Blocks<E>, at: usize) -> Option<&'b E> {
        blocks.get(self.block(at), at % BLOCK_ENTRIES)
    }

    /// The entry at a place, to change.
    #[inline]
    pub(super) fn get_mut<'b, E>(
        &self,
        blocks: &'b mut Blocks<E>,
        at: usize,
    ) -> Option<&'b mut Option<E>> {
        blocks.get_mut(self.block(at), at % BLOCK_ENTRIES)
    }

    /// Adds an entry; there must be room.
    pub(super) fn push<'b, E>(
        &mut self,
        blocks: &'b mut Blocks<E>,
        hash: u64,
        entry: E,
    ) -> &'b mut E {
        let at = self.len();
        assert!(at < PAGE_ENTRIES_MAX, "a full page is split first");
        if at.is_multiple_of(BLOCK_ENTRIES) {
            self.blocks[at / BLOCK_ENTRIES] = blocks.take();
        }
        self.tags[at] = tag(hash);
        self.len += 1;
        self.get_mut(blocks, at).expect("blocks that are taken are there").insert(entry)
    }

    /// Removes the entry at a place; the last one takes it.
    pub(super) fn remove<E>(&mut self, blocks: &mut Blocks<E>, at: usize) -> Option<E> {
        let last = self.len().checked_sub(1)?;
        let moved = self.get_mut(blocks, last)?.take();
        if last.is_multiple_of(BLOCK_ENTRIES) {
            blocks.give_back(self.block(last));
        }
        self.len -= 1;
        if at == last {
            return moved;
        }
        self.tags[at] = self.tags[last];
        let place = self.get_mut(blocks, at)?;
        std::mem::replace(place, moved)
    }

    /// Where the entry at a place lies.
    #[inline]
    pub(super) fn spot(&self, at: usize) -> Spot {
        Spot { block: self.block(at), at: (at % BLOCK_ENTRIES) as u32 }
    }
}

/// The tag of a hash.
#[inline]
fn tag(hash: u64) -> u8 {
    hash as u8
}
