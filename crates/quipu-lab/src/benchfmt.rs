//! A finding as lines of Go benchmarks, which benchstat compares: one line for each recorded phase.
//!
//! A run is one sample. Runs are compared by giving benchstat the files of several on each side.

use std::fmt::Write as _;

use crate::finding::{Finding, Latency, PhaseFinding};

/// Units of which more is better; benchstat knows that less is better of spans.
const UNITS: &str = "Unit ok/s better=higher\nUnit error-ratio better=lower\n";

/// Returns the lines.
pub fn benchfmt(finding: &Finding) -> String {
    let mut text = String::new();
    let mut say = |line: String| writeln!(text, "{line}").expect("a string takes text");
    let environment = &finding.environment;
    say("pkg: quipu/load".to_owned());
    for (key, value) in [
        ("cpu", &environment.cpu_model),
        ("kernel", &environment.kernel),
        ("target", &finding.plan.target),
    ] {
        say(format!("{key}: {}", value.replace(char::is_control, " ")));
    }
    // benchstat compares only what has the same keys, and passes over a line like this.
    say(format!("# {} {}", finding.validity.verdict, finding.started));
    say(UNITS.to_owned());
    let recorded = finding.phases.iter().filter(|phase| phase.is_recorded);
    for phase in recorded {
        say(line(&finding.plan.name, phase));
    }
    text
}

fn line(scenario: &str, phase: &PhaseFinding) -> String {
    let name = format!("BenchmarkLoad/scenario={}/phase={}", word(scenario), word(&phase.name));
    let mean_ns = phase.response.mean_ns;
    let response = spans("", &phase.response);
    let service = spans("service-", &phase.service);
    format!(
        "{name} {} {mean_ns:.0} ns/op{response}{service} {:.1} ok/s {} error-ratio",
        phase.counts.ok.max(1),
        phase.ok_per_s(),
        phase.error_ratio()
    )
}

/// Percentiles of the response time have no prefix.
fn spans(prefix: &str, latency: &Latency) -> String {
    let percentiles = &latency.percentiles;
    let spans = [
        ("p50", percentiles.p50_ns),
        ("p95", percentiles.p95_ns),
        ("p99", percentiles.p99_ns),
        ("p99.9", percentiles.p999_ns),
    ];
    let shown = spans.iter().map(|(name, ns)| format!(" {ns} {prefix}{name}-ns"));
    shown.collect()
}

/// Returns a name without blanks and slashes, which separate.
fn word(name: &str) -> String {
    let is_of_word = |char: char| char.is_ascii_graphic() && char != '/';
    name.chars().map(|char| if is_of_word(char) { char } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::benchfmt;
    use crate::finding::sample;

    #[test]
    fn each_recorded_phase_is_a_line_of_pairs() {
        let text = benchfmt(&sample::finding());
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("Benchmark")).collect();
        assert_eq!(lines.len(), 1, "{text}");
        let fields: Vec<_> = lines[0].split(' ').collect();
        let name = "BenchmarkLoad/scenario=<img_src=x>,_\"b\"_&_c/phase=<img_src=x>,_\"b\"_&_c";
        assert_eq!(fields[..2], [name, "5988"]);
        let (values, units): (Vec<_>, Vec<_>) =
            fields[2..].chunks(2).map(|pair| (pair[0].parse::<f64>(), pair[1])).unzip();
        assert!(values.iter().all(Result::is_ok), "{fields:?}");
        assert_eq!(units[..3], ["ns/op", "p50-ns", "p95-ns"]);
        assert_eq!(units[units.len() - 2..], ["ok/s", "error-ratio"]);
    }
}
