//! A hint to the processor that memory will be needed soon.

/// Bytes of a cache line, of most processors. Where lines are longer, some are asked for twice.
#[cfg(target_arch = "x86_64")]
const LINE_BYTES: usize = 64;

/// Asks for the cache lines of `place` without waiting for them. Has no other effect, on some
/// processors none at all.
#[inline]
pub fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    if let Some(last) = size_of::<T>().checked_sub(1) {
        let start = std::ptr::from_ref(place).cast::<i8>();
        // A line that is begun by the last step ends beyond it, where the place is not aligned.
        (0..last).step_by(LINE_BYTES).chain([last]).for_each(|at| line(start.wrapping_add(at)));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn line(at: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    #[expect(unsafe_code, reason = "the intrinsic takes a pointer; a prefetch never faults")]
    // SAFETY: a prefetch reads nothing and never faults, whatever the pointer is.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(at);
    }
}
