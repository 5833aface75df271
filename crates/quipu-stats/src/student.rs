//! Student's t distribution: how far a mean of few values may lie from the truth.

use crate::beta;

/// Halvings of the search for a quantile: enough to use up the digits of a double.
const HALVINGS: u32 = 200;

/// P(|T| >= |t|) with that many degrees of freedom, which need not be whole; 1 without any.
pub fn two_sided(t: f64, freedom: f64) -> f64 {
    if t.is_nan() || freedom.is_nan() || freedom <= 0.0 {
        return 1.0;
    }
    if t.is_infinite() {
        return 0.0;
    }
    beta::regularised(freedom / (freedom + t * t), freedom / 2.0, 0.5)
}

/// The t that |T| exceeds with probability `1 - confidence`; infinite where nothing bounds it.
pub fn half_width(confidence: f64, freedom: f64) -> f64 {
    let outside = 1.0 - confidence;
    let (mut low, mut high) = (0.0, 1.0);
    while two_sided(high, freedom) > outside {
        high *= 2.0;
        if high > f64::MAX / 4.0 {
            return f64::INFINITY;
        }
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if two_sided(middle, freedom) > outside {
            low = middle;
        } else {
            high = middle;
        }
        if high - low <= f64::EPSILON * high {
            break;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::{half_width, two_sided};

    #[test]
    fn probabilities_and_quantiles_are_those_of_scipy() {
        // scipy 1.16.3: 2 * stats.t.sf(t, df); stats.t.ppf(0.975, df)
        for (t, freedom, expected) in [
            (2.0, 10.0, 0.073_388_034_770_740_23),
            (1.0, 1.0, 0.5),
            (5.0, 3.5, 0.010_550_178_991_867_78),
        ] {
            assert!(
                (two_sided(t, freedom) - expected).abs() < 1e-10,
                "{t} {freedom} {}",
                two_sided(t, freedom)
            );
        }
        for (freedom, expected) in [
            (1.0, 12.706_204_736_432_095),
            (9.0, 2.262_157_162_854_099),
            (1e6, 1.959_966_356_814_107),
        ] {
            assert!((half_width(0.95, freedom) - expected).abs() < 1e-6, "{freedom}");
        }
        assert!(two_sided(f64::INFINITY, 3.0) == 0.0);
        assert!(half_width(0.95, 0.0).is_infinite());
    }
}
