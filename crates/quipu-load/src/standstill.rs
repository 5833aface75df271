//! What stood still, in a report's own words, so that none of it hides in a tail: connections, and what
//! was under way at the end.

use stdx::units::Nanos;

use crate::thread::Lap;

/// How often something stood still.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    silent: u64,
    unmade: u64,
    cut_off: u64,
}

/// Returns what a report says of connections on which nothing moved for a whole timeout, and of
/// requests that were not waited for so long.
pub(crate) fn told(laps: impl Iterator<Item = Lap>, timeout: Nanos) -> Vec<String> {
    let mut all = Counts::default();
    for lap in laps {
        all.silent += lap.silent;
        all.unmade += lap.unmade;
        all.cut_off += lap.cut_off;
    }
    words(all, timeout)
}

fn words(counts: Counts, timeout: Nanos) -> Vec<String> {
    let times = |count| if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let silent = format!(
        "STALLED {}: nothing came on a connection for the timeout of {timeout}, not even a sign of \
         life; what was under way failed as timeout, and it was made again",
        times(counts.silent)
    );
    let unmade = format!(
        "STALLED {}: a connection was not made within the timeout of {timeout}; requests waited \
         meanwhile, and it was tried again",
        times(counts.unmade)
    );
    let cut_off = format!(
        "CUT OFF {}: requests that were under way when the {timeout} to drain were over, each for \
         less than that; they count as timeout",
        counts.cut_off
    );
    let all = [(counts.silent, silent), (counts.unmade, unmade), (counts.cut_off, cut_off)];
    all.into_iter().filter(|(count, _)| *count > 0).map(|(_, sentence)| sentence).collect()
}

#[cfg(test)]
mod tests {
    use stdx::units::Nanos;

    use super::{Counts, words};

    #[test]
    fn only_what_happened_is_told() {
        let check = |counts, expected: &[&str]| {
            let told = words(counts, Nanos::from_secs(5));
            assert_eq!(told.len(), expected.len(), "{told:?}");
            let mut pairs = told.iter().zip(expected);
            assert!(pairs.all(|(line, expected)| line.starts_with(expected)), "{told:?}");
        };
        let none = Counts::default();
        check(none, &[]);
        let silent = "STALLED once: nothing came on a connection for the timeout of 5s";
        check(Counts { silent: 1, ..none }, &[silent]);
        let unmade = "STALLED 4 times: a connection was not made within the timeout of 5s";
        check(Counts { silent: 1, unmade: 4, ..none }, &[silent, unmade]);
        check(Counts { cut_off: 64, ..none }, &["CUT OFF 64: requests that were under way"]);
    }
}
