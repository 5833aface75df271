//! The generators of the stall row: how each is told 2,000 requests a second over 50 connections, and
//! where its p99 stands.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::bench::load::Bench;
use crate::bench::load::target::Target;
use crate::bench::load::tool::{Output, ours, run, run_ours};

/// What a generator reported.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) p99_ms: f64,
    /// What has to be known to read it.
    pub(super) note: String,
}

/// A generator.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    /// With the options that matter.
    pub(super) name: &'static str,
    /// What must be on the path; empty for our own.
    pub(super) program: &'static str,
    pub(super) measure: fn(&Bench, &Target, u64) -> Result<Report>,
}

/// All of them, our own first.
pub(super) const PEERS: [Peer; 9] = [
    Peer { name: "quipu load, RESP", program: "", measure: quipu_resp },
    Peer { name: "quipu load, HTTP/1.1", program: "", measure: quipu_http },
    Peer { name: "hey -q", program: "hey", measure: hey },
    Peer { name: "oha -q", program: "oha", measure: oha },
    Peer { name: "oha -q --latency-correction", program: "oha", measure: oha_corrected },
    Peer { name: "autocannon -R", program: "autocannon", measure: autocannon },
    Peer {
        name: "autocannon -R --ignoreCoordinatedOmission",
        program: "autocannon",
        measure: autocannon_plain,
    },
    Peer { name: "k6 constant-arrival-rate, 50 VUs", program: "k6", measure: k6_few },
    Peer { name: "k6 constant-arrival-rate, 2,500 VUs", program: "k6", measure: k6_many },
];

fn quipu_resp(bench: &Bench, target: &Target, seconds: u64) -> Result<Report> {
    let kind = "kind = \"resp\"\ncommand = \"PING\"\nconnections = 50\npipeline = 64";
    quipu(bench, (kind, &format!("redis://{}", target.address)), seconds)
}

fn quipu_http(bench: &Bench, target: &Target, seconds: u64) -> Result<Report> {
    quipu(bench, ("kind = \"http\"\nconnections = 50", &target.url()), seconds)
}

fn quipu(bench: &Bench, (kind, url): (&str, &str), seconds: u64) -> Result<Report> {
    let phase = format!("rate = 2_000\nfor = \"{seconds}s\"");
    let arrival = "model = \"open\"\npacing = \"precise\"";
    let finding = run_ours(&mut ours(bench, &[kind, arrival, &phase], url)?)?;
    let p99_ms = finding.number("/total/response/p99_ns")? / 1e6;
    let service_ms = finding.number("/total/service/p99_ns")? / 1e6;
    let verdict = finding.text("/validity/verdict");
    let note = format!("run {verdict}; counted from the write it would be {service_ms:.1} ms");
    Ok(Report { p99_ms, note })
}

fn hey(_: &Bench, target: &Target, seconds: u64) -> Result<Report> {
    let mut command = Command::new("hey");
    command.args(["-z", &format!("{seconds}s"), "-c", "50", "-q", "40", &target.url()]);
    let Output { text, .. } = run(&mut command, &[])?;
    // "  99% in 0.0050 secs"; some releases print a percent sign more.
    let line = text.lines().find(|line| line.trim_start().starts_with("99%"));
    let words = line.and_then(|line| line.split_whitespace().nth(2));
    let seconds: f64 = words.and_then(|word| word.parse().ok()).with_context(|| text.clone())?;
    Ok(Report { p99_ms: seconds * 1e3, note: "counts from the write".to_owned() })
}

fn oha(_: &Bench, target: &Target, seconds: u64) -> Result<Report> {
    oha_with(target, seconds, &[])
}

fn oha_corrected(_: &Bench, target: &Target, seconds: u64) -> Result<Report> {
    oha_with(target, seconds, &["--latency-correction"])
}

fn oha_with(target: &Target, seconds: u64, more: &[&str]) -> Result<Report> {
    let mut command = Command::new("oha");
    command.args(["--no-tui", "--output-format", "json", "-c", "50", "-q", "2000"]).args(more);
    command.args(["-z", &format!("{seconds}s"), &target.url()]);
    let p99_s = number(&run(&mut command, &[])?.text, "/latencyPercentiles/p99")?;
    Ok(Report { p99_ms: p99_s * 1e3, note: String::new() })
}

fn autocannon(_: &Bench, target: &Target, seconds: u64) -> Result<Report> {
    autocannon_with(target, seconds, &[])
}

fn autocannon_plain(_: &Bench, target: &Target, seconds: u64) -> Result<Report> {
    autocannon_with(target, seconds, &["--ignoreCoordinatedOmission"])
}

fn autocannon_with(target: &Target, seconds: u64, more: &[&str]) -> Result<Report> {
    let mut command = Command::new("autocannon");
    command.args(["-c", "50", "-R", "2000", "--json"]).args(more);
    command.args(["-d", &seconds.to_string(), &target.url()]);
    let p99_ms = number(&run(&mut command, &[])?.text, "/latency/p99")?;
    Ok(Report { p99_ms, note: String::new() })
}

fn k6_few(bench: &Bench, target: &Target, seconds: u64) -> Result<Report> {
    k6(bench, target, (50, seconds))
}

fn k6_many(bench: &Bench, target: &Target, seconds: u64) -> Result<Report> {
    k6(bench, target, (2_500, seconds))
}

fn k6(bench: &Bench, target: &Target, (users, seconds): (u32, u64)) -> Result<Report> {
    let (script, summary) = (bench.folder.join("k6.js"), bench.folder.join("k6.json"));
    let url = target.url();
    fs::write(
        &script,
        format!(
            "import http from 'k6/http';
export const options = {{ scenarios: {{ main: {{
  executor: 'constant-arrival-rate', rate: 2000, timeUnit: '1s', duration: '{seconds}s',
  preAllocatedVUs: {users}, maxVUs: {users}, gracefulStop: '5s' }} }} }};
export default function () {{ http.get('{url}'); }}
"
        ),
    )?;
    let mut command = Command::new("k6");
    command.args(["run", "--quiet", "--no-usage-report", "--summary-trend-stats", "p(99)"]);
    command.arg("--summary-export").arg(&summary).arg(&script);
    run(&mut command, &[])?;
    let text = fs::read_to_string(&summary)?;
    let dropped = number(&text, "/metrics/dropped_iterations/count").unwrap_or(0.0);
    let p99_ms = number(&text, "/metrics/http_req_duration/p(99)")?;
    Ok(Report { p99_ms, note: format!("dropped {dropped} iterations") })
}

/// The number at a JSON pointer of what was printed, behind whatever was printed before it.
fn number(text: &str, pointer: &str) -> Result<f64> {
    let start = text.find('{').with_context(|| format!("no JSON: {text}"))?;
    let json: Value = serde_json::from_str(text.get(start..).unwrap_or_default())?;
    let found = json.pointer(pointer).and_then(Value::as_f64);
    found.with_context(|| format!("there is no {pointer} in {json}"))
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn a_number_is_found_behind_what_was_printed_before() {
        let text = "Running 30s test\n{\"latency\":{\"p99\":7}}";
        assert!((number(text, "/latency/p99").unwrap() - 7.0).abs() < 1e-9);
        assert!(number(text, "/latency/p98").is_err());
        assert!(number("none", "/x").is_err());
    }
}
