//! Interval logs of HdrHistogram, whoever wrote them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use super::{ImportError, Origin, Row, Spread};

/// What our own logs say of themselves in their second line.
const OURS: &str = "#[quipu load";
/// How tags of our own logs end.
const RESPONSE: &str = "/response";
const SERVICE: &str = "/service";
/// Significant digits of merged histograms: an error of at most 0.1 %.
const DIGITS: u8 = 3;

/// All intervals of one tag.
struct Tag {
    all: Histogram<u64>,
    covered_s: f64,
}

/// Returns whether a text begins as such a log does.
pub(super) fn is_log(start: &str) -> bool {
    ["#[", "\"StartTimestamp\"", "Tag="].iter().any(|mark| start.starts_with(mark))
}

/// Returns a row for each tag, its intervals merged. Our own logs are in nanoseconds, and of them only
/// latencies of answers are rows.
pub(super) fn rows(text: &str, unit_ns: u64) -> Result<Vec<Row>, ImportError> {
    let is_ours = text.lines().take(3).any(|line| line.starts_with(OURS));
    let unit_ns = if is_ours { 1 } else { unit_ns };
    let row = |(name, tag): (String, Tag)| {
        let count = tag.all.len();
        Row {
            tool: if is_ours { "quipu hlog" } else { "hlog" },
            origin: if is_ours { origin(&name) } else { Origin::Unknown },
            part: name,
            count: Some(count),
            per_s: (tag.covered_s > 0.0).then(|| count as f64 / tag.covered_s),
            latency: spread(&tag.all, unit_ns),
        }
    };
    let is_latency = |name: &str| !is_ours || name.ends_with(RESPONSE) || name.ends_with(SERVICE);
    let tags = merged(text)?.into_iter().filter(|(name, _)| is_latency(name));
    Ok(tags.map(row).collect())
}

/// Ours say by their tag what they count from.
fn origin(tag: &str) -> Origin {
    if tag.ends_with(SERVICE) { Origin::Write } else { Origin::Plan }
}

fn merged(text: &str) -> Result<BTreeMap<String, Tag>, ImportError> {
    let mut tags = BTreeMap::new();
    let mut intervals = 0;
    for entry in IntervalLogIterator::new(text.as_bytes()) {
        let broken = |what| ImportError::Line { line: interval_line(text, intervals), what };
        let entry = entry.map_err(|_| broken("this is no interval of a histogram log"))?;
        let LogEntry::Interval(interval) = entry else { continue };
        let name = interval.tag().map_or("all", |tag| tag.as_str()).to_owned();
        let tag = tags.entry(name).or_insert_with(|| Tag { all: empty(), covered_s: 0.0 });
        let read = decode(interval.encoded_histogram());
        let read = read.ok_or_else(|| broken("this is no histogram in base64"))?;
        tag.all.add(&read).map_err(|_| broken("this histogram cannot be added to the others"))?;
        tag.covered_s += interval.duration().as_secs_f64();
        intervals += 1;
    }
    if intervals == 0 {
        return Err(ImportError::Line { line: 1, what: "the log has no interval" });
    }
    Ok(tags)
}

/// Returns the line of an interval by its number. Lines of other kinds lie between.
fn interval_line(text: &str, number: usize) -> usize {
    let is_interval = |line: &str| !line.is_empty() && !line.starts_with(['#', '"']);
    let lines = text.lines().enumerate().filter(|(_, line)| is_interval(line));
    lines.map(|(at, _)| at + 1).nth(number).unwrap_or(1)
}

fn empty() -> Histogram<u64> {
    Histogram::new(DIGITS).expect("the digits are a constant in their range")
}

fn decode(text: &str) -> Option<Histogram<u64>> {
    let bytes = STANDARD.decode(text).ok()?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).ok()
}

fn spread(all: &Histogram<u64>, unit_ns: u64) -> Spread {
    if all.is_empty() {
        return Spread::default();
    }
    let at = |share: f64| Some((all.value_at_quantile(share) * unit_ns) as f64);
    Spread {
        mean_ns: Some(all.mean() * unit_ns as f64),
        p50_ns: at(0.5),
        p95_ns: at(0.95),
        p99_ns: at(0.99),
        p999_ns: at(0.999),
        max_ns: Some((all.max() * unit_ns) as f64),
    }
}
