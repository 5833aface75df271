//! One histogram as the percentile text of HdrHistogram (`.hgrm`), which its plotters read.

use std::fmt::Write as _;

use crate::finding::Latency;
use crate::window::decode;

/// How many steps are shown until half of the rest lies behind: what the tools of HdrHistogram have.
const STEPS_PER_HALF: u32 = 5;

/// Slots of one bucket of a histogram with three digits: the power of two above twice a thousand.
const SUB_BUCKETS: u32 = 2_048;

/// Returns the percentiles of a histogram, with values in milliseconds; of an empty one only the head.
pub fn hgrm(latency: &Latency) -> String {
    let mut text = format!("{:>12} {:>14} ", "Value", "Percentile");
    text += "TotalCount 1/(1-Percentile)\n\n";
    let Some(all) = decode(&latency.hdr).filter(|all| !all.is_empty()) else { return text };
    let mut say = |line: String| writeln!(text, "{line}").expect("a string takes text");
    let mut total = 0;
    for step in all.iter_quantiles(STEPS_PER_HALF) {
        total += step.count_since_last_iteration();
        let share = step.quantile_iterated_to();
        let beyond = 1.0 / (1.0 - share);
        let beyond = if share < 1.0 { format!(" {beyond:>14.2}") } else { String::new() };
        say(format!("{:>12.3} {share:>2.12} {total:>10}{beyond}", ms(step.value_iterated_to())));
    }
    let (mean_ms, deviation_ms) = (all.mean() / 1e6, all.stdev() / 1e6);
    say(format!("#[Mean    = {mean_ms:>12.3}, StdDeviation   = {deviation_ms:>12.3}]"));
    say(format!("#[Max     = {:>12.3}, Total count    = {:>12}]", ms(all.max()), all.len()));
    say(format!("#[Buckets = {:>12}, SubBuckets     = {SUB_BUCKETS:>12}]", all.buckets()));
    text
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::hgrm;
    use crate::finding::{Latency, sample};

    /// The file is what HistogramLogProcessor of HdrHistogram 2.2.2 (Java) makes of the log of the same
    /// finding.
    #[test]
    fn the_reference_implementation_writes_the_same_percentiles() {
        expect_file!["hgrm/oracle.hgrm"].assert_eq(&hgrm(&sample::finding().total.response));
    }

    #[test]
    fn nothing_has_a_head_only() {
        assert_eq!(hgrm(&Latency::default()).lines().count(), 2);
    }
}
