//! When a percentile may be told: once enough requests lie beyond it.

/// So many requests must lie beyond a percentile: a count of 100 is good to 20 % and one of 10 to a
/// factor; below that it is the maximum by another name.
const BEYOND_MIN: f64 = 10.0;

/// Returns how many requests it takes to tell the percentile that this share of them do not exceed.
pub(crate) fn needed(share: f64) -> u64 {
    let count = BEYOND_MIN / (1.0 - share);
    // Of 1 - 0.9 a crumb is left that rounding removes.
    ((count * 1e6).round() / 1e6).ceil() as u64
}

/// Whether `count` requests tell the percentile that this share of them do not exceed.
pub(crate) fn is_told(count: u64, share: f64) -> bool {
    count >= needed(share)
}

#[cfg(test)]
mod tests {
    use super::{is_told, needed};

    #[test]
    fn a_percentile_needs_ten_requests_beyond_it() {
        let cases = [(0.5, 20), (0.9, 100), (0.95, 200), (0.99, 1_000), (0.999, 10_000)];
        for (share, expected) in cases.into_iter().chain([(0.9999, 100_000), (0.0, 10)]) {
            assert_eq!(needed(share), expected, "{share}");
            assert!(is_told(expected, share) && !is_told(expected - 1, share), "{share}");
        }
    }
}
