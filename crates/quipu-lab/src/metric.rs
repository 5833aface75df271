//! What runs are compared by: one number per run, with the change that does not matter.

use std::fmt;
use std::str::FromStr;

use quipu_stats::verdict::Better;
use serde::{Deserialize, Serialize};

use crate::finding::{Finding, Latency};
use crate::recording::Latencies;
use crate::tail;
use stdx::nearest::nearest;

/// A percentile of one of many runs may be as rough as its noise is counted by the others; without one
/// request beyond it, it is the maximum by another name.
const TAIL_COUNT_MIN_OF_MANY: f64 = 1.0;

/// One number of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Metric {
    /// Requests answered as expected, per second of the recorded time.
    #[serde(rename = "throughput")]
    Throughput,
    /// The mean response time in nanoseconds; in a closed loop that of the service.
    #[serde(rename = "mean")]
    Mean,
    /// Half of the response times are at most this, in nanoseconds.
    #[serde(rename = "p50")]
    P50,
    /// 95 % of the response times are at most this, in nanoseconds.
    #[serde(rename = "p95")]
    P95,
    /// 99 % of the response times are at most this, in nanoseconds.
    #[serde(rename = "p99")]
    P99,
    /// 99.9 % of the response times are at most this, in nanoseconds.
    #[serde(rename = "p99.9")]
    P999,
    /// CPU time of a target on this machine per request, in nanoseconds.
    #[serde(rename = "server_cpu")]
    ServerCpu,
}

impl Metric {
    /// All, with their names.
    pub const ALL: [(&'static str, Self); 7] = [
        ("throughput", Self::Throughput),
        ("mean", Self::Mean),
        ("p50", Self::P50),
        ("p95", Self::P95),
        ("p99", Self::P99),
        ("p99.9", Self::P999),
        ("server_cpu", Self::ServerCpu),
    ];

    /// Returns which direction is better.
    pub fn better(self) -> Better {
        if self == Self::Throughput { Better::Higher } else { Better::Lower }
    }

    /// Returns the change that does not matter unless told otherwise, as a ratio. Source: the
    /// specification of the laboratory; CPU as throughput.
    pub fn margin_ratio_default(self) -> f64 {
        match self {
            Self::Throughput | Self::ServerCpu => 0.03,
            Self::Mean | Self::P50 | Self::P95 => 0.05,
            Self::P99 | Self::P999 => 0.1,
        }
    }

    /// Returns the number of a run, over all that is recorded.
    ///
    /// # Errors
    /// The run does not have it; the sentence says why.
    pub fn of(self, finding: &Finding) -> Result<f64, String> {
        let total = &finding.total;
        let value = match self {
            Self::Throughput => total.ok_per_s(),
            Self::ServerCpu => match &finding.server {
                Some(server) => server.cpu_ns_per_request,
                None => return Err("the target's process was not seen on this machine".to_owned()),
            },
            _ => self.of_latency(latency(finding))?,
        };
        if value > 0.0 { Ok(value) } else { Err(format!("{self} is 0")) }
    }

    fn of_latency(self, latency: &Latency) -> Result<f64, String> {
        let count = latency.count as f64;
        if let Some(share) = self.share()
            && count * (1.0 - share) < TAIL_COUNT_MIN_OF_MANY
        {
            let needed = (TAIL_COUNT_MIN_OF_MANY / (1.0 - share)).round();
            return Err(format!("{self} needs {needed} answers and there were {count}"));
        }
        let percentiles = &latency.percentiles;
        Ok(match self {
            Self::P50 => percentiles.p50_ns as f64,
            Self::P95 => percentiles.p95_ns as f64,
            Self::P99 => percentiles.p99_ns as f64,
            Self::P999 => percentiles.p999_ns as f64,
            _ => latency.mean_ns,
        })
    }

    /// Reads the metric from a histogram of response times, such as one of several runs.
    pub fn of_histogram(self, all: &Latencies) -> Option<f64> {
        match self.share() {
            Some(share) if tail::is_told(all.len(), share) => {
                Some(all.value_at_quantile(share) as f64)
            }
            None if self == Self::Mean && !all.is_empty() => Some(all.mean()),
            _ => None,
        }
    }

    /// Returns the share of requests that lie below it, if it is a percentile.
    fn share(self) -> Option<f64> {
        match self {
            Self::P50 => Some(0.5),
            Self::P95 => Some(0.95),
            Self::P99 => Some(0.99),
            Self::P999 => Some(0.999),
            Self::Throughput | Self::Mean | Self::ServerCpu => None,
        }
    }

    /// Returns a value of it for a person.
    pub fn shown(self, value: f64) -> String {
        if self == Self::Throughput {
            return format!("{value:.1}/s");
        }
        let (value, unit) = match value {
            ns if ns >= 1e9 => (ns / 1e9, "s"),
            ns if ns >= 1e6 => (ns / 1e6, "ms"),
            ns if ns >= 1e3 => (ns / 1e3, "us"),
            ns => (ns, "ns"),
        };
        format!("{value:.2}{unit}")
    }
}

/// Returns the latency that a run is about: in a closed loop, response and service time are one.
pub fn latency(finding: &Finding) -> &Latency {
    let total = &finding.total;
    if finding.plan.is_closed { &total.service } else { &total.response }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::ALL.iter().find(|(_, metric)| metric == self);
        f.pad(named.map_or("", |(name, _)| name))
    }
}

/// A metric that was declared before the comparison: only of these anything is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Declared {
    /// Which.
    pub metric: Metric,
    /// The change that does not matter: 0.03 is a factor of up to 1.03 either way.
    pub margin_ratio: f64,
    /// The change that is to be found; above the margin.
    pub difference_ratio: f64,
}

/// How much of the margin the change is that is to be found unless told otherwise: then as many pairs
/// find it as show that two equal sides are equivalent.
const DIFFERENCE_PER_MARGIN: f64 = 2.0;

impl Declared {
    /// Declares a metric with its usual margin.
    pub fn usual(metric: Metric) -> Self {
        let margin_ratio = metric.margin_ratio_default();
        Self { metric, margin_ratio, difference_ratio: DIFFERENCE_PER_MARGIN * margin_ratio }
    }

    /// Returns those that are compared unless told otherwise.
    pub fn usual_all() -> Vec<Self> {
        [Metric::Throughput, Metric::P50, Metric::P95, Metric::P99].map(Self::usual).to_vec()
    }

    /// Returns the distance that a plan must tell apart, as a log ratio: the difference less the margin.
    pub fn delta(&self) -> f64 {
        self.difference_ratio.ln_1p() - self.margin_ratio.ln_1p()
    }
}

/// Why a text declares no metric.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeclaredError {
    /// There is none of this name.
    #[error("there is no metric `{name}`{hint}; write one of {}", names())]
    Unknown {
        /// The name.
        name: String,
        /// One that is near, as the end of a sentence.
        hint: String,
    },
    /// A share is none.
    #[error("`{text}` is no share: write such as 3% or 0.03")]
    Share {
        /// The text.
        text: String,
    },
    /// The difference is not above the margin.
    #[error("the difference to be found must lie above the margin, as in {name}=3%:6%")]
    Difference {
        /// The metric.
        name: String,
    },
}

fn names() -> String {
    Metric::ALL.map(|(name, _)| name).join(", ")
}

impl FromStr for Declared {
    type Err = DeclaredError;

    /// Reads `NAME`, `NAME=MARGIN` or `NAME=MARGIN:DIFFERENCE`, such as `p99=10%:20%`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, shares) = text.split_once('=').unwrap_or((text, ""));
        let known = Metric::ALL.iter().find(|(known, _)| *known == name);
        let (_, metric) = known.ok_or_else(|| DeclaredError::Unknown {
            name: name.to_owned(),
            hint: nearest(name, Metric::ALL.into_iter().map(|(name, _)| name))
                .map_or(String::new(), |near| format!(", perhaps `{near}`")),
        })?;
        let mut declared = Self::usual(*metric);
        if shares.is_empty() {
            return Ok(declared);
        }
        let (margin, difference) = match shares.split_once(':') {
            Some((margin, difference)) => (share(margin)?, Some(share(difference)?)),
            None => (share(shares)?, None),
        };
        declared.margin_ratio = margin;
        declared.difference_ratio = difference.unwrap_or(DIFFERENCE_PER_MARGIN * margin);
        if declared.difference_ratio <= margin {
            return Err(DeclaredError::Difference { name: name.to_owned() });
        }
        Ok(declared)
    }
}

/// Reads a share from 0 to below 10, such as `3%`.
fn share(text: &str) -> Result<f64, DeclaredError> {
    let (digits, unit) = match text.strip_suffix('%') {
        Some(digits) => (digits, 0.01),
        None => (text, 1.0),
    };
    let value: Option<f64> = digits.trim().parse().ok();
    let value = value.map(|value| value * unit).filter(|value| (0.0..10.0).contains(value));
    value.ok_or_else(|| DeclaredError::Share { text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::{Declared, Metric};

    #[test]
    fn a_metric_is_declared_with_its_margin_and_difference() {
        let check = |text: &str, expected: Option<(Metric, f64, f64)>| {
            let found = text.parse::<Declared>().ok();
            let found = found.map(|one| (one.metric, one.margin_ratio, one.difference_ratio));
            assert_eq!(found, expected, "{text}");
        };
        check("throughput", Some((Metric::Throughput, 0.03, 0.06)));
        check("p99=0.25", Some((Metric::P99, 0.25, 0.5)));
        check("p50=0:4%", Some((Metric::P50, 0.0, 0.04)));
        for text in ["p98", "", "p99=", "p50=0", "p50=5%:5%", "p50=-1%", "p50=x", "p50=1%:y"] {
            let is_bare = text == "p99=";
            assert_eq!(text.parse::<Declared>().is_ok(), is_bare, "{text}");
        }
    }

    #[test]
    fn an_unknown_name_gets_the_nearest_one() {
        let error = "troughput".parse::<Declared>().expect_err("misspelt").to_string();
        assert!(error.contains("perhaps `throughput`"), "{error}");
    }

    #[test]
    fn values_are_shown_in_their_unit() {
        assert_eq!(Metric::Throughput.shown(1234.56), "1234.6/s");
        assert_eq!(Metric::P99.shown(1_234_567.0), "1.23ms");
        assert_eq!(Metric::ServerCpu.shown(950.0), "950.00ns");
    }
}
