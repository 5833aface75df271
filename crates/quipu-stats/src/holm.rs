//! Several metrics judged at once: the chance of a single false claim stays what it was for one.

/// Returns Holm's adjusted p values, in the order given: a claim stands where its adjusted value
/// is at most alpha.
///
/// Source: Holm, "A simple sequentially rejective multiple test procedure", 1979. It needs no
/// independence. Values that are not numbers count as 1. Cost: one sort.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let known = |p: f64| if p.is_nan() { 1.0 } else { p };
    let mut order: Vec<(usize, f64)> = p_values.iter().map(|p| known(*p)).enumerate().collect();
    order.sort_by(|left, right| left.1.total_cmp(&right.1));
    let mut least = 0.0_f64;
    for (place, (_, p)) in order.iter_mut().enumerate() {
        least = least.max((*p * (p_values.len() - place) as f64).min(1.0));
        *p = least;
    }
    order.sort_by_key(|(index, _)| *index);
    order.into_iter().map(|(_, adjusted)| adjusted).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::holm;

    #[test]
    fn adjusted_values_are_those_of_r() {
        // R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm"), by hand from Holm's paper
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - expected).abs() < 1e-12, "{adjusted:?}");
        }
        assert_eq!(holm(&[f64::NAN, 0.9]), [1.0, 1.0]);
        assert_eq!(holm(&[]), Vec::<f64>::new());
    }

    proptest! {
        #[test]
        fn adjusting_never_helps_a_claim_and_keeps_the_order(
            p_values in prop::collection::vec(0.0..=1.0_f64, 1..12),
        ) {
            let adjusted = holm(&p_values);
            for (p, q) in p_values.iter().zip(&adjusted) {
                prop_assert!(q >= p && *q <= 1.0);
                for (other_p, other_q) in p_values.iter().zip(&adjusted) {
                    prop_assert!(p > other_p || q <= other_q);
                }
            }
        }
    }
}
