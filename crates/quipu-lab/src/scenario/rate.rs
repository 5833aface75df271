//! A rate as an exact number.

use std::fmt;

/// Slots per second, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Rate(u64);

impl Rate {
    /// Nothing at all.
    pub const ZERO: Self = Self(0);

    /// The most: 100 million per second, beyond any generator and exact in every sum (a day of it
    /// is below 2^64 thousandths).
    pub const MAX: Self = Self(100_000_000_000);

    /// Returns a whole number of slots per second, at most [`Self::MAX`].
    pub const fn whole(per_second: u64) -> Self {
        let thousandths = per_second.saturating_mul(1_000);
        if thousandths > Self::MAX.0 { Self::MAX } else { Self(thousandths) }
    }

    /// Returns the nearest rate to a number from 0 to that of [`Self::MAX`], or nothing for others.
    pub fn new(per_second: f64) -> Option<Self> {
        let thousandths = (per_second * 1_000.0).round();
        (0.0..=Self::MAX.0 as f64).contains(&thousandths).then_some(Self(thousandths as u64))
    }

    /// Returns the rate as a number of slots per second.
    pub fn per_second(self) -> f64 {
        self.0 as f64 / 1_000.0
    }

    /// Returns the rate as a number of slots per 1,000 seconds.
    pub const fn thousandths(self) -> u64 {
        self.0
    }

    /// Returns the rate after `step` of `steps` equal steps to another; `self` when there are none.
    #[must_use]
    pub fn towards(self, other: Self, step: u64, steps: u64) -> Self {
        let part = |whole: u64| (u128::from(whole) * u128::from(step) / u128::from(steps)) as u64;
        match steps {
            0 => self,
            _ if other.0 >= self.0 => Self(self.0 + part(other.0 - self.0)),
            _ => Self(self.0 - part(self.0 - other.0)),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.per_second())
    }
}
