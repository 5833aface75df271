//! A range that is said to hold a true value, at a confidence that its maker states.

/// Both ends of a confidence interval, in the unit of the estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Whether the value lies inside; the ends do.
    pub fn contains(self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// Whether all of it lies inside `outer`, ends excluded.
    pub fn is_inside(self, outer: Self) -> bool {
        outer.low < self.low && self.high < outer.high
    }

    /// Both ends through a function that rises everywhere, such as `exp`.
    #[must_use]
    pub fn map(self, rising: impl Fn(f64) -> f64) -> Self {
        Self { low: rising(self.low), high: rising(self.high) }
    }
}

#[cfg(test)]
mod tests {
    use super::Interval;

    #[test]
    fn ends_are_in_the_interval_and_not_inside_themselves() {
        let unit = Interval { low: 0.0, high: 1.0 };
        assert!(unit.contains(0.0) && unit.contains(1.0) && !unit.contains(1.1));
        assert!(!unit.is_inside(unit));
        assert!(unit.is_inside(unit.map(|end| 3.0 * end - 1.0)));
    }
}
