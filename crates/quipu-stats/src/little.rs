//! Little's law: requests in flight = throughput times time in the system, for any system.

/// A check of three measured figures against each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Little {
    /// Requests in flight that throughput and time imply.
    pub expected_in_flight: f64,
    /// Measured over expected; 1 where the figures fit together.
    pub ratio: f64,
}

impl Little {
    /// Whether the figures agree within a ratio either way: 0.05 is a factor of 1.05.
    pub fn holds(&self, tolerance_ratio: f64) -> bool {
        self.ratio <= 1.0 + tolerance_ratio && self.ratio >= 1.0 / (1.0 + tolerance_ratio)
    }
}

/// Checks the mean number of requests in flight against the requests per second that ended and
/// the mean seconds from sending to reply, all over the same stretch of time.
///
/// Nothing unless all three are above zero. Where it fails, one of the three is wrong: requests
/// that were not counted, a time that begins too late, a stretch with a backlog at one end.
/// Source: Little, Operations Research 9, 1961.
pub fn little(in_flight: f64, per_s: f64, response_s: f64) -> Option<Little> {
    let expected_in_flight = per_s * response_s;
    let are_known = in_flight > 0.0 && expected_in_flight > 0.0 && expected_in_flight.is_finite();
    are_known.then(|| Little { expected_in_flight, ratio: in_flight / expected_in_flight })
}

#[cfg(test)]
mod tests {
    use super::little;

    #[test]
    fn figures_that_belong_together_agree() {
        let fitting = little(50.0, 10_000.0, 0.005).unwrap();
        assert!((fitting.ratio - 1.0).abs() < 1e-12 && fitting.holds(0.01));
        // A generator that times from the write and not from the due time sees half of it.
        assert!(!little(50.0, 10_000.0, 0.0025).unwrap().holds(0.1));
        assert!(!little(20.0, 10_000.0, 0.005).unwrap().holds(0.1));
    }

    #[test]
    fn nothing_is_checked_against_nothing() {
        for (in_flight, per_s, response_s) in
            [(0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, f64::NAN, 1.0)]
        {
            assert_eq!(little(in_flight, per_s, response_s), None);
        }
    }
}
