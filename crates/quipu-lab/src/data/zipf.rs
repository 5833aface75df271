//! Zipf's law by rejection-inversion: constant time and memory for any number of keys.
//!
//! W. Hormann and G. Derflinger, "Rejection-inversion to generate variates from monotone discrete
//! distributions", ACM TOMACS 6 (3), 1996.

use stdx::prng::Prng;

/// Draws `i` of `0..count` in proportion to `1 / (i + 1)^exponent`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Zipf {
    count: u32,
    exponent: f64,
    /// The integral of the density up to half before the first and half after the last.
    low: f64,
    high: f64,
    /// Below this distance from the drawn point an index is taken without looking at its density.
    squeeze: f64,
}

/// Why there is no such distribution.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("a zipf exponent is above 0 and at most 10, not {exponent}")]
pub struct ZipfError {
    /// What was asked for.
    pub exponent: f64,
}

impl Zipf {
    /// Returns the distribution over `count` indices.
    ///
    /// # Errors
    /// The exponent is not above 0 and at most 10: beyond, all draws but one in a thousand are the
    /// first key.
    pub fn new(count: u32, exponent: f64) -> Result<Self, ZipfError> {
        if !(exponent > 0.0 && exponent <= 10.0) {
            return Err(ZipfError { exponent });
        }
        let mut zipf = Self { count, exponent, low: 0.0, high: 0.0, squeeze: 0.0 };
        zipf.low = zipf.integral(1.5) - 1.0;
        zipf.high = zipf.integral(f64::from(count) + 0.5);
        zipf.squeeze = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.density(2.0));
        Ok(zipf)
    }

    /// Draws an index.
    pub fn draw(&self, prng: &mut Prng) -> u32 {
        loop {
            let uniform = (prng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
            let area = self.high + uniform * (self.low - self.high);
            let point = self.inverse(area);
            let rank = point.round().clamp(1.0, f64::from(self.count));
            let is_near = rank - point <= self.squeeze;
            if is_near || area >= self.integral(rank + 0.5) - self.density(rank) {
                return rank as u32 - 1;
            }
        }
    }

    fn density(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    /// The integral of the density from 1 to `x`: `(x^(1 - s) - 1) / (1 - s)`, the logarithm at 1.
    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        log * exp_less_1_by((1.0 - self.exponent) * log)
    }

    fn inverse(&self, area: f64) -> f64 {
        // Rounding must not take the argument of the logarithm below 0.
        let scaled = (area * (1.0 - self.exponent)).max(-1.0);
        (area * log_1_plus_by(scaled)).exp()
    }
}

/// `(e^x - 1) / x`, which is 1 at 0.
fn exp_less_1_by(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.exp_m1() / x } else { 1.0 + x / 2.0 }
}

/// `ln(1 + x) / x`, which is 1 at 0.
fn log_1_plus_by(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.ln_1p() / x } else { 1.0 - x / 2.0 }
}
