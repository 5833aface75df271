//! A seeded generator whose outputs are fixed for all time: the same seed, the same run.
//!
//! Xoshiro256++ (Blackman and Vigna, 2019), its state filled by SplitMix64 as its authors advise.
//! Not for secrets. Where the seed comes from is the caller's matter: nothing here draws entropy.

/// A stream of numbers that follows from a seed alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prng {
    state: [u64; 4],
}

impl Prng {
    /// Returns the generator of `seed`; every seed is a good one.
    pub fn new(seed: u64) -> Self {
        let mut mixer = seed;
        Self { state: std::array::from_fn(|_| split_mix(&mut mixer)) }
    }

    /// Returns the next 64 bits, all values equally likely.
    pub fn next_u64(&mut self) -> u64 {
        let [mut a, mut b, mut c, mut d] = self.state;
        let output = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let shifted = b << 17;
        c ^= a;
        d ^= b;
        b ^= c;
        a ^= d;
        c ^= shifted;
        d = d.rotate_left(45);
        self.state = [a, b, c, d];
        output
    }

    /// Returns a number from 0 to `bound - 1`, all equally likely.
    ///
    /// # Panics
    /// If `bound` is 0: there is no such number.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "a draw needs at least one possible outcome");
        // Lemire, "Fast random integer generation in an interval", 2019: the low half tells which
        // draws would favour small numbers; those are drawn again.
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    /// Returns true `wins` times out of `draws` on average.
    ///
    /// # Panics
    /// If `draws` is 0.
    pub fn chance(&mut self, wins: u64, draws: u64) -> bool {
        self.below(draws) < wins
    }

    /// Returns one of the items, all equally likely, or nothing of an empty slice.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() {
            return None;
        }
        items.get(self.below(items.len() as u64) as usize)
    }

    /// Puts the items into an order drawn from all orders, all equally likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }

    /// Fills `bytes` with drawn ones; the same seed and length give the same bytes everywhere.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let drawn = self.next_u64().to_le_bytes();
            let (head, _) = drawn.split_at(chunk.len());
            chunk.copy_from_slice(head);
        }
    }
}

/// Steps SplitMix64 (Steele, Lea and Flood, 2014) and returns its output.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::{Prng, split_mix};

    #[test]
    fn split_mix_gives_the_published_outputs_of_seed_zero() {
        let mut state = 0;
        let outputs: [u64; 3] = std::array::from_fn(|_| split_mix(&mut state));
        assert_eq!(outputs, [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4, 0x06C4_5D18_8009_454F]);
    }

    #[test]
    fn xoshiro_gives_the_published_outputs_of_state_1_2_3_4() {
        let mut prng = Prng { state: [1, 2, 3, 4] };
        let outputs: [u64; 6] = std::array::from_fn(|_| prng.next_u64());
        let published = [
            41_943_041,
            58_720_359,
            3_588_806_011_781_223,
            3_591_011_842_654_386,
            9_228_616_714_210_784_205,
            9_973_669_472_204_895_162,
        ];
        assert_eq!(outputs, published);
    }

    #[test]
    fn draws_stay_below_the_bound_and_reach_every_value() {
        let mut prng = Prng::new(1);
        let mut seen = [0_u32; 7];
        for _ in 0..7_000 {
            seen[prng.below(7) as usize] += 1;
        }
        assert!(seen.iter().all(|&times| (850..1_150).contains(&times)), "{seen:?}");
        assert_eq!(prng.below(1), 0);
    }

    #[test]
    fn chances_come_as_often_as_said() {
        let mut prng = Prng::new(2);
        let wins = (0..10_000).filter(|_| prng.chance(1, 10)).count();
        assert!((900..1_100).contains(&wins), "{wins}");
        assert!(!prng.chance(0, 3));
        assert!(prng.chance(3, 3));
    }

    #[test]
    fn a_shuffle_keeps_the_items_and_follows_from_the_seed() {
        let order = |seed| {
            let mut items: Vec<u32> = (0..100).collect();
            Prng::new(seed).shuffle(&mut items);
            items
        };
        assert_eq!(order(3), order(3));
        assert_ne!(order(3), order(4));
        let mut sorted = order(3);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<u32>>());
    }

    #[test]
    fn nothing_is_picked_of_nothing() {
        let mut prng = Prng::new(5);
        assert_eq!(prng.pick::<u8>(&[]), None);
        assert_eq!(prng.pick(&[9]), Some(&9));
    }

    #[test]
    fn bytes_are_the_little_endian_outputs() {
        let (mut bytes, mut expected) = ([0; 11], Prng::new(6));
        Prng::new(6).fill(&mut bytes);
        assert_eq!(bytes[..8], expected.next_u64().to_le_bytes());
        assert_eq!(bytes[8..], expected.next_u64().to_le_bytes()[..3]);
    }
}
