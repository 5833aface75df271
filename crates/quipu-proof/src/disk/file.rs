//! One file: the pages that readers see, and the pages that a power cut leaves.

use std::collections::BTreeSet;
use std::sync::Arc;

use stdx::hash::hash64;

use super::{Counts, Keep};

/// Length of a page in bytes: that of the machine's page cache.
pub(super) const PAGE_BYTES: usize = 4096;

/// Where a page tears: the smallest unit that disks write whole, in bytes.
const SECTOR_BYTES: usize = 512;

type Page = Arc<[u8; PAGE_BYTES]>;

/// What a file holds: its length and its pages; a page that is none holds zeros.
#[derive(Debug, Clone, Default)]
struct Image {
    length: u64,
    pages: Vec<Option<Page>>,
}

/// One file.
#[derive(Debug, Clone, Default)]
pub(super) struct File {
    seen: Image,
    durable: Image,
    /// Pages that were written, cut off or added since the last sync.
    dirty: BTreeSet<usize>,
}

fn page_of(offset: u64) -> (usize, usize) {
    ((offset / PAGE_BYTES as u64) as usize, (offset % PAGE_BYTES as u64) as usize)
}

impl File {
    /// Length in bytes, as readers see it.
    pub(super) fn length(&self) -> u64 {
        self.seen.length
    }

    /// Reads up to `size` bytes.
    pub(super) fn read(&self, offset: u64, size: usize) -> Vec<u8> {
        let end = self.seen.length.min(offset + size as u64);
        let mut bytes = vec![0; end.saturating_sub(offset) as usize];
        let mut done = 0;
        while done < bytes.len() {
            let (number, within) = page_of(offset + done as u64);
            let count = (PAGE_BYTES - within).min(bytes.len() - done);
            let part = bytes.get_mut(done..done + count);
            if let (Some(part), Some(Some(page))) = (part, self.seen.pages.get(number)) {
                part.copy_from_slice(&page[within..within + count]);
            }
            done += count;
        }
        bytes
    }

    /// Writes bytes.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.seen.length = self.seen.length.max(offset + bytes.len() as u64);
        self.fit();
        let mut done = 0;
        while done < bytes.len() {
            let (number, within) = page_of(offset + done as u64);
            let count = (PAGE_BYTES - within).min(bytes.len() - done);
            self.page_mut(number)[within..within + count]
                .copy_from_slice(&bytes[done..done + count]);
            done += count;
        }
    }

    fn page_mut(&mut self, number: usize) -> &mut [u8; PAGE_BYTES] {
        self.dirty.insert(number);
        let page = self.seen.pages.get_mut(number).expect("the pages fit the length");
        Arc::make_mut(page.get_or_insert_with(|| Arc::new([0; PAGE_BYTES])))
    }

    /// Makes as many pages as the length needs; those that go or come are dirty.
    fn fit(&mut self) {
        let before = self.seen.pages.len();
        let count = self.seen.length.div_ceil(PAGE_BYTES as u64) as usize;
        self.seen.pages.resize(count, None);
        self.dirty.extend(before.min(count)..before.max(count));
    }

    /// Sets the length; new bytes are zero.
    pub(super) fn set_length(&mut self, length: u64) {
        let is_shorter = length < self.seen.length;
        self.seen.length = length;
        self.fit();
        let (number, within) = page_of(length);
        if is_shorter && within > 0 {
            self.page_mut(number)[within..].fill(0);
        }
    }

    /// Makes all of it durable.
    pub(super) fn sync(&mut self) {
        self.durable.pages.resize(self.seen.pages.len(), None);
        self.durable.length = self.seen.length;
        for number in std::mem::take(&mut self.dirty) {
            self.keep(number);
        }
    }

    fn keep(&mut self, number: usize) {
        let seen = self.seen.pages.get(number).cloned().flatten();
        if let Some(page) = self.durable.pages.get_mut(number) {
            *page = seen;
        }
    }

    /// A sync that failed: what waited counts as clean and is never written.
    pub(super) fn lose(&mut self) {
        self.dirty.clear();
    }

    /// Power goes: what was not synced is kept or lost, and readers see what is left.
    pub(super) fn cut(&mut self, keep: Keep, inode: u64, counts: &mut Counts) {
        match keep {
            Keep::Everything => self.sync(),
            Keep::Nothing => counts.pages_lost += self.dirty.len() as u64,
            Keep::Some(seed) => self.cut_some(of_file(seed, inode), Self::tear, counts),
            Keep::Garbled(seed) => self.cut_some(of_file(seed, inode), Self::garble, counts),
        }
        self.dirty.clear();
        self.seen = self.durable.clone();
    }

    /// Keeps some pages, loses some, and lets `harm` do to others what a cut within a write does.
    fn cut_some(&mut self, seed: u64, harm: fn(&mut Self, usize, u64), counts: &mut Counts) {
        let draw = |number: u64| hash64(seed, &number.to_le_bytes());
        if draw(u64::MAX).is_multiple_of(2) {
            self.durable.length = self.seen.length;
            self.durable.pages.resize(self.seen.pages.len(), None);
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        // What was cut off was not written: it is there, or gone with the length.
        dirty.retain(|number| *number < self.seen.pages.len());
        for number in dirty {
            match draw(number as u64) % 3 {
                0 => counts.pages_lost += 1,
                1 => self.keep(number),
                _ => {
                    harm(self, number, draw(number as u64) >> 32);
                    counts.pages_torn += 1;
                }
            }
        }
    }

    /// Leaves anything in a page.
    fn garble(&mut self, number: usize, noise: u64) {
        let Some(page) = self.durable.pages.get_mut(number) else { return };
        let page = Arc::make_mut(page.get_or_insert_with(|| Arc::new([0; PAGE_BYTES])));
        for (index, word) in page.chunks_mut(size_of::<u64>()).enumerate() {
            word.copy_from_slice(&hash64(noise, &index.to_le_bytes()).to_le_bytes());
        }
    }

    /// Keeps those sectors of a page whose bits are set.
    fn tear(&mut self, number: usize, sectors: u64) {
        let seen = self.seen.pages.get(number).cloned().flatten();
        let Some(page) = self.durable.pages.get_mut(number) else { return };
        let seen = seen.unwrap_or_else(|| Arc::new([0; PAGE_BYTES]));
        let page = Arc::make_mut(page.get_or_insert_with(|| Arc::new([0; PAGE_BYTES])));
        let pairs = page.chunks_mut(SECTOR_BYTES).zip(seen.chunks(SECTOR_BYTES));
        for (index, (durable, seen)) in pairs.enumerate() {
            if sectors >> index & 1 == 1 {
                durable.copy_from_slice(seen);
            }
        }
    }
}

/// The seed of one file.
fn of_file(seed: u64, inode: u64) -> u64 {
    hash64(seed, &inode.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with a synced "old", overwritten by "new" and followed by a page of sevens.
    fn file() -> File {
        let mut file = File::default();
        file.write(0, b"old");
        file.sync();
        file.write(0, b"new");
        file.write(PAGE_BYTES as u64, &[7; PAGE_BYTES]);
        file
    }

    fn check(keep: Keep, begin: &[u8], length: u64) {
        let mut file = file();
        file.cut(keep, 1, &mut Counts::default());
        assert_eq!(file.read(0, 3), begin, "{keep:?}");
        assert_eq!(file.length(), length, "{keep:?}");
    }

    #[test]
    fn a_cut_leaves_what_was_synced() {
        check(Keep::Nothing, b"old", 3);
        check(Keep::Everything, b"new", 2 * PAGE_BYTES as u64);
    }

    #[test]
    fn a_torn_page_keeps_whole_sectors() {
        let torn = |seed| {
            let mut file = file();
            file.cut(Keep::Some(seed), 1, &mut Counts::default());
            let page = file.read(PAGE_BYTES as u64, PAGE_BYTES);
            let sectors = page.chunks(SECTOR_BYTES);
            assert!(sectors.clone().all(|sector| sector.iter().all(|byte| *byte == sector[0])));
            sectors.filter(|sector| sector[0] == 7).count()
        };
        let counts: Vec<usize> = (0..64).map(torn).collect();
        assert!(counts.iter().any(|count| (1..8).contains(count)), "{counts:?}");
        assert!(counts.contains(&0) && counts.contains(&8), "{counts:?}");
    }

    #[test]
    fn a_garbled_page_was_being_written_and_others_are_whole() {
        let garbled = |seed| {
            let mut file = file();
            file.write(2 * PAGE_BYTES as u64, &[8; PAGE_BYTES]);
            file.sync();
            file.write(PAGE_BYTES as u64, &[9; PAGE_BYTES]);
            file.cut(Keep::Garbled(seed), 1, &mut Counts::default());
            assert_eq!(file.read(0, 3), b"new");
            assert_eq!(file.read(2 * PAGE_BYTES as u64, PAGE_BYTES), [8; PAGE_BYTES]);
            let page = file.read(PAGE_BYTES as u64, PAGE_BYTES);
            page != [7; PAGE_BYTES] && page != [9; PAGE_BYTES]
        };
        let times = (0..64).filter(|seed| garbled(*seed)).count();
        assert!((1..64).contains(&times), "{times}");
    }

    #[test]
    fn what_was_cut_off_is_there_or_gone_and_not_torn() {
        for seed in 0..64 {
            let mut file = file();
            file.sync();
            file.set_length(PAGE_BYTES as u64);
            file.cut(Keep::Garbled(seed), 1, &mut Counts::default());
            let rest = file.read(PAGE_BYTES as u64, PAGE_BYTES);
            assert!(rest.is_empty() || rest == [7; PAGE_BYTES], "seed {seed}");
        }
    }

    #[test]
    fn a_failed_sync_leaves_pages_readable_and_never_durable() {
        let mut file = file();
        file.lose();
        file.sync();
        assert_eq!(file.read(0, 3), b"new");
        file.cut(Keep::Everything, 1, &mut Counts::default());
        assert_eq!(file.read(0, 3), b"old");
    }

    #[test]
    fn a_shorter_file_that_grows_again_is_zero() {
        let mut file = file();
        file.set_length(1);
        file.set_length(10);
        assert_eq!(file.read(0, 20), b"n\0\0\0\0\0\0\0\0\0");
    }
}
