//! A hint to the processor that memory will be needed soon.

/// Asks for the cache line of `place` without waiting for it. Has no other effect, on some
/// processors none at all.
#[inline]
pub fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "the intrinsic takes a pointer; a prefetch never faults")]
    // SAFETY: the pointer comes from a reference, and a prefetch reads nothing.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}
