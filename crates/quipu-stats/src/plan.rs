//! How many pairs a comparison needs before it is run, and what it could see at all.

/// Standard errors between no difference and one that is found four times out of five: 1.96 for
/// 5 % false alarms on two sides, 0.84 for 80 % power.
const POWER: f64 = 2.8;

/// The fewest pairs with which a two-sided rank test can reach p < 0.05 (2 / 2^6 = 0.031).
pub const PAIRS_MIN: u64 = 6;

/// Returns the pairs that find a difference of `delta` four times out of five, and at least
/// [`PAIRS_MIN`]: n = (2.8 s / delta)^2.
///
/// `deviation` is the standard deviation of the log ratios of a pilot of equal sides, `delta` a
/// log ratio: 0.05 is about 5 %. Nothing if either is not a number above zero (a deviation of
/// zero is one), or the count would be beyond any plan (2^53).
pub fn pairs_needed(deviation: f64, delta: f64) -> Option<u64> {
    let needed = (POWER * deviation / delta).powi(2).ceil();
    let is_known = deviation >= 0.0 && delta > 0.0 && needed < (1_u64 << 53) as f64;
    is_known.then(|| (needed as u64).max(PAIRS_MIN))
}

/// Returns the least difference that so many pairs find four times out of five, as a log ratio:
/// 2.8 s / sqrt(n). Infinite of no pairs.
pub fn detectable_effect(deviation: f64, pairs: u64) -> f64 {
    if pairs == 0 { f64::INFINITY } else { POWER * deviation / (pairs as f64).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::{detectable_effect, pairs_needed};

    #[test]
    fn a_smaller_difference_needs_more_pairs() {
        for (deviation, delta, expected) in [
            (0.05, 0.05, Some(8)),
            (0.05, 0.01, Some(196)),
            (0.0, 0.05, Some(6)),
            (0.05, 0.0, None),
            (f64::NAN, 0.05, None),
        ] {
            assert_eq!(pairs_needed(deviation, delta), expected, "{deviation} {delta}");
        }
    }

    #[test]
    fn the_planned_pairs_can_see_the_difference() {
        for delta in [0.01, 0.02, 0.07] {
            let pairs = pairs_needed(0.1, delta).unwrap();
            assert!(detectable_effect(0.1, pairs) <= delta);
        }
        assert!(detectable_effect(0.1, 0).is_infinite());
    }
}
