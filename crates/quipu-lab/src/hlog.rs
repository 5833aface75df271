//! A finding as an interval log of HdrHistogram, version 1.3.
//!
//! Response times stand in it as they were kept over time: one interval for each window of the
//! finding, tagged `phase/response`. A request is in the window in which it ended, so one that ended
//! after its phase is in the first interval of the next. What is only kept per phase has one interval
//! as long as the phase: `phase/service`, `phase/lag`, and `phase/failed-class`. Histograms are in
//! nanoseconds; the maxima that stand in clear are in milliseconds, as the tools of HdrHistogram
//! expect. The log is as long as the windows are many, which are bounded for any length of run.

use std::fmt::Write as _;

use stdx::time::wall_ms_of;

use crate::finding::{Finding, PhaseFinding};

/// What stands before the intervals. Readers look for the version and the start.
const VERSION_LINE: &str = "#[Histogram log format version 1.3]";
/// The heads of the columns, as HdrHistogram writes them.
const HEAD: &str =
    r#""StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram""#;

/// One line of the log.
struct Interval<'f> {
    tag: String,
    start_ns: u64,
    len_ns: u64,
    max_ns: u64,
    hdr: &'f str,
}

/// Returns the log. Times of intervals count from its `StartTime`.
pub fn hlog(finding: &Finding) -> String {
    let mut text = String::new();
    let mut say = |line: String| writeln!(text, "{line}").expect("a string takes text");
    let start_s = wall_ms_of(&finding.started).unwrap_or(0) as f64 / 1e3;
    say(VERSION_LINE.to_owned());
    say(format!(
        "#[quipu load: {}, latencies in nanoseconds, maxima in ms]",
        tag(&finding.plan.name)
    ));
    say(format!("#[StartTime: {start_s:.3} (seconds since epoch), {}]", finding.started));
    say(HEAD.to_owned());
    for interval in intervals(finding) {
        let Interval { tag, start_ns, len_ns, max_ns, hdr } = interval;
        let (start_s, len_s) = (start_ns as f64 / 1e9, len_ns as f64 / 1e9);
        say(format!("Tag={tag},{start_s:.3},{len_s:.3},{:.3},{hdr}", max_ns as f64 / 1e6));
    }
    text
}

/// Returns all intervals, sorted by their start as readers expect.
fn intervals(finding: &Finding) -> Vec<Interval<'_>> {
    let windows = finding.windows.iter().map(|window| Interval {
        tag: format!("{}/response", tag(finding.phase_name(window.phase))),
        start_ns: window.start_ns,
        len_ns: window.len_ns,
        max_ns: window.response.max_ns,
        hdr: &window.response_hdr,
    });
    let phases = finding.phases.iter().flat_map(whole);
    let mut intervals: Vec<_> = windows.chain(phases).filter(|one| !one.hdr.is_empty()).collect();
    intervals.sort_by_key(|interval| interval.start_ns);
    intervals
}

/// Returns what is kept of a phase as a whole.
fn whole(phase: &PhaseFinding) -> Vec<Interval<'_>> {
    let failed = phase.failures.iter().map(|(class, latency)| (format!("failed-{class}"), latency));
    let kept = [("service".to_owned(), &phase.service), ("lag".to_owned(), &phase.lag)];
    kept.into_iter()
        .chain(failed)
        .map(|(kind, latency)| Interval {
            tag: tag(&format!("{}/{kind}", phase.name)),
            start_ns: phase.start_ns,
            len_ns: phase.end_ns - phase.start_ns,
            max_ns: latency.percentiles.max_ns,
            hdr: &latency.hdr,
        })
        .collect()
}

/// Returns a name as a tag may be: without commas, brackets and blanks.
fn tag(name: &str) -> String {
    let is_of_tag = |char: char| char.is_ascii_graphic() && !matches!(char, ',' | '[' | ']' | '"');
    name.chars().map(|char| if is_of_tag(char) { char } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::hlog;
    use crate::finding::sample;
    use crate::recording::{Latencies, latencies, merge};
    use crate::window::decode;

    /// What a log says of each tag: how many intervals, and all of them merged.
    fn read(log: &str) -> BTreeMap<String, (usize, Latencies)> {
        let mut tags = BTreeMap::new();
        for entry in IntervalLogIterator::new(log.as_bytes()) {
            let LogEntry::Interval(interval) = entry.expect("a log") else { continue };
            let tag = interval.tag().expect("a tag").as_str().to_owned();
            let (count, all) = tags.entry(tag).or_insert_with(|| (0, latencies()));
            *count += 1;
            merge(all, &decode(interval.encoded_histogram()).expect("a histogram"));
        }
        tags
    }

    #[test]
    fn a_reader_of_such_logs_finds_every_request() {
        let finding = sample::finding();
        let log = hlog(&finding);
        assert!(log.starts_with("#[Histogram log format version 1.3]\n"), "{log}");
        let tags = read(&log);
        let main = &finding.phases[1];
        for (kind, count, latency) in [
            ("response", 4, &main.response),
            ("service", 1, &main.service),
            ("lag", 1, &main.lag),
            ("failed-timeout", 1, &main.failures["timeout"]),
        ] {
            let (found, all) = &tags[&format!("<img_src=x>___b__&_c/{kind}")];
            assert_eq!((*found, all.len()), (count, latency.count), "{kind}");
            assert_eq!(*all, decode(&latency.hdr).expect("our own"), "{kind}");
        }
        assert_eq!(tags["warmup/response"].1.len(), finding.phases[0].response.count);
    }

    /// The figures, cut to microseconds, are those that HistogramLogProcessor of HdrHistogram 2.2.2 (Java)
    /// says of this log.
    #[test]
    fn the_reference_implementation_reads_the_same_figures() {
        let tags = read(&hlog(&sample::finding()));
        let all = &tags["<img_src=x>___b__&_c/response"].1;
        let figures = [0.5, 0.9, 0.99, 0.999, 1.0].map(|share| all.value_at_quantile(share));
        let figures = figures.map(|ns| ns / 1_000);
        assert_eq!(figures, [1_644, 2_873, 483_131, 590_872, 600_834]);
    }

    #[test]
    fn intervals_are_in_order_and_say_their_longest() {
        let log = hlog(&sample::finding());
        let lines = log.lines().filter_map(|line| line.strip_prefix("Tag="));
        let fields: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
        assert!(fields.iter().all(|fields| fields.len() == 5), "{fields:?}");
        assert!(fields.is_sorted_by_key(|fields| fields[1]), "{fields:?}");
        let longest_ms = fields.iter().map(|fields| fields[3].parse::<f64>().unwrap());
        assert!((600.0..604.0).contains(&longest_ms.fold(0.0, f64::max)));
    }
}
