//! A hash table that grows in small steps: extendible hashing over pages of a fixed maximum.
//!
//! No insert ever moves more than one page, so there is no stall at any size. A page covers a range
//! of *order* (some bits of the hash), and a split keeps ranges in order: a scan by order sees every
//! entry that exists throughout.
//!
//! Bits of the 64-bit hash: 47..=56 choose the shard, 46 downward choose the page, and the page's
//! own table uses the lowest and the 7 highest. None is used twice at sizes that occur.

use hashbrown::HashTable;

/// Most entries of a page: 7/8 of 1,024 buckets, the load at which the page's table would double.
/// Splitting it takes about 10 us. Guess from the cost of a move (about 10 ns).
const PAGE_ENTRIES_MAX: usize = 896;

/// Deepest directory. Beyond it pages grow instead; 2^26 pages hold over 10^10 entries.
const DEPTH_MAX: u32 = 26;

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
    pages: Vec<Page<E>>,
    directory: Vec<u32>,
    depth: u32,
    seed: u64,
    len: usize,
}

#[derive(Debug)]
struct Page<E> {
    entries: HashTable<E>,
    depth: u32,
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
        let page = Page { entries: HashTable::new(), depth: 0 };
        Self { pages: vec![page], directory: vec![0], depth: 0, seed, len: 0 }
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

    /// Finds an entry.
    #[inline]
    pub fn find(&self, hash: u64, same: impl FnMut(&E) -> bool) -> Option<&E> {
        self.pages[self.page_index(hash)].entries.find(hash, same)
    }

    /// Asks for the memory of an entry that will be looked for soon, without waiting for it.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        let page = &self.pages[self.page_index(hash)];
        // Nothing is compared, so nothing is waited for: only the candidates' places are wanted.
        let _none = page.entries.find(hash, |entry| {
            stdx::prefetch::prefetch(entry);
            false
        });
    }

    /// Finds an entry to change; its hash must stay.
    #[inline]
    pub fn find_mut(&mut self, hash: u64, same: impl FnMut(&E) -> bool) -> Option<&mut E> {
        let page = self.page_index(hash);
        self.pages[page].entries.find_mut(hash, same)
    }

    /// Inserts an entry that is not in the table and returns it. Cost: at most one page is moved.
    pub fn insert(&mut self, hash: u64, entry: E) -> &mut E {
        debug_assert_eq!(hash, entry.hash(self.seed), "an entry is filed under its own hash");
        let mut page = self.page_index(hash);
        while self.pages[page].entries.len() >= PAGE_ENTRIES_MAX && self.split(page) {
            page = self.page_index(hash);
        }
        self.len += 1;
        let seed = self.seed;
        self.pages[page].entries.insert_unique(hash, entry, |e| e.hash(seed)).into_mut()
    }

    /// Removes an entry.
    pub fn remove(&mut self, hash: u64, same: impl FnMut(&E) -> bool) -> Option<E> {
        let page = self.page_index(hash);
        let found = self.pages[page].entries.find_entry(hash, same).ok()?;
        self.len -= 1;
        Some(found.remove().0)
    }

    /// Every entry, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        self.pages.iter().flat_map(|p| p.entries.iter())
    }

    /// Visits entries from `from` on in scan order, about `count` of them (one page at least, and
    /// all that share an order), and returns where to go on, or none at the end.
    pub fn scan(&self, from: u64, count: usize, mut visit: impl FnMut(&E)) -> Option<u64> {
        let mut at = from;
        let mut seen = 0;
        loop {
            let slot = if self.depth == 0 { 0 } else { at >> (64 - self.depth) };
            let page = &self.pages[self.directory[slot as usize] as usize];
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
            at = page_end(at, page.depth)?;
            if seen >= count {
                return Some(at);
            }
        }
    }

    /// Visits the entries of the page with this number, in no order; says whether there is one. A
    /// walk over rising numbers sees every entry that exists throughout: what is split off a page
    /// gets a number above all others. It may see an entry twice.
    pub fn visit_page(&self, page: usize, visit: impl FnMut(&E)) -> bool {
        self.pages.get(page).map(|page| page.entries.iter().for_each(visit)).is_some()
    }

    /// The entries of a page from order `at` on, sorted.
    fn in_order<'a>(&self, page: &'a Page<E>, at: u64) -> Vec<(u64, &'a E)> {
        let with_order = page.entries.iter().map(|e| (order(e.hash(self.seed)), e));
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
        let seed = self.seed;
        let old = std::mem::take(&mut self.pages[page].entries);
        let half = PAGE_ENTRIES_MAX / 2;
        let (mut low, mut high) = (HashTable::with_capacity(half), HashTable::with_capacity(half));
        let mut high_order = None;
        for entry in old {
            let hash = entry.hash(seed);
            let into = if order(hash) >> (63 - depth) & 1 == 0 { &mut low } else { &mut high };
            high_order = Some(order(hash));
            into.insert_unique(hash, entry, |e| e.hash(seed));
        }
        self.pages[page] = Page { entries: low, depth: depth + 1 };
        self.pages.push(Page { entries: high, depth: depth + 1 });
        let high_page = (self.pages.len() - 1) as u32;
        self.redirect(high_order.unwrap_or(0), depth, high_page);
        true
    }

    /// Points the upper half of the range of a page of `depth`, found by any order in it, to `page`.
    fn redirect(&mut self, any_order: u64, depth: u32, page: u32) {
        let prefix = if depth == 0 { 0 } else { any_order >> (64 - depth) };
        let span = 1_usize << (self.depth - depth);
        let start = prefix as usize * span;
        for slot in &mut self.directory[start + span / 2..start + span] {
            *slot = page;
        }
    }
}

/// The first order after the range of the page that holds `at`, or none after the last.
fn page_end(at: u64, depth: u32) -> Option<u64> {
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

    #[test]
    fn a_scan_step_is_bounded() {
        let table = filled(20_000);
        let mut seen = 0;
        table.scan(0, 10, |_| seen += 1);
        assert!((10..20).contains(&seen), "{seen}");
    }
}
