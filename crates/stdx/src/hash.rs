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

#[cfg(test)]
mod tests {
    use super::{hash64, hash128};

    #[test]
    fn outputs_are_the_published_ones_of_the_empty_input() {
        assert_eq!(hash64(0, b""), 0x2D06_8005_38D3_94C2);
        assert_eq!(hash128(0, b""), 0x99AA_06D3_0147_98D8_6001_C324_468D_497F);
    }
}
