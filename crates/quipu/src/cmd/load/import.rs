//! `quipu load import`: results of several tools in one table, each with what its latencies leave out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use quipu_lab::import::{self, Row};
use stdx::units::Nanos;

use crate::output::{self, FAILURE, fail, table};

/// Show results of several tools in one table
///
/// Reads finding.json, .hlog of HdrHistogram, redis-benchmark --csv, summaries of k6 (--summary-export),
/// and what wrk and wrk2 print with --latency. The last column says what each tool's latencies leave
/// out: rows are comparable only where it says the same.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    /// The results
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What one unit of a .hlog is that another tool wrote
    #[arg(long, default_value = "ns", value_name = "UNIT", value_parser = unit)]
    unit: u64,
}

/// The units of histograms, in nanoseconds.
const UNITS: [(&str, u64); 3] = [("ns", 1), ("us", 1_000), ("ms", 1_000_000)];

fn unit(text: &str) -> Result<u64, String> {
    let found = UNITS.iter().find(|(name, _)| *name == text);
    found.map(|(_, ns)| *ns).ok_or_else(|| "must be ns, us or ms".to_owned())
}

const HEAD: [&str; 12] = [
    "file",
    "tool",
    "part",
    "requests",
    "per s",
    "mean",
    "p50",
    "p95",
    "p99",
    "p99.9",
    "max",
    "latency counts",
];

/// Reads the results and prints them.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let mut rows = Vec::new();
    for file in &args.files {
        match read(file, args.unit) {
            Ok(read) => rows.extend(read.iter().map(|row| cells(file, row))),
            Err(error) => return fail(FAILURE, format_args!("{error:#}")),
        }
    }
    output::print(&table(HEAD, &rows))?;
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path, unit_ns: u64) -> anyhow::Result<Vec<Row>> {
    let text = fs::read_to_string(file);
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    import::rows(&text, unit_ns).with_context(|| format!("in {}", file.display()))
}

fn cells(file: &Path, row: &Row) -> [String; 12] {
    let latency = &row.latency;
    let span = |ns: Option<f64>| known(ns.map(|ns| Nanos(ns.round() as u64).approximate()));
    [
        file.display().to_string(),
        row.tool.to_owned(),
        row.part.clone(),
        known(row.count.map(|count| count.to_string())),
        known(row.per_s.map(|per_s| format!("{per_s:.0}"))),
        span(latency.mean_ns),
        span(latency.p50_ns),
        span(latency.p95_ns),
        span(latency.p99_ns),
        span(latency.p999_ns),
        span(latency.max_ns),
        row.origin.to_string(),
    ]
}

fn known(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}
