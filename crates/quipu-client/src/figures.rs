//! The figures of a node as its `/metrics` tells them in JSON, and what was between two readings.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use stdx::units::Nanos;
use thiserror::Error;

/// The metric that tells how long the node has served.
const UPTIME: &str = "quipu_node_uptime_seconds";

/// What came is not a page of figures.
#[derive(Debug, Error)]
#[error("the node's figures are not understood: {0}")]
pub struct FiguresError(#[from] serde_json::Error);

#[derive(Deserialize)]
struct Page {
    version: String,
    metrics: Vec<Metric>,
}

#[derive(Deserialize)]
struct Metric {
    name: String,
    series: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    labels: BTreeMap<String, String>,
    value: Option<f64>,
    #[serde(default)]
    buckets: Vec<(f64, u64)>,
}

/// The page tells seconds; bounds are whole nanoseconds, which can be compared.
fn in_nanos(buckets: Vec<(f64, u64)>) -> Vec<(Nanos, u64)> {
    let bound = |seconds: f64| Nanos((seconds * 1e9).round() as u64);
    buckets.into_iter().map(|(seconds, count)| (bound(seconds), count)).collect()
}

/// The name of a metric and the value of its label, empty where it has none.
type Place = (String, String);

/// One reading.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// The version of the node.
    pub version: String,
    values: BTreeMap<Place, f64>,
    /// Upper bounds and counts.
    timings: BTreeMap<Place, Vec<(Nanos, u64)>>,
}

impl Figures {
    /// Reads a page.
    ///
    /// # Errors
    /// It is no page of figures.
    pub fn parse(page: &[u8]) -> Result<Self, FiguresError> {
        let Page { version, metrics } = serde_json::from_slice(page)?;
        let mut figures = Self { version, ..Self::default() };
        for Metric { name, series } in metrics {
            for Series { labels, value, buckets } in series {
                let label = labels.into_values().next().unwrap_or_default();
                let place = (name.clone(), label);
                match value {
                    Some(value) => drop(figures.values.insert(place, value)),
                    None => drop(figures.timings.insert(place, in_nanos(buckets))),
                }
            }
        }
        Ok(figures)
    }

    /// Returns one value; 0 where the node has no such metric.
    pub fn value(&self, name: &str, label: &str) -> f64 {
        self.values.get(&(name.to_owned(), label.to_owned())).copied().unwrap_or(0.0)
    }

    /// Returns the labels and values of a metric.
    pub fn series(&self, name: &str) -> Vec<(&str, f64)> {
        let own = self.values.iter().filter(|((metric, _), _)| metric == name);
        own.map(|((_, label), value)| (label.as_str(), *value)).collect()
    }

    /// How long the node had served.
    pub fn uptime(&self) -> Duration {
        Duration::try_from_secs_f64(self.value(UPTIME, "")).unwrap_or_default()
    }

    fn timing(&self, name: &str, label: &str) -> &[(Nanos, u64)] {
        let found = self.timings.get(&(name.to_owned(), label.to_owned()));
        found.map(Vec::as_slice).unwrap_or_default()
    }
}

/// What was between two readings of one node.
#[derive(Debug)]
pub struct Window<'a> {
    before: Option<&'a Figures>,
    now: &'a Figures,
    /// How long it was, by the node's own clock.
    pub elapsed: Duration,
}

/// Times within a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Times {
    /// Upper bounds and counts.
    buckets: Vec<(Nanos, u64)>,
    /// How many there were.
    pub count: u64,
}

impl<'a> Window<'a> {
    /// What was between `before` and `now`. All that is known counts where there is no reading
    /// before, or the node began again since.
    pub fn new(before: Option<&'a Figures>, now: &'a Figures) -> Self {
        let before = before.filter(|before| before.uptime() < now.uptime());
        let elapsed = now.uptime().saturating_sub(before.map(Figures::uptime).unwrap_or_default());
        Self { before, now, elapsed }
    }

    /// Whether it begins with the node.
    pub fn is_since_start(&self) -> bool {
        self.before.is_none()
    }

    /// Returns by how much a value grew in a second.
    pub fn rate(&self, name: &str, label: &str) -> Option<f64> {
        let seconds = self.elapsed.as_secs_f64();
        let before = self.before.map_or(0.0, |before| before.value(name, label));
        (seconds > 0.0).then(|| (self.now.value(name, label) - before) / seconds)
    }

    /// Returns the times that were recorded.
    pub fn times(&self, name: &str, label: &str) -> Times {
        let before = self.before.map(|before| before.timing(name, label)).unwrap_or_default();
        let known = |bound: Nanos| before.iter().find(|(b, _)| *b == bound).map_or(0, |(_, n)| *n);
        let grown = self.now.timing(name, label).iter();
        let buckets: Vec<(Nanos, u64)> =
            grown.map(|(bound, n)| (*bound, n.saturating_sub(known(*bound)))).collect();
        let count = buckets.iter().map(|(_, n)| n).sum();
        Times { buckets, count }
    }
}

impl Times {
    /// Returns the time that `share` of them did not exceed, at most 12.5 % too long; nothing where
    /// there were none.
    pub fn quantile(&self, share: f64) -> Option<Nanos> {
        let rank = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.buckets.iter().find(|(_, n)| {
            seen += n;
            seen >= rank
        })?;
        Some(found.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stdx::units::Nanos;

    use super::{Figures, Window};

    fn figures(uptime: f64, adds: u64, buckets: &str) -> Figures {
        let page = format!(
            "{{\"version\":\"1\",\"metrics\":[
              {{\"name\":\"quipu_node_uptime_seconds\",\"kind\":\"gauge\",\"series\":[{{\"labels\":{{}},\"value\":{uptime}}}]}},
              {{\"name\":\"ops\",\"series\":[{{\"labels\":{{\"kind\":\"add\"}},\"value\":{adds}}},{{\"labels\":{{\"kind\":\"get\"}},\"value\":1}}]}},
              {{\"name\":\"t\",\"series\":[{{\"labels\":{{}},\"count\":1,\"p50\":null,\"buckets\":{buckets}}}]}}]}}"
        );
        Figures::parse(page.as_bytes()).expect("a page")
    }

    #[test]
    fn a_window_is_what_was_between_two_readings() {
        let before = figures(10.0, 100, "[[0.001,5]]");
        let now = figures(12.5, 350, "[[0.001,6],[0.002,3]]");
        let window = Window::new(Some(&before), &now);
        assert_eq!(window.elapsed, Duration::from_millis(2_500));
        assert_eq!((window.rate("ops", "add"), window.rate("ops", "no")), (Some(100.0), Some(0.0)));
        let times = window.times("t", "");
        assert_eq!(times.count, 4);
        assert_eq!(times.quantile(0.25), Some(Nanos::from_millis(1)));
        assert_eq!(times.quantile(0.5), Some(Nanos::from_millis(2)));
        assert_eq!(now.series("ops"), [("add", 350.0), ("get", 1.0)]);
    }

    #[test]
    fn a_node_that_began_again_is_told_since_its_start() {
        let before = figures(1_000.0, 5_000, "[[0.001,50]]");
        let now = figures(2.0, 10, "[[0.001,2]]");
        let window = Window::new(Some(&before), &now);
        assert!(window.is_since_start());
        assert_eq!(window.rate("ops", "add"), Some(5.0));
        assert_eq!(window.times("t", "").count, 2);
        assert_eq!(window.times("none", "").quantile(0.5), None);
    }
}
