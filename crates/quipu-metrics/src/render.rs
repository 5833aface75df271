//! The two forms in which a registry leaves the node: Prometheus text and JSON.

use std::fmt::{self, Write as _};

use crate::histogram::Snapshot;
use crate::name::{BUILD_INFO, Counter, Gauge, Spec, Timing, Unit};
use crate::registry::Registry;

/// Bounds of the buckets that Prometheus sees: 2^10 ns is 1 us, 2^36 ns is 69 s. Powers of two are
/// bounds of our own buckets, so these counts are exact.
const POWERS: std::ops::RangeInclusive<u32> = 10..=36;

/// Quantiles in JSON, with the names of their fields.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)];

/// The content type of [`Registry::prometheus`].
pub const PROMETHEUS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A value in the base unit of its metric; times are kept in nanoseconds.
struct Base(Unit, i128);

/// The labels of one series: the metric's own, and a further one.
struct Labels<'a>(&'a [(&'a str, &'a str)]);

/// A text between quotes; the escapes that it makes are the same in Prometheus text and JSON.
struct Quoted<'a>(&'a str);

impl Registry {
    /// Returns all metrics in the Prometheus text format 0.0.4.
    pub fn prometheus(&self) -> String {
        let mut text = String::with_capacity(32 * 1024);
        self.write_prometheus(&mut text).expect("writing to a string cannot fail");
        text
    }

    /// Returns all metrics as one JSON object: `{"version": .., "metrics": [..]}`. Distributions
    /// come as count, sum, maximum and quantiles since the start, and as pairs of upper bound and count
    /// of each bucket that is not empty, so that two readings tell what was between them.
    pub fn json(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        self.write_json(&mut text).expect("writing to a string cannot fail");
        text
    }

    fn write_prometheus(&self, out: &mut String) -> fmt::Result {
        head(out, &BUILD_INFO)?;
        sample(out, BUILD_INFO.name, &[("version", self.version())], &1)?;
        for (row, spec) in Counter::SPECS.iter().enumerate() {
            head(out, spec)?;
            for (value, total) in self.counter_series(row) {
                let labels = own_label(spec, value);
                sample(out, spec.name, labels.as_slice(), &Base(spec.unit, total.into()))?;
            }
        }
        for (row, spec) in Gauge::SPECS.iter().enumerate() {
            head(out, spec)?;
            for (value, level) in self.gauge_series(row) {
                let labels = own_label(spec, value);
                sample(out, spec.name, labels.as_slice(), &Base(spec.unit, level.into()))?;
            }
        }
        for (row, spec) in Timing::SPECS.iter().enumerate() {
            head(out, spec)?;
            for (value, snapshot) in self.timing_series(row) {
                histogram(out, spec, value, &snapshot)?;
            }
        }
        Ok(())
    }

    fn write_json(&self, out: &mut String) -> fmt::Result {
        write!(out, "{{\"version\":{},\"metrics\":[", Quoted(self.version()))?;
        let mut comma = "";
        for (row, spec) in Counter::SPECS.iter().enumerate() {
            let plain = |(label, total): (_, u64)| (label, Base(spec.unit, total.into()));
            let series = self.counter_series(row).into_iter().map(plain);
            json_metric(out, &mut comma, spec, series, json_value)?;
        }
        for (row, spec) in Gauge::SPECS.iter().enumerate() {
            let plain = |(label, level): (_, i64)| (label, Base(spec.unit, level.into()));
            let series = self.gauge_series(row).into_iter().map(plain);
            json_metric(out, &mut comma, spec, series, json_value)?;
        }
        for (row, spec) in Timing::SPECS.iter().enumerate() {
            let series = self.timing_series(row).into_iter();
            json_metric(out, &mut comma, spec, series, json_distribution)?;
        }
        out.write_str("]}\n")
    }
}

fn head(out: &mut String, spec: &Spec) -> fmt::Result {
    let Spec { name, help, kind, .. } = spec;
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {}", kind.name())
}

fn sample(
    out: &mut String,
    name: &str,
    labels: &[(&str, &str)],
    value: &dyn fmt::Display,
) -> fmt::Result {
    writeln!(out, "{name}{} {value}", Labels(labels))
}

fn own_label(spec: &Spec, value: Option<&'static str>) -> Vec<(&'static str, &'static str)> {
    spec.label.zip(value).map(|(set, value)| (set.name, value)).into_iter().collect()
}

fn histogram(
    out: &mut String,
    spec: &Spec,
    value: Option<&'static str>,
    snapshot: &Snapshot,
) -> fmt::Result {
    let Spec { name, unit, .. } = spec;
    let own = own_label(spec, value);
    let mut bucket = |bound: &str, count: u64| {
        let mut labels: Vec<(&str, &str)> = own.clone();
        labels.push(("le", bound));
        sample(out, &format!("{name}_bucket"), &labels, &count)
    };
    for power in POWERS {
        let bound = Base(*unit, 1 << power).to_string();
        bucket(&bound, snapshot.count_up_to_power(power))?;
    }
    bucket("+Inf", snapshot.count())?;
    sample(out, &format!("{name}_sum"), &own, &Base(*unit, snapshot.sum().0.into()))?;
    sample(out, &format!("{name}_count"), &own, &snapshot.count())
}

fn json_metric<T>(
    out: &mut String,
    comma: &mut &'static str,
    spec: &Spec,
    series: impl Iterator<Item = (Option<&'static str>, T)>,
    write_value: fn(&mut String, Unit, &T) -> fmt::Result,
) -> fmt::Result {
    let Spec { name, help, kind, unit, .. } = spec;
    write!(out, "{comma}{{\"name\":{},\"kind\":\"{}\",", Quoted(name), kind.name())?;
    write!(out, "\"unit\":\"{}\",\"help\":{},\"series\":[", unit.name(), Quoted(help))?;
    *comma = ",";
    for (index, (label, value)) in series.enumerate() {
        out.write_str(if index == 0 { "{\"labels\":{" } else { ",{\"labels\":{" })?;
        if let Some((name, value)) = own_label(spec, label).first() {
            write!(out, "{}:{}", Quoted(name), Quoted(value))?;
        }
        out.write_str("},")?;
        write_value(out, *unit, &value)?;
        out.write_str("}")?;
    }
    out.write_str("]}")
}

fn json_value(out: &mut String, _unit: Unit, value: &Base) -> fmt::Result {
    write!(out, "\"value\":{value}")
}

fn json_distribution(out: &mut String, unit: Unit, snapshot: &Snapshot) -> fmt::Result {
    let sum = Base(unit, snapshot.sum().0.into());
    write!(out, "\"count\":{},\"sum\":{sum}", snapshot.count())?;
    for (field, share) in QUANTILES {
        match snapshot.quantile(share) {
            Some(span) => write!(out, ",\"{field}\":{}", Base(unit, span.0.into()))?,
            None => write!(out, ",\"{field}\":null")?,
        }
    }
    write!(out, ",\"max\":{},\"buckets\":[", Base(unit, snapshot.max().0.into()))?;
    for (index, (bound, count)) in snapshot.buckets().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(out, "{comma}[{},{count}]", Base(unit, bound.0.into()))?;
    }
    out.write_str("]")
}

impl fmt::Display for Base {
    /// Writes a decimal number without loss: nanoseconds as seconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(unit, amount) = self;
        if *unit != Unit::Seconds {
            return write!(f, "{amount}");
        }
        let sign = if *amount < 0 { "-" } else { "" };
        let (whole, rest) = (amount.abs() / 1_000_000_000, amount.abs() % 1_000_000_000);
        if rest == 0 {
            return write!(f, "{sign}{whole}");
        }
        let fraction = format!("{rest:09}");
        write!(f, "{sign}{whole}.{}", fraction.trim_end_matches('0'))
    }
}

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "{";
        for (name, value) in self.0 {
            write!(f, "{before}{name}={}", Quoted(value))?;
            before = ",";
        }
        if self.0.is_empty() { Ok(()) } else { f.write_str("}") }
    }
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for letter in self.0.chars().filter(|letter| !letter.is_control()) {
            if matches!(letter, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(letter)?;
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests;
