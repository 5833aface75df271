//! Results of other tools and of ours as rows of one table, each with what its latencies leave out.
//!
//! What a file is follows from what is in it. A tool that waits for an answer before it sends the next
//! request, or whose clock starts at the write, says nothing of requests that could not leave while
//! the target stood still: coordinated omission. Each row says how its tool treats that.

mod csv;
mod hlog;
mod k6;
mod ours;
mod wrk;

use std::fmt;

/// What a tool's latencies count from, and what they therefore leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From the planned moment: a stall of the target is in the latencies of all that had to wait.
    Plan,
    /// From the write, at a rate that was planned: what had to wait before it left is left out.
    Write,
    /// From the write, of clients that wait for their answers: fewer requests are sent while the
    /// target stands still, so its worst moments hardly count.
    ClosedLoop,
    /// The file does not say.
    Unknown,
}

/// What one part of a result says. Spans are in nanoseconds; nothing where the file does not tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The tool that wrote it.
    pub tool: &'static str,
    /// Which part of the result: a phase, a command, a tag.
    pub part: String,
    /// What its latencies count from.
    pub origin: Origin,
    /// How many requests are in it.
    pub count: Option<u64>,
    /// How many there were per second.
    pub per_s: Option<f64>,
    /// Their latencies.
    pub latency: Spread,
}

/// How latencies are spread, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spread {
    /// Their mean.
    pub mean_ns: Option<f64>,
    /// Half of all are at most this.
    pub p50_ns: Option<f64>,
    /// 95 % of all are at most this.
    pub p95_ns: Option<f64>,
    /// 99 % of all are at most this.
    pub p99_ns: Option<f64>,
    /// 99.9 % of all are at most this.
    pub p999_ns: Option<f64>,
    /// The greatest.
    pub max_ns: Option<f64>,
}

/// Why a text is no result that is known here.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Nothing in it tells what it is.
    #[error(
        "this is no finding.json, histogram log, k6 summary, output of wrk or CSV of redis-benchmark"
    )]
    Unknown,
    /// A finding that cannot be read.
    #[error(transparent)]
    Finding(#[from] crate::finding::FindingError),
    /// A line of it makes no sense.
    #[error("line {line}: {what}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
}

/// Reads a result. `unit_ns` is how many nanoseconds one unit of a histogram log is, where the log is
/// not ours.
///
/// # Errors
/// It is nothing that is known, or makes no sense as what it seems to be.
pub fn rows(text: &str, unit_ns: u64) -> Result<Vec<Row>, ImportError> {
    let start = text.trim_start();
    if start.starts_with('{') {
        return json(text);
    }
    if hlog::is_log(start) {
        return hlog::rows(text, unit_ns);
    }
    if csv::is_csv(start) {
        return csv::rows(text);
    }
    if wrk::is_output(start) {
        return Ok(wrk::rows(text));
    }
    Err(ImportError::Unknown)
}

fn json(text: &str) -> Result<Vec<Row>, ImportError> {
    let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    if let Some(metrics) = value.get("metrics") {
        return k6::rows(metrics).ok_or(ImportError::Unknown);
    }
    if value.get("windows").is_some() {
        return Ok(ours::rows(&crate::finding::Finding::from_json(text)?));
    }
    Err(ImportError::Unknown)
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Plan => "from the plan: waits are in it",
            Self::Write => "from the write: waits are LEFT OUT",
            Self::ClosedLoop => "closed loop: waits are LEFT OUT",
            Self::Unknown => "unknown",
        })
    }
}

#[cfg(test)]
mod tests;
