//! Bytes read as decisions: what to do next, with which numbers and texts.
//!
//! Past its end a script says 0 to everything, so every prefix of an input is an input.

/// Numbers at which things break.
const EDGES: [u64; 10] = [
    0,
    1,
    127,
    128,
    i64::MAX as u64,
    i64::MIN as u64,
    u64::MAX - 1,
    u64::MAX,
    u32::MAX as u64,
    1 << 48,
];

/// The rest of an input.
#[derive(Debug, Clone, Copy)]
pub struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    /// Begins at the first byte.
    pub fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    /// Whether all is read.
    pub fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    /// A number below `end`, which is from 1 to 256.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    /// Whether something of `n` in 256 happens.
    pub fn chance(&mut self, n: u8) -> bool {
        self.byte() < n
    }

    /// A number: mostly a small one, sometimes one at an edge, sometimes eight bytes.
    pub fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..=199 => u64::from(small),
            200..=219 => u64::from(self.byte()) << 8 | u64::from(self.byte()),
            220..=239 => EDGES[self.below(EDGES.len())],
            _ => self.word(),
        }
    }

    /// A number around 0.
    pub fn signed(&mut self) -> i64 {
        match self.byte() {
            small @ 0..=199 => i64::from(small) - 100,
            200..=239 => EDGES[self.below(EDGES.len())] as i64,
            _ => self.word() as i64,
        }
    }

    /// Eight bytes.
    pub fn word(&mut self) -> u64 {
        let taken = self.take(8);
        taken.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
    }

    /// Up to `most` bytes; a byte before them says how many.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let wanted = usize::from(self.byte());
        self.take(wanted.min(most))
    }

    /// The next `count` bytes, or as many as there are.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }
}
