//! A seeded generator for the tests: the same seed gives the same run on every machine.

/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, good enough to choose test inputs.
#[derive(Debug, Clone)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// Returns the generator of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Returns the next 64 random bits.
    pub const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// Returns a number in `0..bound`; `bound` is positive.
    pub const fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "a choice needs at least one possibility");
        (self.next() % bound as u64) as usize
    }

    /// Returns whether an event of probability `percent` / 100 happens.
    pub const fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Returns one of `choices`, which is not empty.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}
