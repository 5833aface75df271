//! Where the rows of a shard's tokens lie: a hash table that grows by one small bucket at a time.
//!
//! Extendible hashing. A bucket is two cache lines: the tags of up to 15 tokens, which all a search
//! looks at, and their rows. So a fresh token, which is found nowhere, waits for one line, and the
//! memory that a search needs is known from the hash alone and can be asked for ahead.

/// Most tokens of a bucket: with their number and depth they fill two cache lines.
const ENTRIES_MAX: usize = 15;

/// Buckets that are allocated at once, 32 KiB: a table that grows copies none of them. Guess.
const CHUNK_BUCKETS: usize = 256;

/// Deepest directory: 2^22 buckets hold over 4 * 10^7 tokens, and a node has a table for each of
/// its shards. What finds no place then is kept aside and compared one by one.
const DEPTH_MAX: u8 = 22;

/// Bits of a hash that choose the bucket, from the highest downward, and that tell the tokens of
/// one bucket from each other.
type Tag = u32;

/// Tokens whose tags begin alike.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Bucket {
    tags: [Tag; ENTRIES_MAX],
    len: u8,
    /// How many bits all its tags share.
    depth: u8,
    rows: [u32; ENTRIES_MAX],
}

const _: () = assert!(size_of::<Bucket>() == 128);

impl Bucket {
    const fn new(depth: u8) -> Self {
        Self { tags: [0; ENTRIES_MAX], len: 0, depth, rows: [0; ENTRIES_MAX] }
    }

    fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// A bit for each place with this tag.
    #[inline]
    fn matches(&self, tag: Tag) -> u32 {
        let bit = |(place, other): (usize, &Tag)| u32::from(*other == tag) << place;
        // All are compared, those after the last too: a loop without an end is done at once.
        let all = self.tags.iter().enumerate().map(bit).fold(0, |all, bit| all | bit);
        all & ((1 << self.len) - 1)
    }

    /// The places with this tag and their rows.
    #[inline]
    fn rows(&self, tag: Tag) -> impl Iterator<Item = (usize, u32)> {
        let mut left = self.matches(tag);
        std::iter::from_fn(move || {
            let place = left.trailing_zeros() as usize;
            let row = *self.rows.get(place)?;
            left &= left - 1;
            Some((place, row))
        })
    }

    fn push(&mut self, tag: Tag, row: u32) {
        let place = self.len();
        self.tags[place] = tag;
        self.rows[place] = row;
        self.len += 1;
    }

    /// Removes what is at a place; the last one takes it.
    fn remove(&mut self, place: usize) {
        self.len -= 1;
        let last = self.len();
        self.tags[place] = self.tags[last];
        self.rows[place] = self.rows[last];
    }
}

/// The rows of one shard's tokens by their hash.
#[derive(Debug)]
pub(super) struct Places {
    chunks: Vec<Box<[Bucket]>>,
    buckets: usize,
    directory: Vec<u32>,
    depth: u8,
    len: usize,
    /// Tokens without a place in their bucket: only a hash that fails at its purpose gets there.
    strays: Vec<(Tag, u32)>,
}

impl Default for Places {
    fn default() -> Self {
        let mut places = Self {
            chunks: Vec::new(),
            buckets: 0,
            directory: vec![0],
            depth: 0,
            len: 0,
            strays: Vec::new(),
        };
        places.add_bucket(0);
        places
    }
}

/// The tag of a hash.
#[inline]
fn tag(hash: u64) -> Tag {
    (hash >> 32) as Tag
}

impl Places {
    /// How many tokens have a place.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether none has.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an empty bucket and returns its number.
    fn add_bucket(&mut self, depth: u8) -> usize {
        let number = self.buckets;
        if number.is_multiple_of(CHUNK_BUCKETS) {
            self.chunks.push(vec![Bucket::new(0); CHUNK_BUCKETS].into_boxed_slice());
        }
        self.buckets += 1;
        *self.bucket_mut(number) = Bucket::new(depth);
        number
    }

    #[inline]
    fn bucket(&self, number: usize) -> &Bucket {
        &self.chunks[number / CHUNK_BUCKETS][number % CHUNK_BUCKETS]
    }

    fn bucket_mut(&mut self, number: usize) -> &mut Bucket {
        &mut self.chunks[number / CHUNK_BUCKETS][number % CHUNK_BUCKETS]
    }

    /// The slot of the directory for a tag.
    #[inline]
    fn slot(&self, tag: Tag) -> usize {
        if self.depth == 0 { 0 } else { (tag >> (32 - self.depth)) as usize }
    }

    #[inline]
    fn number(&self, tag: Tag) -> usize {
        self.directory[self.slot(tag)] as usize
    }

    /// Asks for what [`Places::prefetch`] waits for.
    #[inline]
    pub(super) fn prefetch_directory(&self, hash: u64) {
        stdx::prefetch::prefetch(&self.directory[self.slot(tag(hash))]);
    }

    /// Asks for the memory in which a hash will be looked for, and filed.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        let bucket = self.bucket(self.number(tag(hash)));
        stdx::prefetch::prefetch(&bucket.tags);
        stdx::prefetch::prefetch(&bucket.rows[ENTRIES_MAX - 1]);
    }

    /// Finds the row of a hash for which `is_it` says yes.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let tag = tag(hash);
        let found = self.bucket(self.number(tag)).rows(tag).find(|(_, row)| is_it(*row));
        let stray = |(other, row): &&(Tag, u32)| *other == tag && is_it(*row);
        match found {
            Some((_, row)) => Some(row),
            None => self.strays.iter().find(stray).map(|(_, row)| *row),
        }
    }

    /// Files a row under a hash. Cost: at most the entries of one bucket are moved, nearly always.
    pub(super) fn insert(&mut self, hash: u64, row: u32) {
        let tag = tag(hash);
        self.len += 1;
        let mut number = self.number(tag);
        while self.bucket(number).len() == ENTRIES_MAX {
            if !self.split(number) {
                return self.strays.push((tag, row));
            }
            number = self.number(tag);
        }
        self.bucket_mut(number).push(tag, row);
    }

    /// Takes a row out that is filed under a hash.
    pub(super) fn remove(&mut self, hash: u64, row: u32) {
        let tag = tag(hash);
        let number = self.number(tag);
        let bucket = self.bucket_mut(number);
        let place = bucket.rows(tag).find(|(_, other)| *other == row).map(|(place, _)| place);
        if let Some(place) = place {
            bucket.remove(place);
            self.len -= 1;
        } else if let Some(at) = self.strays.iter().position(|stray| *stray == (tag, row)) {
            self.strays.swap_remove(at);
            self.len -= 1;
        }
    }

    /// Splits a full bucket in two; false where it cannot be split further.
    fn split(&mut self, number: usize) -> bool {
        let old = *self.bucket(number);
        if old.depth >= DEPTH_MAX {
            return false;
        }
        if old.depth == self.depth {
            self.directory = self.directory.iter().flat_map(|&number| [number; 2]).collect();
            self.depth += 1;
        }
        *self.bucket_mut(number) = Bucket::new(old.depth + 1);
        let high = self.add_bucket(old.depth + 1);
        let any = old.tags[0];
        for (tag, row) in old.tags.into_iter().zip(old.rows) {
            let into = if tag << old.depth >> 31 == 0 { number } else { high };
            self.bucket_mut(into).push(tag, row);
        }
        self.redirect(any, old.depth, high as u32);
        true
    }

    /// Points the upper half of the range of a bucket of `depth`, found by any tag in it, to
    /// another.
    fn redirect(&mut self, any: Tag, depth: u8, to: u32) {
        let span = 1_usize << (self.depth - depth);
        let start = self.slot(any) / span * span;
        self.directory[start + span / 2..start + span].fill(to);
    }
}

#[cfg(test)]
mod tests {
    use super::{Bucket, ENTRIES_MAX, Places};

    fn hash(number: u32) -> u64 {
        stdx::hash::hash64(7, &number.to_le_bytes())
    }

    #[test]
    fn what_was_filed_is_found_until_it_is_taken_out() {
        let mut places = Places::default();
        for number in 0..50_000 {
            places.insert(hash(number), number);
        }
        assert_eq!(places.len(), 50_000);
        assert!(places.strays.is_empty());
        for number in (0..50_000).step_by(2) {
            places.remove(hash(number), number);
            places.remove(hash(number), number);
        }
        for number in 0..50_000 {
            let found = places.find(hash(number), |row| row == number);
            assert_eq!(found.is_some(), number % 2 == 1, "{number}");
            places.prefetch_directory(hash(number));
            places.prefetch(hash(number));
        }
        assert_eq!(places.len(), 25_000);
    }

    #[test]
    fn rows_that_no_split_parts_are_found_and_taken_out_all_the_same() {
        let mut places = Places::default();
        (0..40).for_each(|row| places.insert(9 << 32, row));
        assert_eq!(places.strays.len(), 40 - ENTRIES_MAX);
        for row in (0..40).rev() {
            assert_eq!(places.find(9 << 32, |other| other == row), Some(row));
            places.remove(9 << 32, row);
            assert_eq!(places.find(9 << 32, |other| other == row), None);
        }
        assert_eq!(places.len(), 0);
    }

    #[test]
    fn a_bucket_is_two_thirds_full_on_average() {
        let mut places = Places::default();
        (0..100_000).for_each(|number| places.insert(hash(number), number));
        let bytes = places.buckets * size_of::<Bucket>() + places.directory.len() * 4;
        assert!((10..16).contains(&(bytes / 100_000)), "{bytes}");
    }
}
