//! A hash table that grows in small steps: extendible hashing over small dense pages.
//!
//! No insert ever moves more than one page, so there is no stall at any size. A page covers a range
//! of *order* (some bits of the hash), and a split keeps ranges in order: a scan by order sees every
//! entry that exists throughout.
//!
//! A page holds its entries without gaps, and one byte of each entry's hash, its tag, side by side.
//! To find an entry is to search those bytes, two cache lines of them, and to compare what has the
//! same tag. So the load of a hash table does not multiply the size of entries: some five bytes for
//! each entry are overhead.
//!
//! Bits of the 64-bit hash: 47..=56 choose the shard, 46 downward choose the page, and the lowest
//! eight are the tag. None is used twice at sizes that occur.

mod blocks;
mod page;

use blocks::Blocks;
pub use blocks::Spot;
use page::{PAGE_ENTRIES_MAX, Page};

/// Deepest directory. 2^22 pages hold over 10^8 entries, and a node has a table for each of its
/// shards. What finds no place then is kept aside and compared one by one.
const DEPTH_MAX: u8 = 22;

/// Position of the page-choosing bits: they become the highest.
const ORDER_SHIFT: u32 = 17;

/// What a table holds.
pub trait Hashed {
    /// The entry's hash under the table's seed; the same for its whole life.
    fn hash(&self, seed: u64) -> u64;
}

/// The table. `E` is found by hash and a comparison.
#[derive(Debug)]
pub struct Table<E> {
    pages: Vec<Page>,
    blocks: Blocks<E>,
    directory: Vec<u32>,
    depth: u8,
    seed: u64,
    len: usize,
    /// Entries without a place in their page: only a hash that fails at its purpose gets there.
    strays: Vec<E>,
}

/// The place of a hash in scan order.
#[inline]
pub fn order(hash: u64) -> u64 {
    hash << ORDER_SHIFT
}

/// The shard bits of a hash, for up to 1,024 shards.
#[inline]
pub fn shard_bits(hash: u64) -> u16 {
    ((hash >> 47) & 0x3FF) as u16
}

impl<E: Hashed> Table<E> {
    /// An empty table whose entries are hashed under `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            pages: vec![Page::new(0)],
            blocks: Blocks::new(),
            directory: vec![0],
            depth: 0,
            seed,
            len: 0,
            strays: Vec::new(),
        }
    }

    /// How many entries it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    fn page_index(&self, hash: u64) -> usize {
        let slot = if self.depth == 0 { 0 } else { order(hash) >> (64 - self.depth) };
        self.directory[slot as usize] as usize
    }

    /// The place of an entry in its page.
    #[inline]
    fn place(&self, page: usize, hash: u64, mut same: impl FnMut(&E) -> bool) -> Option<usize> {
        let page = &self.pages[page];
        page.places(hash).find(|at| page.get(&self.blocks, *at).is_some_and(&mut same))
    }

    /// Finds an entry.
    #[inline]
    pub fn find(&self, hash: u64, mut same: impl FnMut(&E) -> bool) -> Option<&E> {
        let page = &self.pages[self.page_index(hash)];
        let mut tagged = page.places(hash).filter_map(|at| page.get(&self.blocks, at));
        tagged.find(|entry| same(entry)).or_else(|| self.strays.iter().find(|e| same(e)))
    }

    /// Asks for the memory of an entry that will be looked for soon, without waiting for it.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        // Nothing is compared, so nothing is waited for but the tags.
        self.spots(hash).for_each(|spot| self.prefetch_spot(spot));
    }

    /// Asks for the memory of the page of an entry: what [`Table::spots`] waits for.
    #[inline]
    pub fn prefetch_page(&self, hash: u64) {
        stdx::prefetch::prefetch(&self.pages[self.page_index(hash)]);
    }

    /// Where an entry of this hash may lie; not whether it does.
    #[inline]
    pub fn spots(&self, hash: u64) -> impl Iterator<Item = Spot> {
        let page = &self.pages[self.page_index(hash)];
        page.places(hash).map(|at| page.spot(at))
    }

    /// Asks for the memory of the entry at a spot.
    #[inline]
    pub fn prefetch_spot(&self, spot: Spot) {
        self.blocks.prefetch(spot);
    }

    /// The entry at a spot, to change; its hash must stay. It may be any one, or none.
    #[inline]
    pub fn at_mut(&mut self, spot: Spot) -> Option<&mut E> {
        self.blocks.get_mut(spot.block, spot.at as usize)?.as_mut()
    }

    /// Finds an entry to change; its hash must stay.
    #[inline]
    pub fn find_mut(&mut self, hash: u64, mut same: impl FnMut(&E) -> bool) -> Option<&mut E> {
        let page = self.page_index(hash);
        match self.place(page, hash, &mut same) {
            Some(at) => self.pages[page].get_mut(&mut self.blocks, at)?.as_mut(),
            None => self.strays.iter_mut().find(|entry| same(entry)),
        }
    }

    /// Inserts an entry that is not in the table and returns it. Cost: at most one page is moved.
    pub fn insert(&mut self, hash: u64, entry: E) -> &mut E {
        debug_assert_eq!(hash, entry.hash(self.seed), "an entry is filed under its own hash");
        self.len += 1;
        let mut page = self.page_index(hash);
        while self.pages[page].len() == PAGE_ENTRIES_MAX {
            if !self.split(page) {
                self.strays.push(entry);
                return self.strays.last_mut().expect("it was just pushed");
            }
            page = self.page_index(hash);
        }
        self.pages[page].push(&mut self.blocks, hash, entry)
    }

    /// Finds an entry to change; its hash must stay. Inserts what `fresh` makes where there is none.
    pub fn find_or_insert(
        &mut self,
        hash: u64,
        mut same: impl FnMut(&E) -> bool,
        fresh: impl FnOnce() -> E,
    ) -> &mut E {
        let page = self.page_index(hash);
        if let Some(at) = self.place(page, hash, &mut same) {
            let place = self.pages[page].get_mut(&mut self.blocks, at);
            return place.and_then(Option::as_mut).expect("an entry was found there");
        }
        if let Some(at) = self.strays.iter().position(&mut same) {
            return &mut self.strays[at];
        }
        self.insert(hash, fresh())
    }

    /// Removes an entry.
    pub fn remove(&mut self, hash: u64, mut same: impl FnMut(&E) -> bool) -> Option<E> {
        let page = self.page_index(hash);
        let removed = if let Some(at) = self.place(page, hash, &mut same) {
            self.pages[page].remove(&mut self.blocks, at)?
        } else {
            let at = self.strays.iter().position(same)?;
            self.strays.swap_remove(at)
        };
        self.len -= 1;
        Some(removed)
    }

    /// The entries of a page.
    fn entries(&self, page: &Page) -> impl Iterator<Item = &E> {
        (0..page.len()).filter_map(|at| page.get(&self.blocks, at))
    }

    /// Every entry, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        self.pages.iter().flat_map(|page| self.entries(page)).chain(&self.strays)
    }

    /// Takes every entry out, in no order.
    pub fn into_entries(self) -> impl Iterator<Item = E> {
        self.blocks.into_entries().chain(self.strays)
    }

    /// Every entry, in no order, to change; hashes must stay.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut E> {
        self.blocks.iter_mut().chain(&mut self.strays)
    }

    /// Visits entries from `from` on in scan order, about `count` of them (one page at least, and
    /// all that share an order), and returns where to go on, or none at the end.
    pub fn scan(&self, from: u64, count: usize, mut visit: impl FnMut(&E)) -> Option<u64> {
        let mut at = from;
        let mut seen = 0;
        loop {
            let slot = if self.depth == 0 { 0 } else { at >> (64 - self.depth) };
            let page = self.directory[slot as usize] as usize;
            let found = self.in_order(page, at);
            let fits = count.saturating_sub(seen).min(found.len());
            // Entries of one order stay together, or the cursor would pass over some of them.
            let last = fits.checked_sub(1).and_then(|i| found.get(i)).map(|(o, _)| *o);
            let end = found.partition_point(|(o, _)| Some(*o) <= last);
            found.iter().take(end).for_each(|(_, entry)| visit(entry));
            seen += end;
            if let Some((next, _)) = found.get(end) {
                return Some(*next);
            }
            at = page_end(at, self.pages[page].depth)?;
            if seen >= count {
                return Some(at);
            }
        }
    }

    /// Visits the entries of the page with this number, in no order; says whether there is one. A
    /// walk over rising numbers sees every entry that exists throughout: what is split off a page
    /// gets a number above all others. It may see an entry twice.
    pub fn visit_page(&self, page: usize, visit: impl FnMut(&E)) -> bool {
        let Some(found) = self.pages.get(page) else { return false };
        let ours = |entry: &&E| self.page_index(entry.hash(self.seed)) == page;
        self.entries(found).chain(self.strays.iter().filter(ours)).for_each(visit);
        true
    }

    /// The entries of a page from order `at` on, sorted.
    fn in_order(&self, page: usize, at: u64) -> Vec<(u64, &E)> {
        let ours = |entry: &&E| self.page_index(entry.hash(self.seed)) == page;
        let entries = self.entries(&self.pages[page]).chain(self.strays.iter().filter(ours));
        let with_order = entries.map(|entry| (order(entry.hash(self.seed)), entry));
        let mut found: Vec<_> = with_order.filter(|(o, _)| *o >= at).collect();
        found.sort_by_key(|(o, _)| *o);
        found
    }

    /// Splits a full page in two; false where it cannot be split further.
    fn split(&mut self, page: usize) -> bool {
        let depth = self.pages[page].depth;
        if depth >= DEPTH_MAX {
            return false;
        }
        if depth == self.depth {
            self.directory = self.directory.iter().flat_map(|&p| [p, p]).collect();
            self.depth += 1;
        }
        let mut old = std::mem::replace(&mut self.pages[page], Page::new(depth + 1));
        let high_page = self.pages.len();
        self.pages.push(Page::new(depth + 1));
        let mut any_order = 0;
        while let Some(entry) = old.remove(&mut self.blocks, old.len().wrapping_sub(1)) {
            let hash = entry.hash(self.seed);
            any_order = order(hash);
            let into = if any_order >> (63 - depth) & 1 == 0 { page } else { high_page };
            self.pages[into].push(&mut self.blocks, hash, entry);
        }
        self.redirect(any_order, depth, high_page as u32);
        true
    }

    /// Points the upper half of the range of a page of `depth`, found by any order in it, to `page`.
    fn redirect(&mut self, any_order: u64, depth: u8, page: u32) {
        let prefix = if depth == 0 { 0 } else { any_order >> (64 - depth) };
        let span = 1_usize << (self.depth - depth);
        let start = prefix as usize * span;
        for slot in &mut self.directory[start + span / 2..start + span] {
            *slot = page;
        }
    }
}

/// The first order after the range of the page that holds `at`, or none after the last.
fn page_end(at: u64, depth: u8) -> Option<u64> {
    if depth == 0 {
        return None;
    }
    ((at >> (64 - depth)) + 1).checked_mul(1 << (64 - depth)).filter(|&end| end != 0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use stdx::hash::hash64;

    use super::{Hashed, Table};

    #[derive(Debug, Clone, PartialEq)]
    struct Number(u64);

    impl Hashed for Number {
        fn hash(&self, seed: u64) -> u64 {
            hash64(seed, &self.0.to_le_bytes())
        }
    }

    fn filled(n: u64) -> Table<Number> {
        let mut table = Table::new(7);
        for i in 0..n {
            table.insert(Number(i).hash(7), Number(i));
        }
        table
    }

    #[test]
    fn what_was_inserted_is_found_until_it_is_removed() {
        let mut table = filled(50_000);
        assert_eq!(table.len(), 50_000);
        for i in (0..50_000).step_by(2) {
            let gone = table.remove(Number(i).hash(7), |e| e.0 == i);
            assert_eq!(gone, Some(Number(i)));
        }
        for i in 0..50_000 {
            let found = table.find(Number(i).hash(7), |e| e.0 == i);
            assert_eq!(found.is_some(), i % 2 == 1, "{i}");
        }
        assert_eq!(table.iter().count(), 25_000);
    }

    #[test]
    fn a_scan_sees_every_entry_that_exists_throughout_while_others_are_inserted() {
        let mut table = filled(5_000);
        let mut seen = BTreeSet::new();
        let (mut from, mut next) = (0, 5_000);
        loop {
            let went_on = table.scan(from, 100, |e| {
                seen.insert(e.0);
            });
            for _ in 0..20 {
                table.insert(Number(next).hash(7), Number(next));
                next += 1;
            }
            match went_on {
                Some(at) => from = at,
                None => break,
            }
        }
        assert!((0..5_000).all(|i| seen.contains(&i)));
    }

    #[derive(Debug)]
    struct Colliding(u64);

    impl Hashed for Colliding {
        fn hash(&self, _seed: u64) -> u64 {
            7
        }
    }

    #[test]
    fn entries_that_no_split_parts_are_found_and_removed_all_the_same() {
        let mut table = Table::new(7);
        for i in 0..300 {
            table.insert(7, Colliding(i));
        }
        for i in (0..300).rev() {
            assert!(table.find(7, |e| e.0 == i).is_some(), "{i}");
            assert_eq!(table.remove(7, |e| e.0 == i).map(|e| e.0), Some(i));
            assert!(table.find(7, |e| e.0 == i).is_none(), "{i}");
        }
        assert!(table.is_empty());
    }

    #[test]
    fn a_scan_step_is_bounded() {
        let table = filled(20_000);
        let mut seen = 0;
        table.scan(0, 10, |_| seen += 1);
        assert!((10..20).contains(&seen), "{seen}");
    }
}
