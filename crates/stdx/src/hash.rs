//! The one hash of all our formats and routes: XXH3, whose output is specified and portable.

/// Returns the 64-bit XXH3 of `bytes` under `seed`.
#[inline]
pub fn hash64(seed: u64, bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(bytes, seed)
}

/// Returns the 128-bit XXH3 of `bytes` under `seed`.
#[inline]
pub fn hash128(seed: u64, bytes: &[u8]) -> u128 {
    xxhash_rust::xxh3::xxh3_128_with_seed(bytes, seed)
}

/// The 64-bit XXH3, unseeded, of bytes that come in pieces.
#[derive(Clone, Default)]
pub struct Hasher64(xxhash_rust::xxh3::Xxh3);

impl Hasher64 {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns [`hash64`] with seed 0 of all bytes so far.
    pub fn digest(&self) -> u64 {
        self.0.digest()
    }
}

impl std::fmt::Debug for Hasher64 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hasher64({:016x})", self.digest())
    }
}

#[cfg(test)]
mod tests {
    use super::{Hasher64, hash64, hash128};

    #[test]
    fn pieces_hash_to_what_the_whole_does() {
        let bytes: Vec<u8> = (0..5000_u32).map(|number| (number * 7) as u8).collect();
        let mut hasher = Hasher64::default();
        for piece in bytes.chunks(97) {
            hasher.update(piece);
        }
        assert_eq!(hasher.digest(), hash64(0, &bytes));
    }

    #[test]
    fn outputs_are_the_published_ones_of_the_empty_input() {
        assert_eq!(hash64(0, b""), 0x2D06_8005_38D3_94C2);
        assert_eq!(hash128(0, b""), 0x99AA_06D3_0147_98D8_6001_C324_468D_497F);
    }
}
